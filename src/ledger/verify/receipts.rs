//! A receipt checked by whoever holds it: without our database, without our word.

use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::policy::Policy;
use crate::merkle::tlog_proof::{TlogProof, TlogProofError};

use super::super::entry::{EntryError, ReadEntry};

/// Why a receipt proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The text is no proof, or its proof fails.
    #[error("the proof does not hold")]
    Proof(#[source] TlogProofError),
    /// The text has no `extra` line and the entry was not given.
    #[error("the receipt does not contain its entry")]
    NoEntry,
    /// The proved bytes are not an entry of this ledger's format.
    #[error("the proved bytes are not a ledger entry")]
    Entry(#[source] EntryError),
}

/// What a receipt proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// Index of the entry.
    pub index: u64,
    /// The checkpoint under which it stands.
    pub checkpoint: Checkpoint,
    /// The entry, read.
    pub entry: ReadEntry,
    /// The entry's bytes.
    pub bytes: Vec<u8>,
}

/// Checks a receipt text (`.tlog-proof` with its entry in the `extra` line) against the keys and
/// the quorum a reader trusts.
///
/// # Errors
/// The proof fails, the entry is missing, or it is not an entry.
pub fn verify_receipt(text: &str, policy: &Policy) -> Result<VerifiedReceipt, ReceiptError> {
    let proof = TlogProof::parse(text).map_err(ReceiptError::Proof)?;
    let bytes = proof.extra.clone().ok_or(ReceiptError::NoEntry)?;
    let checkpoint = proof.verify(&bytes, policy).map_err(ReceiptError::Proof)?;
    let entry = ReadEntry::parse(&bytes).map_err(ReceiptError::Entry)?;
    Ok(VerifiedReceipt { index: proof.index, checkpoint, entry, bytes })
}
