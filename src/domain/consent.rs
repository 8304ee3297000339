//! Choices: a person's yes or no to a purpose; the newest personal act wins.

use crate::clock::Moment;
use crate::id::{PartnerId, PolicyVersion};

use super::purpose::{ChoiceEffect, Purpose};

/// Who made the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChoiceOrigin {
    /// The person, on a page, by a link or at a collection point.
    Person,
    /// Staff, at the person's request by mail or telephone.
    Staff,
    /// A file that was imported: it may take permission away, never give it back.
    Import,
}

impl ChoiceOrigin {
    /// Every origin.
    pub const ALL: &'static [Self] = &[Self::Person, Self::Staff, Self::Import];

    /// The code in tables.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Staff => "staff",
            Self::Import => "import",
        }
    }

    /// Finds an origin by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|origin| origin.code() == code)
    }
}

/// One choice. The history is kept; `choice_now` holds what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What it is about.
    pub purpose: Purpose,
    /// One partner, or all.
    pub partner: Option<PartnerId>,
    /// Yes or no.
    pub given: bool,
    /// When.
    pub at: Moment,
    /// Who made it.
    pub origin: ChoiceOrigin,
    /// The policy version that was shown.
    pub policy: PolicyVersion,
}

/// Why a choice is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceFault {
    /// The purpose rests on a contract.
    #[error("{0} rests on a contract and is ended by withdrawal, not by a choice")]
    Contract(Purpose),
    /// Only the person can take a no back.
    #[error("only the person can take back a no to {0}")]
    NotPersonal(Purpose),
}

impl Choice {
    /// Checks a choice against the one in force: an import never gives back what was taken away,
    /// and contract purposes know no choice.
    pub fn check(&self, now: Option<bool>) -> Result<(), ChoiceFault> {
        if self.purpose.row().choice == ChoiceEffect::None {
            return Err(ChoiceFault::Contract(self.purpose));
        }
        if self.given && now == Some(false) && self.origin == ChoiceOrigin::Import {
            return Err(ChoiceFault::NotPersonal(self.purpose));
        }
        Ok(())
    }
}
