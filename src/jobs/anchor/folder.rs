//! A folder with one file per checkpoint, named by its size and never written twice.

use std::io::{self, Write as _};
use std::path::PathBuf;

use super::{Kept, PlaceFault, note_name, size_of_name, sync_folder};

/// The folder: another disk, a share, a synchronised directory.
#[derive(Debug)]
pub struct AnchorFolder {
    folder: PathBuf,
}

impl AnchorFolder {
    /// A folder that must exist: a share that is not mounted must not be taken for an empty one.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The note of the largest tree.
    ///
    /// # Errors
    /// The folder or the file cannot be read.
    pub fn newest(&self) -> Result<Option<String>, PlaceFault> {
        self.newest_size()?.map(|size| self.read(size)).transpose()
    }

    /// The size of the largest tree.
    pub(super) fn newest_size(&self) -> Result<Option<u64>, PlaceFault> {
        let mut newest = None;
        for entry in std::fs::read_dir(&self.folder).map_err(|error| self.fault(error))? {
            let name = entry.map_err(|error| self.fault(error))?.file_name();
            newest = newest.max(name.to_str().and_then(size_of_name));
        }
        Ok(newest)
    }

    /// Adds a file; when this returns, it and its name survive the loss of power.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn keep(&self, size: u64, note: &str) -> Result<Kept, PlaceFault> {
        if self.add(&note_name(size), note.as_bytes())? {
            return Ok(Kept::Added);
        }
        self.read(size).map(Kept::Present)
    }

    /// Adds a file unless its name is taken; whether it did. It is whole, or not there.
    pub(super) fn add(&self, name: &str, bytes: &[u8]) -> Result<bool, PlaceFault> {
        let temporary = self.folder.join(format!(".{name}.{}", std::process::id()));
        match write_new(&temporary, &self.folder.join(name), bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.fault(error)),
        }
    }

    pub(super) fn read(&self, size: u64) -> Result<String, PlaceFault> {
        std::fs::read_to_string(self.folder.join(note_name(size)))
            .map_err(|error| self.fault(error))
    }

    /// Where a file of this name stands.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn fault(&self, error: impl std::fmt::Display) -> PlaceFault {
        PlaceFault::new(self.folder.display(), error)
    }
}

/// Writes beside, flushes, then gives it its name: a link fails where the name is taken, a rename
/// would replace what stands there.
fn write_new(temporary: &std::path::Path, name: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(temporary)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let named = written.and_then(|()| std::fs::hard_link(temporary, name));
    std::fs::remove_file(temporary)?;
    named?;
    name.parent().map_or(Ok(()), sync_folder)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_written_once_and_the_largest_is_the_newest() {
        let home = tempfile::tempdir().unwrap();
        let folder = AnchorFolder::new(home.path());
        assert_eq!(folder.newest().unwrap(), None);
        assert_eq!(folder.keep(9, "nine\n").unwrap(), Kept::Added);
        assert_eq!(folder.keep(10, "ten\n").unwrap(), Kept::Added);
        assert_eq!(folder.keep(9, "another\n").unwrap(), Kept::Present("nine\n".to_owned()));
        std::fs::write(home.path().join("README"), "not a note").unwrap();
        assert_eq!(folder.newest().unwrap().as_deref(), Some("ten\n"));
        let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
        assert_eq!(left.len(), 3, "no temporary file stays");
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_failure_and_not_an_empty_one() {
        let home = tempfile::tempdir().unwrap();
        let folder = AnchorFolder::new(home.path().join("not-mounted"));
        assert!(folder.newest().unwrap_err().to_string().contains("not-mounted"));
        assert!(folder.keep(1, "one\n").is_err());
    }
}
