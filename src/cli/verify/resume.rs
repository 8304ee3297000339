//! How far a log was verified, in a file: the next run goes on from there.
//!
//! What was checked is bound to the tree it was checked in: if that tree is no longer the
//! beginning of the log, the file says so instead of vouching for something else. Entries that
//! were hashed in an earlier run are not read again; their hashes are, up to the root.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock::{Clock, Moment, SECOND};
use crate::ledger::Archive;
use crate::ledger::prove::root_at;
use crate::ledger::verify::Progress;
use crate::merkle::Hash;
use crate::merkle::proof::TreeHead;

use super::super::installation::{chain, read_file, write_public};
use super::super::partners::invalid;
use super::super::say::Failure;

/// The file is written at most so often while a walk goes on.
const SAVE_EVERY: i64 = 2 * SECOND;

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checked {
    /// Size of the log when it was checked.
    size: u64,
    /// Its root then, in base64.
    root: String,
    /// All entries below this index were found sound.
    done: u64,
    /// All rows that hang on the entries below this index were, too.
    #[serde(default)]
    rows: u64,
}

/// What a walk looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Entries, tiles and a checkpoint: what others can read.
    Published,
    /// All that a database holds.
    Rows,
}

/// A state that is kept while a walk goes on; nothing at all without a file.
#[derive(Debug)]
pub(super) struct Resume {
    depth: Depth,
    file: Option<PathBuf>,
    before: Option<Checked>,
    head: Option<TreeHead>,
    saved_at: Option<Moment>,
}

impl Resume {
    /// Reads the state of an earlier run, if there was one.
    pub(super) fn open(file: Option<&Path>, depth: Depth) -> Result<Self, Failure> {
        let before = match file.filter(|path| path.exists()) {
            Some(path) => {
                let read = serde_json::from_slice(&read_file(path)?);
                let wrong = |error| invalid("resume", format!("{}: {error}", path.display()));
                Some(read.map_err(wrong)?)
            }
            None => None,
        };
        Ok(Self { depth, file: file.map(Path::to_owned), before, head: None, saved_at: None })
    }

    /// The first entry that is still to be read: the beginning of a tile.
    pub(super) fn from(&self) -> u64 {
        let Some(before) = &self.before else { return 0 };
        let settled = match self.depth {
            Depth::Published => before.done,
            Depth::Rows => before.rows.min(before.done),
        };
        settled - settled % 256
    }

    /// Begins a walk of a log with this head. What is wrong, if the log is not the one of the
    /// file any more.
    pub(super) fn begin<A: Archive>(
        &mut self,
        archive: &mut A,
        head: TreeHead,
    ) -> Result<Option<String>, Failure> {
        self.head = Some(head);
        let Some(before) = &self.before else { return Ok(None) };
        let root = Hash::from_base64(&before.root).filter(|_| before.done <= before.size);
        let root = root.ok_or_else(|| invalid("resume", "does not hold a checked state"))?;
        if before.size > head.size {
            return Ok(Some(format!(
                "{} entries were verified before, and now there are {}",
                before.size, head.size
            )));
        }
        let now = root_at(archive, before.size).map_err(|error| Failure::broken(chain(&error)))?;
        let says =
            || format!("the first {} entries are not those that were verified before", before.size);
        Ok((now != root).then(says))
    }

    /// Hears how far the walk is. After a first finding nothing is kept any more.
    pub(super) fn hear(&mut self, progress: Progress) {
        if self.depth == Depth::Rows {
            return;
        }
        let now = Clock::System.now();
        let late = self.saved_at.is_none_or(|at| now.0.saturating_sub(at.0) >= SAVE_EVERY);
        if late && progress.sound {
            self.saved_at = Some(now);
            if let Err(failure) = self.save(progress.done) {
                tracing::warn!(%failure, "the state cannot be kept");
            }
        }
    }

    /// Keeps that everything below `done` is sound, as deep as this walk looked.
    pub(super) fn save(&self, done: u64) -> Result<(), Failure> {
        let (Some(file), Some(head)) = (&self.file, self.head) else { return Ok(()) };
        let rows = match self.depth {
            Depth::Published => self.before.as_ref().map_or(0, |before| before.rows),
            Depth::Rows => done,
        };
        let checked = Checked { size: head.size, root: head.root.to_base64(), done, rows };
        write_public(file, &serde_json::to_vec(&checked).map_err(Failure::broken)?)
    }
}
