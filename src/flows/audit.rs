//! The log as others check it: receipts, checkpoints, tiles and proofs.

use crate::domain::disclosure::Reason;
use crate::id::PartnerId;
use crate::ledger::prove::{ProveError, prove_consistency, prove_inclusion};
use crate::ledger::serve::lines_of;
use crate::ledger::{Facts, Kind, Projection};
use crate::store::{StoreError, audit_rows, ledger_rows};

use super::release::Asker;
use super::{Error, Gateway, Thing};

pub use crate::ledger::serve::Run;

/// Who reads a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A partner, who reads what concerns it.
    Partner(PartnerId),
    /// An auditor, who reads every entry.
    Auditor,
}

impl Reader {
    fn may_read(self, found: &Projection) -> bool {
        match self {
            Self::Auditor => true,
            // Why one person was withheld is hidden in the answer, so it is hidden here as well.
            Self::Partner(partner) => {
                let asked = matches!(found.kind, Kind::Release | Kind::Withhold | Kind::Intake);
                // A step that staff took for it names the member of staff.
                let took = found.kind.is_recall() && found.certificate.is_some();
                found.partner == Some(partner)
                    && (asked || took)
                    && !found.reason.is_some_and(Reason::is_about_a_person)
            }
        }
    }
}

/// The receipt of a release, a refusal, an intake or a step of a recall, for the partner that asked
/// or took it, or of any entry for an auditor: a tlog-proof whose `extra` line is the entry, under a checkpoint signed now.
///
/// # Errors
/// `Unknown` for an index beyond the ledger, for an entry of somebody else, and for a refusal whose
/// reason lies in one person: the three cannot be told apart. `Gone` for an entry that was pruned.
pub async fn receipt(gateway: &Gateway, reader: Reader, index: u64) -> Result<String, Error> {
    let keys = std::sync::Arc::clone(&gateway.log_keys);
    let read = gateway.store.read(move |tx| {
        if index < ledger_rows::min_index(tx)? {
            return Ok(Err(Error::Gone(Thing::Entry)));
        }
        let found = audit_rows::find_projection(tx, index)?;
        if !found.is_some_and(|found| reader.may_read(&found)) {
            return Ok(Err(Error::Unknown(Thing::Entry)));
        }
        Ok::<_, StoreError>(keys.within(tx)?.receipt(tx, index).map_err(Error::broken))
    });
    Ok(read.await??.to_string())
}

/// The checkpoint of the ledger as it is committed now, signed by the log.
pub async fn checkpoint(gateway: &Gateway) -> Result<String, Error> {
    let keys = std::sync::Arc::clone(&gateway.log_keys);
    let read = gateway.store.read(move |tx| Ok::<_, StoreError>(keys.within(tx)?.present(tx)));
    read.await?.map(|(_, note)| note.to_string()).map_err(Error::broken)
}

/// The bytes of a run of hashes or entries (c2sp.org/tlog-tiles), of one read transaction.
///
/// # Errors
/// `Unknown` for what the tree does not have yet, `Gone` for a pruned bundle.
pub async fn run(gateway: &Gateway, run: Run) -> Result<Vec<u8>, Error> {
    gateway.store.read(move |tx| Ok::<_, StoreError>(run.read(tx).map_err(unproved))).await?
}

/// The path of an entry in the tree of `size` entries, as lines of base64.
///
/// # Errors
/// `Unknown` for a place or size that the ledger does not have.
pub async fn inclusion(gateway: &Gateway, index: u64, size: u64) -> Result<String, Error> {
    let read = gateway
        .store
        .read(move |tx| Ok::<_, StoreError>(prove_inclusion(tx, index, size).map_err(unproved)));
    Ok(lines_of(&read.await??))
}

/// The path from the tree of `from` entries to that of `to`, as lines of base64.
///
/// # Errors
/// `Unknown` for sizes out of order or beyond the ledger.
pub async fn consistency(gateway: &Gateway, from: u64, to: u64) -> Result<String, Error> {
    let read = gateway
        .store
        .read(move |tx| Ok::<_, StoreError>(prove_consistency(tx, from, to).map_err(unproved)));
    Ok(lines_of(&read.await??))
}

/// Records that an auditor was let in to read the ledger: everything it fetches until its token
/// ends stands behind this entry.
///
/// # Errors
/// `Busy` when nothing can be recorded now: then nobody is let in.
pub async fn let_in(gateway: &Gateway, asker: Asker) -> Result<(), Error> {
    let mut facts = Facts::new(Kind::AuditQuery, "ledger.read", asker.request, gateway.now());
    facts.partner = Some(asker.partner);
    facts.certificate = Some(asker.certificate);
    gateway.act(Gateway::draft(facts, Vec::new())?).await.map(drop)
}

/// The log's public key as a vkey line: what a verifier pins.
pub fn log_key(gateway: &Gateway) -> String {
    gateway.log_keys.at_hand().verifiers().first().map(ToString::to_string).unwrap_or_default()
}

fn unproved(error: ProveError) -> Error {
    match error {
        ProveError::Beyond => Error::Unknown(Thing::Entry),
        ProveError::Pruned { .. } => Error::Gone(Thing::Entry),
        error => Error::broken(error),
    }
}
