//! The only way from a sealed value to plaintext: it asks for the receipt of a durable entry.

use crate::domain::field::{Field, FieldSet};
use crate::ledger::Receipt;
use crate::secret::Personal;

use super::VaultError;
use super::cipher::{self, Cipher};
use super::keyring::Keyring;
use super::seal::{context_of, unwrap};
use super::sealed::{Sealed, SealedContact};

/// Opens the fields of one contact that the receipt's entry names for it, in the order of the
/// catalogue. The receipt must cover this contact and every field opened: a receipt of another
/// contact, or of fewer fields, opens nothing.
///
/// ```compile_fail
/// // Without a receipt there is no call that type-checks.
/// fn plaintext(ring: &fieldgate::vault::keyring::Keyring,
///              contact: &fieldgate::vault::sealed::SealedContact) {
///     let every = fieldgate::domain::field::FieldSet::EVERY;
///     let _ = fieldgate::vault::open(ring, contact, every);
/// }
/// ```
///
/// ```
/// // The same with a receipt does: what is missing above is the receipt, nothing else.
/// fn plaintext(ring: &fieldgate::vault::keyring::Keyring,
///              contact: &fieldgate::vault::sealed::SealedContact,
///              receipt: &fieldgate::ledger::Receipt) {
///     let every = fieldgate::domain::field::FieldSet::EVERY;
///     let _ = fieldgate::vault::open(ring, contact, every, receipt);
/// }
/// ```
pub fn open(
    keyring: &Keyring,
    contact: &SealedContact,
    fields: FieldSet,
    receipt: &Receipt,
) -> Result<Vec<(Field, Personal)>, VaultError> {
    if !receipt.covers(contact.reference, fields) {
        return Err(VaultError::NotRecorded);
    }
    let cipher = Cipher::new(&unwrap(keyring, contact.reference, &contact.key)?)?;
    let mut opened = Vec::with_capacity(contact.fields.len());
    for sealed in &contact.fields {
        if !fields.contains(sealed.field) {
            continue;
        }
        let context = context_of(contact.reference, sealed.field, sealed.version);
        let plain = cipher.open(&context, &sealed.bytes)?;
        let text = String::from_utf8(plain).map_err(|_| VaultError::Sealed)?;
        opened.push((sealed.field, Personal::new(text)));
    }
    Ok(opened)
}

/// Commits to the sealed values of an answer in the order they are released:
/// HMAC-SHA-256(salt, value ‖ value ‖ …), each preceded by its length. The plaintext cannot be
/// committed to, because it cannot be opened before the entry is durable; the seal binds it.
pub fn commitment<'a>(salt: &[u8; 16], sealed: impl IntoIterator<Item = &'a Sealed>) -> [u8; 32] {
    cipher::keyed_hash(salt, sealed.into_iter().map(|one| one.bytes.as_slice()))
}
