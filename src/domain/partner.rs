//! A partner: what it is, which states it passes through, and what it owes.

use crate::clock::Moment;
use crate::id::{PartnerId, Thumbprint};

use super::catalogue::catalogue;
use super::contact::Country;

/// One row of the catalogue of kinds.
#[derive(Debug, Clone, Copy)]
pub struct KindRow {
    /// What a person reads in the recipients register.
    pub label: &'static str,
}

catalogue! {
    /// What a partner is to the company.
    PartnerKind,
    /// A set of kinds, held as a bit mask.
    KindSet(u8), row KindRow;

    /// Sells to resellers.
    Distributor = 0, "distributor" => KindRow { label: "Distributor" };
    /// Sells to customers.
    Reseller = 1, "reseller" => KindRow { label: "Reseller" };
    /// Gives support on the company's behalf.
    ServicePartner = 2, "service_partner" => KindRow { label: "Service partner" };
    /// The company itself: its mailer and its three collection points.
    InHouse = 3, "in_house" => KindRow { label: "Our own system" };
    /// Reads the ledger for whoever checks us. No purpose lists it, so it never receives a lead.
    Auditor = 4, "auditor" => KindRow { label: "Auditor" };
}

/// Where a partner stands. Only `Active` receives anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartnerState {
    /// Waits for approval.
    Applied,
    /// Approved by a second person; not yet bound to a certificate.
    Approved,
    /// May receive what its grants give.
    Active,
    /// Stopped; may come back.
    Suspended,
    /// Gone for good.
    Offboarded,
}

impl PartnerState {
    /// Every state, in the order a partner passes through them.
    pub const ALL: &'static [Self] =
        &[Self::Applied, Self::Approved, Self::Active, Self::Suspended, Self::Offboarded];

    /// The code in tables and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Approved => "approved",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Offboarded => "offboarded",
        }
    }

    /// Finds a state by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.code() == code)
    }

    /// Whether a partner may go from this state to the next: `applied → approved → active ⇄
    /// suspended → offboarded`, and offboarding from anywhere.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Applied, Self::Approved)
                | (Self::Approved | Self::Suspended, Self::Active)
                | (Self::Active | Self::Approved, Self::Suspended)
                | (
                    Self::Applied | Self::Approved | Self::Active | Self::Suspended,
                    Self::Offboarded
                )
        )
    }
}

/// A partner of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partner {
    /// Its identifier; also its OAuth `client_id`.
    pub id: PartnerId,
    /// The short name operators type: 2 to 40 of `a-z`, `0-9`, `-`.
    pub code: String,
    /// What it is to the company.
    pub kind: PartnerKind,
    /// Where it stands.
    pub state: PartnerState,
    /// Name of the legal entity.
    pub legal_name: String,
    /// Country of the legal entity.
    pub country: Country,
    /// Reference of the contract it works under.
    pub contract_ref: String,
    /// Version of that contract.
    pub contract_version: String,
    /// Mailbox of its privacy contact (a role, not a person).
    pub privacy_contact: String,
    /// Days it has to answer a recall.
    pub recall_days: u16,
    /// Requests per minute it may make.
    pub requests_per_minute: u32,
    /// Who applied on its behalf.
    pub applied_by: String,
    /// Who approved it: somebody else.
    pub approved_by: Option<String>,
    /// Tokens issued before this moment are void.
    pub tokens_not_before: Moment,
    /// When it was entered.
    pub created_at: Moment,
}

/// Who made a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    /// Our authority.
    Issued,
    /// The partner itself; registered after its fingerprint was compared out of band.
    Pinned,
}

impl CertificateSource {
    /// The code in tables and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Pinned => "pinned",
        }
    }

    /// Finds a source by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Issued, Self::Pinned].into_iter().find(|source| source.code() == code)
    }
}

/// Where a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CertificateStatus {
    /// Registered; becomes active with its first handshake.
    Pending,
    /// In use.
    Active,
    /// Void for ever.
    Revoked,
}

impl CertificateStatus {
    /// The code in tables and answers.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    /// Finds a status by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Revoked].into_iter().find(|one| one.code() == code)
    }
}

/// A registered certificate: the identity of one of a partner's systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of the whole certificate.
    pub thumbprint: Thumbprint,
    /// Whose it is.
    pub partner: PartnerId,
    /// Who made it.
    pub source: CertificateSource,
    /// Where it stands.
    pub status: CertificateStatus,
    /// Serial number, lower-case hex.
    pub serial: String,
    /// SHA-256 of its public key (SPKI).
    pub key_hash: [u8; 32],
    /// First moment of validity.
    pub not_before: Moment,
    /// Last moment of validity.
    pub not_after: Moment,
    /// The certificate itself.
    pub der: Vec<u8>,
    /// When it was registered.
    pub bound_at: Moment,
    /// When it was revoked.
    pub revoked_at: Option<Moment>,
    /// Why, as a reason code of RFC 5280 §5.3.1.
    pub revoked_reason: Option<String>,
}

/// Why a partner's code or a change of state is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartnerFault {
    /// The code has another form.
    #[error("a partner code has 2 to 40 of a-z, 0-9 and -, and begins with a letter")]
    Code,
    /// The state cannot follow the present one.
    #[error("a partner that is {} cannot become {}", .0.code(), .1.code())]
    State(PartnerState, PartnerState),
    /// The person who applied may not approve.
    #[error("the person who applied for a partner may not approve it: ask a second person")]
    SelfApproval,
}

impl Partner {
    /// Checks the form of a partner code.
    pub fn check_code(code: &str) -> Result<(), PartnerFault> {
        let form = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let begins = code.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if form && begins && (2..=40).contains(&code.len()) {
            Ok(())
        } else {
            Err(PartnerFault::Code)
        }
    }

    /// Checks that `approver` may approve: another person than the one who applied, compared
    /// without case and surrounding white space.
    pub fn check_approval(&self, approver: &str) -> Result<(), PartnerFault> {
        if approver.trim().eq_ignore_ascii_case(self.applied_by.trim()) {
            return Err(PartnerFault::SelfApproval);
        }
        self.check_state(PartnerState::Approved)
    }

    /// Checks that the partner may become `next`.
    pub const fn check_state(&self, next: PartnerState) -> Result<(), PartnerFault> {
        if self.state.may_become(next) {
            Ok(())
        } else {
            Err(PartnerFault::State(self.state, next))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_becomes_active_without_approval_and_nobody_comes_back_from_offboarding() {
        assert!(!PartnerState::Applied.may_become(PartnerState::Active));
        for next in PartnerState::ALL {
            assert!(!PartnerState::Offboarded.may_become(*next));
        }
        assert!(PartnerState::Active.may_become(PartnerState::Suspended));
        assert!(PartnerState::Suspended.may_become(PartnerState::Active));
    }

    #[test]
    fn a_partner_code_is_short_and_plain() {
        assert!(Partner::check_code("acme-resale").is_ok());
        for code in ["a", "Acme", "acme resale", "-acme", "1acme", "acmé", &"a".repeat(41)] {
            assert_eq!(Partner::check_code(code), Err(PartnerFault::Code), "{code}");
        }
    }
}
