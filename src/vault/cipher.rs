//! The one cipher of the house: AES-256-GCM-SIV (RFC 8452), which survives a repeated nonce.

use aws_lc_rs::aead::{
    AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, RandomizedNonceKey, UnboundKey,
};
use aws_lc_rs::hmac;

use crate::secret::KeyBytes;

use super::VaultError;

/// Seals `plain` under a random nonce, bound to `context`. Gives nonce ‖ ciphertext ‖ tag:
/// 28 bytes more than `plain`.
pub(super) fn seal(key: &KeyBytes, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM_SIV, key.expose())?;
    let mut body = plain.to_vec();
    let nonce = cipher.seal_in_place_append_tag(Aad::from(context), &mut body)?;
    let mut sealed = nonce.as_ref().to_vec();
    sealed.append(&mut body);
    Ok(sealed)
}

/// Opens what [`seal`] made with the same key and context. The caller wraps the plaintext.
pub(super) fn open(key: &KeyBytes, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
    Cipher::new(key)?.open(context, sealed)
}

/// A key made ready: its schedule is computed once, however many values it opens.
pub(super) struct Cipher(LessSafeKey);

impl Cipher {
    /// Makes a key ready.
    pub(super) fn new(key: &KeyBytes) -> Result<Self, VaultError> {
        Ok(Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key.expose())?)))
    }

    /// See [`open`].
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or(VaultError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        self.open_under(nonce, context, body)
    }

    /// Seals so that equal input gives equal output (deterministic authenticated encryption: a
    /// fixed nonce, which GCM-SIV permits). Gives ciphertext ‖ tag: 16 bytes more than `plain`.
    pub(super) fn seal_equal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut body = Vec::with_capacity(plain.len().saturating_add(AES_256_GCM_SIV.tag_len()));
        body.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        self.0.seal_in_place_append_tag(nonce, Aad::from(context), &mut body)?;
        Ok(body)
    }

    /// Opens what [`Cipher::seal_equal`] made.
    pub(super) fn open_equal(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        self.open_under(nonce, context, sealed)
    }

    fn open_under(&self, nonce: Nonce, context: &[u8], body: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut body = body.to_vec();
        let length = self.0.open_in_place(nonce, Aad::from(context), &mut body)?.len();
        body.truncate(length);
        Ok(body)
    }
}

/// HMAC-SHA-256 over parts, each preceded by its length (8 bytes, big endian), so that no two
/// lists of parts give the same input.
pub(super) fn keyed_hash<'a>(key: &[u8], parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}
