//! What the store may hold of a person: sealed values and wrapped keys, useless by themselves.

use crate::domain::field::{Field, FieldSet};
use crate::id::{ContactRef, KeyId};

/// One sealed value of one field. Layout of `bytes`: 12-byte nonce ‖ ciphertext ‖ 16-byte tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which field.
    pub field: Field,
    /// The contact's version when it was sealed; part of the associated data.
    pub version: i64,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// A contact's data key, sealed by a key-encryption key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The key-encryption key that wraps it.
    pub key: KeyId,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// A contact as the store hands it over for opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedContact {
    /// Its reference in the ledger; part of the associated data.
    pub reference: ContactRef,
    /// Its data key.
    pub key: WrappedKey,
    /// The sealed values that were selected.
    pub fields: Vec<Sealed>,
}

impl SealedContact {
    /// The fields whose sealed values are here.
    pub fn held(&self) -> FieldSet {
        self.fields.iter().map(|sealed| sealed.field).collect()
    }
}

/// A key of the key ring as the store holds it: sealed by the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKey {
    /// Its identifier.
    pub id: KeyId,
    /// What it is for: a code of [`super::keyring::KeyUse`].
    pub usage: String,
    /// When it was made, in microseconds.
    pub created_at: i64,
    /// When it stopped sealing or signing; `None` while current.
    pub retired_at: Option<i64>,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}
