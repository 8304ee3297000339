//! One line of an answer: what an entry says, for people and spreadsheets. It follows from the
//! entry alone, so that whoever checks a bundle writes it again and compares.

use serde::Serialize;

use crate::domain::disclosure::Reason;
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::ledger::entry::ReadEntry;

/// What one entry says, in the words of the answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Index of the entry.
    pub index: u64,
    /// RFC 3339 in UTC.
    pub time: String,
    /// Kind of the entry.
    pub kind: &'static str,
    /// Operation.
    pub operation: String,
    /// Partner id.
    pub partner: Option<String>,
    /// Thumbprint of the partner's certificate, base64url.
    pub certificate: Option<String>,
    /// Purpose.
    pub purpose: Option<&'static str>,
    /// Policy version in force.
    pub policy_version: Option<i32>,
    /// Fields over all people of the entry.
    pub fields: Option<Vec<&'static str>>,
    /// `release` or `withhold`.
    pub decision: Option<&'static str>,
    /// Why nothing was released.
    pub reason: Option<&'static str>,
    /// How many people it touched.
    pub people: Option<u32>,
    /// Fields of the person that was asked about.
    pub person_fields: Option<Vec<&'static str>>,
    /// Who acted, as a digest.
    pub actor: Option<String>,
    /// What was acted upon.
    pub subject: Option<String>,
    /// A code that tells more.
    pub detail: Option<String>,
    /// The request it belongs to.
    pub request: String,
}

impl Row {
    /// Puts an entry into words; `person` are the fields of the person asked about.
    pub fn of(index: u64, entry: &ReadEntry, person: Option<FieldSet>) -> Self {
        let facts = &entry.facts;
        let names = |fields: FieldSet| fields.iter().map(Field::code).collect::<Vec<_>>();
        Self {
            index,
            time: facts.at.rfc3339(),
            kind: facts.kind.code(),
            operation: facts.op.clone().into_owned(),
            partner: facts.partner.map(|id| id.to_string()),
            certificate: facts.certificate.map(|thumbprint| thumbprint.to_string()),
            purpose: facts.purpose.map(Purpose::code),
            policy_version: facts.policy.map(|version| version.0),
            fields: facts.fields.map(names),
            decision: facts.kind.decision(),
            reason: facts.reason.map(Reason::code),
            people: entry.items.map(|items| items.count),
            person_fields: person.map(names),
            actor: facts.actor.clone().map(std::borrow::Cow::into_owned),
            subject: facts.subject.clone().map(std::borrow::Cow::into_owned),
            detail: facts.detail.clone().map(std::borrow::Cow::into_owned),
            request: facts.request.to_string(),
        }
    }

    /// The headings of [`Row::csv`], as a line.
    pub const HEADINGS: &'static str = "index,time,kind,operation,partner,certificate,purpose,\
        policy_version,fields,decision,reason,people,person_fields,actor,subject,detail,request\r\n";

    /// One line of CSV (RFC 4180), its end included.
    pub fn csv(&self) -> String {
        let list = |names: &Option<Vec<&'static str>>| names.as_ref().map(|names| names.join(" "));
        let text = |text: Option<&str>| text.map(str::to_owned);
        let cells = [
            Some(self.index.to_string()),
            text(Some(&self.time)),
            text(Some(self.kind)),
            text(Some(&self.operation)),
            text(self.partner.as_deref()),
            text(self.certificate.as_deref()),
            text(self.purpose),
            self.policy_version.map(|version| version.to_string()),
            list(&self.fields),
            text(self.decision),
            text(self.reason),
            self.people.map(|people| people.to_string()),
            list(&self.person_fields),
            text(self.actor.as_deref()),
            text(self.subject.as_deref()),
            text(self.detail.as_deref()),
            text(Some(&self.request)),
        ];
        let cells = cells.map(|text| cell(&text.unwrap_or_default()));
        format!("{}\r\n", cells.join(","))
    }

    /// One line of JSON, without its end.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A cell that no spreadsheet takes for a formula: what begins like one gets an apostrophe.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn a_cell_is_never_a_formula_and_never_breaks_out_of_its_quotes() {
        for (text, written) in [
            ("release", "release"),
            ("=1+1", "'=1+1"),
            ("-4fK", "'-4fK"),
            ("@x", "'@x"),
            ("a,b", "\"a,b\""),
            ("a\"b\r\n", "\"a\"\"b\r\n\""),
            ("+\"", "\"'+\"\"\""),
            ("", ""),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
