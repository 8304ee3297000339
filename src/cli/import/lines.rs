//! Reads a CSV export line by line into submissions; a wrong line is told apart from a wrong file.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::clock::Moment;
use crate::domain::contact::CollectionPoint;
use crate::domain::purpose::Purpose;
use crate::flows::intake::Submission;
use crate::id::PolicyVersion;
use crate::secret::Personal;

use super::super::partners::invalid;
use super::super::say::{Ending, Failure};
use super::headings::{Column, map_headings};

/// Longest line that is looked at, in bytes. A longer one is a quote that was never closed, and
/// would take the rest of the file into memory.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// What every line of a file has in common.
pub(super) struct Common {
    /// The collection point.
    pub(super) point: CollectionPoint,
    /// When, unless the file says.
    pub(super) at: Moment,
    /// The policy version that was shown.
    pub(super) policy: PolicyVersion,
    /// The wording that was shown.
    pub(super) wording_hash: [u8; 32],
}

/// One line of the file.
pub(super) struct Line {
    /// Its number in the file, from 1; the headings are line 1.
    pub(super) number: u64,
    /// Its cells as they were, for the rejects file.
    pub(super) cells: Vec<String>,
    /// What it says, or why it is refused.
    pub(super) read: Result<Submission, String>,
}

/// A CSV file being read.
pub(super) struct Reader<R> {
    csv: csv::Reader<Rationed<R>>,
    /// Headings as they stand.
    pub(super) headings: Vec<String>,
    columns: Vec<Column>,
}

impl Reader<File> {
    /// Opens a file and maps its headings.
    pub(super) fn open(file: &Path, own: &[String]) -> Result<Self, Failure> {
        let opened = File::open(file).map_err(|error| {
            Failure::new(Ending::Invalid, format!("cannot read {}: {error}", file.display()))
        })?;
        Self::new(opened, own)
    }
}

impl<R: io::Read> Reader<R> {
    /// Begins to read an export: its headings, mapped.
    fn new(export: R, own: &[String]) -> Result<Self, Failure> {
        let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(Rationed::new(export));
        let headings = csv.headers().map_err(|error| match error.kind() {
            csv::ErrorKind::Io(error) => stopped_at(1, error),
            _ => invalid("file", plain(&error)),
        })?;
        let headings: Vec<_> = headings.iter().map(str::to_owned).collect();
        let columns = map_headings(&headings, own)?;
        Ok(Self { csv, headings, columns })
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read on: what comes behind this place is unknown.
    pub(super) fn next(&mut self, common: &Common) -> Result<Option<Line>, Failure> {
        self.csv.get_mut().refill();
        let mut record = csv::StringRecord::new();
        let number = self.csv.position().line();
        match self.csv.read_record(&mut record) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let number = number.max(self.first_line_of(&record));
                let cells: Vec<_> = record.iter().map(str::to_owned).collect();
                let read = self.submission(&cells, common);
                Ok(Some(Line { number, cells, read }))
            }
            Err(error) => match error.kind() {
                csv::ErrorKind::Io(error) => Err(stopped_at(number, error)),
                _ => Ok(Some(Line { number, cells: Vec::new(), read: Err(plain(&error).into()) })),
            },
        }
    }

    /// Where the record begins that has just been read: the parser's own position counts the
    /// blank lines in front of a record as part of it.
    fn first_line_of(&self, record: &csv::StringRecord) -> u64 {
        let broken = record.iter().map(|cell| cell.matches('\n').count()).sum::<usize>();
        let lines = u64::try_from(broken).unwrap_or(u64::MAX).saturating_add(1);
        self.csv.position().line().saturating_sub(lines)
    }

    /// How many bytes of the file have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.csv.position().byte()
    }

    fn submission(&self, cells: &[String], common: &Common) -> Result<Submission, String> {
        if cells.len() != self.columns.len() {
            let (has, wants) = (cells.len(), self.columns.len());
            return Err(format!("has {has} cells where the headings have {wants}"));
        }
        let mut fields = Vec::new();
        let mut choices = Vec::new();
        for (cell, column) in cells.iter().zip(&self.columns) {
            let cell = cell.trim();
            match column {
                // Streets of several lines are usual in exports; a field is one line.
                Column::Field(field) if !cell.is_empty() => {
                    let lines: Vec<_> = cell.lines().map(str::trim).collect();
                    fields.push((*field, Personal::new(lines.join(", "))));
                }
                Column::OptOut => {
                    if read_opt_out(cell)? {
                        choices = vec![(Purpose::Offers, false), (Purpose::News, false)];
                    }
                }
                Column::Field(_) | Column::Ignored => {}
            }
        }
        let Common { point, at, policy, wording_hash } = *common;
        Ok(Submission { point, at, policy, wording_hash, fields, choices })
    }
}

/// Gives out so many bytes per line and no more, without carriage returns and with a line feed at
/// the end: else the parser counts lines one short, and the operator would look at the wrong one.
struct Rationed<R> {
    file: R,
    left: usize,
    last: u8,
}

impl<R> Rationed<R> {
    fn new(file: R) -> Self {
        Self { file, left: RECORD_BYTES_MAX, last: b'\n' }
    }

    fn refill(&mut self) {
        self.left = RECORD_BYTES_MAX;
    }
}

impl<R: io::Read> io::Read for Rationed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.left == 0 {
                let says =
                    format!("it is longer than {RECORD_BYTES_MAX} bytes; is a quote not closed?");
                return Err(io::Error::new(io::ErrorKind::InvalidData, says));
            }
            let most = into.len().min(self.left);
            let read = self.file.read(into.get_mut(..most).unwrap_or_default())?;
            self.left = self.left.saturating_sub(read);
            let mut kept = 0;
            for at in 0..read {
                if into.get(at).is_some_and(|byte| *byte != b'\r') {
                    into.swap(kept, at);
                    kept = kept.saturating_add(1);
                }
            }
            if let Some(last) = kept.checked_sub(1).and_then(|last| into.get(last)) {
                self.last = *last;
                return Ok(kept);
            }
            // Nothing but carriage returns is not the end of the file.
            if read == 0 {
                let owed = self.last != b'\n';
                self.last = b'\n';
                into.iter_mut().take(usize::from(owed)).for_each(|byte| *byte = b'\n');
                return Ok(usize::from(owed));
            }
        }
    }
}

fn stopped_at(line: u64, error: &io::Error) -> Failure {
    invalid("file", format!("cannot be read on from line {line}: {error}"))
}

/// Reads an export to its end without taking anything in: how many lines can be read, and how
/// many are refused. The values are judged later, at intake.
///
/// # Errors
/// What is wrong with the headings, or with the file as a whole.
pub fn survey_contacts(export: impl io::Read) -> Result<(u64, u64), String> {
    let common = common();
    let mut reader = Reader::new(export, &[]).map_err(|failure| failure.to_string())?;
    let (mut readable, mut refused) = (0_u64, 0_u64);
    while let Some(line) = reader.next(&common).map_err(|failure| failure.to_string())? {
        let count = if line.read.is_ok() { &mut readable } else { &mut refused };
        *count = count.saturating_add(1);
    }
    Ok((readable, refused))
}

/// Some occasion, where only the form of the lines counts.
fn common() -> Common {
    let (policy, wording_hash) = (PolicyVersion(1), [0; 32]);
    Common { point: CollectionPoint::Trial, at: Moment(0), policy, wording_hash }
}

/// Whether an opt-out cell says yes. A word that is neither yes nor no refuses the line: taken
/// for a no, it would share somebody who said stop.
fn read_opt_out(cell: &str) -> Result<bool, String> {
    match cell.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "y" | "x" => Ok(true),
        "false" | "no" | "0" | "n" | "" => Ok(false),
        _ => Err("has an opt-out that is neither yes nor no".to_owned()),
    }
}

/// What is wrong with a line, without a word of its content.
fn plain(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "has another number of cells",
        _ => "is not readable CSV",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_read_to_its_end_and_wrong_lines_are_counted() {
        let export = "Email,City\na@example.com,Bonn\ntoo,many,cells\nb@example.com,Ulm\n";
        assert_eq!(survey_contacts(export.as_bytes()), Ok((2, 1)));
        assert_eq!(survey_contacts(&b"Email,City\n\xff,Bonn\nb@example.com,Ulm\n"[..]), Ok((1, 1)));
    }

    #[test]
    fn an_opt_out_that_is_neither_yes_nor_no_refuses_its_line() {
        let export = "Email,Email Opt Out\na@example.com,TRUE\nb@example.com,\nc@example.com,0\n";
        assert_eq!(survey_contacts(export.as_bytes()), Ok((3, 0)));
        let export = "Email,Email Opt Out\na@example.com,ja\nb@example.com,all\n";
        assert_eq!(survey_contacts(export.as_bytes()), Ok((0, 2)));
    }

    #[test]
    fn a_wrong_line_has_its_own_number_whatever_ends_the_lines() {
        for export in [
            "Email,City\na,b\n\nc,d\ne,\"f\ng\"\nx\n",
            "Email,City\r\na,b\r\n\r\nc,d\r\ne,\"f\r\ng\"\r\nx\r\n",
            "Email,City\na,b\n\nc,d\ne,\"f\ng\"\nx",
        ] {
            let common = common();
            let mut reader = Reader::new(export.as_bytes(), &[]).unwrap();
            let mut numbers = Vec::new();
            while let Some(line) = reader.next(&common).unwrap() {
                numbers.push((line.number, line.read.is_ok()));
            }
            assert_eq!(numbers, [(2, true), (4, true), (5, true), (7, false)], "{export:?}");
        }
    }

    #[test]
    fn a_quote_that_never_closes_stops_the_reading_and_names_its_line() {
        let endless = std::io::Read::chain("Email\na@example.com\n\"".as_bytes(), io::repeat(b'x'));
        let says = survey_contacts(endless).unwrap_err();
        assert!(says.contains("from line 3") && says.contains("not closed"), "{says}");
        let long = format!("Email\n{}\n", "x".repeat(RECORD_BYTES_MAX / 2));
        assert_eq!(survey_contacts(long.as_bytes()), Ok((1, 0)));
    }

    #[test]
    fn a_file_that_breaks_off_is_not_taken_for_its_end() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk"))
            }
        }
        let export = std::io::Read::chain("Email\na@example.com\nb@exam".as_bytes(), Broken);
        assert!(survey_contacts(export).unwrap_err().contains("the disk"));
    }
}
