//! One type per identifier, so that two kinds of id can never be mixed up.

use std::fmt;
use std::io;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Why a text is not an identifier of the wanted kind. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {0}")]
pub struct BadId(pub &'static str);

/// SHA-256 of bytes: of a wording, of a request body, of a certificate.
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of everything a reader gives, in pieces: of a file that need not fit into memory.
///
/// # Errors
/// Those of the reader.
pub fn digest_of(mut reader: impl io::Read) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(read) => hash.update(piece.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

macro_rules! uuid_ids {
    ($made:ident, $says:literal: $($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            #[doc = $says]
            pub fn new() -> Self {
                Self(Uuid::$made())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.as_simple())
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId(stringify!($name));
                let hex = text.strip_prefix(concat!($prefix, "_")).ok_or(bad)?;
                if hex.len() != 32 || hex.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err(bad);
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| bad)
            }
        }
    )*};
}

uuid_ids! {
    now_v7, "A new time-ordered identifier (UUID version 7).":
    /// A partner in the registry; also its OAuth `client_id`. Written `ptn_` and 32 hex digits.
    PartnerId = "ptn";
    /// One grant. Written `gra_` and 32 hex digits.
    GrantId = "gra";
    /// One request; stands in its answer, its log lines and its entry. `req_` and 32 hex digits.
    RequestId = "req";
    /// One access token (`jti`). Written `tok_` and 32 hex digits.
    TokenId = "tok";
    /// One sealed key in the key ring. Written `key_` and 32 hex digits.
    KeyId = "key";
}

// One act recalls a person's data from several partners, who must not find out by the time in their
// ids that it is one person.
uuid_ids! {
    new_v4, "A new random identifier (UUID version 4).":
    /// One recall of one contact from one partner. Written `rcl_` and 32 hex digits.
    RecallId = "rcl";
}

/// The number a contact gets at intake: small, rising, never shown to a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactNo(pub i64);

/// Number of a published policy version, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyVersion(pub i32);

impl fmt::Display for PolicyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The random 16-byte reference under which a person stands in the ledger; erasure cuts the
/// link between it and the contact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContactRef(pub [u8; 16]);

impl fmt::Display for ContactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for ContactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContactRef({self})")
    }
}

/// SHA-256 of a whole certificate in DER: the identity of a partner system
/// (RFC 8705 §3.1, `x5t#S256`). Shown as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint(pub [u8; 32]);

impl Thumbprint {
    /// Computes the thumbprint of a certificate given as DER.
    pub fn of(der: &[u8]) -> Self {
        Self(digest(der))
    }

    /// The same 32 bytes as 64 lower-case hex digits, the form `openssl x509 -fingerprint` compares.
    pub fn hex(&self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            use fmt::Write as _;
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl FromStr for Thumbprint {
    type Err = BadId;

    /// Reads base64url without padding (43 characters), or 64 hex digits with optional colons.
    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = BadId("Thumbprint");
        if text.len() == 43 {
            let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad)?;
            return bytes.try_into().map(Self).map_err(|_| bad);
        }
        let digits: Vec<u32> = text
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).ok_or(bad))
            .collect::<Result<_, _>>()?;
        let bytes: Vec<u8> = digits
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [high, low] => u8::try_from(high * 16 + low).ok(),
                _ => None,
            })
            .collect();
        if digits.len() != 64 {
            return Err(bad);
        }
        bytes.try_into().map(Self).map_err(|_| bad)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_refuses_another_kind() {
        let id = PartnerId::new();
        assert_eq!(id.to_string().parse::<PartnerId>().unwrap(), id);
        assert!(id.to_string().parse::<GrantId>().is_err());
        assert!(id.to_string().to_uppercase().parse::<PartnerId>().is_err());
        assert!("ptn_".parse::<PartnerId>().is_err());
    }

    #[test]
    fn a_thumbprint_reads_base64url_and_hex_with_or_without_colons() {
        let thumbprint = Thumbprint::of(b"certificate");
        assert_eq!(thumbprint.to_string().parse::<Thumbprint>().unwrap(), thumbprint);
        assert_eq!(thumbprint.hex().parse::<Thumbprint>().unwrap(), thumbprint);
        let colons = thumbprint.hex().as_bytes().chunks(2).fold(String::new(), |mut text, pair| {
            if !text.is_empty() {
                text.push(':');
            }
            text.push_str(std::str::from_utf8(pair).unwrap());
            text
        });
        assert_eq!(colons.parse::<Thumbprint>().unwrap(), thumbprint);
        assert!("zz".parse::<Thumbprint>().is_err());
        assert!(thumbprint.hex().split_off(2).parse::<Thumbprint>().is_err());
    }
}
