//! What a token may be asked for: purposes, recalls for whoever may have received something, handing
//! in contacts for our own systems, and reading the ledger for auditors.

use crate::clock::Moment;
use crate::domain::purpose::{Purpose, PurposeSet};
use crate::web::tls::trust::PartnerRow;

/// The scope under which a collection point hands in contacts.
pub const INTAKE: &str = "intake";

/// The scope under which an auditor reads the ledger.
pub const AUDIT: &str = "audit";

/// The scope under which a partner is told what to delete and answers. Every partner that can
/// receive anything has it, whatever its grants are today: a recall reaches whoever ever received.
pub const RECALLS: &str = "recalls";

/// The scopes of one token (RFC 6749 §3.3): codes separated by single spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes {
    /// Purposes to ask leads for.
    pub purposes: PurposeSet,
    /// Whether contacts may be handed in.
    pub intake: bool,
    /// Whether the ledger may be read.
    pub audit: bool,
    /// Whether recalls may be fetched and answered.
    pub recalls: bool,
}

impl Scopes {
    /// Reads a scope parameter or claim. `None` where it is empty, or a scope is unknown or
    /// named twice.
    pub fn read(text: &str) -> Option<Self> {
        let mut scopes = Self::default();
        for code in text.split(' ') {
            match Purpose::from_code(code) {
                Some(purpose) if !scopes.purposes.contains(purpose) => {
                    scopes.purposes = scopes.purposes.or(PurposeSet::of(&[purpose]));
                }
                None if code == INTAKE && !scopes.intake => scopes.intake = true,
                None if code == AUDIT && !scopes.audit => scopes.audit = true,
                None if code == RECALLS && !scopes.recalls => scopes.recalls = true,
                _ => return None,
            }
        }
        Some(scopes)
    }

    /// Everything a partner may ask for at `now`.
    pub fn granted(partner: &PartnerRow, now: Moment) -> Self {
        let (intake, audit) = (partner.hands_in(), partner.audits());
        Self { purposes: partner.purposes(now), intake, audit, recalls: !audit }
    }

    /// What both have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            purposes: self.purposes.and(other.purposes),
            intake: self.intake && other.intake,
            audit: self.audit && other.audit,
            recalls: self.recalls && other.recalls,
        }
    }

    /// Whether the other has all that this has.
    pub fn within(self, other: Self) -> bool {
        self.purposes.within(other.purposes)
            && (other.intake || !self.intake)
            && (other.audit || !self.audit)
            && (other.recalls || !self.recalls)
    }

    /// The text of parameter and claim.
    pub fn text(self) -> String {
        let more = [
            self.intake.then_some(INTAKE),
            self.audit.then_some(AUDIT),
            self.recalls.then_some(RECALLS),
        ];
        let purposes = self.purposes.iter().map(Purpose::code);
        purposes.chain(more.into_iter().flatten()).collect::<Vec<_>>().join(" ")
    }

    /// Every scope there is, for the metadata.
    pub fn every() -> Vec<&'static str> {
        Purpose::ALL.iter().map(|purpose| purpose.code()).chain([INTAKE, AUDIT, RECALLS]).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_scope_reads_back_and_is_strict() {
        let scopes = Scopes::read("support offers intake").unwrap();
        assert_eq!(scopes.text(), "offers support intake");
        assert_eq!(Scopes::read(&scopes.text()), Some(scopes));
        for bad in ["", " ", "offers ", "offers  support", "offers offers", "Offers", "all", "*"] {
            assert_eq!(Scopes::read(bad), None, "{bad:?}");
        }
        assert!(Scopes::read("offers").unwrap().within(scopes));
        assert!(!Scopes::read("licensing").unwrap().within(scopes));
        for own in ["intake", "audit", "recalls"] {
            assert!(!Scopes::read(own).unwrap().within(Scopes::read("offers").unwrap()));
            assert_eq!(Scopes::read(own).unwrap().text(), own);
            assert_eq!(Scopes::read(&format!("{own} {own}")), None);
        }
    }
}
