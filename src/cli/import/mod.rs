//! `fieldgate contacts import`: a CSV export goes in by batches, and goes on where it was cut off.

mod headings;

mod lines;

mod mark;

mod rejects;

use std::fs::File;
use std::io;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::clock::Moment;
use crate::domain::contact::CollectionPoint;
use crate::domain::policy::Policy;
use crate::flows::Error;
use crate::flows::intake::{self, BATCH_MAX, Bringer, Manner, Outcome, Submission};
use crate::id::{RequestId, Thumbprint};

use super::installation::{Installation, actor, wait};
use super::partners::{invalid, parse_code};
use super::say::{Failure, Say, Voice};

use lines::{Common, Line, Reader};
use mark::{Mark, Place, beside};
use rejects::Rejects;

pub use lines::survey_contacts;

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// The file, UTF-8, with headings.
    file: PathBuf,
    /// Where these people left their details: trial, support or news.
    #[arg(long)]
    point: String,
    /// Policy version they were shown; may be left out while there is only one.
    #[arg(long)]
    policy: Option<i32>,
    /// SHA-256 of the wording they were shown, hex; the version's first text when left out.
    #[arg(long)]
    wording_hash: Option<Thumbprint>,
    /// When they left them, RFC 3339 or a day; now when left out.
    #[arg(long)]
    collected_at: Option<Moment>,
    /// Map a heading: 'Heading=field', or 'Heading=-' to leave it out. May be repeated.
    #[arg(long, value_name = "HEADING=FIELD")]
    map: Vec<String>,
    /// Check every line and tell, keep nothing. Wrong lines go to FILE.dry-run.csv.
    #[arg(long)]
    dry_run: bool,
    /// Begin at the first line, even if an earlier import stopped in the middle.
    #[arg(long)]
    from_start: bool,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
pub(super) struct Imported {
    dry_run: bool,
    lines: u64,
    created: u64,
    merged: u64,
    suppressed: u64,
    pub(super) rejected: u64,
    skipped: u64,
    rejects_file: Option<String>,
    entries: Vec<u64>,
}

impl Say for Imported {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let mode = if self.dry_run { "dry run, nothing kept: " } else { "" };
        writeln!(
            out,
            "{mode}{} lines: {} created, {} merged, {} suppressed, {} rejected",
            self.lines, self.created, self.merged, self.suppressed, self.rejected
        )?;
        if self.skipped > 0 {
            writeln!(out, "  went on after line {} of an earlier import", self.skipped)?;
        }
        if let Some(file) = &self.rejects_file {
            writeln!(out, "  lines that are not in, with their reasons: {file}")?;
        }
        Ok(())
    }
}

/// Takes a file in; tells how each line ended.
pub(super) fn import(
    open: &Installation,
    arguments: &ImportArguments,
    voice: Voice,
) -> Result<Imported, Failure> {
    let file = &arguments.file;
    let common = common(open, arguments)?;
    let reader = Reader::open(file, &arguments.map)?;
    let (mark, from, ending) = if arguments.dry_run {
        (None, Place::default(), ".dry-run.csv")
    } else {
        let (mark, from) = Mark::find(file, arguments.from_start)?;
        (Some(mark), from, ".rejects.csv")
    };
    let import = Import {
        open,
        reader,
        mark,
        rejects: Rejects::new(beside(file, ending), from.rejects_bytes),
        batch: Vec::new(),
        lines: Vec::new(),
        at: from.line,
        done: Imported { dry_run: arguments.dry_run, skipped: from.line, ..Imported::default() },
        bar: progress(file, voice),
    };
    import.run(&common)
}

fn common(open: &Installation, arguments: &ImportArguments) -> Result<Common, Failure> {
    let registry = wait(open.gateway.registry_now())??;
    let now = open.gateway.now();
    let policy = shown(registry.policies(), arguments.policy)?;
    let first = policy.texts.first().map(|text| text.wording_hash);
    let given = arguments.wording_hash.map(|hash| hash.0);
    let wording_hash = given.or(first).ok_or_else(|| invalid("policy", "has no text"))?;
    Ok(Common {
        point: parse_code("point", &arguments.point, CollectionPoint::ALL, CollectionPoint::code)?,
        at: arguments.collected_at.unwrap_or(now),
        policy: policy.version,
        wording_hash,
    })
}

/// The version these people were shown. Nobody may be bound by default to one that discloses more
/// than the one she saw, so with several versions the operator must say which.
fn shown(policies: &[Policy], version: Option<i32>) -> Result<&Policy, Failure> {
    let mut published = policies
        .iter()
        .filter(|one| one.published_at.is_some())
        .filter(|one| version.is_none_or(|version| one.version.0 == version));
    match (published.next(), published.next()) {
        (Some(policy), None) => Ok(policy),
        (None, _) => {
            Err(invalid("policy", "no such version is published").hint("fieldgate policy show"))
        }
        (Some(_), Some(_)) => Err(invalid("policy", "say which version they were shown")
            .hint("--policy N; if nobody knows, the oldest that can be true")),
    }
}

/// An import under way.
struct Import<'a> {
    open: &'a Installation,
    reader: Reader<File>,
    mark: Option<Mark>,
    rejects: Rejects,
    /// What the next batch hands in, and the lines it came from, in the same order.
    batch: Vec<Submission>,
    lines: Vec<Line>,
    /// Number of the last line looked at.
    at: u64,
    done: Imported,
    bar: ProgressBar,
}

impl Import<'_> {
    fn run(mut self, common: &Common) -> Result<Imported, Failure> {
        let skip = self.done.skipped;
        while let Some(line) = self.reader.next(common)? {
            if line.number > skip {
                self.take(line)?;
            }
            if self.batch.len() == BATCH_MAX {
                self.hand_in()?;
            }
        }
        if !self.batch.is_empty() {
            self.hand_in()?;
        }
        self.bar.finish_and_clear();
        self.done.rejects_file = self.rejects.finish()?;
        if let Some(mark) = &self.mark {
            mark.clear()?;
        }
        Ok(self.done)
    }

    fn take(&mut self, mut line: Line) -> Result<(), Failure> {
        self.at = line.number;
        self.done.lines = self.done.lines.saturating_add(1);
        match std::mem::replace(&mut line.read, Err(String::new())) {
            Ok(submission) => {
                self.batch.push(submission);
                self.lines.push(line);
                Ok(())
            }
            Err(says) => {
                self.done.rejected = self.done.rejected.saturating_add(1);
                self.rejects.add(&self.reader.headings, &line, &says)
            }
        }
    }

    /// Hands the batch in. The rejected lines are on disk before the place behind them is kept.
    fn hand_in(&mut self) -> Result<(), Failure> {
        let manner = Manner {
            request: RequestId::new(),
            bringer: Bringer::Staff(actor(None)),
            dry_run: self.done.dry_run,
            once: None,
        };
        let batch = std::mem::take(&mut self.batch);
        let taken = match wait(intake::hand_in(&self.open.gateway, manner, batch))? {
            Ok(taken) => taken,
            Err(error @ Error::Busy { .. }) => {
                let hint = "run the same command again: it goes on where it stopped";
                return Err(Failure::from(error).hint(hint));
            }
            Err(error) => return Err(error.into()),
        };
        self.done.entries.extend(taken.receipt.iter().map(crate::ledger::Receipt::index));
        for (line, outcome) in std::mem::take(&mut self.lines).iter().zip(taken.outcomes) {
            self.count(line, outcome)?;
        }
        self.bar.set_position(self.reader.bytes());
        self.bar.set_message(format!("{} lines", self.done.lines));
        let rejects_bytes = self.rejects.flush()?;
        match &self.mark {
            Some(mark) => mark.keep(Place { line: self.at, rejects_bytes }),
            None => Ok(()),
        }
    }

    fn count(&mut self, line: &Line, outcome: Outcome) -> Result<(), Failure> {
        let (count, says) = match outcome {
            Outcome::Created => (&mut self.done.created, None),
            Outcome::Merged => (&mut self.done.merged, None),
            Outcome::Suppressed => {
                (&mut self.done.suppressed, Some("suppressed: the person withdrew".to_owned()))
            }
            Outcome::Invalid(fault) => {
                let place = fault.at.rsplit('/').next().unwrap_or_default();
                (&mut self.done.rejected, Some(format!("{place} {}", fault.says)))
            }
        };
        *count = count.saturating_add(1);
        match says {
            Some(says) => self.rejects.add(&self.reader.headings, line, &says),
            None => Ok(()),
        }
    }
}

fn progress(file: &std::path::Path, voice: Voice) -> ProgressBar {
    use std::io::IsTerminal as _;
    if voice.is_json() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bytes = std::fs::metadata(file).map_or(0, |facts| facts.len());
    let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}, {eta} left");
    let bar = ProgressBar::new(bytes);
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}
