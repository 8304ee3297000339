//! An append-only file: one line of JSON per checkpoint, written whole and flushed.
//!
//! A line that was cut off by the loss of power stays where it is: the next one begins on a line
//! of its own, and readers pass over what is not a line. Nothing is ever taken away, so the file
//! may carry the append-only attribute of its file system (`chattr +a`).

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Kept, PlaceFault, folder_of, sync_folder};

/// How much of the end is read: some 180 lines, of which the largest counts. Several replicas may
/// write to one file, so the last line need not be the newest.
const TAIL: u64 = 64 * 1024;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    size: u64,
    note: String,
}

/// The file; opened once and kept open.
#[derive(Debug)]
pub struct AnchorFile {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl AnchorFile {
    /// A file that is made when the first note is kept.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: Mutex::new(None) }
    }

    /// The note of the largest tree among the newest lines.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn newest(&self) -> Result<Option<String>, PlaceFault> {
        let tail = match read_tail(&self.path) {
            Ok(tail) => tail,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.fault(error)),
        };
        Ok(newest_line(&tail))
    }

    /// Adds a line; when this returns, it survives the loss of power.
    ///
    /// # Errors
    /// The file cannot be opened, written or flushed. It is opened anew the next time.
    pub fn keep(&self, size: u64, note: &str) -> Result<Kept, PlaceFault> {
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // After a failed flush nobody knows what is on the disk: the handle is not used again.
        let taken = held.take();
        let mut file = match taken {
            Some(file) => file,
            None => open(&self.path).map_err(|error| self.fault(error))?,
        };
        let line = Line { size, note: note.to_owned() };
        append(&mut file, &line).map_err(|error| self.fault(error))?;
        *held = Some(file);
        Ok(Kept::Added)
    }

    fn fault(&self, error: io::Error) -> PlaceFault {
        PlaceFault::new(self.path.display(), error)
    }
}

fn open(path: &Path) -> io::Result<File> {
    let folder = folder_of(path);
    std::fs::create_dir_all(&folder)?;
    let mut options = File::options();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    sync_folder(&folder)?;
    Ok(file)
}

/// One write, so that lines of several processes do not mix.
fn append(file: &mut File, line: &Line) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            bytes.insert(0, b'\n');
        }
    }
    file.write_all(&bytes)?;
    file.sync_data()
}

fn read_tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

/// The note of the largest tree among the whole lines of `tail`. What is not a line is passed
/// over: the first one may be cut by the length that is read, others by the loss of power.
pub fn newest_line(tail: &[u8]) -> Option<String> {
    let lines = tail.split(|byte| *byte == b'\n');
    let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    lines.max_by_key(|line| line.size).map(|line| line.note)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn notes_are_added_and_the_largest_is_the_newest() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("deep/anchors.jsonl");
        let file = AnchorFile::new(&path);
        assert_eq!(file.newest().unwrap(), None);
        for (size, note) in [(1, "a\n"), (300, "c\n"), (20, "b\n")] {
            assert_eq!(file.keep(size, note).unwrap(), Kept::Added);
        }
        assert_eq!(file.newest().unwrap().as_deref(), Some("c\n"));
        assert_eq!(AnchorFile::new(&path).newest().unwrap().as_deref(), Some("c\n"));
    }

    #[test]
    fn a_torn_last_line_is_passed_over_and_the_next_one_stands_on_its_own() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("anchors.jsonl");
        AnchorFile::new(&path).keep(7, "seven\n").unwrap();
        AnchorFile::new(&path).keep(8, "eight\n").unwrap();
        let whole = std::fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            std::fs::write(&path, whole.get(..cut).unwrap()).unwrap();
            let file = AnchorFile::new(&path);
            let newest = file.newest().unwrap().unwrap();
            // Without its newline alone the last line is whole all the same.
            assert_eq!(newest, if cut + 1 == whole.len() { "eight\n" } else { "seven\n" });
            file.keep(9, "nine\n").unwrap();
            assert_eq!(AnchorFile::new(&path).newest().unwrap().unwrap(), "nine\n", "at {cut}");
        }
    }

    #[test]
    fn a_long_file_is_read_from_its_end() {
        let home = tempfile::tempdir().unwrap();
        let file = AnchorFile::new(home.path().join("anchors.jsonl"));
        let note = "x".repeat(2_000);
        for size in 1..=80 {
            file.keep(size, &format!("{size} {note}")).unwrap();
        }
        assert!(file.newest().unwrap().unwrap().starts_with("80 "));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_used_again_once_it_can() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("anchors.jsonl");
        std::fs::create_dir(&path).unwrap();
        let file = AnchorFile::new(&path);
        let says = file.keep(1, "one\n").unwrap_err().to_string();
        assert!(says.contains("anchors.jsonl"), "{says}");
        assert!(file.newest().is_err());
        std::fs::remove_dir(&path).unwrap();
        assert_eq!(file.keep(1, "one\n").unwrap(), Kept::Added);
    }
}
