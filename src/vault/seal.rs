//! Seals the fields of a contact under a data key of its own; sealing needs no receipt.

use crate::domain::field::Field;
use crate::id::ContactRef;
use crate::secret::{KeyBytes, Personal};

use super::keyring::{KeyUse, Keyring};
use super::sealed::{Sealed, WrappedKey};
use super::{VaultError, cipher};

/// Seals values of one contact. It can seal and nothing else: opening needs a receipt.
pub struct Sealer {
    reference: ContactRef,
    key: KeyBytes,
}

impl Sealer {
    /// Makes a data key for a new contact; gives its sealer and the wrapped key to store.
    pub fn create(
        keyring: &Keyring,
        reference: ContactRef,
    ) -> Result<(Self, WrappedKey), VaultError> {
        let key = KeyBytes::random()?;
        let wrapped = wrap(keyring, reference, &key)?;
        Ok((Self { reference, key }, wrapped))
    }

    /// The sealer of a contact that exists.
    pub fn of(
        keyring: &Keyring,
        reference: ContactRef,
        wrapped: &WrappedKey,
    ) -> Result<Self, VaultError> {
        let key = unwrap(keyring, reference, wrapped)?;
        Ok(Self { reference, key })
    }

    /// Seals one value, bound to the contact, the field and the contact's version.
    pub fn seal(&self, field: Field, version: i64, value: &Personal) -> Result<Sealed, VaultError> {
        let context = context_of(self.reference, field, version);
        let bytes = cipher::seal(&self.key, &context, value.expose().as_bytes())?;
        Ok(Sealed { field, version, bytes })
    }
}

/// Wraps a contact's data key anew under the current key-encryption key. `None` when it is
/// wrapped by it already.
pub fn rewrap(
    keyring: &Keyring,
    reference: ContactRef,
    wrapped: &WrappedKey,
) -> Result<Option<WrappedKey>, VaultError> {
    if keyring.current(KeyUse::Contact)? == wrapped.key {
        return Ok(None);
    }
    let key = unwrap(keyring, reference, wrapped)?;
    wrap(keyring, reference, &key).map(Some)
}

fn wrap(
    keyring: &Keyring,
    reference: ContactRef,
    key: &KeyBytes,
) -> Result<WrappedKey, VaultError> {
    let id = keyring.current(KeyUse::Contact)?;
    let bytes = cipher::seal(&keyring.bytes_of(id)?, &reference.0, key.expose())?;
    Ok(WrappedKey { key: id, bytes })
}

pub(super) fn unwrap(
    keyring: &Keyring,
    reference: ContactRef,
    wrapped: &WrappedKey,
) -> Result<KeyBytes, VaultError> {
    let bytes = keyring.cipher(wrapped.key)?.open(&reference.0, &wrapped.bytes)?;
    bytes.try_into().map(KeyBytes::new).map_err(|_| VaultError::Sealed)
}

/// Associated data of a sealed value: reference (16 B) ‖ field (1 B) ‖ version (8 B, big endian).
pub(super) fn context_of(reference: ContactRef, field: Field, version: i64) -> Vec<u8> {
    let mut context = Vec::with_capacity(25);
    context.extend_from_slice(&reference.0);
    context.push(field.bit());
    context.extend_from_slice(&version.to_be_bytes());
    context
}
