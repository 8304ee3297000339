//! `fieldgate person`: choices, withdrawal, and who has the data. The address comes from a file
//! or standard input, never from an argument: arguments stand in process lists and histories.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::domain::consent::ChoiceOrigin;
use crate::flows::withdraw::{self, Done, Foreseen, Word};
use crate::flows::{Actor, onboard, recall};
use crate::id::PartnerId;
use crate::secret::Personal;
use crate::web::recalled::RecallStanding;

use super::erasure::{self, EraseArgs, ForgetArgs};
use super::installation::{Installation, actor, read_file, wait};
use super::partners::{invalid, purpose};
use super::say::{Ending, Failure, Say, Voice};
use super::who;

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
    /// answered its recall; without a number: list who waits.
    Forget(#[command(flatten)] ForgetArgs),
    /// Demand a person's data back from the partners that received it, for a reason of ours.
    Recall {
        #[command(flatten)]
        who: Whom,
        /// Only from this partner (its code); from all when left out.
        #[arg(long, value_name = "CODE")]
        partner: Option<String>,
        /// Check and tell, change nothing; the question is an entry.
        #[arg(long)]
        dry_run: bool,
    },
    /// Who has this person's data: partner, first and last time, fields, purpose, entries, recall.
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
            let partner = partner_of(&open, partner.as_deref())?;
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
        PersonCommand::Recall { who: whom, partner, dry_run } => {
            let partner = partner_of(&open, partner.as_deref())?;
            recall_from(&open, &who, (whom, partner, *dry_run), voice)?;
        }
        PersonCommand::Erase(args) => erasure::erase(&open, &who, args, voice)?,
        PersonCommand::Forget(args) => erasure::forget(&open, &who, args, voice)?,
        PersonCommand::Who { who: whom } => return who::who(&open, whom, voice),
    }
    Ok(Ending::Done)
}

/// The partner of that code, if one was named.
pub(super) fn partner_of(
    open: &Installation,
    code: Option<&str>,
) -> Result<Option<PartnerId>, Failure> {
    code.map(|code| Ok(wait(onboard::find(&open.gateway, code))??.id)).transpose()
}

fn recall_from(
    open: &Installation,
    actor: &Actor,
    (whom, partner, dry_run): (&Whom, Option<PartnerId>, bool),
    voice: Voice,
) -> Result<(), Failure> {
    let address = whom.read()?;
    let says = "recalled; it stops no release: end the grant, or `person choose --no --partner`";
    if dry_run {
        let asked = wait(recall::foresee(&open.gateway, actor, &address, partner))??;
        voice.tell(&ActDone::dry(says, &asked, open)?);
    } else {
        let done = wait(recall::open(&open.gateway, actor, &address, partner))??;
        voice.tell(&ActDone::of(says, &done, open)?);
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct ActDone {
    done: String,
    entry: u64,
    /// Legal names of the partners that must delete what they hold.
    must_be_told: Vec<String>,
    /// The demands to them; none in a dry run.
    recalls: Vec<RecallStanding>,
    /// Earlier demands that wait for an answer.
    waiting: usize,
}

impl ActDone {
    fn of(done: &str, act: &Done, open: &Installation) -> Result<Self, Failure> {
        let partners: Vec<_> = act.recalls.iter().map(|one| one.partner).collect();
        let standing = |recall| RecallStanding::of(recall, open.gateway.now());
        Ok(Self {
            done: done.to_owned(),
            entry: act.receipt.index(),
            must_be_told: names(open, &partners)?,
            recalls: act.recalls.iter().map(standing).collect(),
            waiting: act.waiting,
        })
    }

    fn dry(done: &str, asked: &Foreseen, open: &Installation) -> Result<Self, Failure> {
        Ok(Self {
            done: format!("dry run, nothing changed: {done}"),
            entry: asked.entry,
            must_be_told: names(open, &asked.to_tell)?,
            recalls: Vec::new(),
            waiting: 0,
        })
    }
}

fn names(open: &Installation, partners: &[PartnerId]) -> Result<Vec<String>, Failure> {
    let registry = wait(open.gateway.registry_now())??;
    let name = |id| registry.partners.get(id).map(|one| one.legal_name.clone());
    Ok(partners.iter().filter_map(name).collect())
}

impl Say for ActDone {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "{} (ledger entry {})", self.done, self.entry)?;
        match (self.must_be_told.as_slice(), self.waiting) {
            ([], 0) => return writeln!(out, "  nothing to recall"),
            ([], waiting) => {
                return writeln!(
                    out,
                    "  no new recall; {waiting} of before wait for an answer: fieldgate recall list"
                );
            }
            _ => {}
        }
        if self.recalls.is_empty() {
            return writeln!(out, "  would be recalled from: {}", self.must_be_told.join(", "));
        }
        for (name, recall) in self.must_be_told.iter().zip(&self.recalls) {
            let RecallStanding { recall_id, due_at, .. } = recall;
            writeln!(out, "  recalled from {name}: {recall_id}, to be answered by {due_at}")?;
        }
        writeln!(out, "  partners that poll are told by themselves; next: fieldgate recall list")
    }
}
