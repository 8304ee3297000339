//! The newest checkpoint is kept outside the database; what is kept there is compared with ours.

use crate::ledger::sighting::{Sighting, SightingError, hold_against};
use crate::store::StoreError;

use super::{Error, Gateway};

/// A checkpoint of the ledger as it is committed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Number of entries.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// The checkpoint to keep.
///
/// # Errors
/// `Busy` when the database does not answer.
pub async fn offer(gateway: &Gateway) -> Result<Offer, Error> {
    let keys = std::sync::Arc::clone(&gateway.log_keys);
    let read = gateway.store.read(move |tx| Ok::<_, StoreError>(keys.within(tx)?.present(tx)));
    let (size, note) = read.await?.map_err(Error::broken)?;
    Ok(Offer { size, note: note.to_string() })
}

/// Compares a note that `by` kept with the ledger, read after it; the size they agree on. A
/// contradiction raises the alarm, and both notes become evidence.
///
/// # Errors
/// `Stopped` after an alarm; `Invalid` for what is not a checkpoint of this log; `Busy`.
pub async fn compare(gateway: &Gateway, by: &str, note: &str) -> Result<u64, Error> {
    let origin = gateway.log_keys.at_hand().verifiers().first().map(|key| key.name().to_owned());
    let (origin, kept, name) = (origin.unwrap_or_default(), note.to_owned(), by.to_owned());
    let read =
        gateway.store.read(move |tx| Ok::<_, StoreError>(hold_against(tx, &origin, &kept, &name)));
    match read.await? {
        Ok(Sighting::Agrees(size)) => Ok(size),
        Ok(Sighting::Contradicts(alarm)) => {
            gateway.outside.contradict(note);
            gateway.alarm(alarm.clone());
            Err(Error::Stopped(alarm))
        }
        Err(SightingError::Prove(error)) => Err(Error::broken(error)),
        Err(fault) => Err(Error::invalid(by, fault)),
    }
}
