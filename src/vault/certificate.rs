//! Reads a partner's certificate: what it says of itself, before anything is decided on it.

use sha2::{Digest as _, Sha256};
use x509_parser::prelude::*;
use x509_parser::public_key::PublicKey;

use crate::clock::Moment;
use crate::id::Thumbprint;
use crate::secret::KeyDocument;

/// Largest certificate that is looked at, in bytes of DER.
const DER_BYTES_MAX: usize = 8 * 1024;

/// What a leaf certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafFacts {
    /// SHA-256 of the whole certificate.
    pub thumbprint: Thumbprint,
    /// SHA-256 of its public key (SPKI in DER): finds a key that is used twice.
    pub key_hash: [u8; 32],
    /// Serial number, lower-case hex.
    pub serial: String,
    /// First moment of validity.
    pub not_before: Moment,
    /// Last moment of validity.
    pub not_after: Moment,
    /// Whether it names client authentication as an extended key usage. Absent is no: webpki
    /// lets such a leaf pass, we do not.
    pub client_auth: bool,
    /// Whether the key is of an accepted kind: P-256, P-384, Ed25519, RSA of 2048 to 4096 bits.
    pub key_accepted: bool,
}

/// Why bytes are not a certificate we look at. Says nothing of their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Too large.
    #[error("the certificate is larger than {DER_BYTES_MAX} bytes")]
    Large,
    /// Not a certificate, or bytes follow it.
    #[error("these bytes are not exactly one X.509 certificate")]
    Form,
    /// Not PEM with one certificate.
    #[error("the file does not hold exactly one certificate in PEM")]
    Pem,
}

/// Reads the facts of a leaf given as DER.
pub fn read_leaf(der: &[u8]) -> Result<LeafFacts, CertificateFault> {
    if der.len() > DER_BYTES_MAX {
        return Err(CertificateFault::Large);
    }
    let (rest, leaf) = X509Certificate::from_der(der).map_err(|_| CertificateFault::Form)?;
    if !rest.is_empty() {
        return Err(CertificateFault::Form);
    }
    let usage = leaf.extended_key_usage().map_err(|_| CertificateFault::Form)?;
    let validity = leaf.validity();
    Ok(LeafFacts {
        thumbprint: Thumbprint::of(der),
        key_hash: Sha256::digest(leaf.public_key().raw).into(),
        serial: leaf.serial.to_str_radix(16),
        not_before: Moment::from_seconds(validity.not_before.timestamp()),
        not_after: Moment::from_seconds(validity.not_after.timestamp()),
        client_auth: usage.is_some_and(|usage| usage.value.client_auth),
        key_accepted: key_accepted(leaf.public_key()),
    })
}

/// Takes the one certificate out of a PEM text.
pub fn leaf_from_pem(pem: &[u8]) -> Result<Vec<u8>, CertificateFault> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let mut found = CertificateDer::pem_slice_iter(pem);
    match (found.next(), found.next()) {
        (Some(Ok(der)), None) => Ok(der.to_vec()),
        _ => Err(CertificateFault::Pem),
    }
}

/// Every certificate of a PEM text, in order: a server's chain, leaf first.
pub fn chain_from_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, CertificateFault> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain: Vec<_> =
        found.map_err(|_| CertificateFault::Pem)?.into_iter().map(|der| der.to_vec()).collect();
    if chain.is_empty() { Err(CertificateFault::Pem) } else { Ok(chain) }
}

/// The one private key of a PEM text.
pub fn key_from_pem(pem: &[u8]) -> Result<KeyDocument, CertificateFault> {
    use rustls_pki_types::PrivateKeyDer;
    use rustls_pki_types::pem::PemObject as _;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| CertificateFault::Pem)?;
    Ok(KeyDocument::new(key.secret_der().to_vec()))
}

fn key_accepted(key: &SubjectPublicKeyInfo<'_>) -> bool {
    const P256: &str = "1.2.840.10045.3.1.7";
    const P384: &str = "1.3.132.0.34";
    const ED25519: &str = "1.3.101.112";
    let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => (2048..=4096).contains(&rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            curve.is_some_and(|oid| matches!(oid.to_id_string().as_str(), P256 | P384))
        }
        _ => key.algorithm.algorithm.to_id_string() == ED25519,
    }
}
