//! Judges a client certificate during the handshake: by its whole DER, against the registry.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::clock::{Moment, SECOND};
use crate::domain::partner::{CertificateSource, CertificateStatus};
use crate::id::Thumbprint;

use super::settings::provider;
use super::trust::Trust;

/// What the door reads in a leaf certificate.
#[derive(Debug, Clone)]
pub struct LeafFacts {
    /// SHA-256 of the whole DER.
    pub thumbprint: Thumbprint,
    /// Serial number as lower-case hex.
    pub serial: String,
    /// Valid from.
    pub not_before: Moment,
    /// Valid until.
    pub not_after: Moment,
    /// Whether the extended key usage names clientAuth. A leaf without the extension says no.
    pub client_auth: bool,
    /// Whether the key is P-256, P-384, Ed25519 or RSA of at least 2048 bits.
    pub key_kind_ok: bool,
}

/// Reads a leaf given as DER; `None` where it is not a certificate, or has trailing bytes.
pub type ReadLeaf = fn(&[u8]) -> Option<LeafFacts>;

/// Asks the registry in force about each certificate. Refusals become the alerts that the
/// partner guide explains: 48 unknown, 44 revoked, 45 expired, 43 not for clients, 51 bad proof.
pub struct RegistryVerifier {
    trust: Arc<Trust>,
    read_leaf: ReadLeaf,
    algorithms: WebPkiSupportedAlgorithms,
}

impl RegistryVerifier {
    /// A verifier that follows `trust`.
    pub fn new(trust: Arc<Trust>, read_leaf: ReadLeaf) -> Self {
        Self { trust, read_leaf, algorithms: provider().signature_verification_algorithms }
    }
}

impl fmt::Debug for RegistryVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistryVerifier")
    }
}

fn moment(now: UnixTime) -> Moment {
    Moment(i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_mul(SECOND))
}

impl ClientCertVerifier for RegistryVerifier {
    /// Empty: a borrowed list cannot follow a snapshot that is swapped, and clients manage.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let snapshot = self.trust.load();
        let row = snapshot
            .certificate(&Thumbprint::of(end_entity))
            .ok_or(CertificateError::UnknownIssuer)?;
        if row.status == CertificateStatus::Revoked {
            return Err(CertificateError::Revoked.into());
        }
        let facts = (self.read_leaf)(end_entity).ok_or(CertificateError::BadEncoding)?;
        if moment(now) < facts.not_before.max(row.not_before) {
            return Err(CertificateError::NotValidYet.into());
        }
        if moment(now) > facts.not_after.min(row.not_after) {
            return Err(CertificateError::Expired.into());
        }
        // webpki accepts a leaf that names no purpose at all; we do not.
        if !facts.client_auth || !facts.key_kind_ok {
            return Err(CertificateError::InvalidPurpose.into());
        }
        match (row.source, snapshot.path()) {
            (CertificateSource::Issued, Some(path)) => {
                // A CA of our name with another key is a stranger, not a bad proof of possession.
                path.verify_client_cert(end_entity, intermediates, now).map_err(|error| {
                    let forged = error == CertificateError::BadSignature.into();
                    if forged { CertificateError::UnknownIssuer.into() } else { error }
                })
            }
            (CertificateSource::Issued, None) => Err(CertificateError::UnknownIssuer.into()),
            // `openssl req -x509` writes CA:TRUE, which webpki refuses as an end entity. The
            // whole DER was compared out of band, and all that a path could add is checked above.
            (CertificateSource::Pinned, _) => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
