//! A policy version: what the published statement discloses, to whom and for what.

use crate::clock::Moment;
use crate::id::PolicyVersion;

use super::field::FieldSet;
use super::partner::KindSet;
use super::purpose::Purpose;

/// What a policy version says about one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurposeTerms {
    /// The purpose.
    pub purpose: Purpose,
    /// Fields the statement discloses for it.
    pub fields: FieldSet,
    /// Kinds of partner it names as recipients.
    pub recipients: KindSet,
}

/// The statement in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// BCP 47 tag.
    pub language: String,
    /// What people read.
    pub text: String,
    /// SHA-256 of `text`: what collection points hand in as the wording that was shown.
    pub wording_hash: [u8; 32],
}

/// One version of the privacy policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its number, from 1.
    pub version: PolicyVersion,
    /// From when it holds, once published.
    pub effective_at: Moment,
    /// When it was published; a draft when `None`.
    pub published_at: Option<Moment>,
    /// What it says per purpose; at most one row per purpose.
    pub terms: Vec<PurposeTerms>,
    /// The statement per language.
    pub texts: Vec<PolicyText>,
}

/// Why a policy version is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// It says nothing.
    #[error("a policy version discloses at least one purpose and has a text in one language")]
    Empty,
    /// A purpose stands twice.
    #[error("{0} stands twice")]
    Twice(Purpose),
    /// Fields that the purpose can never have.
    #[error("{0} can never include: {1}")]
    Fields(Purpose, String),
    /// Recipients that the purpose can never have.
    #[error("{0} can never go to: {1}")]
    Recipients(Purpose, String),
    /// Published versions never change.
    #[error("version {0} is published and never changes: draft the next one")]
    Published(PolicyVersion),
}

impl Policy {
    /// Checks a version before it is saved or published.
    pub fn check(&self) -> Result<(), PolicyFault> {
        if self.terms.is_empty() || self.texts.is_empty() {
            return Err(PolicyFault::Empty);
        }
        for (position, terms) in self.terms.iter().enumerate() {
            let row = terms.purpose.row();
            if self.terms.iter().take(position).any(|other| other.purpose == terms.purpose) {
                return Err(PolicyFault::Twice(terms.purpose));
            }
            let fields = terms.fields.without(row.fields_max);
            if !fields.is_empty() {
                return Err(PolicyFault::Fields(terms.purpose, fields.codes()));
            }
            let recipients = terms.recipients.without(row.recipients);
            if !recipients.is_empty() {
                return Err(PolicyFault::Recipients(terms.purpose, recipients.codes()));
            }
        }
        Ok(())
    }

    /// What it says about a purpose; nothing disclosed where it says nothing.
    pub fn terms(&self, purpose: Purpose) -> PurposeTerms {
        self.terms.iter().copied().find(|terms| terms.purpose == purpose).unwrap_or(PurposeTerms {
            purpose,
            fields: FieldSet::NONE,
            recipients: KindSet::NONE,
        })
    }

    /// Whether it discloses nothing that the other does not.
    pub fn within(&self, other: &Self) -> bool {
        Purpose::ALL.iter().all(|purpose| {
            let (mine, theirs) = (self.terms(*purpose), other.terms(*purpose));
            mine.fields.within(theirs.fields) && mine.recipients.within(theirs.recipients)
        })
    }

    /// Whether it holds at `now`: published, and effective.
    pub fn in_force(&self, now: Moment) -> bool {
        self.published_at.is_some() && self.effective_at <= now
    }
}

/// The version in force: the highest number among those published and effective.
pub fn in_force(policies: &[Policy], now: Moment) -> Option<&Policy> {
    policies.iter().filter(|policy| policy.in_force(now)).max_by_key(|policy| policy.version)
}
