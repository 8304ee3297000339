//! A change of state that commits together with the entry that records it.

use super::error::EffectError;
use super::tx::WriteTx;

type Change = Box<dyn FnOnce(&mut WriteTx) -> Result<(), EffectError> + Send>;

/// A change of state, run inside the append of its entry in a savepoint of its own: both are
/// committed or neither is. Its failure refuses its own draft only.
pub struct Effect(Change);

impl Effect {
    /// Wraps a change. It runs once, on the sequencer's thread, under the lock of the ledger's
    /// head: it must be short and must not wait for anything but the database.
    pub fn new<F>(change: F) -> Self
    where
        F: FnOnce(&mut WriteTx) -> Result<(), EffectError> + Send + 'static,
    {
        Self(Box::new(change))
    }

    pub(super) fn run(self, tx: &mut WriteTx) -> Result<(), EffectError> {
        (self.0)(tx)
    }
}
