//! Keeps the published list of revoked certificates as new as the registry, and signed each day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{DAY, Moment};
use crate::domain::partner::{CertificateSource, CertificateStatus};
use crate::flows::Registry;
use crate::vault::authority::Authority;
use crate::vault::revocation_list::Revoked;
use crate::web::public::metadata::Published;

/// Signs the list and hands it to the public door.
pub(super) struct Revocations {
    authority: Authority,
    published: Arc<Published>,
    version: AtomicI64,
    signed_at: AtomicI64,
}

impl Revocations {
    /// A list that has not been signed yet; the first look signs it.
    pub(super) fn new(authority: Authority, published: Arc<Published>) -> Self {
        let never = || AtomicI64::new(i64::MIN);
        Self { authority, published, version: never(), signed_at: never() }
    }

    /// Signs anew what changed, or what is a day old. The doors judge by the registry, so a list
    /// that cannot be signed is told and stops nothing.
    pub(super) fn see(&self, registry: &Registry, at: Moment) {
        let due = Moment(self.signed_at.load(Ordering::Relaxed)).plus(DAY) <= at;
        if self.version.load(Ordering::Relaxed) == registry.version && !due {
            return;
        }
        match self.authority.sign_revocations(&revoked(registry, at), at) {
            Ok(list) => {
                self.published.replace_revocations(list);
                self.version.store(registry.version, Ordering::Relaxed);
                self.signed_at.store(at.0, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "the list of revoked certificates is not signed"),
        }
    }
}

/// Certificates of our authority that were revoked and would still be valid otherwise.
fn revoked(registry: &Registry, at: Moment) -> Vec<Revoked> {
    let ours = registry.certificates.values().filter(|one| {
        one.source == CertificateSource::Issued
            && one.status == CertificateStatus::Revoked
            && one.not_after > at
    });
    let mut revoked: Vec<_> = ours
        .map(|one| Revoked {
            serial: one.serial.clone(),
            at: one.revoked_at.unwrap_or(at),
            reason: one.revoked_reason.clone().unwrap_or_default(),
        })
        .collect();
    revoked.sort_by(|a, b| a.serial.cmp(&b.serial));
    revoked
}
