//! What is trusted now: registered certificates and their partners, swapped as one piece.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::{ArcSwap, Guard};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::clock::{Moment, SECOND};
use crate::domain::field::FieldSet;
use crate::domain::grant::{Grant, Territory};
use crate::domain::partner::{
    Certificate, CertificateSource, CertificateStatus, Partner, PartnerKind, PartnerState,
};
use crate::domain::purpose::{Purpose, PurposeSet};
use crate::id::{PartnerId, Thumbprint};

use super::live::LiveSockets;
use super::settings::provider;

/// A snapshot nobody has confirmed for this long answers 503 `trust_stale` (gate G3).
pub const FRESH_FOR: i64 = 30 * SECOND;

/// One certificate of the registry.
#[derive(Debug, Clone, Copy)]
pub struct CertificateRow {
    /// Whose it is.
    pub partner: PartnerId,
    /// How it was registered.
    pub source: CertificateSource,
    /// Where it stands.
    pub status: CertificateStatus,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
}

/// What a partner may know of its grant for one purpose.
#[derive(Debug, Clone)]
pub struct GrantTerm {
    /// What for.
    pub purpose: Purpose,
    /// Which fields.
    pub fields: FieldSet,
    /// Of people who live where.
    pub territory: Territory,
    /// From when.
    pub from: Moment,
    /// Until when (exclusive); open when `None`.
    pub until: Option<Moment>,
}

/// What the door must know of a partner.
#[derive(Debug, Clone)]
pub struct PartnerRow {
    /// The short name operators type.
    pub code: String,
    /// What it is to the company.
    pub kind: PartnerKind,
    /// Where it stands; only `Active` passes gate G6.
    pub state: PartnerState,
    /// Tokens issued before this moment are void (check A6).
    pub tokens_not_before: Moment,
    /// Requests per minute it may make (gate G7).
    pub requests_per_minute: u32,
    /// Its grants.
    pub grants: Vec<GrantTerm>,
}

impl From<&Certificate> for CertificateRow {
    fn from(one: &Certificate) -> Self {
        let Certificate { partner, source, status, not_before, not_after, .. } = *one;
        Self { partner, source, status, not_before, not_after }
    }
}

impl From<&Grant> for GrantTerm {
    fn from(grant: &Grant) -> Self {
        let Grant { purpose, fields, from, until, .. } = *grant;
        Self { purpose, fields, territory: grant.territory.clone(), from, until }
    }
}

impl PartnerRow {
    /// A partner of the registry with its grants.
    pub fn new<'a>(partner: &Partner, grants: impl IntoIterator<Item = &'a Grant>) -> Self {
        Self {
            code: partner.code.clone(),
            kind: partner.kind,
            state: partner.state,
            tokens_not_before: partner.tokens_not_before,
            requests_per_minute: partner.requests_per_minute,
            grants: grants.into_iter().map(GrantTerm::from).collect(),
        }
    }

    /// Whether it is one of our own systems, which hand in what people enter.
    pub fn hands_in(&self) -> bool {
        self.kind == PartnerKind::InHouse
    }

    /// Whether it may read the ledger itself, with everybody's entries.
    pub fn audits(&self) -> bool {
        self.kind == PartnerKind::Auditor
    }

    /// The purposes it may use at `now`.
    pub fn purposes(&self, now: Moment) -> PurposeSet {
        self.grants
            .iter()
            .filter(|grant| grant.from <= now && grant.until.is_none_or(|until| now < until))
            .map(|grant| grant.purpose)
            .collect()
    }
}

/// Why a snapshot cannot be built. The one in force stays.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// A CA certificate that cannot be read.
    #[error("CA certificate number {0} is not usable as a trust anchor")]
    Root(usize),
    /// The path check refused its own settings.
    #[error("the certificate path check cannot be built: {0}")]
    Path(String),
}

/// Everything trusted at one version of the registry. Immutable.
pub struct TrustSnapshot {
    /// Version of the registry it was read at; rises with every change.
    pub version: i64,
    /// When it was read.
    pub loaded_at: Moment,
    certificates: HashMap<Thumbprint, CertificateRow>,
    partners: HashMap<PartnerId, PartnerRow>,
    path: Option<Arc<dyn ClientCertVerifier>>,
}

impl TrustSnapshot {
    /// Puts a snapshot together. `roots` are our CA certificates in DER; without any, only
    /// pinned certificates pass.
    ///
    /// # Errors
    /// A root that is not a usable certificate; the snapshot in force must then stay.
    pub fn new(
        version: i64,
        loaded_at: Moment,
        certificates: HashMap<Thumbprint, CertificateRow>,
        partners: HashMap<PartnerId, PartnerRow>,
        roots: &[Vec<u8>],
    ) -> Result<Self, TrustFault> {
        let mut store = RootCertStore::empty();
        for (index, root) in roots.iter().enumerate() {
            store
                .add(CertificateDer::from(root.as_slice()))
                .map_err(|_| TrustFault::Root(index.saturating_add(1)))?;
        }
        let path = if store.is_empty() {
            None
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider())
                .build()
                .map_err(|fault| TrustFault::Path(fault.to_string()))?;
            Some(verifier)
        };
        Ok(Self { version, loaded_at, certificates, partners, path })
    }

    /// A registered certificate, revoked ones included.
    pub fn certificate(&self, thumbprint: &Thumbprint) -> Option<&CertificateRow> {
        self.certificates.get(thumbprint)
    }

    /// A partner of the registry.
    pub fn partner(&self, id: &PartnerId) -> Option<&PartnerRow> {
        self.partners.get(id)
    }

    /// The path check of certificates that we issued.
    pub(super) fn path(&self) -> Option<&Arc<dyn ClientCertVerifier>> {
        self.path.as_ref()
    }

    /// Whether an open connection of this certificate may go on at `now`.
    fn holds(&self, thumbprint: &Thumbprint, now: Moment) -> bool {
        self.certificates.get(thumbprint).is_some_and(|row| {
            row.status != CertificateStatus::Revoked
                && now <= row.not_after
                && self.partners.get(&row.partner).is_some_and(|partner| {
                    !matches!(partner.state, PartnerState::Suspended | PartnerState::Offboarded)
                })
        })
    }
}

impl fmt::Debug for TrustSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustSnapshot")
            .field("version", &self.version)
            .field("certificates", &self.certificates.len())
            .finish_non_exhaustive()
    }
}

/// The snapshot in force, when it was last confirmed, and the sockets it stands for.
#[derive(Debug)]
pub struct Trust {
    snapshot: ArcSwap<TrustSnapshot>,
    confirmed_at: AtomicI64,
    live: LiveSockets,
}

impl Trust {
    /// Begins with a first snapshot.
    pub fn new(snapshot: TrustSnapshot) -> Self {
        let confirmed_at = AtomicI64::new(snapshot.loaded_at.0);
        let live = LiveSockets::default();
        Self { snapshot: ArcSwap::from_pointee(snapshot), confirmed_at, live }
    }

    /// The snapshot in force.
    pub fn load(&self) -> Guard<Arc<TrustSnapshot>> {
        self.snapshot.load()
    }

    /// Puts a newer snapshot in force, then cuts every live socket that it no longer carries.
    /// Swap before cut, or the client reconnects in the gap. A snapshot older than the one in
    /// force is ignored: two pollers may overtake each other. Answers how many were cut.
    pub fn replace(&self, next: TrustSnapshot) -> usize {
        let read_at = next.loaded_at;
        let next = Arc::new(next);
        self.snapshot.rcu(|now| {
            if next.version >= now.version { Arc::clone(&next) } else { Arc::clone(now) }
        });
        self.confirm(read_at)
    }

    /// Notes that the registry still had this version at `at` (the poll of each second), and
    /// cuts live sockets whose certificate has ended meanwhile. Answers how many were cut.
    pub fn confirm(&self, at: Moment) -> usize {
        self.confirmed_at.fetch_max(at.0, Ordering::SeqCst);
        let snapshot = self.load();
        self.live.cut_unless(|thumbprint| snapshot.holds(thumbprint, at))
    }

    /// Whether the snapshot was read or confirmed within the last 30 s (gate G3).
    pub fn is_fresh(&self, now: Moment) -> bool {
        now.0.saturating_sub(self.confirmed_at.load(Ordering::SeqCst)) <= FRESH_FOR
    }

    /// The sockets of open connections.
    pub fn live(&self) -> &LiveSockets {
        &self.live
    }
}
