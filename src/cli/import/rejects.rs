//! The file of rejected lines: number, reason, and the cells as they were, to mend and import again.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom};
use std::path::PathBuf;

use super::super::say::Failure;
use super::lines::Line;

/// Made with the first rejected line. It holds personal data, so only its owner may read it.
pub(super) struct Rejects {
    path: PathBuf,
    keep_bytes: u64,
    csv: Option<csv::Writer<File>>,
}

impl Rejects {
    /// The file at `path`, of which the first `keep_bytes` are of an import that goes on.
    pub(super) fn new(path: PathBuf, keep_bytes: u64) -> Self {
        Self { path, keep_bytes, csv: None }
    }

    /// Adds a line with its reason.
    pub(super) fn add(
        &mut self,
        headings: &[String],
        line: &Line,
        says: &str,
    ) -> Result<(), Failure> {
        if self.csv.is_none() {
            self.csv = Some(self.open(headings).map_err(|error| self.failed(error))?);
        }
        let Some(csv) = &mut self.csv else { return Ok(()) };
        let number = line.number.to_string();
        let first = [number.as_str(), says].into_iter();
        let written = csv.write_record(first.chain(line.cells.iter().map(String::as_str)));
        written.map_err(|error| self.failed(error))
    }

    fn open(&self, headings: &[String]) -> Result<csv::Writer<File>, csv::Error> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let mut file = options.open(&self.path)?;
        let kept = self.keep_bytes.min(file.metadata()?.len());
        file.set_len(kept)?;
        file.seek(SeekFrom::End(0))?;
        let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(file);
        if kept == 0 {
            let first = ["line", "reason"].into_iter();
            csv.write_record(first.chain(headings.iter().map(String::as_str)))?;
        }
        Ok(csv)
    }

    /// Puts on disk what was added, before the place behind it is kept. Gives the file's length.
    pub(super) fn flush(&mut self) -> Result<u64, Failure> {
        let Some(csv) = &mut self.csv else { return Ok(self.keep_bytes) };
        let written = csv.flush().and_then(|()| csv.get_ref().sync_data());
        let length = written.and_then(|()| csv.get_ref().metadata()).map(|facts| facts.len());
        length.map_err(|error| self.failed(error))
    }

    /// The name of the file, where any line was rejected.
    pub(super) fn finish(mut self) -> Result<Option<String>, Failure> {
        let bytes = self.flush()?;
        Ok((bytes > 0).then(|| self.path.display().to_string()))
    }

    fn failed(&self, error: impl std::fmt::Display) -> Failure {
        Failure::broken(format!("cannot write {}: {error}", self.path.display()))
    }
}
