//! Signs the head as it stands, and writes receipts for entries that were appended long ago.

use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::key::{Signer, Verifier};
use crate::merkle::note::{Note, NoteError, SignatureLine};
use crate::merkle::policy::Policy;
use crate::merkle::tlog_proof::TlogProof;

use super::prove::{ProveError, prove_inclusion};
use super::witness::answer::Witness;
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
    former: Vec<Verifier>,
    policy: Option<Policy>,
}

impl Notary {
    /// A notary with the log's keys (two while one is replaced).
    pub fn new(signers: Vec<Signer>) -> Self {
        Self { signers, former: Vec::new(), policy: None }
    }

    /// The same, with the keys that signed in former times and are retired, newest first.
    #[must_use]
    pub fn after(mut self, former: Vec<Verifier>) -> Self {
        self.policy = self.policy.map(|policy| policy.trusting(former.clone()));
        self.former = former;
        self
    }

    /// The same, with the policy by which readers of this log judge its checkpoints. What it
    /// says of witnesses counts; our own keys we know ourselves, also while its file lags behind
    /// a rotation.
    #[must_use]
    pub fn judged_by(mut self, policy: Policy) -> Self {
        self.policy = Some(policy.trusting(self.own()));
        self
    }

    /// The policy by which its checkpoints are judged, those of former keys too: without one the
    /// log's own keys are enough.
    pub fn policy(&self) -> Policy {
        self.policy.clone().unwrap_or_else(|| Policy::of_logs(self.own()))
    }

    /// Every key of the log, former ones last.
    fn own(&self) -> Vec<Verifier> {
        self.verifiers().into_iter().chain(self.former.iter().cloned()).collect()
    }

    /// Whether there is a policy: without one every checkpoint of ours convinces.
    pub fn has_policy(&self) -> bool {
        self.policy.is_some()
    }

    /// The witnesses of the policy that have an address.
    pub fn witnesses(&self) -> Vec<Witness> {
        let addresses = self.policy.as_ref().map_or(&[][..], Policy::addresses);
        addresses
            .iter()
            .map(|one| Witness::new(one.name.clone(), &one.url, one.key.clone()))
            .collect()
    }

    /// A published note with the lines of its witnesses, if together they satisfy the policy.
    pub fn convincing<'a>(
        &self,
        note: &str,
        lines: impl Iterator<Item = &'a str>,
    ) -> Option<String> {
        let mut note = Note::parse(note.as_bytes()).ok()?;
        for line in lines {
            note.add(SignatureLine::parse(line.trim_end_matches('\n')).ok()?);
        }
        let convinces = self.policy.as_ref().is_none_or(|policy| policy.check(&note).is_ok());
        convinces.then(|| note.to_string())
    }

    /// The public keys of the log that sign now, newest first.
    pub fn verifiers(&self) -> Vec<Verifier> {
        self.signers.iter().map(|signer| signer.verifier().clone()).collect()
    }

    /// The public keys that signed in former times, newest first.
    pub fn former(&self) -> &[Verifier] {
        &self.former
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

    /// The head as it is committed now: its size, and its checkpoint.
    ///
    /// # Errors
    /// The head cannot be read.
    pub fn present<A: Archive>(&self, archive: &mut A) -> Result<(u64, Note), NotaryError> {
        let head = archive.head().map_err(ProveError::from)?;
        Ok((head.size(), self.checkpoint(&head)?))
    }

    /// The receipt of an entry under the present head. Call it within one read transaction.
    ///
    /// # Errors
    /// `Beyond` for an index the ledger does not have, `Pruned` for one whose body went; missing
    /// rows.
    pub fn receipt<A: Archive>(
        &self,
        archive: &mut A,
        index: u64,
    ) -> Result<TlogProof, NotaryError> {
        let head = archive.head().map_err(ProveError::from)?;
        let path = prove_inclusion(archive, index, head.size())?;
        let min_index = archive.min_index().map_err(ProveError::from)?;
        if index < min_index {
            return Err(ProveError::Pruned { min_index }.into());
        }
        let bodies = archive.bodies(index, index.saturating_add(1)).map_err(ProveError::from)?;
        let entry = bodies.into_iter().next().ok_or(ProveError::Beyond)?;
        let checkpoint = self.checkpoint(&head)?;
        Ok(TlogProof { extra: Some(entry), index, path, checkpoint })
    }
}
