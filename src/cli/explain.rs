//! `fieldgate explain`: why a partner would get, or not get, which fields of a person.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::domain::disclosure::Decision;
use crate::flows::explain::{self, Explanation};

use super::installation::{Installation, actor, wait};
use super::partners::purpose;
use super::persons::Whom;
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// Code of the partner.
    #[arg(long)]
    partner: String,
    /// offers, licensing, support or news.
    #[arg(long)]
    purpose: String,
    #[command(flatten)]
    who: Whom,
}

pub(super) fn run(
    arguments: &ExplainArguments,
    config: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let purpose = purpose(&arguments.purpose)?;
    let open = Installation::open(config)?;
    let address = arguments.who.read()?;
    let question = (arguments.partner.as_str(), purpose);
    let found = wait(explain::explain(&open.gateway, &actor(None), question, &address))??;
    voice.tell(&Answer::of(&found));
    Ok(Ending::Done)
}

#[derive(Debug, Serialize)]
struct Answer {
    decision: &'static str,
    reason: Option<&'static str>,
    fields: Vec<FieldLine>,
    entry: u64,
}

#[derive(Debug, Serialize)]
struct FieldLine {
    field: &'static str,
    released: bool,
    reason: Option<&'static str>,
    says: Option<&'static str>,
}

impl Answer {
    fn of(found: &Explanation) -> Self {
        let reason = match found.decision {
            Decision::Release(_) => None,
            Decision::Withhold(reason) => Some(reason.code()),
        };
        let fields = found.fields.iter().map(|one| FieldLine {
            field: one.field.code(),
            released: one.reason.is_none(),
            reason: one.reason.map(crate::domain::disclosure::Reason::code),
            says: one.reason.map(|reason| reason.row().label),
        });
        Self {
            decision: if reason.is_none() { "release" } else { "withhold" },
            reason,
            fields: fields.collect(),
            entry: found.entry,
        }
    }
}

impl Say for Answer {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        match self.reason {
            None => writeln!(out, "a pull would release this person")?,
            Some(reason) => writeln!(out, "a pull would withhold this person: {reason}")?,
        }
        for line in &self.fields {
            match line.says {
                None => writeln!(out, "  {:<16} released", line.field)?,
                Some(says) => writeln!(out, "  {:<16} no: {says}", line.field)?,
            }
        }
        writeln!(out, "this question is ledger entry {}", self.entry)
    }
}
