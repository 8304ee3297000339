//! What goes to a timestamp authority and comes back, as ASN.1 writes it (RFC 3161, RFC 5035).

use cms::cert::x509::ext::Extensions;
use cms::cert::x509::ext::pkix::name::GeneralName;
use cms::cert::x509::spki::AlgorithmIdentifierOwned;
use cms::content_info::ContentInfo;
use der::asn1::{GeneralizedTime, Int, OctetString};
use der::{Any, Sequence, Tag, Tagged as _};

/// The only version there is.
pub(super) const VERSION: u8 = 1;

/// A digest, and the hash that it is one of.
#[derive(Debug, Sequence)]
pub(super) struct MessageImprint {
    pub(super) hash: AlgorithmIdentifierOwned,
    pub(super) digest: OctetString,
}

/// `TimeStampReq` (RFC 3161 §2.4.1), without what this program never asks for.
#[derive(Debug, Sequence)]
pub(super) struct TimeStampReq {
    pub(super) version: u8,
    pub(super) imprint: MessageImprint,
    #[asn1(optional = "true")]
    pub(super) nonce: Option<Int>,
    #[asn1(default = "Default::default")]
    pub(super) wants_certificate: bool,
}

/// `TimeStampResp` (§2.4.2). Beside the status stands free text in many forms: it is not read.
#[derive(Debug, Sequence)]
pub(super) struct TimeStampResp {
    pub(super) status: Any,
    #[asn1(optional = "true")]
    pub(super) token: Option<ContentInfo>,
}

/// `TSTInfo` (§2.4.2): what the authority signs. Its policy is not looked at, so that one with an
/// identifier of two numbers, as some authorities have, is no obstacle.
#[derive(Debug, Sequence)]
pub(super) struct TstInfo {
    pub(super) version: u8,
    pub(super) policy: Any,
    pub(super) imprint: MessageImprint,
    pub(super) serial: Int,
    pub(super) time: Any,
    #[asn1(optional = "true")]
    pub(super) accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    pub(super) ordering: bool,
    #[asn1(optional = "true")]
    pub(super) nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) name: Option<GeneralName>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) extensions: Option<Extensions>,
}

/// How exact the authority's clock is, as it says.
#[derive(Debug, Sequence)]
pub(super) struct Accuracy {
    #[asn1(optional = "true")]
    pub(super) seconds: Option<u64>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) millis: Option<u16>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) micros: Option<u16>,
}

/// `SigningCertificateV2` and `SigningCertificate` (RFC 5035).
#[derive(Debug, Sequence)]
pub(super) struct SigningCertificate {
    pub(super) certificates: Vec<CertificateId>,
    #[asn1(optional = "true")]
    pub(super) policies: Option<Any>,
}

/// `ESSCertIDv2` and, without a hash, `ESSCertID`: a certificate that the signer says is its own.
#[derive(Debug, Sequence)]
pub(super) struct CertificateId {
    #[asn1(optional = "true")]
    pub(super) hash: Option<AlgorithmIdentifierOwned>,
    pub(super) digest: OctetString,
    #[asn1(optional = "true")]
    pub(super) issuer: Option<Any>,
}

/// Whole seconds since 1970 of a `GeneralizedTime`. RFC 3161 allows fractions of a second, which
/// X.509 forbids; they are read and dropped.
pub(super) fn seconds(time: &Any) -> Option<u64> {
    if time.tag() != Tag::GeneralizedTime {
        return None;
    }
    let text = std::str::from_utf8(time.value()).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "1"));
    let fits = fraction.bytes().all(|digit| digit.is_ascii_digit()) && !fraction.ends_with('0');
    if fraction.is_empty() || !fits {
        return None;
    }
    let whole = Any::new(Tag::GeneralizedTime, format!("{whole}Z").into_bytes()).ok()?;
    let time: GeneralizedTime = whole.decode_as().ok()?;
    Some(time.to_unix_duration().as_secs())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_time_may_have_fractions_of_a_second_and_nothing_else() {
        let read = |text: &str| seconds(&Any::new(Tag::GeneralizedTime, text.as_bytes()).unwrap());
        for (text, at) in [
            ("19700101000000Z", 0),
            ("20261126200000Z", 1_795_723_200),
            ("20261126200000.5Z", 1_795_723_200),
            ("20261126200000.999999999999Z", 1_795_723_200),
        ] {
            assert_eq!(read(text), Some(at), "{text}");
        }
        for text in [
            "",
            "Z",
            "20261126200000",
            "20261126200000.Z",
            "20261126200000.0Z",
            "20261126200000.50Z",
            "20261126200000.-5Z",
            "20261126200000.5.5Z",
            "20261126200000+0100",
            "202611262000Z",
            "20261326200000Z",
            "19691231235959Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(seconds(&Any::new(Tag::UtcTime, &b"20261126200000Z"[..]).unwrap()), None);
    }
}
