//! How far an import got: kept beside the file after each batch, so that it can go on.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::id::{Thumbprint, digest_of};

use super::super::installation::write_private;
use super::super::say::{Ending, Failure};

/// A place in a file up to which everything is safely in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the last line that is in; 0 is the beginning.
    pub(super) line: u64,
    /// Length of the rejects file at that moment: what stands behind it was cut off.
    pub(super) rejects_bytes: u64,
}

/// The mark of one file. It names the file's digest, so that no line of another file, or of the
/// same file mended meanwhile, is ever passed over.
pub(super) struct Mark {
    path: PathBuf,
    digest: String,
}

/// A file's name with an ending, in the same folder.
pub(super) fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    file.with_file_name(name)
}

impl Mark {
    /// The mark of a file, and where an earlier import of it stopped.
    ///
    /// # Errors
    /// The file cannot be read; `Conflict` when it is not the file that was begun.
    pub(super) fn find(file: &Path, from_start: bool) -> Result<(Self, Place), Failure> {
        let digest = File::open(file).and_then(digest_of).map_err(|error| {
            Failure::new(Ending::Invalid, format!("cannot read {}: {error}", file.display()))
        })?;
        let mark = Self { path: beside(file, ".progress"), digest: Thumbprint(digest).hex() };
        if from_start {
            return Ok((mark, Place::default()));
        }
        let Ok(text) = std::fs::read_to_string(&mark.path) else {
            return Ok((mark, Place::default()));
        };
        match read(&text) {
            Some((place, digest)) if digest == mark.digest => Ok((mark, place)),
            _ => {
                let says =
                    format!("{} is of another file: this one was changed", mark.path.display());
                let hint =
                    "begin anew with --from-start; people already in are joined, not doubled";
                Err(Failure::new(Ending::Conflict, says).hint(hint))
            }
        }
    }

    /// Keeps a place.
    pub(super) fn keep(&self, place: Place) -> Result<(), Failure> {
        let Place { line, rejects_bytes } = place;
        let text = format!("{line} {rejects_bytes} {}\n", self.digest);
        write_private(&self.path, text.as_bytes())
    }

    /// The import is whole: nothing is left to go on with.
    pub(super) fn clear(&self) -> Result<(), Failure> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let says = format!("cannot remove {}: {error}", self.path.display());
                Err(Failure::broken(says))
            }
            _ => Ok(()),
        }
    }
}

fn read(text: &str) -> Option<(Place, &str)> {
    let mut words = text.split_whitespace();
    let (line, rejects_bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((Place { line, rejects_bytes }, words.next()?))
}
