//! Which column of an export is which field: the usual headings of two CRMs, and the operator's own.

use std::collections::HashMap;

use crate::domain::field::Field;

use super::super::partners::invalid;
use super::super::say::Failure;

/// Most columns a file may have.
const COLUMNS_MAX: usize = 512;

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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn headings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn exports_of_hubspot_and_salesforce_map_by_themselves() {
        let all = |names: &[&str]| map_headings(&headings(names), &[]).unwrap();
        let hubspot = all(&[
            "Record ID",
            "First Name",
            "Last Name",
            "Email",
            "Phone Number",
            "Company Name",
            "Job Title",
            "Country/Region",
            "State/Region",
            "City",
            "Postal Code",
            "Street Address",
            "Preferred language",
            "Unsubscribed from all email",
        ]);
        assert_eq!(hubspot.first(), Some(&Column::Ignored));
        assert_eq!(hubspot.get(3), Some(&Column::Field(Field::Email)));
        assert_eq!(hubspot.last(), Some(&Column::OptOut));
        assert!(!hubspot.get(1..).unwrap().contains(&Column::Ignored));
        for salesforce in [
            all(&[
                "FirstName",
                "LastName",
                "Company",
                "Title",
                "Email",
                "Phone",
                "Street",
                "City",
                "State",
                "PostalCode",
                "CountryCode",
                "HasOptedOutOfEmail",
            ]),
            all(&[
                "First Name",
                "Last Name",
                "Account Name",
                "Title",
                "Email",
                "Phone",
                "Mailing Street",
                "Mailing City",
                "Mailing State/Province",
                "Mailing Zip/Postal Code",
                "Mailing Country",
                "Email Opt Out",
            ]),
            all(&[
                "First Name",
                "Last Name",
                "Company / Account",
                "Title",
                "Email",
                "Phone",
                "Street",
                "City",
                "State/Province",
                "Zip/Postal Code",
                "Country",
                "Email Opt Out",
            ]),
        ] {
            assert!(!salesforce.contains(&Column::Ignored));
            assert!(salesforce.contains(&Column::OptOut));
        }
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
