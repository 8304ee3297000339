//! Finds a contact by e-mail address without storing the address in the clear.

use crate::domain::field::{Field, FieldFault};
use crate::secret::Personal;

use super::keyring::{KeyUse, Keyring};
use super::{VaultError, cipher};

/// HMAC-SHA-256 of a normalised e-mail address under the installation's index key. Equal
/// addresses give equal values; without the key nobody can test a guess.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlindIndex(pub [u8; 32]);

/// Why an address has no blind index.
#[derive(Debug, thiserror::Error)]
pub enum BlindFault {
    /// It is not an e-mail address.
    #[error("the e-mail address {0}")]
    Address(FieldFault),
    /// The key ring has no index key.
    #[error("the index key is missing")]
    Key(#[source] VaultError),
}

/// Computes the blind index of an address in any case, with or without white space around it.
pub fn blind_index(keyring: &Keyring, address: &Personal) -> Result<BlindIndex, BlindFault> {
    let normal = Field::Email.parse(address.expose()).map(Personal::new);
    let normal = normal.map_err(BlindFault::Address)?;
    let key = keyring.bytes(KeyUse::BlindIndex).map_err(BlindFault::Key)?;
    Ok(BlindIndex(cipher::keyed_hash(key.expose(), [normal.expose().as_bytes()])))
}
