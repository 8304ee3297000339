//! What makes the ledger stop: somebody outside remembers more than we have, or something else.

/// A contradiction between this ledger and what it published before (reference page §16). Once
/// raised it stays until the process starts again: going on would make two histories of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The database is older than what somebody saw of it: a backup was restored, or a standby
    /// was promoted that lacked the newest commits.
    #[error(
        "rollback: the ledger holds {have} entries, but {by} has seen {seen}; restore the newer \
         database, or declare the break"
    )]
    RolledBack {
        /// Number of entries here.
        have: u64,
        /// Number of entries that somebody saw.
        seen: u64,
        /// Who: the name of a witness or an anchor.
        by: String,
    },
    /// Two histories: at this size somebody saw another root, or the way to it cannot be proved.
    #[error(
        "fork: at {size} entries {by} has seen another history than this ledger; find the second \
         database that writes under this name, and keep both checkpoints as evidence"
    )]
    Forked {
        /// Number of entries in the contradicting checkpoint.
        size: u64,
        /// Who: the name of a witness or an anchor.
        by: String,
    },
}
