//! Transparency-log mathematics over bytes: hashes, trees, proofs, tiles, signed notes.
//!
//! Everything here is pure: no clock, no file, no network, no word of the product. The formats are
//! those of RFC 6962, RFC 9162 and the C2SP pages `signed-note`, `tlog-checkpoint`,
//! `tlog-cosignature`, `tlog-witness`, `tlog-tiles`, `tlog-proof` and `tlog-policy`, byte for byte, so that public
//! tools verify what we write. Parsers take hostile bytes: they are bounded and never panic.

mod text;

/// SHA-256 with the two prefixes of RFC 6962.
pub mod hash;

/// The right edge of a growing tree: 64 hashes at most.
pub mod tree;

/// Inclusion and consistency: checked, and made from stored hashes.
pub mod proof;

/// A tree that has just grown, and proofs for the leaves it gained.
pub mod grown;

/// Runs of 256 hashes or entries, and their paths.
pub mod tile;

/// Names, public keys and signers of notes.
pub mod key;

/// A signed text.
pub mod note;

/// What a log signs: origin, size, root.
pub mod checkpoint;

/// What a witness adds: the time at which it saw a checkpoint.
pub mod cosignature;

/// What a log asks a witness, and the witness's checks.
pub mod add_checkpoint;

/// A proof of inclusion with its checkpoint, as one text.
pub mod tlog_proof;

/// Which logs and how many witnesses a reader trusts.
pub mod policy;

pub use hash::Hash;
pub use tree::Frontier;

#[cfg(test)]
mod golden;

#[cfg(test)]
mod differential;
