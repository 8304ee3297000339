//! What makes the ledger stop: somebody outside remembers more than we have, or something else.

/// A contradiction between this ledger and what it published before (reference page §16). Once
/// raised it stays until the process starts again: going on would make two histories of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// The database is older than what somebody saw of it: a backup was restored, or a standby
    /// was promoted that lacked the newest commits.
    #[error(
        "rollback: the ledger holds {have} entries, but {by} has seen {seen}; bring back the \
         database that holds them, or found a new log under a new origin"
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
        "fork: the ledger holds {have} entries, but {by} has seen another history at {size}; find \
         the second database that writes under this name, and keep both checkpoints as evidence"
    )]
    Forked {
        /// Number of entries here.
        have: u64,
        /// Number of entries in the contradicting checkpoint.
        size: u64,
        /// Who: the name of a witness or an anchor.
        by: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alarms_name_both_sizes_and_no_way_out_that_is_not_offered() {
        let by = || "witness w1".to_owned();
        let rollback = Alarm::RolledBack { have: 41, seen: 97, by: by() }.to_string();
        let fork = Alarm::Forked { have: 97, size: 41, by: by() }.to_string();
        for says in [rollback, fork] {
            for told in ["41", "97", "witness w1"] {
                assert!(says.contains(told), "{says}");
            }
            assert!(!says.contains("break"), "{says}");
        }
    }
}
