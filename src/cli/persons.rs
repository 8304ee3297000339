//! `fieldgate person`: choices, withdrawal, and who has the data. The address comes from a file
//! or standard input, never from an argument: arguments stand in process lists and histories.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::domain::consent::ChoiceOrigin;
use crate::domain::contact::ContactState;
use crate::flows::onboard;
use crate::flows::report::{self, Report};
use crate::flows::withdraw::{self, Done, Word};
use crate::secret::Personal;
use crate::web::recorded::receipt_path;

use super::erasure::{self, EraseArgs, ForgetArgs};
use super::installation::{Installation, actor, read_file, wait};
use super::partners::{invalid, purpose};
use super::say::{Ending, Failure, Say, Voice};

/// Longest address line that is read.
const LINE_BYTES_MAX: u64 = 1024;

#[derive(Debug, Subcommand)]
pub(super) enum PersonCommand {
    /// Record a yes or no to a purpose, to all partners or to one.
    Choose {
        #[command(flatten)]
        who: Whom,
        /// offers or news.
        #[arg(long)]
        purpose: String,
        /// Only for this partner (its code); all partners when left out.
        #[arg(long)]
        partner: Option<String>,
        /// The person says yes.
        #[arg(long, conflicts_with = "no", required_unless_present = "no")]
        yes: bool,
        /// The person says no.
        #[arg(long)]
        no: bool,
        /// Check and tell, change nothing; the question is an entry.
        #[arg(long)]
        dry_run: bool,
    },
    /// Close a person's account: every purpose ends, and the address stays suppressed.
    Withdraw {
        #[command(flatten)]
        who: Whom,
        /// Check and tell, change nothing; the question is an entry.
        #[arg(long)]
        dry_run: bool,
    },
    /// Erase a person: keys and values are shredded, the address stays suppressed.
    Erase(#[command(flatten)] EraseArgs),
    /// Delete the last traces of an erased person, once every partner that received the data has
    /// been told; without a number: list who waits.
    Forget(#[command(flatten)] ForgetArgs),
    /// Who has this person's data: partner, first and last time, fields, purpose, entries.
    Who {
        #[command(flatten)]
        who: Whom,
    },
}

/// Where the person's e-mail address comes from.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// File with the e-mail address on its first line; standard input when left out.
    #[arg(long, value_name = "FILE")]
    email_file: Option<PathBuf>,
}

impl Whom {
    /// Reads the address.
    pub(super) fn read(&self) -> Result<Personal, Failure> {
        let text = match &self.email_file {
            Some(file) => read_file(file)?,
            None => {
                use std::io::IsTerminal as _;
                if io::stdin().is_terminal() {
                    eprint_prompt();
                }
                let mut text = Vec::new();
                let read = io::stdin().lock().take(LINE_BYTES_MAX).read_to_end(&mut text);
                read.map_err(Failure::broken)?;
                text
            }
        };
        let text = String::from_utf8(text).map_err(|_| invalid("email", "is not UTF-8"))?;
        let line = text.lines().next().unwrap_or_default().trim();
        if line.is_empty() {
            return Err(invalid("email", "is missing: give it on standard input")
                .hint("printf %s name@example.com | fieldgate person who"));
        }
        Ok(Personal::new(line.to_owned()))
    }
}

fn eprint_prompt() {
    use std::io::Write as _;
    if write!(io::stderr(), "E-mail address, then Ctrl-D: ").is_err() {
        tracing::debug!("standard error is closed");
    }
}

pub(super) fn run(command: &PersonCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    let who = actor(None);
    match command {
        PersonCommand::Choose { who: whom, purpose: code, partner, yes, no, dry_run } => {
            let partner = match partner {
                None => None,
                Some(code) => Some(wait(onboard::find(&open.gateway, code))??.id),
            };
            let given = *yes && !*no;
            let word =
                Word { purpose: purpose(code)?, partner, given, origin: ChoiceOrigin::Staff };
            let address = whom.read()?;
            let story = withdraw::choose(&open.gateway, &who, &address, word);
            let says = if given { "yes recorded" } else { "no recorded; releases stopped" };
            if *dry_run {
                let asked = wait(withdraw::foresee(&open.gateway, &who, &address, Some(word)))??;
                voice.tell(&ActDone::dry(says, &asked, &open)?);
            } else {
                voice.tell(&ActDone::of(says, &wait(story)??, &open)?);
            }
        }
        PersonCommand::Withdraw { who: whom, dry_run } => {
            let address = whom.read()?;
            let says = "withdrawn; releases stopped";
            if *dry_run {
                let asked = wait(withdraw::foresee(&open.gateway, &who, &address, None))??;
                voice.tell(&ActDone::dry(says, &asked, &open)?);
            } else {
                let done = wait(withdraw::withdraw(&open.gateway, &who, &address))??;
                voice.tell(&ActDone::of(says, &done, &open)?);
            }
        }
        PersonCommand::Erase(args) => erasure::erase(&open, &who, args, voice)?,
        PersonCommand::Forget(args) => erasure::forget(&open, &who, args, voice)?,
        PersonCommand::Who { who: whom } => return self::who(&open, whom, voice),
    }
    Ok(Ending::Done)
}

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

#[derive(Debug, Serialize)]
struct ActDone {
    done: String,
    entry: u64,
    must_be_told: Vec<String>,
}

impl ActDone {
    fn of(done: &str, act: &Done, open: &Installation) -> Result<Self, Failure> {
        let registry = wait(open.gateway.registry_now())??;
        let name = |id| registry.partners.get(id).map(|one| one.legal_name.clone());
        Ok(Self {
            done: done.to_owned(),
            entry: act.receipt.index(),
            must_be_told: act.to_tell.iter().filter_map(name).collect(),
        })
    }

    fn dry(done: &str, asked: &Done, open: &Installation) -> Result<Self, Failure> {
        Self::of(&format!("dry run, nothing changed: {done}"), asked, open)
    }
}

impl Say for ActDone {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{} (ledger entry {})", self.done, self.entry)?;
        if self.must_be_told.is_empty() {
            writeln!(out, "  no partner ever received this person's data for this")
        } else {
            writeln!(out, "  received it before, must be told: {}", self.must_be_told.join(", "))
        }
    }
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
    /// Where the recall of it stands: none is opened by this version.
    recall: &'static str,
}

impl WhoAnswer {
    /// Puts a report into words.
    pub(super) fn of(report: &Report) -> Self {
        let line = |one: &report::Holding| HoldingLine {
            partner: one.legal_name.clone(),
            partner_id: one.partner.to_string(),
            purpose: one.purpose.code(),
            fields: one.fields.iter().map(crate::domain::field::Field::code).collect(),
            first: one.first.rfc3339(),
            last: one.last.rfc3339(),
            use_until: one.use_until.day(),
            policy_version: one.policy.map(|version| version.0),
            entries: one.entries.clone(),
            receipts: one.entries.iter().copied().map(receipt_path).collect(),
            must_be_told: one.must_be_told,
            recall: report::RECALL,
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
        table.set_header([
            "partner",
            "purpose",
            "fields",
            "first",
            "last",
            "entries",
            "to be told",
        ]);
        for one in &self.holdings {
            let entries: Vec<_> = one.entries.iter().map(u64::to_string).collect();
            table.add_row([
                one.partner.clone(),
                one.purpose.to_owned(),
                one.fields.join(" "),
                one.first.clone(),
                one.last.clone(),
                entries.join(" "),
                if one.must_be_told { "yes" } else { "no" }.to_owned(),
            ]);
        }
        writeln!(out, "{table}")
    }
}
