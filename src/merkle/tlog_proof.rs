//! One text that proves one entry: index, path and checkpoint (`c2sp.org/tlog-proof`).

use std::fmt;

use super::checkpoint::Checkpoint;
use super::hash::Hash;
use super::note::{MAX_BYTES, Note, NoteError};
use super::policy::{Policy, Unconvinced};
use super::proof::{ProofError, verify_inclusion};
use super::text;

/// The first line.
const MAGIC: &str = "c2sp.org/tlog-proof@v1";

/// Longest path: a tree has fewer than 2^64 leaves.
const MAX_HASHES: usize = 63;

/// Why a proof is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofError {
    /// Not the lines of a tlog-proof.
    #[error("not a c2sp.org/tlog-proof@v1 text")]
    Syntax,
    /// The checkpoint inside is malformed.
    #[error("the checkpoint inside the proof is malformed")]
    Note(#[source] NoteError),
    /// The checkpoint is not signed as the reader's policy asks.
    #[error("the checkpoint is not signed as the policy asks")]
    Policy(#[source] Unconvinced),
    /// The entry is not in that tree at that index.
    #[error("the entry is not at index {index} of the tree of {size} entries")]
    NotIncluded {
        /// Index that the proof claims.
        index: u64,
        /// Size of the checkpoint.
        size: u64,
        /// What the path showed.
        #[source]
        reason: ProofError,
    },
}

/// A proof as read or written; nothing is believed before `verify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Unauthenticated companion bytes; we put the entry there.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// Path from the entry's sibling to the root's child.
    pub path: Vec<Hash>,
    /// The checkpoint with all its signatures.
    pub checkpoint: Note,
}

impl TlogProof {
    /// Reads the text of a `.tlog-proof` file.
    ///
    /// # Errors
    /// More than 1 MB or 63 hashes, a malformed line, or a malformed checkpoint.
    pub fn parse(text: &str) -> Result<Self, TlogProofError> {
        if text.len() > MAX_BYTES {
            return Err(TlogProofError::Syntax);
        }
        let (head, note) = text.split_once("\n\n").ok_or(TlogProofError::Syntax)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(MAGIC) {
            return Err(TlogProofError::Syntax);
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            Some(encoded) => {
                lines.next();
                Some(text::from_base64(encoded).ok_or(TlogProofError::Syntax)?)
            }
            None => None,
        };
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = index.and_then(text::decimal).ok_or(TlogProofError::Syntax)?;
        let path: Option<Vec<Hash>> = lines.take(MAX_HASHES + 1).map(Hash::from_base64).collect();
        let path = path.filter(|path| path.len() <= MAX_HASHES).ok_or(TlogProofError::Syntax)?;
        let checkpoint = Note::parse(note.as_bytes()).map_err(TlogProofError::Note)?;
        Ok(Self { extra, index, path, checkpoint })
    }

    /// Checks the proof for `entry` in the order of the format: leaf hash, log key, witnesses,
    /// inclusion. Returns the checkpoint under which the entry stands.
    ///
    /// # Errors
    /// The policy is not satisfied, or the entry is not in the tree at that index.
    pub fn verify(&self, entry: &[u8], policy: &Policy) -> Result<Checkpoint, TlogProofError> {
        let leaf = Hash::leaf(entry);
        let checkpoint = policy.check(&self.checkpoint).map_err(TlogProofError::Policy)?;
        let (index, size) = (self.index, checkpoint.size);
        verify_inclusion(&leaf, index, size, &self.path, &checkpoint.root)
            .map_err(|reason| TlogProofError::NotIncluded { index, size, reason })?;
        Ok(checkpoint)
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", text::to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::super::key::Verifier;
    use super::super::key::tests::{LOG_VKEY, WITNESS_VKEY};
    use super::*;
    use proptest::prelude::*;

    const PROOF: &str = include_str!("../../tests/vectors/log600/sample.tlog-proof");
    const ENTRY: &[u8] = include_bytes!("../../tests/vectors/log600/sample.entry");

    fn policy() -> Policy {
        let text = format!("log {LOG_VKEY}\nwitness w {WITNESS_VKEY}\nquorum w\n");
        Policy::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_golden_proof_verifies_and_is_written_back() {
        let proof = TlogProof::parse(PROOF).unwrap();
        assert_eq!(proof.to_string(), PROOF);
        assert_eq!((proof.index, proof.path.len()), (400, 10));
        assert_eq!(proof.verify(ENTRY, &policy()).unwrap().size, 600);
        let log = Policy::of_log(Verifier::parse(LOG_VKEY).unwrap());
        assert!(proof.verify(ENTRY, &log).is_ok());
        assert!(matches!(
            proof.verify(b"another", &policy()),
            Err(TlogProofError::NotIncluded { index: 400, size: 600, .. })
        ));
        let with_extra = TlogProof { extra: Some(ENTRY.to_vec()), ..proof };
        assert_eq!(TlogProof::parse(&with_extra.to_string()).unwrap(), with_extra);
    }

    #[test]
    fn every_flipped_byte_of_a_proof_is_noticed() {
        for place in 0..PROOF.len() {
            let mut spoiled = PROOF.as_bytes().to_vec();
            spoiled[place] ^= 1 << (place % 8);
            let Ok(spoiled) = String::from_utf8(spoiled) else { continue };
            let proof = TlogProof::parse(&spoiled);
            assert!(proof.and_then(|proof| proof.verify(ENTRY, &policy())).is_err());
        }
    }

    #[test]
    fn malformed_proofs_are_refused() {
        let (head, note) = PROOF.split_once("\n\n").unwrap();
        let hash = Hash::of_nothing().to_base64();
        for bad in [
            String::new(),
            note.to_owned(),
            PROOF.replace("@v1", "@v2"),
            PROOF.replace("index 400", "index 0400"),
            PROOF.replace("index 400\n", ""),
            PROOF.replace("index 400", "extra AB==\nindex 400"),
            PROOF.replace("index 400", "extra AA==\nextra AA==\nindex 400"),
            PROOF.replace("index 400", "index 400\nextra AA=="),
            PROOF.replace("index 400", "index 400\nindex 400"),
            format!("{head}\nAA==\n\n{note}"),
            format!("{head}{}\n\n{note}", format!("\n{hash}").repeat(54)),
            head.to_owned(),
            format!("{head}\n\n"),
        ] {
            assert!(TlogProof::parse(&bad).is_err(), "{bad:?}");
        }
        let longest = format!("{head}{}\n\n{note}", format!("\n{hash}").repeat(53));
        assert!(TlogProof::parse(&longest).is_ok());
    }

    proptest! {
        #[test]
        fn any_text_is_a_proof_or_refused(lines in "[a-z0-9 =\n]{0,60}") {
            let text = format!("{MAGIC}\n{lines}");
            if let Ok(proof) = TlogProof::parse(&text) {
                prop_assert_eq!(proof.to_string(), text);
            }
        }
    }
}
