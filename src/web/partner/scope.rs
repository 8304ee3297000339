//! What a token may be asked for: purposes, and handing in contacts for our own systems.

use crate::clock::Moment;
use crate::domain::purpose::{Purpose, PurposeSet};
use crate::web::tls::trust::PartnerRow;

/// The scope under which a collection point hands in contacts.
pub const INTAKE: &str = "intake";

/// The scopes of one token (RFC 6749 §3.3): codes separated by single spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes {
    /// Purposes to ask leads for.
    pub purposes: PurposeSet,
    /// Whether contacts may be handed in.
    pub intake: bool,
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
                _ => return None,
            }
        }
        Some(scopes)
    }

    /// Everything a partner may ask for at `now`.
    pub fn granted(partner: &PartnerRow, now: Moment) -> Self {
        Self { purposes: partner.purposes(now), intake: partner.hands_in() }
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.purposes.is_empty() && !self.intake
    }

    /// Whether the other has all that this has.
    pub fn within(self, other: Self) -> bool {
        self.purposes.within(other.purposes) && (other.intake || !self.intake)
    }

    /// The text of parameter and claim.
    pub fn text(self) -> String {
        let intake = self.intake.then_some(INTAKE);
        self.purposes.iter().map(Purpose::code).chain(intake).collect::<Vec<_>>().join(" ")
    }

    /// Every scope there is, for the metadata.
    pub fn every() -> Vec<&'static str> {
        Purpose::ALL.iter().map(|purpose| purpose.code()).chain([INTAKE]).collect()
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
        assert!(!Scopes::read("intake").unwrap().within(Scopes::read("offers").unwrap()));
    }
}
