//! A witness of logs: cosigns a checkpoint that continues all that it has cosigned before.
//!
//! Pure: the caller keeps `Kept`, and calls `cosign` in the one atomic step that reads and
//! replaces it. Only then may the answer leave.

use crate::clock::Moment;
use crate::merkle::Hash;
use crate::merkle::add_checkpoint::AddCheckpoint;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::cosignature;
use crate::merkle::key::{KeyType, Signer, Verifier};
use crate::merkle::proof::TreeHead;

pub use crate::merkle::add_checkpoint::{REQUEST_BYTES_MAX, Refusal};

/// The largest tree that was cosigned for an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Number of entries.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// The checkpoint with the log's signatures and the cosignature.
    pub note: String,
}

/// A request that passed every check that needs no memory.
#[derive(Debug, Clone)]
pub struct Admitted {
    request: AddCheckpoint,
    checkpoint: Checkpoint,
}

impl Admitted {
    /// The log's origin: under this name the memory is kept.
    pub fn origin(&self) -> &str {
        &self.checkpoint.origin
    }
}

/// A cosigned checkpoint: what to keep, and what to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// What replaces the memory of this origin.
    pub kept: Kept,
    /// The answer: our signature line alone.
    pub line: String,
}

/// The key of a witness does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a witness signs with a key of type 0x04 that belongs to no log")]
pub struct NotAWitnessKey;

/// A witness's key, and the logs it follows. Has no printable form.
pub struct Cosigner {
    signer: Signer,
    logs: Vec<Verifier>,
}

impl Cosigner {
    /// A witness of these logs.
    ///
    /// # Errors
    /// The signer is a log's, or one of the logs has the same public key.
    pub fn new(signer: Signer, logs: Vec<Verifier>) -> Result<Self, NotAWitnessKey> {
        let own = signer.verifier();
        let shared = logs.iter().any(|log| log.public_key() == own.public_key());
        if shared || own.key_type() != KeyType::Witness {
            return Err(NotAWitnessKey);
        }
        Ok(Self { signer, logs })
    }

    /// The public key, as logs and readers write it into their policies.
    pub fn verifier(&self) -> &Verifier {
        self.signer.verifier()
    }

    /// The origins of the logs it follows.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.iter().map(Verifier::name)
    }

    /// Reads a request and checks all that needs no memory.
    ///
    /// # Errors
    /// `Malformed`, `UnknownLog`, `Untrusted` or `OldBeyondSize`.
    pub fn admit(&self, body: &[u8]) -> Result<Admitted, Refusal> {
        let request = AddCheckpoint::parse(body)?;
        let checkpoint = request.admit(&self.logs)?;
        Ok(Admitted { request, checkpoint })
    }

    /// Cosigns if the checkpoint continues what was cosigned last.
    ///
    /// # Errors
    /// `Moved` or `Inconsistent`; then the memory stays as it is.
    pub fn cosign(
        &self,
        admitted: &Admitted,
        latest: Option<&Kept>,
        now: Moment,
    ) -> Result<Cosigned, Refusal> {
        let Admitted { request, checkpoint } = admitted;
        let head = latest.map(|kept| TreeHead { size: kept.size, root: kept.root });
        request.follow(checkpoint, head)?;
        let seconds = u64::try_from(now.seconds()).unwrap_or(0);
        // A clock before 1970 cannot cosign: there is no time to write.
        let line = cosignature::sign(request.note.text(), &self.signer, seconds)
            .map_err(|_| Refusal::Malformed)?;
        let mut note = request.note.clone();
        note.add(line.clone());
        let kept = Kept { size: checkpoint.size, root: checkpoint.root, note: note.to_string() };
        Ok(Cosigned { kept, line: line.to_line() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]
mod tests {
    use super::*;
    use crate::merkle::note::Note;
    use crate::merkle::proof::{HashSource, consistency};
    use crate::merkle::tree::root_of;
    use proptest::prelude::*;
    use std::convert::Infallible;

    const ORIGIN: &str = "log.example.com/a";

    /// A history: its leaves.
    struct Leaves(Vec<Hash>);

    impl HashSource for Leaves {
        type Error = Infallible;

        fn hash(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
            let width = 1_usize << level;
            let from = usize::try_from(index).unwrap() * width;
            Ok(root_of(&self.0[from..from + width]))
        }
    }

    /// Two histories that part after ten entries.
    fn history(fork: bool) -> Leaves {
        let leaf = |n: u8| Hash::leaf(&[n, u8::from(fork && n >= 10)]);
        Leaves((0..40).map(leaf).collect())
    }

    fn log() -> Signer {
        Signer::from_seed(ORIGIN, KeyType::Log, &[1; 32]).unwrap()
    }

    fn witness() -> Cosigner {
        let signer = Signer::from_seed("w", KeyType::Witness, &[2; 32]).unwrap();
        Cosigner::new(signer, vec![log().verifier().clone()]).unwrap()
    }

    fn request(fork: bool, old: u64, size: u64) -> Vec<u8> {
        let mut leaves = history(fork);
        let root = root_of(&leaves.0[..usize::try_from(size).unwrap()]);
        let Ok(proof) = consistency(&mut leaves, old.min(size), size);
        let note = Checkpoint { origin: ORIGIN.into(), size, root }.sign(&[log()]).unwrap();
        AddCheckpoint { old, proof, note }.to_string().into_bytes()
    }

    #[test]
    fn a_witness_has_a_key_of_its_own() {
        let logs = vec![log().verifier().clone()];
        assert!(Cosigner::new(log(), logs.clone()).is_err());
        let same_key = Signer::from_seed("w", KeyType::Witness, &[1; 32]).unwrap();
        assert!(Cosigner::new(same_key, logs).is_err());
    }

    #[test]
    fn a_clock_before_1970_cosigns_nothing() {
        let admitted = witness().admit(&request(false, 0, 3)).unwrap();
        assert!(witness().cosign(&admitted, None, Moment(0)).is_err());
    }

    proptest! {
        /// Whatever is handed in, in whatever order: what two witnesses remember never gets
        /// smaller, and all that one of them cosigned is one history.
        #[test]
        fn a_memory_never_goes_back_and_holds_one_history(
            asked in proptest::collection::vec((any::<bool>(), 0_u64..2, 0_u64..40, any::<bool>()), 1..40)
        ) {
            let witness = witness();
            let known = [witness.verifier().clone()];
            let mut memories: [Option<Kept>; 2] = [None, None];
            let mut sides: [Option<bool>; 2] = [None, None];
            for (fork, which, size, honest) in asked {
                let which = usize::try_from(which).unwrap();
                let latest = memories[which].as_ref().map_or(0, |kept| kept.size);
                let old = if honest { latest } else { size / 2 };
                let admitted = witness.admit(&request(fork, old, size));
                let Ok(admitted) = admitted else {
                    prop_assert!(old > size);
                    continue;
                };
                let before = memories[which].clone();
                match witness.cosign(&admitted, before.as_ref(), Moment(5_000_000)) {
                    Ok(cosigned) => {
                        prop_assert!(cosigned.kept.size >= latest);
                        if size > 10 {
                            prop_assert_eq!(*sides[which].get_or_insert(fork), fork);
                        }
                        let note = Note::parse(cosigned.kept.note.as_bytes()).unwrap();
                        prop_assert_eq!(note.verify(&known).unwrap()[0].time, Some(5));
                        prop_assert!(cosigned.kept.note.ends_with(&cosigned.line));
                        memories[which] = Some(cosigned.kept);
                    }
                    Err(refused) => {
                        let right = honest && sides[which].is_none_or(|side| side == fork);
                        prop_assert!(!right || size < latest, "{}", refused);
                    }
                }
            }
        }
    }
}
