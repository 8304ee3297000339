//! Which keys sign and verify tokens, and the set of public keys that others may read.

use std::collections::HashMap;
use std::fmt;

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use crate::secret::KeyDocument;

/// A key cannot be used for tokens.
#[derive(Debug, thiserror::Error)]
#[error("a token key is not an EC P-256 key in PKCS#8")]
pub struct BadTokenKey;

/// One key signs; all of them verify. Rotation: add the next key here for 10 minutes, sign with
/// it, drop the old one after the longest lifetime of a token.
pub struct TokenKeys {
    pub(super) kid: String,
    pub(super) signing: EncodingKey,
    pub(super) verifying: HashMap<String, DecodingKey>,
    jwks: String,
}

impl TokenKeys {
    /// From the signing key and further keys that verify (the next one, the one before), each
    /// ES256 as PKCS#8 in DER.
    ///
    /// # Errors
    /// A key that is not EC P-256 in PKCS#8.
    pub fn new(signing: &KeyDocument, others: &[KeyDocument]) -> Result<Self, BadTokenKey> {
        // One provider for the process: with two in the tree the first use would panic.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let (kid, jwk) = public_key(signing)?;
        let mut set = vec![(kid.clone(), jwk)];
        for other in others {
            let (kid, jwk) = public_key(other)?;
            if set.iter().all(|(known, _)| *known != kid) {
                set.push((kid, jwk));
            }
        }
        let mut verifying = HashMap::new();
        for (kid, jwk) in &set {
            let key = DecodingKey::from_jwk(jwk).map_err(|_| BadTokenKey)?;
            verifying.insert(kid.clone(), key);
        }
        let set = JwkSet { keys: set.into_iter().map(|(_, jwk)| jwk).collect() };
        let jwks = serde_json::to_string(&set).map_err(|_| BadTokenKey)?;
        let signing = EncodingKey::from_ec_der(signing.expose());
        Ok(Self { kid, signing, verifying, jwks })
    }

    /// The id of the key that signs.
    pub fn signing_kid(&self) -> &str {
        &self.kid
    }

    /// The public keys as a JSON Web Key Set (RFC 7517 §5).
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The public key of a private one, named by its thumbprint (RFC 7638).
fn public_key(document: &KeyDocument) -> Result<(String, Jwk), BadTokenKey> {
    let key = EncodingKey::from_ec_der(document.expose());
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(|_| BadTokenKey)?;
    let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| BadTokenKey)?;
    jwk.common.key_id = Some(kid.clone());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Ok((kid, jwk))
}
