//! Erasure: on which ground a person's data goes, and when the last trace of it may.

use std::collections::BTreeSet;

use crate::id::PartnerId;

/// Why a person's data is erased (GDPR Art. 17 (1)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErasureGround {
    /// The person asked for it: consent taken back, or an objection (b, c).
    Request,
    /// It is no longer needed for what it was collected for (a).
    Outlived,
    /// It should never have been collected or kept (d).
    Unlawful,
    /// A law or a court demands it (e).
    Obligation,
}

impl ErasureGround {
    /// Every ground.
    pub const ALL: &'static [Self] =
        &[Self::Request, Self::Outlived, Self::Unlawful, Self::Obligation];

    /// The code in entries and on the command line.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Outlived => "outlived",
            Self::Unlawful => "unlawful",
            Self::Obligation => "obligation",
        }
    }

    /// Finds a ground by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|ground| ground.code() == code)
    }
}

/// The partners that received the data and are not among those told. While there is one, the
/// record of who received what stays: without it nobody could be told.
pub fn untold(received: &[PartnerId], told: &[PartnerId]) -> Vec<PartnerId> {
    let told: BTreeSet<_> = told.iter().collect();
    let open: BTreeSet<_> = received.iter().filter(|one| !told.contains(one)).copied().collect();
    open.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_is_told_by_name_and_no_other_in_its_place() {
        let (one, two, three) = (PartnerId::new(), PartnerId::new(), PartnerId::new());
        assert_eq!(untold(&[], &[]), []);
        assert_eq!(untold(&[], &[one]), []);
        assert_eq!(untold(&[one, one], &[]), [one]);
        assert_eq!(untold(&[one, two], &[one, three]), [two]);
        assert_eq!(untold(&[two, one], &[one, two]), []);
    }

    #[test]
    fn every_ground_is_found_by_its_code() {
        for ground in ErasureGround::ALL {
            assert_eq!(ErasureGround::from_code(ground.code()), Some(*ground));
        }
        assert_eq!(ErasureGround::from_code(""), None);
    }
}
