//! Sealed fields and the keys behind them; plaintext is opened only against a receipt.

/// Issues certificates.
pub mod authority;

/// Finds a contact by e-mail without storing it in the clear.
pub mod blind_index;

/// Reads certificates.
pub mod certificate;

mod cipher;

mod open;

/// Every key, sealed by the master key.
pub mod keyring;

/// The published list of revoked certificates.
pub mod revocation_list;

/// A key per contact, a seal per field.
pub mod seal;

/// What the store may hold: sealed values and wrapped keys.
pub mod sealed;

/// Lead ids and cursors.
pub mod ticket;

use crate::secret::NoRandomness;

pub use open::{commitment, open};

/// What can go wrong with keys and seals. Never says what was sealed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The certificate library refused.
    #[error("the certificate could not be made")]
    Certificate(#[source] rcgen::Error),
    /// The key ring holds no current key of this use.
    #[error("the key ring has no current {0} key: run `fieldgate ledger init`")]
    NoKey(&'static str),
    /// The receipt is of another entry: it does not name this contact and these fields.
    #[error("the receipt does not cover this contact and these fields")]
    NotRecorded,
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The sealed bytes do not open with this key in this place.
    #[error("sealed bytes do not open: changed, moved, shredded or of another key")]
    Sealed,
    /// The master key is another one.
    #[error("the key ring does not open: this is not the master key it was sealed with")]
    WrongMaster,
}

impl From<aws_lc_rs::error::Unspecified> for VaultError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Sealed
    }
}

impl From<rcgen::Error> for VaultError {
    fn from(fault: rcgen::Error) -> Self {
        Self::Certificate(fault)
    }
}
