//! The certificate authority: issues partner certificates from signing requests, and the server's.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData as _, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509CertificationRequest};

use crate::clock::{DAY, Moment, SECOND};
use crate::id::PartnerId;
use crate::secret::{KeyDocument, random};

use super::VaultError;

/// Largest signing request that is looked at, in bytes of DER.
const CSR_BYTES_MAX: usize = 8 * 1024;

/// Certificates begin five minutes early, for partners whose clock is behind.
const EARLY: i64 = 300 * SECOND;

/// Why a signing request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrFault {
    /// Too large.
    #[error("the signing request is larger than {CSR_BYTES_MAX} bytes")]
    Large,
    /// Not a request, bytes follow it, or its extensions are not known.
    #[error("these bytes are not exactly one PKCS#10 signing request")]
    Form,
    /// The proof of possession fails, or the key kind is not accepted.
    #[error("the signature fails, or the key is not P-256, P-384, Ed25519 or RSA-2048")]
    Key,
}

/// A private key and its certificate or request, for the demonstration and the server.
pub struct KeyAndCertificate {
    /// The private key in PKCS#8.
    pub key: KeyDocument,
    /// The certificate in DER.
    pub certificate: Vec<u8>,
}

/// An authority that can issue. Has no printable form.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Vec<u8>,
}

impl Authority {
    /// Makes a new authority: P-256, ten years, may issue leaves only.
    pub fn create(name: &str, now: Moment) -> Result<KeyAndCertificate, VaultError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(name, now, 3650)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?.der().to_vec();
        Ok(KeyAndCertificate { key: KeyDocument::new(key.serialize_der()), certificate })
    }

    /// Opens an authority from its key and its own certificate.
    pub fn open(key: &KeyDocument, certificate: &[u8]) -> Result<Self, VaultError> {
        let pair = key_pair(key)?;
        let issuer = Issuer::from_ca_cert_der(&CertificateDer::from(certificate.to_vec()), pair)?;
        Ok(Self { issuer, certificate: certificate.to_vec() })
    }

    /// Its own certificate in DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What signs in its name.
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// Issues a client certificate for a partner. Only the public key is taken from the request:
    /// name, validity and usages are ours.
    pub fn issue_client(
        &self,
        csr: &[u8],
        partner: PartnerId,
        now: Moment,
        days: u16,
    ) -> Result<Vec<u8>, IssueFault> {
        let request = read_csr(csr)?;
        let mut params = params(&partner.to_string(), now, days)?;
        let uri = format!("urn:fieldgate:partner:{partner}");
        params.subject_alt_names =
            vec![SanType::URI(uri.try_into().map_err(|_| VaultError::Sealed)?)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        leaf(&mut params);
        let certificate =
            params.signed_by(&request.public_key, &self.issuer).map_err(VaultError::from)?;
        Ok(certificate.der().to_vec())
    }

    /// Issues a server certificate for the names of our doors.
    pub fn issue_server(
        &self,
        names: &[String],
        now: Moment,
        days: u16,
    ) -> Result<KeyAndCertificate, VaultError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params("fieldgate", now, days)?;
        params.subject_alt_names = CertificateParams::new(names.to_vec())?.subject_alt_names;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(KeyAndCertificate { key: KeyDocument::new(key.serialize_der()), certificate })
    }
}

/// Why a certificate is not issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueFault {
    /// The request is refused.
    #[error(transparent)]
    Csr(#[from] CsrFault),
    /// The authority failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// A new P-256 key with its signing request, as a partner makes it; here for the demonstration.
pub fn new_client_key(name: &str) -> Result<KeyAndCertificate, VaultError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(name);
    let request = params.serialize_request(&key)?;
    Ok(KeyAndCertificate {
        key: KeyDocument::new(key.serialize_der()),
        certificate: request.der().to_vec(),
    })
}

/// A new ECDSA P-256 signing key in PKCS#8, for access tokens.
pub fn new_signing_key() -> Result<KeyDocument, VaultError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(KeyDocument::new(key.serialize_der()))
}

/// Writes DER as PEM under the label given (`CERTIFICATE`, `PRIVATE KEY`, ...).
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der.to_vec()), lines)
}

/// Takes the one signing request out of a PEM text, or takes DER as it is.
pub fn csr_from_pem_or_der(bytes: &[u8]) -> Result<Vec<u8>, CsrFault> {
    use rustls_pki_types::pem::PemObject as _;
    if !bytes.starts_with(b"-----") {
        return Ok(bytes.to_vec());
    }
    let mut found = CertificateSigningRequestDer::pem_slice_iter(bytes);
    match (found.next(), found.next()) {
        (Some(Ok(der)), None) => Ok(der.to_vec()),
        _ => Err(CsrFault::Form),
    }
}

/// Reads a signing request strictly: size, no trailing bytes, known extensions, accepted key
/// kind, and a signature that proves possession of the key.
pub fn read_csr(der: &[u8]) -> Result<CertificateSigningRequestParams, CsrFault> {
    if der.len() > CSR_BYTES_MAX {
        return Err(CsrFault::Large);
    }
    let (rest, parsed) = X509CertificationRequest::from_der(der).map_err(|_| CsrFault::Form)?;
    if !rest.is_empty() {
        return Err(CsrFault::Form);
    }
    if let Ok(x509_parser::public_key::PublicKey::RSA(rsa)) =
        parsed.certification_request_info.subject_pki.parsed()
        && !(2048..=4096).contains(&rsa.key_size())
    {
        return Err(CsrFault::Key);
    }
    let owned = CertificateSigningRequestDer::from(der.to_vec());
    CertificateSigningRequestParams::from_der(&owned).map_err(|_| CsrFault::Key)
}

/// SHA-256 of the public key in a request (SPKI in DER).
pub fn csr_key_hash(request: &CertificateSigningRequestParams) -> [u8; 32] {
    Sha256::digest(request.public_key.subject_public_key_info()).into()
}

fn key_pair(key: &KeyDocument) -> Result<KeyPair, VaultError> {
    let der = PrivatePkcs8KeyDer::from(key.expose().to_vec());
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?)
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Common to all we issue: name, validity, and a random serial of 128 bits with a clear top bit
/// (rcgen's default is derived from the key, so two certificates of one key would share it).
fn params(name: &str, now: Moment, days: u16) -> Result<CertificateParams, VaultError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(name);
    let mut serial = random::<16>()?;
    if let Some(first) = serial.first_mut() {
        *first &= 0x7f;
    }
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = date(now.plus(-EARLY))?;
    params.not_after = date(now.plus(i64::from(days).saturating_mul(DAY)))?;
    Ok(params)
}

fn leaf(params: &mut CertificateParams) {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
}

/// A moment as certificates and lists write it.
pub(super) fn date(at: Moment) -> Result<time::OffsetDateTime, VaultError> {
    time::OffsetDateTime::from_unix_timestamp(at.seconds()).map_err(|_| VaultError::Sealed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::vault::certificate::{leaf_from_pem, read_leaf};

    const NOW: Moment = Moment(1_790_000_000 * SECOND);

    fn authority() -> Authority {
        let made = Authority::create("test authority", NOW).unwrap();
        Authority::open(&made.key, &made.certificate).unwrap()
    }

    #[test]
    fn an_issued_certificate_says_what_we_decided_and_nothing_of_the_request() {
        let partner = PartnerId::new();
        let request = new_client_key("CN of the request").unwrap().certificate;
        let der = authority().issue_client(&request, partner, NOW, 30).unwrap();
        let facts = read_leaf(&der).unwrap();
        assert!(facts.client_auth && facts.key_accepted);
        assert_eq!(facts.not_after, NOW.plus(30 * DAY));
        assert_eq!(facts.key_hash, csr_key_hash(&read_csr(&request).unwrap()));
        let text = String::from_utf8_lossy(&der).into_owned();
        assert!(text.contains(&format!("urn:fieldgate:partner:{partner}")));
        assert!(!text.contains("CN of the request"));
        let again = authority().issue_client(&request, partner, NOW, 30).unwrap();
        assert_ne!(read_leaf(&again).unwrap().serial, facts.serial);
        assert_eq!(leaf_from_pem(to_pem("CERTIFICATE", &der).as_bytes()).unwrap(), der);
    }

    #[test]
    fn requests_that_are_not_exactly_one_good_request_are_refused() {
        let good = new_client_key("x").unwrap().certificate;
        assert!(read_csr(&good).is_ok());
        let mut trailing = good.clone();
        trailing.push(0);
        assert_eq!(read_csr(&trailing).err(), Some(CsrFault::Form));
        let mut forged = good.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(read_csr(&forged).is_err());
        assert_eq!(read_csr(&[]).err(), Some(CsrFault::Form));
        assert_eq!(read_csr(&vec![0x30; 9000]).err(), Some(CsrFault::Large));
        for cut in 0..good.len() {
            assert!(read_csr(&good[..cut]).is_err());
            assert!(read_leaf(&good[..cut]).is_err());
        }
        let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        let request = CertificateParams::default().serialize_request(&p521).unwrap();
        assert_eq!(read_csr(request.der()).err(), Some(CsrFault::Key));
    }

    #[test]
    fn a_server_certificate_cannot_be_a_client() {
        let made = authority().issue_server(&["localhost".into()], NOW, 90).unwrap();
        assert!(!read_leaf(&made.certificate).unwrap().client_auth);
    }
}
