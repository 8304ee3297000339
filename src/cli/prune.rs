//! `fieldgate ledger prune`: old entries lose their bodies under the written rule.

use std::io;
use std::path::Path;

use indicatif::ProgressBar;
use serde::Serialize;

use crate::domain::retention::RetentionRule;
use crate::flows::retain::{self, Before};

use super::confirm::confirm;
use super::installation::{Installation, actor, wait};
use super::partners::invalid;
use super::say::{Ending, Failure, Say, Voice};

/// What is pruned.
#[derive(Debug, clap::Args)]
pub(super) struct PruneArgs {
    /// Index, or time (RFC 3339 or a day) before which entries lose their bodies. Rounded down to
    /// whole pieces of 65,536 entries. Left out: only rows of an interrupted pruning are deleted.
    #[arg(long, value_name = "INDEX|TIME")]
    before: Option<String>,
    /// Say what would go; change nothing.
    #[arg(long, requires = "before")]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    dry_run: bool,
    min_index: u64,
    border: u64,
    entry: Option<u64>,
}

impl Say for Answer {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { min_index, border, .. } = self;
        let last = border.saturating_sub(1);
        match self.entry {
            Some(entry) => {
                writeln!(out, "entries {min_index} to {last} are gone (ledger entry {entry})")?;
                writeln!(out, "  all hash tiles stay: receipts and proofs verify as before")
            }
            None if self.dry_run => {
                writeln!(out, "dry run, nothing changed: entries {min_index} to {last} would go")?;
                writeln!(out, "  first: fieldgate ledger export --dir DIR, and keep it encrypted")
            }
            None => writeln!(out, "nothing is left of the entries below {min_index}"),
        }
    }
}

/// Prunes, or goes on where a pruning was interrupted.
pub(super) fn run(args: &PruneArgs, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    let mut answer = Answer { dry_run: args.dry_run, min_index: 0, border: 0, entry: None };
    if let Some(text) = &args.before {
        let before = before(text)?;
        let rule = rule(open.settings.ledger.keep_days)?;
        let what = wait(retain::foresee(&open.gateway, rule, before))??;
        (answer.min_index, answer.border) = (what.min_index, what.border);
        if args.dry_run {
            voice.tell(&answer);
            return Ok(Ending::Done);
        }
        let (first, last) = (what.min_index, what.border.saturating_sub(1));
        confirm(&format!("Entries {first} to {last} lose their bodies"), "prune", args.yes)?;
        let pruned = wait(retain::prune(&open.gateway, &actor(None), rule, before))??;
        answer.entry = Some(pruned.receipt.index());
    } else {
        answer.min_index = wait(retain::min_index(&open.gateway))??;
    }
    let bar = if voice.is_json() { ProgressBar::hidden() } else { ProgressBar::no_length() };
    retain::sweep(&open.gateway, |left| {
        bar.set_length(bar.length().unwrap_or(0).max(left));
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(left));
    })?;
    bar.finish_and_clear();
    voice.tell(&answer);
    Ok(Ending::Done)
}

fn before(text: &str) -> Result<Before, Failure> {
    if let Ok(index) = text.parse() {
        return Ok(Before::Index(index));
    }
    text.parse().map(Before::Time).map_err(|fault| invalid("before", fault))
}

fn rule(keep_days: Option<u32>) -> Result<RetentionRule, Failure> {
    let Some(days) = keep_days else {
        return Err(Failure::new(Ending::Conflict, "no retention rule is written down").hint(
            "set [ledger] keep_days to what your retention policy says; without it all is kept",
        ));
    };
    RetentionRule::new(days)
        .map_err(|fault| Failure::new(Ending::Settings, format!("[ledger] keep_days {fault}")))
}
