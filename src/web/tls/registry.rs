//! From the registry of the flows to what the door trusts.

use crate::clock::Moment;
use crate::domain::purpose::Purpose;
use crate::flows::Registry;

use super::trust::{CertificateRow, PartnerRow, TrustFault, TrustSnapshot};

/// Puts a snapshot together from the registry as it was read at `at`. `roots` are our CA
/// certificates in DER.
///
/// # Errors
/// A root that is not a usable certificate.
pub fn snapshot_of(
    registry: &Registry,
    at: Moment,
    roots: &[Vec<u8>],
) -> Result<TrustSnapshot, TrustFault> {
    let certificates =
        registry.certificates.values().map(|one| (one.thumbprint, CertificateRow::from(one)));
    let partners = registry.partners.values().map(|partner| {
        let grants = Purpose::ALL.iter().filter_map(|one| registry.grant(partner.id, *one));
        (partner.id, PartnerRow::new(partner, grants))
    });
    TrustSnapshot::new(registry.version, at, certificates.collect(), partners.collect(), roots)
}
