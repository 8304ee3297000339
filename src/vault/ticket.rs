//! What partners hold of ours without being able to read it: lead ids and cursors.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::id::{ContactNo, PartnerId};

use super::keyring::{KeyUse, Keyring};
use super::{VaultError, cipher};

/// `led_` and 32 characters of base64url: 8 bytes of contact number and a 16-byte tag.
const LEAD_CHARS: usize = 4 + 32;

/// Longest ticket that is looked at.
const TICKET_CHARS_MAX: usize = 512;

/// The pairwise id of a contact for one partner: two partners get unrelated ids for one person,
/// and one partner always gets the same.
pub fn lead_id(
    keyring: &Keyring,
    partner: PartnerId,
    contact: ContactNo,
) -> Result<String, VaultError> {
    let cipher = keyring.cipher(keyring.current(KeyUse::Lead)?)?;
    let sealed = cipher.seal_equal(partner.to_string().as_bytes(), &contact.0.to_be_bytes())?;
    Ok(format!("led_{}", URL_SAFE_NO_PAD.encode(sealed)))
}

/// Reads a partner's own lead id back. Ids of other partners, and anything else, are `Sealed`.
pub fn read_lead_id(
    keyring: &Keyring,
    partner: PartnerId,
    text: &str,
) -> Result<ContactNo, VaultError> {
    let body = text.strip_prefix("led_").filter(|_| text.len() == LEAD_CHARS);
    let sealed = URL_SAFE_NO_PAD.decode(body.ok_or(VaultError::Sealed)?);
    let sealed = sealed.map_err(|_| VaultError::Sealed)?;
    let cipher = keyring.cipher(keyring.current(KeyUse::Lead)?)?;
    let plain = cipher.open_equal(partner.to_string().as_bytes(), &sealed)?;
    let plain = plain.try_into().map_err(|_| VaultError::Sealed)?;
    Ok(ContactNo(i64::from_be_bytes(plain)))
}

/// Seals a cursor's body, bound to everything in `context`: partner, purpose and query.
pub fn seal_ticket(keyring: &Keyring, context: &[u8], body: &[u8]) -> Result<String, VaultError> {
    let key = keyring.bytes(KeyUse::Ticket)?;
    Ok(URL_SAFE_NO_PAD.encode(cipher::seal(&key, context, body)?))
}

/// Opens a cursor with any ticket key still in the ring. An edited cursor, one of another
/// partner, purpose or query is `Sealed`.
pub fn open_ticket(keyring: &Keyring, context: &[u8], text: &str) -> Result<Vec<u8>, VaultError> {
    if text.len() > TICKET_CHARS_MAX {
        return Err(VaultError::Sealed);
    }
    let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| VaultError::Sealed)?;
    for id in keyring.all(KeyUse::Ticket) {
        if let Ok(body) = keyring.cipher(id)?.open(context, &sealed) {
            return Ok(body);
        }
    }
    Err(VaultError::Sealed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::secret::KeyBytes;

    fn keyring() -> Keyring {
        let master = KeyBytes::new([1; 32]);
        let rows: Vec<_> = [KeyUse::Lead, KeyUse::Ticket]
            .map(|usage| Keyring::seal_new(&master, usage, None, Moment(1)).unwrap())
            .into();
        Keyring::open(&master, &rows).unwrap()
    }

    #[test]
    fn a_lead_id_is_stable_for_one_partner_and_unrelated_for_another() {
        let keyring = keyring();
        let (acme, other) = (PartnerId::new(), PartnerId::new());
        let id = lead_id(&keyring, acme, ContactNo(7)).unwrap();
        assert_eq!(id, lead_id(&keyring, acme, ContactNo(7)).unwrap());
        assert_ne!(id, lead_id(&keyring, other, ContactNo(7)).unwrap());
        assert_eq!(read_lead_id(&keyring, acme, &id).unwrap(), ContactNo(7));
        assert!(read_lead_id(&keyring, other, &id).is_err());
        for bad in ["", "led_", "led_7", &id[..35], &format!("{id}A"), &id.replace("led_", "LED_")]
        {
            assert!(read_lead_id(&keyring, acme, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_bit_of_a_cursor_can_be_changed_and_no_other_context_opens_it() {
        let keyring = keyring();
        let text = seal_ticket(&keyring, b"acme offers", b"after 7").unwrap();
        assert_eq!(open_ticket(&keyring, b"acme offers", &text).unwrap(), b"after 7");
        assert!(open_ticket(&keyring, b"acme support", &text).is_err());
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let changed = URL_SAFE_NO_PAD.encode(changed);
            assert!(open_ticket(&keyring, b"acme offers", &changed).is_err(), "bit {bit}");
        }
        assert!(open_ticket(&keyring, b"acme offers", &"A".repeat(600)).is_err());
        assert!(open_ticket(&keyring, b"acme offers", "").is_err());
    }
}
