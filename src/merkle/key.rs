//! Who signs: key names, key ids, public keys as text, and signers.
//!
//! `c2sp.org/signed-note`. Two kinds of key are known: Ed25519 for logs (type 0x01) and Ed25519
//! cosignatures for witnesses (type 0x04).

use std::fmt;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::text;

/// What a key signs, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// Type 0x01: Ed25519 over the text of the note.
    Log,
    /// Type 0x04: Ed25519 over a time and a checkpoint.
    Witness,
}

impl KeyType {
    fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Witness => 0x04,
        }
    }
}

/// The first four bytes of a hash over name, type and public key: tells keys of one name apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    fn of(name: &str, key_type: KeyType, public: &[u8; 32]) -> Self {
        let hash = Sha256::new().chain_update(name).chain_update([b'\n', key_type.byte()]);
        let [a, b, c, d, ..]: [u8; 32] = hash.chain_update(public).finalize().into();
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    /// Eight lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a text is not a public key we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// A name is not empty and has no space and no `+`.
    #[error("a key name is not empty and has no space, control character or plus sign")]
    Name,
    /// Not `<name>+<8 hex digits>+<base64>`.
    #[error("a public key is written <name>+<8 hex digits>+<base64>")]
    Syntax,
    /// The key id does not belong to this name and key.
    #[error("the key id does not belong to this name and key")]
    Id,
    /// Another signature algorithm than 0x01 and 0x04.
    #[error("keys of type {0:#04x} are not supported, use Ed25519 (0x01, or 0x04 for witnesses)")]
    Unsupported(u8),
    /// The 32 bytes are no safe public key.
    #[error("the bytes are not a usable Ed25519 public key")]
    Point,
}

/// Whether `name` may name a key: not empty, no Unicode space, no control character, no `+`.
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// A public key with its name: written as a *vkey*, checks signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key_type: KeyType,
    id: KeyId,
    key: VerifyingKey,
}

impl Verifier {
    /// Reads `<name>+<key id>+<base64(type ‖ public key)>`; the id is computed again and compared.
    ///
    /// # Errors
    /// Any deviation from that form, a foreign key type, a weak key.
    pub fn parse(vkey: &str) -> Result<Self, BadKey> {
        if vkey.len() > 4096 {
            return Err(BadKey::Syntax);
        }
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadKey::Syntax);
        };
        if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadKey::Syntax);
        }
        let key = text::from_base64(key).ok_or(BadKey::Syntax)?;
        let (key_type, public) = match key.split_first() {
            Some((0x01, public)) => (KeyType::Log, public),
            Some((0x04, public)) => (KeyType::Witness, public),
            Some((other, _)) => return Err(BadKey::Unsupported(*other)),
            None => return Err(BadKey::Syntax),
        };
        let verifier = Self::new(name, key_type, public.try_into().map_err(|_| BadKey::Syntax)?)?;
        let agrees = verifier.id.to_string().eq_ignore_ascii_case(id);
        if agrees { Ok(verifier) } else { Err(BadKey::Id) }
    }

    fn new(name: &str, key_type: KeyType, public: &[u8; 32]) -> Result<Self, BadKey> {
        if !is_key_name(name) {
            return Err(BadKey::Name);
        }
        let key = VerifyingKey::from_bytes(public).map_err(|_| BadKey::Point)?;
        // A key of small order accepts forged signatures.
        if key.is_weak() {
            return Err(BadKey::Point);
        }
        Ok(Self { name: name.to_owned(), key_type, id: KeyId::of(name, key_type, public), key })
    }

    /// The key's name; for a log this is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key's id.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs.
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The 32 bytes of the public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` is this key's over exactly `message`.
    pub(super) fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for Verifier {
    /// The vkey.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.key_type.byte()], self.public_key().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, text::to_base64(&key))
    }
}

/// A private key with its name. It has no printable form, and its seed is wiped when dropped.
pub struct Signer {
    key: SigningKey,
    verifier: Verifier,
}

impl Signer {
    /// Makes a signer from a 32-byte Ed25519 seed.
    ///
    /// # Errors
    /// The name is not a key name.
    pub fn from_seed(name: &str, key_type: KeyType, seed: &[u8; 32]) -> Result<Self, BadKey> {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier::new(name, key_type, key.verifying_key().as_bytes())?;
        Ok(Self { key, verifier })
    }

    /// The public side.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The key's name.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }

    /// 64 bytes of Ed25519 over `message`. Deterministic (RFC 8032).
    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
pub(super) mod tests {
    use super::*;

    pub(in crate::merkle) const LOG_VKEY: &str =
        "ledger.example.com/fieldgate+c2f7ed48+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    pub(in crate::merkle) const WITNESS_VKEY: &str =
        "witness.example.com/w1+969980cf+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X";

    fn seed(first: u8) -> [u8; 32] {
        std::array::from_fn(|i| first + u8::try_from(i).unwrap())
    }

    /// The log of the golden files: seed 00..1f.
    pub(in crate::merkle) fn log_signer() -> Signer {
        Signer::from_seed("ledger.example.com/fieldgate", KeyType::Log, &seed(0)).unwrap()
    }

    /// The witness of the golden files: seed 20..3f.
    pub(in crate::merkle) fn witness_signer() -> Signer {
        Signer::from_seed("witness.example.com/w1", KeyType::Witness, &seed(0x20)).unwrap()
    }

    #[test]
    fn seeds_give_the_golden_public_keys() {
        assert_eq!(log_signer().verifier().to_string(), LOG_VKEY);
        assert_eq!(witness_signer().verifier().to_string(), WITNESS_VKEY);
        for vkey in [LOG_VKEY, WITNESS_VKEY] {
            assert_eq!(Verifier::parse(vkey).unwrap().to_string(), vkey);
        }
    }

    #[test]
    fn a_damaged_public_key_is_refused() {
        let cases = [
            ("", BadKey::Syntax),
            ("name+c2f7ed48", BadKey::Syntax),
            ("name+c2f7ed4+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", BadKey::Syntax),
            ("name+c2f7ed4g+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", BadKey::Syntax),
            ("name+c2f7ed48+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", BadKey::Id),
            ("na me+c2f7ed48+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", BadKey::Name),
            ("+c2f7ed48+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", BadKey::Name),
            ("name+c2f7ed48+BgOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", BadKey::Unsupported(6)),
            ("name+c2f7ed48+AQ==", BadKey::Syntax),
            ("name+c2f7ed48+", BadKey::Syntax),
            ("name+c2f7ed48+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", BadKey::Point),
        ];
        for (vkey, error) in cases {
            assert_eq!(Verifier::parse(vkey), Err(error), "{vkey:?}");
        }
        assert!(Signer::from_seed("a\u{2003}b", KeyType::Log, &[0; 32]).is_err());
    }
}
