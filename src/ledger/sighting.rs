//! A checkpoint of this log that somebody outside kept, held against the ledger as it stands.
//!
//! The signature is not asked for: a place that we chose ourselves and that says more than we
//! know is a reason to stop, whoever wrote it. After a rollback across a change of keys the key
//! that would tell is the very thing that was lost.

use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::Note;

use super::prove::{ProveError, root_at};
use super::{Alarm, Archive};

/// Why a sighting tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum SightingError {
    /// The text is not a signed checkpoint.
    #[error("what is kept there is not a signed checkpoint")]
    NotACheckpoint,
    /// It is a checkpoint of another log.
    #[error("what is kept there belongs to the log {0}; every log needs a place of its own")]
    OtherLog(String),
    /// The ledger could not be read, or lacks the rows.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// A kept checkpoint that does not contradict the ledger, or the contradiction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// The ledger had this root when it had so many entries.
    Agrees(u64),
    /// The ledger went back, or there are two.
    Contradicts(Alarm),
}

/// Reads a note that `by` kept and recomputes the root of its size from the tiles. Call it within
/// one snapshot that began *after* the note was read: another replica may have grown the ledger.
///
/// # Errors
/// Not a checkpoint, one of another log, or the ledger cannot be read.
pub fn hold_against<A: Archive>(
    archive: &mut A,
    origin: &str,
    note: &str,
    by: &str,
) -> Result<Sighting, SightingError> {
    let note = Note::parse(note.as_bytes()).map_err(|_| SightingError::NotACheckpoint)?;
    let seen = Checkpoint::parse(note.text()).map_err(|_| SightingError::NotACheckpoint)?;
    if seen.origin != origin {
        return Err(SightingError::OtherLog(seen.origin));
    }
    let have = archive.head().map_err(ProveError::from)?.size();
    let by = by.to_owned();
    if seen.size > have {
        return Ok(Sighting::Contradicts(Alarm::RolledBack { have, seen: seen.size, by }));
    }
    // Equal roots at the smaller size and one tree above it: the older checkpoint is a beginning
    // of this ledger, which is what a consistency proof would show.
    if root_at(archive, seen.size)? == seen.root {
        Ok(Sighting::Agrees(seen.size))
    } else {
        Ok(Sighting::Contradicts(Alarm::Forked { have, size: seen.size, by }))
    }
}
