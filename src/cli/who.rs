//! Who has a person's data, in words and in JSON: `person who`, `audit who`, `contacts find`.

use std::io;

use serde::Serialize;

use crate::domain::contact::ContactState;
use crate::domain::field::Field;
use crate::flows::report::{self, Holding, Report};
use crate::secret::Personal;
use crate::web::recalled::RecallStanding;
use crate::web::recorded::receipt_path;

use super::installation::{Installation, actor, wait};
use super::persons::Whom;
use super::say::{Ending, Failure, Say, Voice};

/// Answers who has a person's data; `audit who` is the same question.
pub(super) fn who(open: &Installation, whom: &Whom, voice: Voice) -> Result<Ending, Failure> {
    voice.tell(&who_of(open, &whom.read()?)?);
    Ok(Ending::Done)
}

/// The same for an address that was read already.
pub(super) fn who_of(open: &Installation, address: &Personal) -> Result<WhoAnswer, Failure> {
    let found = wait(report::who(&open.gateway, &actor(None), address))??;
    Ok(WhoAnswer::of(&found))
}

/// Who has the data, as the command tells it.
#[derive(Debug, Serialize)]
pub(super) struct WhoAnswer {
    state: &'static str,
    holdings: Vec<HoldingLine>,
    entry: u64,
}

#[derive(Debug, Serialize)]
struct HoldingLine {
    partner: String,
    partner_id: String,
    purpose: &'static str,
    fields: Vec<&'static str>,
    first: String,
    last: String,
    use_until: String,
    policy_version: Option<i32>,
    entries: Vec<u64>,
    /// Where a partner fetches the receipt of each entry.
    receipts: Vec<String>,
    must_be_told: bool,
    /// The recall that demands it back, if one does.
    recall: Option<RecallStanding>,
}

impl WhoAnswer {
    /// Puts a report into words.
    pub(super) fn of(report: &Report) -> Self {
        let line = |one: &Holding| HoldingLine {
            partner: one.legal_name.clone(),
            partner_id: one.partner.to_string(),
            purpose: one.purpose.code(),
            fields: one.fields.iter().map(Field::code).collect(),
            first: one.first.rfc3339(),
            last: one.last.rfc3339(),
            use_until: one.use_until.day(),
            policy_version: one.policy.map(|version| version.0),
            entries: one.entries.clone(),
            receipts: one.entries.iter().copied().map(receipt_path).collect(),
            must_be_told: one.must_be_told,
            recall: one.recall.as_ref().map(|recall| RecallStanding::of(recall, report.at)),
        };
        Self {
            state: report.state.code(),
            holdings: report.holdings.iter().map(line).collect(),
            entry: report.entry,
        }
    }
}

impl Say for WhoAnswer {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "contact is {}; this question is ledger entry {}", self.state, self.entry)?;
        if self.state == ContactState::Erased.code() {
            return writeln!(out, "nothing of this person is left but a digest of the address");
        }
        if self.holdings.is_empty() {
            return writeln!(out, "no partner ever received this person's data");
        }
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["partner", "purpose", "fields", "first", "last", "entries", "recall"]);
        for one in &self.holdings {
            let entries: Vec<_> = one.entries.iter().map(u64::to_string).collect();
            table.add_row([
                one.partner.clone(),
                one.purpose.to_owned(),
                one.fields.join(" "),
                one.first.clone(),
                one.last.clone(),
                entries.join(" "),
                one.recall(),
            ]);
        }
        writeln!(out, "{table}")
    }
}

impl HoldingLine {
    fn recall(&self) -> String {
        match &self.recall {
            Some(one) if one.overdue => format!("{}, OVERDUE since {}", one.state, one.due_at),
            Some(one) => one
                .ground
                .map_or_else(|| one.state.to_owned(), |ground| format!("{}: {ground}", one.state)),
            None if self.must_be_told => "to be told: fieldgate person recall".to_owned(),
            None => "none".to_owned(),
        }
    }
}
