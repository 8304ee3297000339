//! The key ring: every key of the installation, sealed by the master key; the only room that
//! reads keys. Signing keys leave it only toward the signer that uses them.

use std::collections::HashMap;

use crate::clock::Moment;
use crate::id::KeyId;
use crate::secret::{KeyBytes, KeyDocument};

use super::VaultError;
use super::cipher::{self, Cipher};
use super::sealed::SealedKey;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyUse {
    /// Issues partner certificates: ECDSA P-256, PKCS#8.
    Authority,
    /// Finds a contact by e-mail address: HMAC-SHA-256.
    BlindIndex,
    /// Signs checkpoints: Ed25519 seed, 32 bytes.
    Checkpoint,
    /// Wraps the contacts' data keys: AES-256-GCM-SIV.
    Contact,
    /// Makes lead ids: AES-256-GCM-SIV.
    Lead,
    /// Seals cursors: AES-256-GCM-SIV.
    Ticket,
    /// Signs access tokens: ECDSA P-256, PKCS#8.
    Token,
}

impl KeyUse {
    /// Every use.
    pub const ALL: &'static [Self] = &[
        Self::Authority,
        Self::BlindIndex,
        Self::Checkpoint,
        Self::Contact,
        Self::Lead,
        Self::Ticket,
        Self::Token,
    ];

    /// The code in the key table and on the command line.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::BlindIndex => "blind_index",
            Self::Checkpoint => "checkpoint",
            Self::Contact => "contact",
            Self::Lead => "lead",
            Self::Ticket => "ticket",
            Self::Token => "token",
        }
    }

    /// Finds a use by its code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|usage| usage.code() == code)
    }

    /// Whether a new key may take over while the old one still opens or verifies. The others
    /// would lose what they point at: every blind index and lead id would change. The ledger's key
    /// goes in two steps of its own, the authority's is replaced by a ceremony.
    pub const fn rotates(self) -> bool {
        matches!(self, Self::Contact | Self::Ticket | Self::Token)
    }
}

struct RingKey {
    usage: KeyUse,
    created_at: Moment,
    retired_at: Option<Moment>,
    bytes: KeyDocument,
    /// The same key made ready, where it is one of 32 bytes.
    cipher: Option<Cipher>,
}

/// The opened key ring. Has no printable form.
pub struct Keyring {
    keys: HashMap<KeyId, RingKey>,
}

impl Keyring {
    /// Makes a new key for `usage` and seals it by the master key. Document keys (PKCS#8) are
    /// handed in; the rest are 32 random bytes.
    pub fn seal_new(
        master: &KeyBytes,
        usage: KeyUse,
        document: Option<&KeyDocument>,
        now: Moment,
    ) -> Result<SealedKey, VaultError> {
        let id = KeyId::new();
        let context = context_of(usage, id);
        let bytes = match document {
            Some(document) => cipher::seal(master, &context, document.expose())?,
            None => cipher::seal(master, &context, KeyBytes::random()?.expose())?,
        };
        Ok(SealedKey {
            id,
            usage: usage.code().to_owned(),
            created_at: now.0,
            retired_at: None,
            bytes,
        })
    }

    /// Opens the ring with the master key.
    ///
    /// # Errors
    /// `WrongMaster` when a key does not open: another master key, or a changed row.
    pub fn open(master: &KeyBytes, rows: &[SealedKey]) -> Result<Self, VaultError> {
        let mut keys = HashMap::with_capacity(rows.len());
        for row in rows {
            let usage = KeyUse::from_code(&row.usage).ok_or(VaultError::Sealed)?;
            let bytes = cipher::open(master, &context_of(usage, row.id), &row.bytes)
                .map_err(|_| VaultError::WrongMaster)?;
            let bytes = KeyDocument::new(bytes);
            let key = RingKey {
                usage,
                created_at: Moment(row.created_at),
                retired_at: row.retired_at.map(Moment),
                cipher: bytes_in(&bytes).map(|bytes| Cipher::new(&bytes)).transpose()?,
                bytes,
            };
            keys.insert(row.id, key);
        }
        Ok(Self { keys })
    }

    /// The key that seals or signs now: the newest that is not retired.
    pub fn current(&self, usage: KeyUse) -> Result<KeyId, VaultError> {
        self.keys
            .iter()
            .filter(|(_, key)| key.usage == usage && key.retired_at.is_none())
            .max_by_key(|(id, key)| (key.created_at, **id))
            .map(|(id, _)| *id)
            .ok_or(VaultError::NoKey(usage.code()))
    }

    /// All keys of a use, newest first: what still opens or verifies.
    pub fn all(&self, usage: KeyUse) -> Vec<KeyId> {
        let mut keys: Vec<_> = self.keys.iter().filter(|(_, key)| key.usage == usage).collect();
        keys.sort_by_key(|(id, key)| std::cmp::Reverse((key.created_at, **id)));
        keys.into_iter().map(|(id, _)| *id).collect()
    }

    /// The keys of a use that are not retired, newest first.
    pub fn active(&self, usage: KeyUse) -> Vec<KeyId> {
        self.which(usage, false)
    }

    /// The retired keys of a use, newest first.
    pub fn retired(&self, usage: KeyUse) -> Vec<KeyId> {
        self.which(usage, true)
    }

    fn which(&self, usage: KeyUse, retired: bool) -> Vec<KeyId> {
        let is =
            |id: &KeyId| self.keys.get(id).is_some_and(|key| key.retired_at.is_some() == retired);
        self.all(usage).into_iter().filter(is).collect()
    }

    /// When a key was made.
    pub fn created_at(&self, id: KeyId) -> Option<Moment> {
        self.keys.get(&id).map(|key| key.created_at)
    }

    /// A signing key as a document, for the signer `cli` hands it to.
    pub fn document(&self, id: KeyId) -> Result<KeyDocument, VaultError> {
        self.keys.get(&id).map(|key| key.bytes.clone()).ok_or(VaultError::Sealed)
    }

    /// The seed of a signing key, for the signer `cli` makes of it.
    pub fn seed(&self, id: KeyId) -> Result<KeyBytes, VaultError> {
        self.bytes_of(id)
    }

    /// The newest 32-byte key of a use.
    pub fn bytes(&self, usage: KeyUse) -> Result<KeyBytes, VaultError> {
        self.bytes_of(self.current(usage)?)
    }

    pub(super) fn bytes_of(&self, id: KeyId) -> Result<KeyBytes, VaultError> {
        let key = self.keys.get(&id).ok_or(VaultError::Sealed)?;
        bytes_in(&key.bytes).ok_or(VaultError::Sealed)
    }

    /// A 32-byte key made ready when the ring was opened: a page asks for it a hundred times.
    pub(super) fn cipher(&self, id: KeyId) -> Result<&Cipher, VaultError> {
        self.keys.get(&id).and_then(|key| key.cipher.as_ref()).ok_or(VaultError::Sealed)
    }
}

fn bytes_in(document: &KeyDocument) -> Option<KeyBytes> {
    document.expose().try_into().ok().map(KeyBytes::new)
}

fn context_of(usage: KeyUse, id: KeyId) -> Vec<u8> {
    format!("fieldgate key {} {id}", usage.code()).into_bytes()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn ring(master: &KeyBytes, rows: &[SealedKey]) -> Result<Keyring, VaultError> {
        Keyring::open(master, rows)
    }

    #[test]
    fn a_ring_opens_with_its_master_key_and_with_no_other() {
        let master = KeyBytes::new([1; 32]);
        let row = Keyring::seal_new(&master, KeyUse::Contact, None, Moment(1)).unwrap();
        let opened = ring(&master, std::slice::from_ref(&row)).unwrap();
        assert_eq!(opened.current(KeyUse::Contact).unwrap(), row.id);
        assert!(matches!(opened.current(KeyUse::Token), Err(VaultError::NoKey("token"))));
        let other = ring(&KeyBytes::new([2; 32]), std::slice::from_ref(&row));
        assert!(matches!(other, Err(VaultError::WrongMaster)));
    }

    #[test]
    fn a_key_moved_to_another_use_does_not_open() {
        let master = KeyBytes::new([1; 32]);
        let mut row = Keyring::seal_new(&master, KeyUse::Contact, None, Moment(1)).unwrap();
        row.usage = KeyUse::Ticket.code().to_owned();
        assert!(matches!(ring(&master, &[row]), Err(VaultError::WrongMaster)));
    }

    #[test]
    fn the_newest_key_that_is_not_retired_is_current() {
        let master = KeyBytes::new([1; 32]);
        let old = Keyring::seal_new(&master, KeyUse::Contact, None, Moment(1)).unwrap();
        let new = Keyring::seal_new(&master, KeyUse::Contact, None, Moment(2)).unwrap();
        let rows = [new.clone(), old.clone()];
        assert_eq!(ring(&master, &rows).unwrap().current(KeyUse::Contact).unwrap(), new.id);
        let mut retired = rows.clone();
        retired[0].retired_at = Some(3);
        let opened = ring(&master, &retired).unwrap();
        assert_eq!(opened.current(KeyUse::Contact).unwrap(), old.id);
        assert_eq!(opened.all(KeyUse::Contact), vec![new.id, old.id]);
    }
}
