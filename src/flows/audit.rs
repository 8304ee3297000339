//! Receipts: a partner asks for the proof of an entry that concerns it; the state of the log.

use crate::id::PartnerId;
use crate::ledger::{Archive as _, Kind, NotaryError};
use crate::store::{StoreError, audit_rows};

use super::{Error, Gateway, Thing};

/// The receipt of a release, a refusal or an intake, for the partner that asked: a tlog-proof whose `extra` line is
/// the entry, under a checkpoint signed now.
///
/// # Errors
/// `Unknown` for an index beyond the ledger and for an entry of somebody else: the two cannot be
/// told apart.
pub async fn receipt(gateway: &Gateway, partner: PartnerId, index: u64) -> Result<String, Error> {
    let notary = std::sync::Arc::clone(&gateway.notary);
    let read = gateway.store.read(move |tx| {
        let found = audit_rows::find_projection(tx, index)?;
        let own = found.is_some_and(|found| {
            found.partner == Some(partner)
                && matches!(found.kind, Kind::Release | Kind::Withhold | Kind::Intake)
        });
        if !own {
            return Ok(None);
        }
        Ok::<_, StoreError>(Some(notary.receipt(tx, index)))
    });
    match read.await? {
        None => Err(Error::Unknown(Thing::Entry)),
        Some(proof) => proof.map(|proof| proof.to_string()).map_err(failed),
    }
}

/// The checkpoint of the ledger as it is committed now, as a signed note.
pub async fn checkpoint(gateway: &Gateway) -> Result<String, Error> {
    let notary = std::sync::Arc::clone(&gateway.notary);
    let read = gateway.store.read(move |tx| {
        let head = tx.head().map_err(|error| NotaryError::Prove(error.into()));
        Ok::<_, StoreError>(head.and_then(|head| notary.checkpoint(&head)))
    });
    read.await?.map(|note| note.to_string()).map_err(failed)
}

/// The log's public key as a vkey line: what a verifier pins.
pub fn log_key(gateway: &Gateway) -> String {
    gateway.notary.verifiers().first().map(ToString::to_string).unwrap_or_default()
}

fn failed(error: NotaryError) -> Error {
    Error::broken(error)
}
