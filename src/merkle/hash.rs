//! The one hash of the log: SHA-256 with separate prefixes for leaves and nodes (RFC 6962 §2.1).

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::text;

/// 32 bytes of SHA-256: a leaf hash, a node or a root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;

    /// The hash of an entry: SHA-256(0x00 ‖ entry).
    pub fn leaf(entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
    }

    /// The hash of two subtrees: SHA-256(0x01 ‖ left ‖ right).
    pub fn node(left: &Self, right: &Self) -> Self {
        Self(
            Sha256::new()
                .chain_update([1])
                .chain_update(left.0)
                .chain_update(right.0)
                .finalize()
                .into(),
        )
    }

    /// The root of the tree without leaves: SHA-256 of nothing.
    pub fn of_nothing() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Takes exactly 32 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Standard base64 with padding, 44 characters: the form of every log text.
    pub fn to_base64(self) -> String {
        text::to_base64(&self.0)
    }

    /// Reads what `to_base64` writes, and no other spelling of it.
    pub fn from_base64(encoded: &str) -> Option<Self> {
        Self::from_slice(&text::from_base64(encoded)?)
    }

    /// Splits a run of concatenated hashes; `None` if its length is not a multiple of 32.
    pub fn split(bytes: &[u8]) -> Option<Vec<Self>> {
        let (hashes, []) = bytes.as_chunks::<{ Self::LEN }>() else { return None };
        Some(hashes.iter().copied().map(Self).collect())
    }

    /// Concatenates hashes into a run, 32 bytes each.
    pub fn join(hashes: &[Self]) -> Vec<u8> {
        hashes.iter().flat_map(|hash| hash.0).collect()
    }
}

impl fmt::Display for Hash {
    /// 64 lower-case hex digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    /// Vectors of the reference page §10.
    #[test]
    fn leaves_and_nodes_hash_as_certificate_transparency_does() {
        let node = Sha256::new().chain_update([1]).chain_update("N123").chain_update("N456");
        for (hash, hex) in [
            (Hash::leaf(b""), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (
                Hash::leaf(b"L123456"),
                "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56",
            ),
            (
                Hash(node.finalize().into()),
                "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb",
            ),
            (
                Hash::of_nothing(),
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
        ] {
            assert_eq!(hash.to_string(), hex);
        }
    }

    #[test]
    fn a_hash_reads_back_and_nothing_else_does() {
        let hash = Hash::leaf(b"x");
        assert_eq!(Hash::from_base64(&hash.to_base64()).unwrap(), hash);
        assert!(Hash::from_base64("AA==").is_none());
        assert!(Hash::from_slice(&[0; 31]).is_none());
        assert_eq!(Hash::split(&Hash::join(&[hash, Hash::leaf(b"y")])).unwrap().len(), 2);
        assert!(Hash::split(&[0; 33]).is_none());
    }
}
