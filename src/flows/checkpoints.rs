//! The newest checkpoint is published: stored before anyone sees it, and never one that
//! contradicts an earlier one.

use std::sync::Arc;

use crate::ledger::publishing::{self, Due, Published, Step, Unpublishable};
use crate::store::{EvidenceTx, StoreError, checkpoint_rows};

use super::{Alarm, Error, Gateway};

/// What one turn of the publisher did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Number of entries of the newest published checkpoint; 0 before the first.
    pub size: u64,
    /// Whether this turn published it, or said that it still stands.
    pub published: bool,
    /// Whether the clock stands before the last publication.
    pub clock_behind: bool,
}

/// Publishes what is due at the gateway's present moment. Any replica may call it at any time:
/// they take turns, and sizes only grow.
///
/// # Errors
/// `Stopped` when the ledger contradicts what was published: the alarm has been raised then.
pub async fn publish(gateway: &Gateway) -> Result<Turn, Error> {
    if let Some(alarm) = gateway.alarm_raised() {
        return Err(Error::Stopped(alarm));
    }
    let (keys, now) = (Arc::clone(&gateway.log_keys), gateway.now());
    let turn = move |tx: &mut EvidenceTx| {
        let last = checkpoint_rows::newest_checkpoint(tx)?;
        let notary = keys.within(tx)?;
        let due = match publishing::due(&mut **tx, &notary, last.as_ref(), now) {
            Ok(due) => due,
            Err(Unpublishable::Alarm(alarm)) => return Ok(Err(alarm)),
            Err(Unpublishable::Notary(error)) => return Err(StoreError::Broken(error.into())),
        };
        let Due { step, size, clock_behind } = due;
        let row = |note: &dyn ToString| Published { size, note: note.to_string(), at: now };
        let (size, published) = match step {
            Step::Grown(note) => {
                checkpoint_rows::insert_checkpoint(tx, &row(&note))?;
                (size, true)
            }
            Step::Beat(note) => {
                checkpoint_rows::renew_checkpoint(tx, &row(&note))?;
                (size, true)
            }
            Step::Nothing => (last.map_or(0, |last| last.size), false),
        };
        Ok::<_, StoreError>(Ok::<_, Alarm>(Turn { size, published, clock_behind }))
    };
    gateway.store.keep(turn).await?.map_err(|alarm| {
        gateway.alarm(alarm.clone());
        Error::Stopped(alarm)
    })
}
