//! Reads a CSV export into submissions: headings are mapped, wrong lines go to a rejects file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::clock::Moment;
use crate::domain::contact::CollectionPoint;
use crate::domain::field::Field;
use crate::domain::purpose::Purpose;
use crate::flows::intake::Submission;
use crate::id::PolicyVersion;
use crate::secret::Personal;

use super::partners::invalid;
use super::say::{Ending, Failure};

/// Most columns a file may have.
const COLUMNS_MAX: usize = 512;

/// Longest line that is looked at, in bytes.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// Headings of an opt-out column: `HubSpot`, Salesforce, plain.
const OPT_OUT: &[&str] = &[
    "hs_email_optout",
    "HasOptedOutOfEmail",
    "Email Opt Out",
    "Unsubscribed from all email",
    "opted_out",
];

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// A field of the contact.
    Field(Field),
    /// Yes means: opted out of offers and news.
    OptOut,
    /// Not taken in.
    Ignored,
}

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

/// Maps the headings of a file. `own` are mappings typed by the operator, as `Heading=field`.
///
/// # Errors
/// An unknown field code, a heading that is not in the file, two columns for one field, no
/// column for the e-mail address.
pub(super) fn map_headings(headings: &[String], own: &[String]) -> Result<Vec<Column>, Failure> {
    if headings.len() > COLUMNS_MAX {
        return Err(invalid("file", format!("has more than {COLUMNS_MAX} columns")));
    }
    let mut named: HashMap<String, Column> = HashMap::new();
    for field in Field::ALL {
        named.insert(field.code().to_owned(), Column::Field(*field));
        for heading in field.row().headings {
            named.insert(heading.to_lowercase(), Column::Field(*field));
        }
    }
    for heading in OPT_OUT {
        named.insert(heading.to_lowercase(), Column::OptOut);
    }
    for mapping in own {
        let (heading, code) = mapping
            .rsplit_once('=')
            .ok_or_else(|| invalid("map", format!("{mapping} is not of the form Heading=field")))?;
        let column = match code {
            "-" => Column::Ignored,
            "opted_out" => Column::OptOut,
            _ => Column::Field(
                Field::from_code(code)
                    .ok_or_else(|| invalid("map", format!("{code} is no field")))?,
            ),
        };
        if !headings.iter().any(|one| one.trim().eq_ignore_ascii_case(heading.trim())) {
            return Err(invalid("map", format!("the file has no column {heading}")));
        }
        named.insert(heading.trim().to_lowercase(), column);
    }
    let columns: Vec<_> = headings
        .iter()
        .map(|heading| {
            let plain = heading.trim().trim_start_matches('\u{feff}').to_lowercase();
            named.get(&plain).copied().unwrap_or(Column::Ignored)
        })
        .collect();
    check_columns(headings, &columns)?;
    Ok(columns)
}

fn check_columns(headings: &[String], columns: &[Column]) -> Result<(), Failure> {
    for field in Field::ALL {
        let of_field: Vec<_> = headings
            .iter()
            .zip(columns)
            .filter(|(_, column)| **column == Column::Field(*field))
            .map(|(heading, _)| heading.as_str())
            .collect();
        if of_field.len() > 1 {
            let says = format!("{} would all be {field}", of_field.join(", "));
            return Err(invalid("map", says).hint("ignore all but one with --map 'Heading=-'"));
        }
        if of_field.is_empty() && *field == Field::Email {
            let says = format!("no column for the e-mail address among: {}", headings.join(", "));
            return Err(invalid("map", says).hint("name it with --map 'Heading=email'"));
        }
    }
    Ok(())
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
    csv: csv::Reader<R>,
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
        let mut csv = csv::ReaderBuilder::new().flexible(true).from_reader(export);
        let headings = csv.headers().map_err(|error| invalid("file", error))?;
        let headings: Vec<_> = headings.iter().map(str::to_owned).collect();
        let columns = map_headings(&headings, own)?;
        Ok(Self { csv, headings, columns })
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self, common: &Common) -> Option<Line> {
        let mut record = csv::StringRecord::new();
        let number = self.csv.position().line();
        match self.csv.read_record(&mut record) {
            Ok(false) => None,
            Ok(true) => {
                let number = record.position().map_or(number, csv::Position::line);
                let cells: Vec<_> = record.iter().map(str::to_owned).collect();
                let read = self.submission(&cells, common);
                Some(Line { number, cells, read })
            }
            Err(error) => {
                let read = Err(format!("is not readable CSV: {}", plain(&error)));
                Some(Line { number, cells: Vec::new(), read })
            }
        }
    }

    fn submission(&self, cells: &[String], common: &Common) -> Result<Submission, String> {
        if cells.len() != self.columns.len() {
            let (has, wants) = (cells.len(), self.columns.len());
            return Err(format!("has {has} cells where the headings have {wants}"));
        }
        if cells.iter().map(String::len).sum::<usize>() > RECORD_BYTES_MAX {
            return Err(format!("is longer than {RECORD_BYTES_MAX} bytes"));
        }
        let mut fields = Vec::new();
        let mut choices = Vec::new();
        for (cell, column) in cells.iter().zip(&self.columns) {
            let cell = cell.trim();
            match column {
                Column::Field(field) if !cell.is_empty() => {
                    fields.push((*field, Personal::new(cell.to_owned())));
                }
                Column::OptOut if is_yes(cell) => {
                    choices = vec![(Purpose::Offers, false), (Purpose::News, false)];
                }
                Column::Field(_) | Column::OptOut | Column::Ignored => {}
            }
        }
        let Common { point, at, policy, wording_hash } = *common;
        Ok(Submission { point, at, policy, wording_hash, fields, choices })
    }
}

/// Reads an export to its end without taking anything in: how many lines can be read, and how
/// many are refused. The values are judged later, at intake.
///
/// # Errors
/// What is wrong with the headings.
pub fn survey_contacts(export: impl io::Read) -> Result<(u64, u64), String> {
    let (policy, wording_hash) = (PolicyVersion(1), [0; 32]);
    let common = Common { point: CollectionPoint::Trial, at: Moment(0), policy, wording_hash };
    let mut reader = Reader::new(export, &[]).map_err(|failure| failure.to_string())?;
    let (mut readable, mut refused) = (0_u64, 0_u64);
    while let Some(line) = reader.next(&common) {
        let count = if line.read.is_ok() { &mut readable } else { &mut refused };
        *count = count.saturating_add(1);
    }
    Ok((readable, refused))
}

fn is_yes(cell: &str) -> bool {
    matches!(cell.to_ascii_lowercase().as_str(), "true" | "yes" | "1" | "y" | "x")
}

/// What is wrong with a line, without a word of its content.
fn plain(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "it has another number of cells",
        _ => "its quotes do not close",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn headings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn exports_of_hubspot_and_salesforce_map_by_themselves() {
        let hubspot = headings(&[
            "Record ID",
            "First Name",
            "Last Name",
            "Email",
            "Country/Region",
            "hs_email_optout",
        ]);
        let columns = map_headings(&hubspot, &[]).unwrap();
        assert_eq!(columns.first(), Some(&Column::Ignored));
        assert_eq!(columns.get(3), Some(&Column::Field(Field::Email)));
        assert_eq!(columns.get(5), Some(&Column::OptOut));
        let salesforce = headings(&["FirstName", "LastName", "Company", "Email", "CountryCode"]);
        let columns = map_headings(&salesforce, &[]).unwrap();
        assert!(!columns.contains(&Column::Ignored));
    }

    #[test]
    fn mappings_are_checked() {
        let file = headings(&["Mail", "Phone"]);
        assert!(map_headings(&file, &[]).is_err());
        assert!(map_headings(&file, &["Mail=email".into()]).is_ok());
        for own in ["Mail", "Mail=shoe", "Nope=email"] {
            assert!(map_headings(&file, &[own.into()]).is_err(), "{own}");
        }
        let twice = headings(&["Email", "E-mail"]);
        assert!(map_headings(&twice, &[]).is_err());
        assert!(map_headings(&twice, &["E-mail=-".into()]).is_ok());
    }
}
