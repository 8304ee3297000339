//! A timestamp query and its answer (RFC 3161), and whether the authority in a file vouches for it.
//!
//! An answer counts if it is to this query, if what it signs is what it says, and if the signer's
//! certificate leads to the authority, was valid at the time that it states and is meant for
//! timestamps alone. `openssl ts -verify` looks at the certificates as of today unless it is told
//! `-attime`; a timestamp has to outlive its signer's certificate, so here its own time counts.
//!
//! What is promised of an answer that counts: nobody made it say another time, vouch for other
//! data, or name another signer. Bytes that carry no meaning are not covered by any signature
//! (texts beside the status, version numbers, parameters of algorithms): an answer in which such
//! a byte is changed may count, and then says the same.

use aws_lc_rs::digest::{SHA256, digest};
use cms::cert::x509::attr::Attribute;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::cert::{CertificateChoices, x509::Certificate};
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Any, Int, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, SliceReader};

use super::form::{
    CertificateId, MessageImprint, SigningCertificate, TimeStampReq, TimeStampResp, TstInfo,
    VERSION, seconds,
};
use super::signer::{Hash, Signer, sha1};

/// Longest answer that is read: one with a chain of certificates has some 6 KB.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// Why an answer is no timestamp that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not an answer at all, or a token without what RFC 3161 demands.
    #[error("it is no RFC 3161 timestamp")]
    Syntax,
    /// Longer than any timestamp.
    #[error("it is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
    /// The authority gave none.
    #[error("the timestamp authority refused (status {0})")]
    Refused(u8),
    /// It is a timestamp of something else.
    #[error("it is the timestamp of something else")]
    OtherData,
    /// It answers another query.
    #[error("it answers another query: its nonce differs")]
    OtherNonce,
    /// Neither RSA nor ECDSA, or over a hash that is too weak.
    #[error("it is not signed with RSA or ECDSA over SHA-256, SHA-384 or SHA-512")]
    Algorithm,
    /// What is signed is not what it says, or the signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// The signer is not the authority that is trusted, or not meant for timestamps, or was not
    /// valid at that time.
    #[error("its signer is not vouched for by the authority file, for timestamps and at that time")]
    Signer,
}

/// What an answer that counts says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    /// When the authority saw the data, in whole seconds since 1970.
    pub seconds: u64,
    /// The subject of the signer's certificate (RFC 4514), such as `CN=Time,O=Example`.
    pub signer: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    digest: [u8; 32],
    nonce: Option<[u8; 8]>,
}

impl Query {
    /// About these bytes. The answer repeats the random `nonce`; `None` where an answer is looked
    /// at later.
    pub fn about(data: &[u8], nonce: Option<[u8; 8]>) -> Self {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, data).as_ref());
        Self { digest: sha256, nonce }
    }

    /// The query in DER (RFC 3161 §2.4.1); the authority is asked to send its certificate along.
    ///
    /// # Errors
    /// It cannot be encoded, which no digest and no nonce bring about.
    pub fn to_der(self) -> Result<Vec<u8>, BadAnswer> {
        let imprint = MessageImprint {
            hash: AlgorithmIdentifierOwned { oid: SHA_256, parameters: Some(Any::null()) },
            digest: OctetString::new(self.digest).map_err(|_| BadAnswer::Syntax)?,
        };
        let nonce = self.nonce()?;
        let query = TimeStampReq { version: VERSION, imprint, nonce, wants_certificate: true };
        query.to_der().map_err(|_| BadAnswer::Syntax)
    }

    /// The nonce as a positive number of exactly eight bytes.
    fn nonce(self) -> Result<Option<Int>, BadAnswer> {
        let Some(mut nonce) = self.nonce else { return Ok(None) };
        let [first, ..] = &mut nonce;
        *first = (*first & 0x3f) | 0x40;
        Int::new(&nonce).map(Some).map_err(|_| BadAnswer::Syntax)
    }

    /// What the answer says, if it counts: one of the certificates in `authorities` (DER) must
    /// lead to its signer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, answer: &[u8], authorities: &[Vec<u8>]) -> Result<Timestamp, BadAnswer> {
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(BadAnswer::TooLong);
        }
        let token = token(answer)?;
        let content = content(&token)?;
        let seconds = self.time(&content)?;
        let [info] = token.signer_infos.0.as_slice() else { return Err(BadAnswer::Syntax) };
        let signer = signer(&token, info, &content)?;
        signer.check(authorities, seconds)?;
        Ok(Timestamp { seconds, signer: signer.subject() })
    }

    /// The time that a token states about the data of this query.
    fn time(&self, content: &[u8]) -> Result<u64, BadAnswer> {
        let facts = TstInfo::from_der(content).map_err(|_| BadAnswer::Syntax)?;
        let TstInfo { imprint, nonce, .. } = &facts;
        if imprint.hash.oid != SHA_256 || imprint.digest.as_bytes() != self.digest {
            return Err(BadAnswer::OtherData);
        }
        let asked = self.nonce()?;
        if asked.is_some() && *nonce != asked {
            return Err(BadAnswer::OtherNonce);
        }
        let critical = facts.extensions.iter().flatten().any(|extension| extension.critical);
        if facts.version != VERSION || critical {
            return Err(BadAnswer::Syntax);
        }
        seconds(&facts.time).ok_or(BadAnswer::Syntax)
    }
}

/// The token in an answer that grants one.
fn token(answer: &[u8]) -> Result<SignedData, BadAnswer> {
    let answer = TimeStampResp::from_der(answer).map_err(|_| BadAnswer::Syntax)?;
    let mut inside = SliceReader::new(answer.status.value()).map_err(|_| BadAnswer::Syntax)?;
    let status = u8::decode(&mut inside).map_err(|_| BadAnswer::Syntax)?;
    if status > 1 {
        return Err(BadAnswer::Refused(status));
    }
    let token = answer.token.ok_or(BadAnswer::Syntax)?;
    if token.content_type != SIGNED_DATA {
        return Err(BadAnswer::Syntax);
    }
    token.content.decode_as().map_err(|_| BadAnswer::Syntax)
}

/// What the token signs.
fn content(token: &SignedData) -> Result<Vec<u8>, BadAnswer> {
    let inside = &token.encap_content_info;
    if inside.econtent_type != TST_INFO {
        return Err(BadAnswer::Syntax);
    }
    let content = inside.econtent.as_ref().ok_or(BadAnswer::Syntax)?;
    let content: OctetString = content.decode_as().map_err(|_| BadAnswer::Syntax)?;
    Ok(content.into_bytes())
}

/// Who signed, once it is certain that the signature is hers and over this content.
fn signer(token: &SignedData, info: &SignerInfo, content: &[u8]) -> Result<Signer, BadAnswer> {
    let hash = Hash::of_oid(&info.digest_alg.oid).ok_or(BadAnswer::Algorithm)?;
    if !token.digest_algorithms.iter().any(|one| one.oid == info.digest_alg.oid) {
        return Err(BadAnswer::Syntax);
    }
    let attributes = info.signed_attrs.as_ref().ok_or(BadAnswer::Syntax)?;
    let value = |oid| single(attributes.as_slice(), oid);
    let kind: ObjectIdentifier = value(CONTENT_TYPE)?.decode_as().map_err(|_| BadAnswer::Syntax)?;
    let digest: OctetString = value(MESSAGE_DIGEST)?.decode_as().map_err(|_| BadAnswer::Syntax)?;
    if kind != TST_INFO || digest.as_bytes() != hash.digest(content) {
        return Err(BadAnswer::Signature);
    }
    let named = Named::read(attributes.as_slice())?;
    let (mut own, mut others) = (None, Vec::new());
    for choice in token.certificates.iter().flat_map(|set| set.0.iter()) {
        let CertificateChoices::Certificate(certificate) = choice else { continue };
        let der = certificate.to_der().map_err(|_| BadAnswer::Syntax)?;
        if is_meant(&info.sid, certificate) && named.is(&der) {
            own = Some((certificate.clone(), der));
        } else {
            others.push(der);
        }
    }
    let (certificate, der) = own.ok_or(BadAnswer::Signer)?;
    let signer = Signer { certificate, der, others };
    let message = attributes.to_der().map_err(|_| BadAnswer::Syntax)?;
    let by = (hash, &info.signature_algorithm.oid);
    signer.signed(by, &message, info.signature.as_bytes())?;
    Ok(signer)
}

/// Whether a certificate is the one that a signature says it is made with; by key identifier, the
/// hash in [`Named`] says which.
fn is_meant(sid: &SignerIdentifier, certificate: &Certificate) -> bool {
    let facts = &certificate.tbs_certificate;
    match sid {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == facts.issuer && named.serial_number == facts.serial_number
        }
        SignerIdentifier::SubjectKeyIdentifier(_) => true,
    }
}

/// The signer's certificate by its hash, as the signature covers it.
///
/// RFC 3161 knows SHA-1 alone, RFC 5816 the others as well, and OpenSSL 3.0 still writes SHA-1 by
/// default. It may be read here because nothing rests on it: signature, chain and purpose are
/// checked with the certificate itself, and whoever finds another one with that hash still lacks
/// an authority's word for it.
struct Named {
    sha1: Option<Vec<u8>>,
    sha2: Option<(Hash, Vec<u8>)>,
}

impl Named {
    /// Reads whichever of the two attributes there are; both have to fit then.
    fn read(attributes: &[Attribute]) -> Result<Self, BadAnswer> {
        let first = |oid| -> Result<Option<CertificateId>, BadAnswer> {
            if !attributes.iter().any(|attribute| attribute.oid == oid) {
                return Ok(None);
            }
            let named: SigningCertificate =
                single(attributes, oid)?.decode_as().map_err(|_| BadAnswer::Syntax)?;
            named.certificates.into_iter().next().map(Some).ok_or(BadAnswer::Syntax)
        };
        let sha1 = match first(SIGNING_CERTIFICATE)? {
            Some(CertificateId { hash: Some(_), .. }) => return Err(BadAnswer::Syntax),
            one => one.map(|id| id.digest.into_bytes()),
        };
        let sha2 = match first(SIGNING_CERTIFICATE_V2)? {
            None => None,
            Some(CertificateId { hash: None, digest, .. }) => {
                Some((Hash::Sha256, digest.into_bytes()))
            }
            Some(CertificateId { hash: Some(hash), digest, .. }) => {
                let hash = Hash::of_oid(&hash.oid).ok_or(BadAnswer::Algorithm)?;
                Some((hash, digest.into_bytes()))
            }
        };
        if sha1.is_none() && sha2.is_none() {
            return Err(BadAnswer::Syntax);
        }
        Ok(Self { sha1, sha2 })
    }

    fn is(&self, certificate: &[u8]) -> bool {
        self.sha1.as_ref().is_none_or(|named| *named == sha1(certificate))
            && self.sha2.as_ref().is_none_or(|(hash, named)| *named == hash.digest(certificate))
    }
}

/// The one value of the one attribute of a kind.
fn single(attributes: &[Attribute], oid: ObjectIdentifier) -> Result<&Any, BadAnswer> {
    let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
    let (Some(one), None) = (found.next(), found.next()) else { return Err(BadAnswer::Syntax) };
    let [value] = one.values.as_slice() else { return Err(BadAnswer::Syntax) };
    Ok(value)
}
