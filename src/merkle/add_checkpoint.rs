//! What a log sends to a witness, and the checks of the witness in their order
//! (`c2sp.org/tlog-witness`, `add-checkpoint`).

use std::fmt;

use super::checkpoint::Checkpoint;
use super::hash::Hash;
use super::key::Verifier;
use super::note::Note;
use super::proof::{TreeHead, verify_consistency};
use super::text;

/// Longest request that is read, in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// Longest consistency proof.
const HASHES_MAX: usize = 63;

/// Why a witness does not cosign. The order of the variants is the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a request: too long, a malformed line, number, hash, note or checkpoint.
    #[error("not an add-checkpoint request: old <size>, the proof, an empty line, the checkpoint")]
    Malformed,
    /// The origin is not that of a log this witness follows.
    #[error("this witness does not follow a log of that origin")]
    UnknownLog,
    /// No trusted key signed, or the line of one does not verify.
    #[error("no key that this witness trusts for the log has signed, or its signature is wrong")]
    Untrusted,
    /// The old size is above that of the checkpoint.
    #[error("the old size is larger than the checkpoint")]
    OldBeyondSize,
    /// The old size is not the one that was last cosigned.
    #[error("the newest checkpoint cosigned here has {latest} entries")]
    Moved {
        /// The size that was last cosigned; 0 if none was.
        latest: u64,
    },
    /// The proof does not lead from what was last cosigned to this checkpoint.
    #[error("the checkpoint does not continue what this witness has cosigned")]
    Inconsistent,
}

/// A request as read or written; nothing is believed before `admit` and `follow`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size that the log believes the witness has last cosigned.
    pub old: u64,
    /// Consistency proof from there to the checkpoint.
    pub proof: Vec<Hash>,
    /// The checkpoint with the log's signatures.
    pub note: Note,
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// `Malformed`: more than 16 KiB or 63 hashes, or any other spelling than the one that
    /// `Display` writes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let bad = Refusal::Malformed;
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(bad);
        }
        let request = std::str::from_utf8(bytes).map_err(|_| bad)?;
        let (head, note) = request.split_once("\n\n").ok_or(bad)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(text::decimal).ok_or(bad)?;
        let proof: Option<Vec<Hash>> = lines.take(HASHES_MAX + 1).map(Hash::from_base64).collect();
        let proof = proof.filter(|proof| proof.len() <= HASHES_MAX).ok_or(bad)?;
        let note = Note::parse(note.as_bytes()).map_err(|_| bad)?;
        Ok(Self { old, proof, note })
    }

    /// Checks all that can be checked without knowing what was cosigned before: origin,
    /// signatures, old size. Gives the checkpoint.
    ///
    /// # Errors
    /// `Malformed`, `UnknownLog`, `Untrusted` or `OldBeyondSize`.
    pub fn admit(&self, logs: &[Verifier]) -> Result<Checkpoint, Refusal> {
        let checkpoint = Checkpoint::parse(self.note.text()).map_err(|_| Refusal::Malformed)?;
        let keys: Vec<Verifier> =
            logs.iter().filter(|log| log.name() == checkpoint.origin).cloned().collect();
        if keys.is_empty() {
            return Err(Refusal::UnknownLog);
        }
        self.note.verify(&keys).map_err(|_| Refusal::Untrusted)?;
        if self.old > checkpoint.size { Err(Refusal::OldBeyondSize) } else { Ok(checkpoint) }
    }

    /// Checks an admitted checkpoint against what was last cosigned for its origin; `None` if
    /// nothing was. Call it in the same atomic step that persists the checkpoint.
    ///
    /// # Errors
    /// `Moved` or `Inconsistent`.
    pub fn follow(&self, new: &Checkpoint, latest: Option<TreeHead>) -> Result<(), Refusal> {
        let latest = latest.unwrap_or(TreeHead { size: 0, root: Hash::of_nothing() });
        if self.old != latest.size {
            return Err(Refusal::Moved { latest: latest.size });
        }
        let empty = new.size > 0 || new.root == Hash::of_nothing();
        let follows = verify_consistency(&latest, &new.head(), &self.proof).is_ok();
        if empty && follows { Ok(()) } else { Err(Refusal::Inconsistent) }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", hash.to_base64()))?;
        write!(f, "\n{}", self.note)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::super::key::tests::{log_signer, witness_signer};
    use super::*;
    use proptest::prelude::*;

    const GOLDEN: &str = include_str!("../../tests/vectors/log600/add-checkpoint.request");

    fn logs() -> [Verifier; 1] {
        [log_signer().verifier().clone()]
    }

    fn old() -> TreeHead {
        let note = Note::parse(include_bytes!("../../tests/vectors/log600/old-checkpoint"));
        Checkpoint::parse(note.unwrap().text()).unwrap().head()
    }

    #[test]
    fn the_golden_request_is_admitted_and_follows() {
        let request = AddCheckpoint::parse(GOLDEN.as_bytes()).unwrap();
        assert_eq!(request.to_string(), GOLDEN);
        assert_eq!((request.old, request.proof.len()), (300, 9));
        let checkpoint = request.admit(&logs()).unwrap();
        assert_eq!(checkpoint.size, 600);
        assert_eq!(request.follow(&checkpoint, Some(old())), Ok(()));
        assert_eq!(request.follow(&checkpoint, None), Err(Refusal::Moved { latest: 0 }));
    }

    #[test]
    fn every_flipped_byte_of_a_request_is_refused() {
        for place in 0..GOLDEN.len() {
            let mut spoiled = GOLDEN.as_bytes().to_vec();
            spoiled[place] ^= 1 << (place % 7);
            let outcome = AddCheckpoint::parse(&spoiled).and_then(|request| {
                let checkpoint = request.admit(&logs())?;
                request.follow(&checkpoint, Some(old()))
            });
            assert!(outcome.is_err(), "byte {place}");
        }
    }

    #[test]
    fn what_is_not_a_request_is_malformed() {
        let hash = Hash::of_nothing().to_base64();
        for bad in [
            String::new(),
            GOLDEN.replace("old 300", "old +300"),
            GOLDEN.replace("old 300", "old 0300"),
            GOLDEN.replace("old 300", "old 18446744073709551616"),
            GOLDEN.replace("old 300", "old  300"),
            GOLDEN.replace("old 300", "new 300"),
            GOLDEN.replace("old 300\n", ""),
            GOLDEN.replace("old 300", "old 300\nAA=="),
            GOLDEN.replace("old 300", &format!("old 300{}", format!("\n{hash}").repeat(55))),
            GOLDEN.replace("\n\n", "\n"),
            GOLDEN.replace("old 300", "old 300\r"),
            GOLDEN.trim_end().to_owned(),
            format!("{GOLDEN}\n"),
            format!("old 0\n\n{}", "x".repeat(REQUEST_BYTES_MAX)),
        ] {
            let refused = AddCheckpoint::parse(bad.as_bytes());
            assert_eq!(refused.err(), Some(Refusal::Malformed), "{bad:?}");
        }
        let longest = format!("old 300{}", format!("\n{hash}").repeat(54));
        assert!(AddCheckpoint::parse(GOLDEN.replace("old 300", &longest).as_bytes()).is_ok());
        let (head, _) = GOLDEN.split_once("\n\n").unwrap();
        let text = Note::sign("not a checkpoint\n", &[log_signer()]).unwrap();
        let request = AddCheckpoint::parse(format!("{head}\n\n{text}").as_bytes()).unwrap();
        assert_eq!(request.admit(&logs()), Err(Refusal::Malformed));
    }

    fn request(old: u64, size: u64, root: Hash, proof: Vec<Hash>) -> AddCheckpoint {
        let origin = log_signer().name().to_owned();
        let note = Checkpoint { origin, size, root }.sign(&[log_signer()]).unwrap();
        AddCheckpoint { old, proof, note }
    }

    fn outcome(request: &AddCheckpoint, latest: Option<TreeHead>) -> Result<(), Refusal> {
        request.follow(&request.admit(&logs())?, latest)
    }

    #[test]
    fn each_check_has_its_answer_and_they_come_in_order() {
        let golden = AddCheckpoint::parse(GOLDEN.as_bytes()).unwrap();
        // An unknown origin is named before a bad signature.
        assert_eq!(golden.admit(&[]), Err(Refusal::UnknownLog));
        assert_eq!(golden.admit(&[witness_signer().verifier().clone()]), Err(Refusal::UnknownLog));
        let other = super::super::key::Signer::from_seed(
            log_signer().name(),
            super::super::key::KeyType::Log,
            &[9; 32],
        );
        let other = [other.unwrap().verifier().clone()];
        assert_eq!(golden.admit(&other), Err(Refusal::Untrusted));
        // A trusted key's bad line is refused although another trusted key signed well.
        let mut forged = golden.clone();
        let mut line = forged.note.signatures()[0].clone();
        line.payload[0] ^= 1;
        forged.note.add(line);
        assert_eq!(forged.admit(&logs()), Err(Refusal::Untrusted));
        // Signatures come before sizes, sizes before state, state before the proof.
        let root = Hash::leaf(b"x");
        let backwards = request(601, 600, root, Vec::new());
        assert_eq!(outcome(&backwards, Some(old())), Err(Refusal::OldBeyondSize));
        let moved = request(299, 600, root, vec![root]);
        assert_eq!(outcome(&moved, Some(old())), Err(Refusal::Moved { latest: 300 }));
        let bent = AddCheckpoint { proof: Vec::new(), ..golden };
        assert_eq!(outcome(&bent, Some(old())), Err(Refusal::Inconsistent));
    }

    #[test]
    fn the_borders_of_size_and_proof_are_kept() {
        let (nothing, root) = (Hash::of_nothing(), Hash::leaf(b"x"));
        assert_eq!(outcome(&request(0, 0, nothing, vec![]), None), Ok(()));
        assert_eq!(outcome(&request(0, 0, root, vec![]), None), Err(Refusal::Inconsistent));
        assert_eq!(outcome(&request(0, 5, root, vec![]), None), Ok(()));
        assert_eq!(outcome(&request(0, 5, root, vec![root]), None), Err(Refusal::Inconsistent));
        let five = Some(TreeHead { size: 5, root });
        assert_eq!(outcome(&request(5, 5, root, vec![]), five), Ok(()));
        assert_eq!(outcome(&request(5, 5, nothing, vec![]), five), Err(Refusal::Inconsistent));
        assert_eq!(outcome(&request(5, 5, root, vec![root]), five), Err(Refusal::Inconsistent));
        assert_eq!(outcome(&request(5, 6, root, vec![]), five), Err(Refusal::Inconsistent));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            text in "(old [0-9]{1,3}\n)?([A-Za-z0-9+/=]{44}\n){0,3}\n?[a-z\n]{0,20}(— a b\n)?",
        ) {
            for input in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(request) = AddCheckpoint::parse(input) {
                    let written = request.to_string();
                    prop_assert_eq!(written.as_bytes(), input);
                }
            }
        }
    }
}
