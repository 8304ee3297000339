//! Values that never reach a log: personal data and keys without a printable form.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// A personal value. It has no `Debug`, `Display` or `Serialize`, and is wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Personal(String);

impl Personal {
    /// Wraps a value that belongs to a person.
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The value itself: for sealing, for the answer to a partner, for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// A 256-bit key, wiped when dropped. It has no printable form.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyBytes([u8; 32]);

impl KeyBytes {
    /// Wraps key bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh random key.
    ///
    /// # Errors
    /// The operating system gave no randomness.
    pub fn random() -> Result<Self, NoRandomness> {
        random::<32>().map(Self)
    }

    /// The bytes, for the cipher that uses them.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Private key material of any length (PKCS#8), wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyDocument(Vec<u8>);

impl KeyDocument {
    /// Wraps an encoded private key.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The encoded key, for the signer that uses it.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// The operating system gave no randomness; nothing that needs a nonce may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no randomness")]
pub struct NoRandomness;

/// `N` random bytes from the cryptographic generator.
///
/// # Errors
/// The generator failed.
pub fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
