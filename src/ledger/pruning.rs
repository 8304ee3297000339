//! What a `prune` entry says: below which index bodies went, and under which rule.

use super::entry::{Facts, Kind};

/// The detail (`det`) of a `prune` entry: `below-<index>.keep-<days>d`.
pub fn detail(min_index: u64, keep_days: u32) -> String {
    format!("below-{min_index}.keep-{keep_days}d")
}

/// The index below which an entry says that bodies went; `None` for any other entry, and for a
/// detail that this program would not have written.
pub fn min_index_of(facts: &Facts) -> Option<u64> {
    if facts.kind != Kind::Prune {
        return None;
    }
    let written = facts.detail.as_deref()?;
    let (below, rule) = written.strip_prefix("below-")?.split_once(".keep-")?;
    let min_index = below.parse().ok()?;
    let keep_days = rule.strip_suffix('d')?.parse().ok()?;
    (detail(min_index, keep_days) == written).then_some(min_index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::id::RequestId;

    fn said(kind: Kind, written: &str) -> Option<u64> {
        let facts = Facts::new(kind, "ledger.prune", RequestId::new(), Moment(0));
        min_index_of(&Facts { detail: Some(written.to_owned().into()), ..facts })
    }

    #[test]
    fn an_entry_says_its_border_in_one_spelling_alone() {
        assert_eq!(said(Kind::Prune, &detail(65_536, 3650)), Some(65_536));
        assert_eq!(said(Kind::StaffAct, &detail(65_536, 3650)), None);
        for other in
            ["", "below-1", "below-065536.keep-3650d", "below-65536.keep-3650", "below--1.keep-1d"]
        {
            assert_eq!(said(Kind::Prune, other), None, "{other}");
        }
    }
}
