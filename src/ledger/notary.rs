//! Signs the head as it stands, and writes receipts for entries that were appended long ago.

use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::key::{Signer, Verifier};
use crate::merkle::note::{Note, NoteError};
use crate::merkle::tlog_proof::TlogProof;

use super::prove::{ProveError, prove_inclusion};
use super::{Archive, Head};

/// Why a receipt cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NotaryError {
    /// The keys and the origin do not fit each other.
    #[error("the checkpoint cannot be signed")]
    Sign(#[source] NoteError),
    /// The proof cannot be made.
    #[error(transparent)]
    Prove(#[from] ProveError),
}

/// Holds the log's keys for reading doors: what it signs is always a head that is committed, so
/// it can never contradict the sequencer. Has no printable form.
pub struct Notary {
    signers: Vec<Signer>,
}

impl Notary {
    /// A notary with the log's keys (two while one is replaced).
    pub fn new(signers: Vec<Signer>) -> Self {
        Self { signers }
    }

    /// The log's public keys, newest first.
    pub fn verifiers(&self) -> Vec<Verifier> {
        self.signers.iter().map(|signer| signer.verifier().clone()).collect()
    }

    /// The checkpoint of a committed head.
    pub fn checkpoint(&self, head: &Head) -> Result<Note, NotaryError> {
        let origin = self.signers.first().map(|signer| signer.name().to_owned());
        let checkpoint = Checkpoint {
            origin: origin.unwrap_or_default(),
            size: head.size(),
            root: head.frontier.root(),
        };
        checkpoint.sign(&self.signers).map_err(NotaryError::Sign)
    }

    /// The receipt of an entry under the present head. Call it within one read transaction.
    ///
    /// # Errors
    /// `Beyond` for an index the ledger does not have; missing rows.
    pub fn receipt<A: Archive>(
        &self,
        archive: &mut A,
        index: u64,
    ) -> Result<TlogProof, NotaryError> {
        let head = archive.head().map_err(ProveError::from)?;
        let path = prove_inclusion(archive, index, head.size())?;
        let bodies = archive.bodies(index, index.saturating_add(1)).map_err(ProveError::from)?;
        let entry = bodies.into_iter().next().ok_or(ProveError::Beyond)?;
        let checkpoint = self.checkpoint(&head)?;
        Ok(TlogProof { extra: Some(entry), index, path, checkpoint })
    }
}
