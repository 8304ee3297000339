//! Who signed a timestamp: her signature, and the way from her certificate to an authority.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use cms::cert::x509::Certificate;
use cms::cert::x509::ext::pkix::ExtendedKeyUsage;
use der::oid::ObjectIdentifier;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::aws_lc_rs as known;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

use super::answer::BadAnswer;

/// 1.3.6.1.5.5.7.3.8: a certificate for timestamps.
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// A hash that signatures are made over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The hash of an object identifier; SHA-1 and what is older is none.
    pub(super) fn of_oid(oid: &ObjectIdentifier) -> Option<Self> {
        match oid.to_string().as_str() {
            "2.16.840.1.101.3.4.2.1" => Some(Self::Sha256),
            "2.16.840.1.101.3.4.2.2" => Some(Self::Sha384),
            "2.16.840.1.101.3.4.2.3" => Some(Self::Sha512),
            _ => None,
        }
    }

    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let by = match self {
            Self::Sha256 => &SHA256,
            Self::Sha384 => &SHA384,
            Self::Sha512 => &SHA512,
        };
        digest(by, bytes).as_ref().to_vec()
    }

    /// Signatures over it by the identifier of their kind (RFC 3370, RFC 5754); on which curve, the
    /// key says. RSA with padding of the first kind may be named with or without the hash.
    fn signatures(
        self,
        kind: &ObjectIdentifier,
    ) -> Option<Vec<&'static dyn SignatureVerificationAlgorithm>> {
        Some(match (self, kind.to_string().as_str()) {
            (Self::Sha256, "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.11") => {
                vec![known::RSA_PKCS1_2048_8192_SHA256]
            }
            (Self::Sha384, "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.12") => {
                vec![known::RSA_PKCS1_2048_8192_SHA384]
            }
            (Self::Sha512, "1.2.840.113549.1.1.1" | "1.2.840.113549.1.1.13") => {
                vec![known::RSA_PKCS1_2048_8192_SHA512]
            }
            (Self::Sha256, "1.2.840.10045.4.3.2") => {
                vec![known::ECDSA_P256_SHA256, known::ECDSA_P384_SHA256, known::ECDSA_P521_SHA256]
            }
            (Self::Sha384, "1.2.840.10045.4.3.3") => {
                vec![known::ECDSA_P256_SHA384, known::ECDSA_P384_SHA384, known::ECDSA_P521_SHA384]
            }
            (Self::Sha512, "1.2.840.10045.4.3.4") => {
                vec![known::ECDSA_P256_SHA512, known::ECDSA_P384_SHA512, known::ECDSA_P521_SHA512]
            }
            _ => return None,
        })
    }
}

/// SHA-1, for the name of a certificate and nothing else.
pub(super) fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

/// A signer's certificate, the same in DER, and those that came along with it.
pub(super) struct Signer {
    pub(super) certificate: Certificate,
    pub(super) der: Vec<u8>,
    pub(super) others: Vec<Vec<u8>>,
}

impl Signer {
    /// Whether this is her signature over a message.
    pub(super) fn signed(
        &self,
        (hash, kind): (Hash, &ObjectIdentifier),
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadAnswer> {
        let kinds = hash.signatures(kind).ok_or(BadAnswer::Algorithm)?;
        let certificate = CertificateDer::from(self.der.as_slice());
        let certificate = EndEntityCert::try_from(&certificate).map_err(|_| BadAnswer::Signer)?;
        let hers = |kind: &&dyn SignatureVerificationAlgorithm| {
            certificate.verify_signature(*kind, message, signature).is_ok()
        };
        if kinds.iter().any(hers) { Ok(()) } else { Err(BadAnswer::Signature) }
    }

    /// Whether one of the authorities vouches for her, at a time in seconds since 1970.
    pub(super) fn check(&self, authorities: &[Vec<u8>], at: u64) -> Result<(), BadAnswer> {
        if !self.is_for_timestamps_alone() {
            return Err(BadAnswer::Signer);
        }
        let authorities: Vec<_> =
            authorities.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let anchors: Vec<_> =
            authorities.iter().filter_map(|one| anchor_from_trusted_cert(one).ok()).collect();
        let others: Vec<_> =
            self.others.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        let certificate = CertificateDer::from(self.der.as_slice());
        let certificate = EndEntityCert::try_from(&certificate).map_err(|_| BadAnswer::Signer)?;
        // Her own purpose was looked at; an authority between may name purposes, or none.
        let path = certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(at)),
            KeyUsage::required_if_present(TIME_STAMPING.as_bytes()),
            None,
            None,
        );
        path.map(drop).map_err(|_| BadAnswer::Signer)
    }

    /// Whether timestamps are the only purpose of her certificate, and marked critical (RFC 3161
    /// §2.3).
    fn is_for_timestamps_alone(&self) -> bool {
        match self.certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
            Ok(Some((critical, purposes))) => critical && purposes.0 == [TIME_STAMPING],
            _ => false,
        }
    }

    /// Her name (RFC 4514), fit to be printed.
    pub(super) fn subject(&self) -> String {
        let name = self.certificate.tbs_certificate.subject.to_string();
        name.chars().map(|one| if one.is_control() { '?' } else { one }).collect()
    }
}
