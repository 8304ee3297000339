//! The list of revoked certificates (RFC 5280 §5): published for others, never asked by our doors.

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use x509_parser::num_bigint::BigUint;

use crate::clock::{DAY, Moment};

use super::VaultError;
use super::authority::{Authority, date};

/// Days until a list is no longer good; a new one comes long before.
const GOOD_DAYS: i64 = 7;

/// A certificate of ours that was revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, in lower-case hex.
    pub serial: String,
    /// When.
    pub at: Moment,
    /// The code of the reason, as `onboard::revoke_certificate` takes it.
    pub reason: String,
}

impl Authority {
    /// Signs the list as of `now`, in DER. Its number is the second of `now`: it only rises, on
    /// whichever replica it is signed.
    ///
    /// # Errors
    /// A serial number that is not hex; the authority's key cannot sign.
    pub fn sign_revocations(
        &self,
        revoked: &[Revoked],
        now: Moment,
    ) -> Result<Vec<u8>, VaultError> {
        let number = now.seconds().unsigned_abs().to_be_bytes();
        let entries: Result<Vec<_>, _> = revoked.iter().map(entry).collect();
        let list = CertificateRevocationListParams {
            this_update: date(now)?,
            next_update: date(now.plus(GOOD_DAYS * DAY))?,
            crl_number: SerialNumber::from_slice(&number),
            issuing_distribution_point: None,
            revoked_certs: entries?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(self.issuer())?.der().to_vec())
    }
}

fn entry(revoked: &Revoked) -> Result<RevokedCertParams, VaultError> {
    let serial = BigUint::parse_bytes(revoked.serial.as_bytes(), 16).ok_or(VaultError::Sealed)?;
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&serial.to_bytes_be()),
        revocation_time: date(revoked.at)?,
        reason_code: reason(&revoked.reason),
        invalidity_date: None,
    })
}

/// RFC 5280 §5.3.1 wants no reason rather than "unspecified".
fn reason(code: &str) -> Option<RevocationReason> {
    match code {
        "key_compromise" => Some(RevocationReason::KeyCompromise),
        "affiliation_changed" => Some(RevocationReason::AffiliationChanged),
        "superseded" => Some(RevocationReason::Superseded),
        "cessation" => Some(RevocationReason::CessationOfOperation),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};

    use super::*;
    use crate::clock::SECOND;

    const NOW: Moment = Moment(1_790_000_000 * SECOND);

    #[test]
    fn a_list_names_what_was_revoked_and_is_signed_by_the_authority() {
        let made = Authority::create("test authority", NOW).unwrap();
        let authority = Authority::open(&made.key, &made.certificate).unwrap();
        let revoked = |serial: &str, reason: &str| Revoked {
            serial: serial.to_owned(),
            at: NOW.plus(-DAY),
            reason: reason.to_owned(),
        };
        let some = [revoked("9f00c0ffee", "key_compromise"), revoked("7", "unspecified")];
        let der = authority.sign_revocations(&some, NOW).unwrap();
        let (rest, list) = CertificateRevocationList::from_der(&der).unwrap();
        assert!(rest.is_empty());
        let found: Vec<_> = list
            .iter_revoked_certificates()
            .map(|one| (one.serial().to_str_radix(16), one.reason_code().map(|(_, code)| code.0)))
            .collect();
        assert_eq!(found, [("9f00c0ffee".to_owned(), Some(1)), ("7".to_owned(), None)]);
        assert_eq!(list.last_update().timestamp(), NOW.seconds());
        let next = list.next_update().unwrap().timestamp();
        assert_eq!(next, NOW.plus(7 * DAY).seconds());
        assert_eq!(list.crl_number().unwrap().to_string(), NOW.seconds().to_string());

        let (_, issuer) = X509Certificate::from_der(authority.certificate()).unwrap();
        assert_eq!(list.issuer(), issuer.subject());
        let key = issuer.public_key().subject_public_key.data.to_vec();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key);
        let signed = list.tbs_cert_list.as_ref();
        key.verify(signed, &list.signature_value.data).unwrap();
        assert!(key.verify(&der, &list.signature_value.data).is_err());

        assert!(authority.sign_revocations(&[], NOW).is_ok());
        assert!(authority.sign_revocations(&[revoked("serial", "")], NOW).is_err());
    }
}
