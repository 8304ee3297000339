//! One contact that an entry touched: a salted leaf of the tree below the entry.
//!
//! Reference page §12: the entry holds the root over its items, so it names nobody and its length
//! does not depend on the page. At erasure the item is deleted; its leaf hash stays.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::field::FieldSet;
use crate::id::{ContactNo, ContactRef};
use crate::merkle::Hash;

use super::canonical::{Reader, bytes_of};
use super::entry::{EntryError, INTEGER_MAX};

/// A contact and the fields of it that the entry speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The contact's intake number: key of the row, not part of the bytes. `None` if the contact
    /// is created by the effect of the same draft; the store then finds it by its reference.
    pub contact_no: Option<ContactNo>,
    /// The random reference under which the person stands in the ledger.
    pub contact_ref: ContactRef,
    /// The fields.
    pub fields: FieldSet,
    /// 16 random bytes: without them nobody can test a guess against the leaf hash.
    pub salt: [u8; 16],
    /// Version of the contact, not negative and at most 2^53 − 1.
    pub version: i64,
}

impl Item {
    /// The canonical bytes: `{"f":<bit mask>,"ref":"…","salt":"…","ver":n}` (RFC 8785).
    pub fn bytes(&self) -> Vec<u8> {
        let (fields, version) = (self.fields.bits(), self.version);
        let (contact, salt) = (self.contact_ref, URL_SAFE_NO_PAD.encode(self.salt));
        format!(r#"{{"f":{fields},"ref":"{contact}","salt":"{salt}","ver":{version}}}"#)
            .into_bytes()
    }

    /// The leaf hash below the entry.
    pub fn hash(&self) -> Hash {
        Hash::leaf(&self.bytes())
    }

    /// Reads what `bytes` writes, and no other spelling of it. The intake number is not in it.
    ///
    /// # Errors
    /// The bytes are not the canonical form of an item.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let bad = EntryError::NotCanonical("item");
        let mut object = std::str::from_utf8(bytes).ok().and_then(Reader::open).ok_or(bad)?;
        let bits = object.number("f").ok().flatten().and_then(|bits| u32::try_from(bits).ok());
        let contact_ref = object.needed("ref", bytes_of::<16>).map(ContactRef).map_err(|_| bad)?;
        let salt = object.needed("salt", bytes_of::<16>).map_err(|_| bad)?;
        let version = object.number("ver").ok().flatten().and_then(|n| i64::try_from(n).ok());
        let fields = bits.and_then(FieldSet::from_bits).ok_or(bad)?;
        let version = version.ok_or(bad)?;
        let item = Self { contact_no: None, contact_ref, fields, salt, version };
        if item.is_sound() && item.bytes() == bytes { Ok(item) } else { Err(bad) }
    }

    /// Whether the version can be written as a JSON number without loss.
    pub(super) fn is_sound(&self) -> bool {
        (0..=INTEGER_MAX).contains(&self.version)
    }
}
