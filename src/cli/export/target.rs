//! Where an export goes: a folder, or a bucket of an object store, with the same files.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Runtime;

use crate::jobs::bucket::Bucket;

use super::super::installation::write_public;
use super::super::say::{Ending, Failure};

/// Objects under way at once: enough to hide the distance.
const AT_ONCE: usize = 8;

/// A place that gets the files.
pub(super) enum Target {
    Folder(FolderTarget),
    Bucket(BucketTarget),
}

/// A folder.
pub(super) struct FolderTarget {
    dir: PathBuf,
    /// Folders whose lists of names are not flushed yet.
    touched: BTreeSet<PathBuf>,
}

/// A folder in a bucket.
pub(super) struct BucketTarget {
    bucket: Bucket,
    runtime: Runtime,
    /// Names of the tiles that were there when the run began.
    there: BTreeSet<String>,
    /// Objects that wait until enough of them are together.
    waiting: Vec<(String, Vec<u8>)>,
}

impl Target {
    pub(super) fn folder(dir: &Path) -> Self {
        Self::Folder(FolderTarget { dir: dir.to_owned(), touched: BTreeSet::new() })
    }

    /// A bucket, and what is there already.
    pub(super) fn bucket(bucket: Bucket) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Failure::broken)?;
        let there = runtime.block_on(bucket.names("tile")).map_err(unreachable)?;
        Ok(Self::Bucket(BucketTarget { bucket, runtime, there, waiting: Vec::new() }))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.dir.join(path).exists(),
            Self::Bucket(bucket) => bucket.there.contains(path),
        }
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Folder(folder) => match std::fs::read(folder.dir.join(path)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Failure::broken(format!("cannot read {path}: {error}"))),
            },
            Self::Bucket(BucketTarget { bucket, runtime, .. }) => {
                runtime.block_on(bucket.get(path)).map_err(unreachable)
            }
        }
    }

    /// Writes a file, at the latest when [`Target::settle`] returns.
    pub(super) fn write(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => folder.write(path, &bytes),
            Self::Bucket(bucket) => {
                bucket.waiting.push((path.to_owned(), bytes));
                if bucket.waiting.len() < AT_ONCE { Ok(()) } else { bucket.settle() }
            }
        }
    }

    /// Everything written so far survives the loss of power when this returns.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        match self {
            Self::Folder(folder) => folder.settle(),
            Self::Bucket(bucket) => bucket.settle(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(folder) => folder.dir.display().fmt(f),
            Self::Bucket(bucket) => f.write_str(bucket.bucket.place()),
        }
    }
}

impl FolderTarget {
    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.dir.join(path);
        let failed =
            |error: io::Error| Failure::broken(format!("cannot write {}: {error}", file.display()));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
            let above = folder.ancestors().take_while(|above| above.starts_with(&self.dir));
            self.touched.extend(above.map(Path::to_owned));
        }
        write_public(&file, bytes)
    }

    fn settle(&mut self) -> Result<(), Failure> {
        for folder in std::mem::take(&mut self.touched) {
            let flushed = std::fs::File::open(&folder).and_then(|folder| folder.sync_all());
            flushed.map_err(|error| {
                Failure::broken(format!("cannot flush {}: {error}", folder.display()))
            })?;
        }
        Ok(())
    }
}

impl BucketTarget {
    fn settle(&mut self) -> Result<(), Failure> {
        let bucket = &self.bucket;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let puts = waiting.map(|(name, bytes)| async move { bucket.put(&name, bytes).await });
        let done = stream::iter(puts).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>();
        self.runtime.block_on(done).map(drop).map_err(unreachable)
    }
}

fn unreachable(fault: impl std::fmt::Display) -> Failure {
    Failure::new(Ending::Busy, fault).hint("run the same again: what is there is kept")
}
