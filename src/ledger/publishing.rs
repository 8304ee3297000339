//! What is published next, and when: a checkpoint that follows from the last one.
//!
//! Reference page §15: each second if the ledger grew, else once a minute as a heartbeat, which
//! proves that nothing happened. Sizes only grow, and nothing is published that does not begin
//! with all that was published before.

use crate::clock::{Moment, SECOND};
use crate::merkle::Hash;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::{Note, NoteError};
use crate::merkle::proof::{TreeHead, verify_consistency};

use super::prove::{ProveError, prove_consistency};
use super::witness::answer::Question;
use super::{Alarm, Archive, Notary, NotaryError};

/// Least time between two sizes. A little under a second, so that a timer that fires early does
/// not lose its turn.
const GROWN_AFTER: i64 = 900 * SECOND / 1_000;

/// Time after which a ledger that did not grow says so.
const BEAT_AFTER: i64 = 60 * SECOND;

/// A clock that runs behind the last publication by more than this was turned back; replicas may
/// differ by less.
const CLOCK_SLACK: i64 = 2 * SECOND;

/// A checkpoint as it was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Number of entries.
    pub size: u64,
    /// The note with the log's signatures.
    pub note: String,
    /// When it was published, or last renewed.
    pub at: Moment,
}

impl Published {
    /// The note as it was published.
    ///
    /// # Errors
    /// The row was altered.
    pub fn read(&self) -> Result<Note, NoteError> {
        Note::parse(self.note.as_bytes())
    }
}

/// What is to be published now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A new size.
    Grown(Note),
    /// The same size again.
    Beat(Note),
    /// Nothing yet.
    Nothing,
}

/// What is to be published now, and what was noticed on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// What to do.
    pub step: Step,
    /// Number of entries in the head.
    pub size: u64,
    /// Whether the clock stands before the last publication. The order of entries does not
    /// depend on it; somebody should look all the same.
    pub clock_behind: bool,
}

/// Why nothing may be published.
#[derive(Debug, thiserror::Error)]
pub enum Unpublishable {
    /// The ledger does not continue what was published.
    #[error(transparent)]
    Alarm(#[from] Alarm),
    /// The proof cannot be made or the note not signed.
    #[error(transparent)]
    Notary(#[from] NotaryError),
}

/// Who saw what an alarm of this file speaks of.
const BY: &str = "the newest published checkpoint";

/// Decides what follows the last publication. Call it while no other replica can publish.
///
/// # Errors
/// The head is smaller than what was published, or another history; rows that cannot be read.
pub fn due<A: Archive>(
    archive: &mut A,
    notary: &Notary,
    last: Option<&Published>,
    now: Moment,
) -> Result<Due, Unpublishable> {
    let head = archive.head().map_err(|error| NotaryError::Prove(error.into()))?;
    let size = head.size();
    let since = last.map(|last| now.0.saturating_sub(last.at.0));
    let clock_behind = since.is_some_and(|since| since < -CLOCK_SLACK);
    let waited = |least| clock_behind || since.is_none_or(|since| since >= least);
    if let Some(last) = last {
        let head = TreeHead { size, root: head.frontier.root() };
        follows(archive, last, head)?;
    }
    let grown = size > last.map_or(0, |last| last.size);
    let step = match (grown, last) {
        (true, _) if waited(GROWN_AFTER) => Step::Grown(notary.checkpoint(&head)?),
        (false, Some(_)) if waited(BEAT_AFTER) => Step::Beat(notary.checkpoint(&head)?),
        _ => Step::Nothing,
    };
    Ok(Due { step, size, clock_behind })
}

/// Asks a witness for its line below a published checkpoint, with the proof from the size that it
/// has seen. `None` if the stored note cannot be read.
pub fn question(published: &Published, old: u64, proof: Vec<Hash>) -> Option<Question> {
    let note = published.read().ok()?;
    Some(Question::new(old, proof, note, published.size))
}

/// Checks that a head begins with all that was published.
fn follows<A: Archive>(
    archive: &mut A,
    last: &Published,
    head: TreeHead,
) -> Result<(), Unpublishable> {
    let forked = || Alarm::Forked { have: head.size, size: last.size, by: BY.to_owned() };
    if head.size < last.size {
        let (have, seen) = (head.size, last.size);
        return Err(Alarm::RolledBack { have, seen, by: BY.to_owned() }.into());
    }
    let note = last.read().map_err(|_| forked())?;
    let old = Checkpoint::parse(note.text()).map_err(|_| forked())?.head();
    let path = match prove_consistency(archive, old.size, head.size) {
        Ok(path) => path,
        Err(ProveError::Beyond) => return Err(forked().into()),
        Err(error) => return Err(NotaryError::Prove(error).into()),
    };
    verify_consistency(&old, &head, &path).map_err(|_| forked().into())
}
