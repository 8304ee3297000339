//! Retention: how long bodies of entries are kept, and below which index they may go.

use crate::clock::Moment;

use super::purpose::Purpose;

/// The ledger is pruned in pieces of 256 × 256 entries: whole tiles of level 1, so that no proof
/// ever needs a body below the border.
pub const ALIGNMENT: u64 = 65_536;

/// Entries at the end that always keep their bodies: the newest full tile is hashed again at each
/// start.
const NEWEST: u64 = 256;

/// One day in the unit of `Moment`.
const DAY: i64 = 86_400_000_000;

/// The written rule: bodies of entries are kept for so many days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionRule {
    keep_days: u32,
    alignment: u64,
}

/// What the ledger looks like when it is to be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Entries below are pruned already.
    pub min_index: u64,
    /// Number of entries.
    pub size: u64,
    /// Index of the first entry that the rule still keeps; `None` if it keeps none.
    pub first_kept: Option<u64>,
}

/// Why nothing may be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetentionFault {
    /// The rule is shorter than the longest lease.
    #[error("must be at least {0}: a partner may hold a lead for so many days")]
    TooShort(u32),
    /// The rule keeps what was to go.
    #[error("the retention rule permits it up to entry {0}, not further")]
    Beyond(u64),
    /// There is no whole piece to remove.
    #[error(
        "there is nothing to remove yet: it goes in pieces of {alignment} entries, entries up to \
         {min_index} are gone, and the rule permits it up to entry {allowed}"
    )]
    Nothing {
        /// Size of a piece.
        alignment: u64,
        /// As in `Extent`.
        min_index: u64,
        /// What the rule permits, not rounded.
        allowed: u64,
    },
}

impl RetentionRule {
    /// A rule. It must be at least as long as the longest lease of any purpose: while a partner
    /// may hold a lead, the ledger must be able to say so.
    ///
    /// # Errors
    /// `TooShort`.
    pub fn new(keep_days: u32) -> Result<Self, RetentionFault> {
        let min = Self::keep_days_min();
        if keep_days < min {
            return Err(RetentionFault::TooShort(min));
        }
        Ok(Self { keep_days, alignment: ALIGNMENT })
    }

    /// The same rule in other pieces: for tests, which cannot wait for 65,536 entries each time.
    /// At least 256, which the database insists on.
    #[must_use]
    pub fn in_pieces_of(self, alignment: u64) -> Self {
        Self { alignment: alignment.max(NEWEST), ..self }
    }

    /// The shortest rule there may be: the longest lease.
    pub fn keep_days_min() -> u32 {
        let leases = Purpose::ALL.iter().map(|purpose| u32::from(purpose.row().lease_days));
        leases.max().unwrap_or_default()
    }

    /// For how many days bodies are kept.
    pub fn keep_days(self) -> u32 {
        self.keep_days
    }

    /// Entries written at or after this moment are kept.
    pub fn keeps_since(self, now: Moment) -> Moment {
        now.plus(i64::from(self.keep_days).saturating_mul(-DAY))
    }

    /// The border below which entries go, if those before `asked` are to go: whole pieces, below
    /// the first entry that the rule keeps, and never the newest tile.
    ///
    /// # Errors
    /// `Beyond` if the rule keeps some of them, `Nothing` if no whole piece is left.
    pub fn border(self, extent: Extent, asked: u64) -> Result<u64, RetentionFault> {
        let newest = extent.size.saturating_sub(NEWEST);
        let allowed = extent.first_kept.unwrap_or(newest).min(newest);
        if asked > allowed {
            return Err(RetentionFault::Beyond(allowed));
        }
        let border = asked - asked % self.alignment;
        if border > extent.min_index {
            return Ok(border);
        }
        let (alignment, min_index) = (self.alignment, extent.min_index);
        Err(RetentionFault::Nothing { alignment, min_index, allowed })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_never_shorter_than_a_lease() {
        assert_eq!(RetentionRule::keep_days_min(), 365);
        assert_eq!(RetentionRule::new(364), Err(RetentionFault::TooShort(365)));
        let rule = RetentionRule::new(365).unwrap();
        assert_eq!(rule.keeps_since(Moment(366 * DAY)), Moment(DAY));
    }

    #[test]
    fn only_whole_pieces_go_and_nothing_that_the_rule_keeps() {
        let rule = RetentionRule::new(3650).unwrap();
        let extent = Extent { min_index: 65_536, size: 400_000, first_kept: Some(200_000) };
        assert_eq!(rule.border(extent, 200_000), Ok(196_608));
        assert_eq!(rule.border(extent, 196_608), Ok(196_608));
        assert_eq!(rule.border(extent, 196_607), Ok(131_072));
        assert_eq!(rule.border(extent, 200_001), Err(RetentionFault::Beyond(200_000)));
        for asked in [0, 65_536, 131_071] {
            let refused = rule.border(extent, asked);
            assert!(matches!(refused, Err(RetentionFault::Nothing { .. })), "{asked}");
        }
    }

    #[test]
    fn the_newest_tile_keeps_its_bodies_whatever_the_rule_says() {
        let rule = RetentionRule::new(3650).unwrap().in_pieces_of(1);
        let extent = |size| Extent { min_index: 0, size, first_kept: None };
        assert_eq!(rule.border(extent(512), 256), Ok(256));
        assert_eq!(rule.border(extent(511), 256), Err(RetentionFault::Beyond(255)));
        assert_eq!(rule.border(extent(100), 1), Err(RetentionFault::Beyond(0)));
    }
}
