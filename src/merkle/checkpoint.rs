//! What a log signs: its origin, its size and its root (`c2sp.org/tlog-checkpoint`).

use super::hash::Hash;
use super::key::{Signer, is_key_name};
use super::note::{Note, NoteError};
use super::proof::TreeHead;
use super::text;

/// Most extension lines that are read. We write none.
const MAX_EXTENSIONS: usize = 16;

/// A text is not the body of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: origin, size and root, a line each")]
pub struct BadCheckpoint;

/// The body of a checkpoint: a promise about every entry so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, a URL without scheme and final slash.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a note. Extension lines are tolerated and dropped.
    ///
    /// # Errors
    /// Not three or more non-empty lines of the right form.
    pub fn parse(text: &str) -> Result<Self, BadCheckpoint> {
        let lines: Vec<&str> = text
            .strip_suffix('\n')
            .ok_or(BadCheckpoint)?
            .splitn(MAX_EXTENSIONS + 4, '\n')
            .collect();
        let [origin, size, root, extensions @ ..] = lines.as_slice() else {
            return Err(BadCheckpoint);
        };
        let too_many = extensions.len() > MAX_EXTENSIONS;
        if origin.is_empty() || too_many || extensions.iter().any(|line| line.is_empty()) {
            return Err(BadCheckpoint);
        }
        Ok(Self {
            origin: (*origin).to_owned(),
            size: text::decimal(size).ok_or(BadCheckpoint)?,
            root: Hash::from_base64(root).ok_or(BadCheckpoint)?,
        })
    }

    /// Size and root without the name.
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size, root: self.root }
    }

    /// Signs the checkpoint with the keys of its log.
    ///
    /// # Errors
    /// No key, a key whose name is not the origin, or a witness's key.
    pub fn sign(&self, signers: &[Signer]) -> Result<Note, NoteError> {
        let ours = signers.iter().all(|signer| signer.name() == self.origin);
        if ours && is_key_name(&self.origin) {
            Note::sign(&self.to_string(), signers)
        } else {
            Err(NoteError::Syntax)
        }
    }
}

impl std::fmt::Display for Checkpoint {
    /// The three lines.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, self.root.to_base64())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::super::key::tests::{log_signer, witness_signer};
    use super::*;

    #[test]
    fn the_golden_checkpoints_read_and_sign_byte_for_byte() {
        for (golden, size, root) in [
            (
                include_str!("../../tests/vectors/log600/checkpoint.log-only"),
                600,
                "ebf98b1958fee36eae75d154cb3a49362c5d50601552744f03f2dc4b5bbb4f1b",
            ),
            (
                include_str!("../../tests/vectors/log600/old-checkpoint"),
                300,
                "0cb985b124c0dbf5834ce2003f41a48fb0a718a2c76976d6e8811ef1dc98e417",
            ),
        ] {
            let note = Note::parse(golden.as_bytes()).unwrap();
            let checkpoint = Checkpoint::parse(note.text()).unwrap();
            assert_eq!(checkpoint.size, size);
            assert_eq!(checkpoint.root.to_string(), root);
            assert_eq!(checkpoint.to_string(), note.text());
            assert_eq!(checkpoint.sign(&[log_signer()]).unwrap().to_string(), golden);
        }
    }

    #[test]
    fn extensions_are_tolerated_and_other_lines_are_not() {
        let root = Hash::of_nothing().to_base64();
        assert!(Checkpoint::parse(&format!("o\n0\n{root}\n")).is_ok());
        assert!(Checkpoint::parse(&format!("o\n0\n{root}\n{}", "x\n".repeat(16))).is_ok());
        for bad in [
            String::new(),
            "o\n0\n".to_owned(),
            format!("o\n0\n{root}"),
            format!("\n0\n{root}\n"),
            format!("o\n00\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n18446744073709551616\n{root}\n"),
            format!("o\n0\n{root}=\n"),
            "o\n0\nAA==\n".to_owned(),
            format!("o\n0\n{root}\n\n"),
            format!("o\n0\n{root}\n{}", "x\n".repeat(17)),
            format!("o\n0\n{root}\r\n"),
        ] {
            assert_eq!(Checkpoint::parse(&bad), Err(BadCheckpoint), "{bad:?}");
        }
    }

    #[test]
    fn a_checkpoint_is_signed_only_by_keys_of_its_log() {
        let checkpoint = |origin: &str| Checkpoint {
            origin: origin.to_owned(),
            size: 0,
            root: Hash::of_nothing(),
        };
        assert!(checkpoint("other.example/log").sign(&[log_signer()]).is_err());
        assert!(checkpoint("witness.example.com/w1").sign(&[witness_signer()]).is_err());
        assert!(checkpoint("ledger.example.com/fieldgate").sign(&[]).is_err());
    }

    #[test]
    fn the_public_implementation_reads_our_checkpoints() {
        let text = include_str!("../../tests/vectors/log600/checkpoint.log-only");
        let note = Note::parse(text.as_bytes()).unwrap();
        let theirs = tlog_tiles::Checkpoint::from_bytes(note.text().as_bytes()).unwrap();
        let ours = Checkpoint::parse(note.text()).unwrap();
        assert_eq!((theirs.origin(), theirs.size()), (ours.origin.as_str(), ours.size));
        assert_eq!(theirs.hash().0, ours.root.0);
        assert_eq!(theirs.to_bytes(), ours.to_string().as_bytes());
    }
}
