//! Keeps the newest checkpoint in a place outside the database, and looks at what is kept there.
//!
//! A place is its own cursor: what it holds is read before anything is added, so a process that
//! starts again, a second replica and a copied database all go on from the same point. Whoever
//! comes second with another history finds the first one's note.

mod bucket;

mod file;

mod folder;

mod git;

mod timestamp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::flows::anchor::{compare, offer};
use crate::flows::outside::{self, Reach};
use crate::flows::{Error, Gateway};

pub use bucket::AnchorBucket;
pub use file::{AnchorFile, newest_line};
pub use folder::AnchorFolder;
pub use git::AnchorRepository;
pub use timestamp::AnchorTimestamps;

/// What is kept is looked at as often as this, even where something is added more rarely.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The first wait after a failure; it doubles up to [`LOOK_EVERY`].
const RETRY_FIRST: Duration = Duration::from_secs(2);

/// Why a place could not be used, in a sentence that names it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {says}")]
pub struct PlaceFault {
    /// The place.
    pub place: String,
    /// What is wrong.
    pub says: String,
}

impl PlaceFault {
    fn new(place: impl std::fmt::Display, says: impl std::fmt::Display) -> Self {
        Self { place: place.to_string(), says: says.to_string() }
    }
}

/// How adding a note ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// It is there, and survives the loss of power.
    Added,
    /// A note of this size was there before; this is it.
    Present(String),
}

/// A place outside the database where checkpoints are kept.
#[derive(Debug, Clone)]
pub enum Place {
    /// A bucket with one object per checkpoint.
    Bucket(Arc<AnchorBucket>),
    /// An append-only file.
    File(Arc<AnchorFile>),
    /// A folder with one file per checkpoint.
    Folder(Arc<AnchorFolder>),
    /// A git repository with one commit per checkpoint.
    Git(Arc<AnchorRepository>),
    /// A folder with one file per checkpoint, each stamped by a timestamp authority.
    Timestamp(Arc<AnchorTimestamps>),
}

impl Place {
    /// The newest note that is kept there.
    ///
    /// # Errors
    /// The place cannot be read.
    pub async fn newest(&self) -> Result<Option<String>, PlaceFault> {
        match self.clone() {
            Self::Bucket(bucket) => bucket.newest().await,
            Self::File(file) => aside(move || file.newest()).await,
            Self::Folder(folder) => aside(move || folder.newest()).await,
            Self::Git(repository) => aside(move || repository.newest()).await,
            Self::Timestamp(stamped) => aside(move || stamped.newest()).await,
        }
    }

    /// What somebody else says of the newest note, in words, where the place asks anybody. Reads
    /// what is kept there, and asks nobody.
    ///
    /// # Errors
    /// The place cannot be read, or what is kept does not count.
    pub async fn vouched(&self) -> Result<Option<String>, PlaceFault> {
        match self.clone() {
            Self::Timestamp(stamped) => aside(move || stamped.vouched()).await.map(Some),
            _ => Ok(None),
        }
    }

    /// Finishes what an earlier round, or another replica, left undone about the newest note.
    ///
    /// # Errors
    /// It cannot be finished, or what is kept does not count.
    async fn complete(&self) -> Result<(), PlaceFault> {
        match self {
            Self::Timestamp(stamped) => stamped.complete().await,
            _ => Ok(()),
        }
    }

    /// Adds the note of a larger tree. When this returns, it is durable there.
    ///
    /// # Errors
    /// The place cannot be written.
    pub async fn keep(&self, size: u64, note: String) -> Result<Kept, PlaceFault> {
        match self.clone() {
            Self::Bucket(bucket) => bucket.keep(size, &note).await,
            Self::File(file) => aside(move || file.keep(size, &note)).await,
            Self::Folder(folder) => aside(move || folder.keep(size, &note)).await,
            Self::Git(repository) => aside(move || repository.keep(size, &note)).await,
            Self::Timestamp(stamped) => stamped.keep(size, note).await,
        }
    }
}

/// Runs what may wait for a disk beside the threads that serve.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PlaceFault> + Send + 'static,
) -> Result<T, PlaceFault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(PlaceFault::new("anchor", error)),
    }
}

/// A place under its name, and how often something is added.
#[derive(Debug, Clone)]
pub struct Anchor {
    /// Its name in readiness and alarms, such as `git:/mnt/evidence`.
    pub name: String,
    /// What kind it is, for metrics.
    pub kind: &'static str,
    /// How far away it is.
    pub reach: Reach,
    /// The place.
    pub place: Place,
    /// A checkpoint is added at most this often.
    pub every: Duration,
}

/// How one look at a place ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// What is kept there fits, and nothing had to be added.
    Looked,
    /// A checkpoint was added.
    Added,
    /// The place could not be used; it is tried again.
    Failed,
    /// What is kept there contradicts the ledger: the alarm is raised.
    Stopped,
}

impl Round {
    /// The word in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Looked => "looked",
            Self::Added => "added",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// Runs until an alarm stops the ledger. `seen` hears of every round.
pub async fn run(gateway: Gateway, anchor: Anchor, seen: impl Fn(&'static str, Round)) {
    outside::expect(&gateway, &anchor.name, anchor.reach).await;
    let mut wait = RETRY_FIRST;
    let mut added_at = None;
    while gateway.alarm_raised().is_none() {
        let due = added_at.is_none_or(|at: tokio::time::Instant| at.elapsed() >= anchor.every);
        let round = round(&gateway, &anchor, due).await;
        seen(anchor.kind, round);
        if round == Round::Added {
            added_at = Some(tokio::time::Instant::now());
        }
        wait = match round {
            Round::Failed => (wait * 2).min(LOOK_EVERY),
            _ => RETRY_FIRST,
        };
        let pause = if round == Round::Failed { wait } else { LOOK_EVERY.min(anchor.every) };
        tokio::time::sleep(pause).await;
    }
}

/// One look: what is kept there is compared first; then, if it is `due`, the newest is added.
pub async fn round(gateway: &Gateway, anchor: &Anchor, due: bool) -> Round {
    match look(gateway, anchor, due).await {
        Ok(added) => {
            outside::vouched(gateway, &anchor.name).await;
            if added { Round::Added } else { Round::Looked }
        }
        Err(Trouble::Story(Error::Stopped(alarm))) => {
            tracing::error!(anchor = anchor.name, %alarm, "an anchor contradicts the ledger");
            Round::Stopped
        }
        Err(trouble) => {
            tracing::warn!(anchor = anchor.name, %trouble, "an anchor failed");
            gateway.outside().failed(&anchor.name, &trouble.to_string());
            Round::Failed
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Place(#[from] PlaceFault),
    #[error(transparent)]
    Story(#[from] Error),
}

/// Whether something was added.
async fn look(gateway: &Gateway, anchor: &Anchor, due: bool) -> Result<bool, Trouble> {
    let mut kept = None;
    if let Some(note) = anchor.place.newest().await? {
        kept = Some(compare(gateway, &anchor.name, &note).await?);
        anchor.place.complete().await?;
    }
    let offer = offer(gateway).await?;
    if !due || offer.size == 0 || kept.is_some_and(|size| size >= offer.size) {
        return Ok(false);
    }
    match anchor.place.keep(offer.size, offer.note).await? {
        Kept::Added => Ok(true),
        Kept::Present(note) => {
            compare(gateway, &anchor.name, &note).await?;
            Ok(false)
        }
    }
}

/// The name of the note of a size: names sort as sizes do.
fn note_name(size: u64) -> String {
    format!("{size:020}.note")
}

/// The size in a name that [`note_name`] gave.
fn size_of_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".note").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

/// Makes what was done in a folder durable: its list of names is data too.
pub(super) fn sync_folder(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// The folder that a file stands in.
fn folder_of(file: &std::path::Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
