//! What the registry says at one moment: partners, grants, certificates, policies, in one piece.

use std::collections::HashMap;

use crate::clock::Moment;
use crate::domain::disclosure::Terms;
use crate::domain::grant::Grant;
use crate::domain::partner::{Certificate, CertificateStatus, Partner};
use crate::domain::policy::{self, Policy};
use crate::domain::purpose::{Purpose, PurposeSet};
use crate::id::{PartnerId, PolicyVersion, Thumbprint};

/// The registry at one version. A replica keeps it until the head row shows another version;
/// nothing about a person's choices is in it.
#[derive(Debug, Clone)]
pub struct Registry {
    /// The version it was read at.
    pub version: i64,
    /// Partners by id.
    pub partners: HashMap<PartnerId, Partner>,
    /// Certificates by thumbprint.
    pub certificates: HashMap<Thumbprint, Certificate>,
    grants: HashMap<(PartnerId, Purpose), Grant>,
    policies: Vec<Policy>,
}

impl Registry {
    /// Puts the rows in order.
    pub fn new(
        version: i64,
        partners: Vec<Partner>,
        certificates: Vec<Certificate>,
        grants: Vec<Grant>,
        policies: Vec<Policy>,
    ) -> Self {
        let certificates = certificates.into_iter().map(|one| (one.thumbprint, one)).collect();
        Self {
            version,
            partners: partners.into_iter().map(|one| (one.id, one)).collect(),
            certificates,
            grants: grants.into_iter().map(|one| ((one.partner, one.purpose), one)).collect(),
            policies,
        }
    }

    /// What `permit` needs to know about a partner that asks for a purpose. `None` for a partner
    /// that is not in the registry.
    pub fn terms(&self, partner: PartnerId, purpose: Purpose, now: Moment) -> Option<Terms<'_>> {
        let entered = self.partners.get(&partner)?;
        Some(Terms {
            kind: entered.kind,
            state: entered.state,
            grant: self.grants.get(&(partner, purpose)),
            policy: self.policy_in_force(now),
            now,
        })
    }

    /// The partner of that code.
    pub fn partner_by_code(&self, code: &str) -> Option<&Partner> {
        self.partners.values().find(|partner| partner.code == code)
    }

    /// The grant of a partner for a purpose.
    pub fn grant(&self, partner: PartnerId, purpose: Purpose) -> Option<&Grant> {
        self.grants.get(&(partner, purpose))
    }

    /// Purposes for which a partner holds a grant at `now`: the scopes a token may carry.
    pub fn purposes(&self, partner: PartnerId, now: Moment) -> PurposeSet {
        let granted = |purpose: &Purpose| {
            self.grants.get(&(partner, *purpose)).is_some_and(|grant| grant.in_force(now))
        };
        Purpose::ALL.iter().copied().filter(granted).collect()
    }

    /// The policy version in force at `now`.
    pub fn policy_in_force(&self, now: Moment) -> Option<&Policy> {
        policy::in_force(&self.policies, now)
    }

    /// A policy version by number; drafts too.
    pub fn policy(&self, version: PolicyVersion) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.version == version)
    }

    /// Every policy version, drafts too, in order of number.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// Certificates of a partner that are not revoked and hold at `now`.
    pub fn live_certificates(&self, partner: PartnerId, now: Moment) -> usize {
        self.certificates
            .values()
            .filter(|one| one.partner == partner && one.status != CertificateStatus::Revoked)
            .filter(|one| one.not_after >= now)
            .count()
    }
}
