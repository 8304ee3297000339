//! Tokens bound to a certificate (RFC 8705, 9068): made here, and judged without mercy.
//!
//! The library checks the signature and three claims. It would accept a token without `typ`,
//! with `crit`, from the year 2100 or with an issuer list; so all of that is checked here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use crate::clock::{Moment, SECOND};
use crate::id::{PartnerId, Thumbprint, TokenId};

use super::revoked::Revoked;
use super::scope::Scopes;
use super::token_keys::TokenKeys;

/// How long a token lives, in seconds; less where its certificate ends before.
pub const LIFETIME_S: i64 = 300;

/// The longest life that is accepted, in seconds.
const LIFETIME_MAX_S: i64 = 600;

/// Seconds after its end during which a token is still taken.
const LATE_S: i64 = 5;

/// Seconds by which the clocks of two replicas may differ.
const AHEAD_S: i64 = 10;

/// Bytes of the longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 4096;

/// How many judged tokens are remembered.
const JUDGED_MAX: usize = 10_000;

/// Why a token is refused. The log is told; the client hears `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// Longer than 4 KiB, or not three parts of base64url.
    Form,
    /// A header with another member, a missing one, another type or algorithm.
    Header,
    /// Signed with a key that is not ours.
    UnknownKey,
    /// The signature, issuer or audience is wrong, or a claim is missing, mistyped or too much.
    Claims,
    /// Ended more than 5 s ago.
    Expired,
    /// Begins, or was issued, more than 10 s ahead.
    NotYet,
    /// Bound to another certificate.
    OtherCertificate,
    /// `client_id`, `sub` and the owner of the certificate differ.
    OtherOwner,
    /// Revoked, or issued before the partner's tokens were voided.
    Void,
}

impl TokenFault {
    /// The name in log lines.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Header => "header",
            Self::UnknownKey => "unknown_key",
            Self::Claims => "claims",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::OtherCertificate => "other_certificate",
            Self::OtherOwner => "other_owner",
            Self::Void => "void",
        }
    }
}

/// The header, and nothing beside it: an unknown member, `crit` among them, is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictHeader {
    typ: String,
    alg: String,
    kid: String,
}

#[derive(Serialize)]
struct Confirmation {
    #[serde(rename = "x5t#S256")]
    x5t_s256: String,
}

/// An object with this one member: a derived reader would take a list of one value as well.
impl<'de> Deserialize<'de> for Confirmation {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> serde::de::Visitor<'de> for Object {
            type Value = Confirmation;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object with x5t#S256 alone")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Confirmation, A::Error> {
                let first = map.next_entry::<String, String>()?;
                let second = map.next_key::<String>()?;
                match (first, second) {
                    (Some((name, x5t_s256)), None) if name == "x5t#S256" => {
                        Ok(Confirmation { x5t_s256 })
                    }
                    _ => Err(serde::de::Error::custom("not x5t#S256 alone")),
                }
            }
        }
        from.deserialize_map(Object)
    }
}

/// The claims, all of them and no others. Serde refuses a member that stands there twice.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    client_id: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
    scope: String,
    cnf: Confirmation,
}

/// A token whose signature, form and times hold. Whether it may be used here is another matter:
/// see [`Tokens::admit`].
#[derive(Debug, Clone)]
pub struct Token {
    /// Its `jti`.
    pub id: TokenId,
    /// `sub` = `client_id`.
    pub partner: PartnerId,
    /// What it covers.
    pub scopes: Scopes,
    /// The certificate it is bound to.
    pub certificate: Thumbprint,
    /// `iat`.
    pub issued_at: Moment,
    /// `nbf`.
    pub begins_at: Moment,
    /// `exp`.
    pub ends_at: Moment,
    kid: String,
}

/// What a new token says.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// For whom.
    pub partner: PartnerId,
    /// For what.
    pub scopes: Scopes,
    /// Bound to which certificate.
    pub certificate: Thumbprint,
    /// When that certificate ends.
    pub certificate_ends_at: Moment,
    /// Since when tokens of the partner count.
    pub tokens_not_before: Moment,
}

/// A new token and its lifetime in seconds.
#[derive(Debug)]
pub struct Minted {
    /// The token.
    pub text: String,
    /// Seconds until it ends.
    pub expires_in_s: i64,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("a token could not be signed")]
pub struct NotSigned(#[source] jsonwebtoken::errors::Error);

/// Makes and judges tokens.
pub struct Tokens {
    keys: ArcSwap<TokenKeys>,
    issuer: String,
    audience: String,
    judged: Mutex<HashMap<Thumbprint, Token>>,
    revoked: Revoked,
}

impl Tokens {
    /// `issuer` is the URL of the public door, `audience` that of the partner API; both come
    /// from configuration.
    pub fn new(keys: TokenKeys, issuer: String, audience: String) -> Self {
        let (judged, revoked) = Default::default();
        Self { keys: ArcSwap::from_pointee(keys), issuer, audience, judged, revoked }
    }

    /// Takes another set of keys. Tokens of a key that is gone are refused from now on.
    pub fn replace_keys(&self, keys: TokenKeys) {
        self.keys.store(Arc::new(keys));
    }

    /// The public keys as JSON.
    pub fn jwks(&self) -> String {
        self.keys.load().jwks().to_owned()
    }

    /// The issuer: the URL of the public door.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audience: the URL of the partner API.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// Tokens that are void before their time.
    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// Makes a token (RFC 9068 §2, RFC 8705 §3.1) that never outlives its certificate.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn mint(&self, wanted: &Wanted, now: Moment) -> Result<Minted, NotSigned> {
        // A partner resumed within this second would otherwise get tokens that are void already.
        let begin = now.seconds().max(wanted.tokens_not_before.plus(SECOND - 1).seconds());
        let exp = begin.saturating_add(LIFETIME_S).min(wanted.certificate_ends_at.seconds());
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: wanted.partner.to_string(),
            client_id: wanted.partner.to_string(),
            iat: begin,
            nbf: begin,
            exp,
            jti: TokenId::new().to_string(),
            scope: wanted.scopes.text(),
            cnf: Confirmation { x5t_s256: wanted.certificate.to_string() },
        };
        let keys = self.keys.load();
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(keys.kid.clone());
        let text = encode(&header, &claims, &keys.signing).map_err(NotSigned)?;
        Ok(Minted { text, expires_in_s: exp.saturating_sub(now.seconds()).max(0) })
    }

    /// Checks A2 and A3: form, header, signature, claims, times. A token judged before skips the
    /// signature, never the times.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(&self, text: &str, now: Moment) -> Result<Token, TokenFault> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Form);
        }
        let keys = self.keys.load();
        let digest = Thumbprint::of(text.as_bytes());
        let known = self.judged().get(&digest).cloned();
        let token = match known.filter(|token| keys.verifying.contains_key(&token.kid)) {
            Some(token) => token,
            None => {
                let token = self.read(text, &keys)?;
                self.remember(digest, token.clone(), now);
                token
            }
        };
        let (now_s, ahead) = (now.seconds(), now.seconds().saturating_add(AHEAD_S));
        if token.ends_at.seconds().saturating_add(LATE_S) < now_s {
            return Err(TokenFault::Expired);
        }
        if token.begins_at.seconds() > ahead || token.issued_at.seconds() > ahead {
            return Err(TokenFault::NotYet);
        }
        Ok(token)
    }

    /// Checks A4 to A6 for a connection: its certificate, that certificate's owner, and whether
    /// the token is void before its time.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn admit(
        &self,
        token: &Token,
        certificate: Thumbprint,
        owner: PartnerId,
        tokens_not_before: Moment,
    ) -> Result<(), TokenFault> {
        if token.certificate != certificate {
            return Err(TokenFault::OtherCertificate);
        }
        if token.partner != owner {
            return Err(TokenFault::OtherOwner);
        }
        if token.issued_at < tokens_not_before
            || self.revoked.is_void(token.id, token.partner, token.issued_at)
        {
            return Err(TokenFault::Void);
        }
        Ok(())
    }

    fn judged(&self) -> MutexGuard<'_, HashMap<Thumbprint, Token>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, digest: Thumbprint, token: Token, now: Moment) {
        let mut judged = self.judged();
        if judged.len() >= JUDGED_MAX {
            judged.retain(|_, token| token.ends_at >= now);
        }
        if judged.len() >= JUDGED_MAX {
            judged.clear();
        }
        judged.insert(digest, token);
    }

    fn read(&self, text: &str, keys: &TokenKeys) -> Result<Token, TokenFault> {
        let header = strict_header(text)?;
        let key = keys.verifying.get(&header.kid).ok_or(TokenFault::UnknownKey)?;
        // The algorithm is the key's, never the header's.
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_issuer(&[&self.issuer]);
        rules.set_audience(&[&self.audience]);
        rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are checked by our own clock and two different leeways.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = decode::<Claims>(text, key, &rules).map_err(|_| TokenFault::Claims)?.claims;
        token_of(&claims, header.kid).ok_or(TokenFault::Claims)
    }
}

/// The first part of a token of exactly three, each base64url.
fn strict_header(text: &str) -> Result<StrictHeader, TokenFault> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !text.bytes().all(fits) || text.bytes().filter(|b| *b == b'.').count() != 2 {
        return Err(TokenFault::Form);
    }
    let first = text.split('.').next().ok_or(TokenFault::Form)?;
    let bytes = URL_SAFE_NO_PAD.decode(first).map_err(|_| TokenFault::Form)?;
    if bytes.first() != Some(&b'{') {
        return Err(TokenFault::Header);
    }
    let header: StrictHeader = serde_json::from_slice(&bytes).map_err(|_| TokenFault::Header)?;
    if header.typ != "at+jwt" || header.alg != "ES256" {
        return Err(TokenFault::Header);
    }
    Ok(header)
}

fn token_of(claims: &Claims, kid: String) -> Option<Token> {
    let life = claims.exp.checked_sub(claims.iat)?;
    let sound = claims.sub == claims.client_id
        && (1..=LIFETIME_MAX_S).contains(&life)
        && claims.nbf >= claims.iat
        && claims.iat >= 0;
    let token = Token {
        id: claims.jti.parse().ok()?,
        partner: claims.client_id.parse().ok()?,
        scopes: Scopes::read(&claims.scope)?,
        certificate: claims.cnf.x5t_s256.parse().ok()?,
        issued_at: Moment::from_seconds(claims.iat),
        begins_at: Moment::from_seconds(claims.nbf),
        ends_at: Moment::from_seconds(claims.exp),
        kid,
    };
    // A thumbprint has other spellings for people; a token has one.
    (sound && claims.cnf.x5t_s256 == token.certificate.to_string()).then_some(token)
}
