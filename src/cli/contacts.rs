//! `fieldgate contacts`: import a CSV file, or find a contact.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::clock::Moment;
use crate::domain::contact::CollectionPoint;
use crate::flows::intake::{self, BATCH_MAX, Bringer, Manner, Outcome, Submission};
use crate::flows::{Error, report};
use crate::id::{PolicyVersion, RequestId, Thumbprint};

use super::import::{Common, Line, Reader};
use super::installation::{Installation, actor, wait};
use super::partners::{invalid, parse_code};
use super::persons::{WhoAnswer, Whom};
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, Subcommand)]
pub(super) enum ContactsCommand {
    /// Bring contacts in from a CSV file. Wrong lines go to FILE.rejects.csv with the reason;
    /// an import that was cut off goes on where it stopped.
    Import(ImportArguments),
    /// Whether a person is known, where the contact stands, who has the data.
    Find {
        #[command(flatten)]
        who: Whom,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// The file, UTF-8, with headings.
    file: PathBuf,
    /// Where these people left their details: trial, support or news.
    #[arg(long)]
    point: String,
    /// Policy version they were shown; the one in force when left out.
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
    /// Check every line and tell, keep nothing.
    #[arg(long)]
    dry_run: bool,
    /// Begin at the first line, even if an earlier import stopped in the middle.
    #[arg(long)]
    from_start: bool,
}

pub(super) fn run(
    command: &ContactsCommand,
    config: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    match command {
        ContactsCommand::Import(arguments) => {
            let done = import(&open, arguments, voice)?;
            let ending = if done.rejected == 0 { Ending::Done } else { Ending::Invalid };
            voice.tell(&done);
            Ok(ending)
        }
        ContactsCommand::Find { who } => {
            let found = wait(report::who(&open.gateway, &actor(None), &who.read()?))??;
            voice.tell(&WhoAnswer::of(&found));
            Ok(Ending::Done)
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct Imported {
    dry_run: bool,
    lines: u64,
    created: u64,
    merged: u64,
    suppressed: u64,
    rejected: u64,
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
            writeln!(out, "  rejected lines with their reasons: {file}")?;
        }
        Ok(())
    }
}

fn common(open: &Installation, arguments: &ImportArguments) -> Result<Common, Failure> {
    let registry = wait(open.gateway.registry_now())??;
    let now = open.gateway.now();
    let policy = match arguments.policy {
        Some(version) => registry.policy(PolicyVersion(version)),
        None => registry.policy_in_force(now),
    };
    let policy = policy.ok_or_else(|| {
        invalid("policy", "no such version is published").hint("fieldgate policy show")
    })?;
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

/// Where an import keeps the number of the last line that is safely in: beside the file.
fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    file.with_file_name(name)
}

fn import(
    open: &Installation,
    arguments: &ImportArguments,
    voice: Voice,
) -> Result<Imported, Failure> {
    let common = common(open, arguments)?;
    let mut reader = Reader::open(&arguments.file, &arguments.map)?;
    let mark = beside(&arguments.file, ".progress");
    let skip = if arguments.from_start || arguments.dry_run { 0 } else { last_line(&mark) };
    let mut done = Imported { dry_run: arguments.dry_run, skipped: skip, ..Imported::default() };
    let mut rejects = Rejects::new(beside(&arguments.file, ".rejects.csv"), skip > 0);
    let bar = progress(voice);
    let mut waiting: Vec<(Line, usize)> = Vec::new();
    let mut batch: Vec<Submission> = Vec::new();
    let mut at = skip;
    loop {
        let line = reader.next(&common);
        let ended = line.is_none();
        if let Some(mut line) = line {
            if line.number <= skip {
                continue;
            }
            at = line.number;
            done.lines = done.lines.saturating_add(1);
            match std::mem::replace(&mut line.read, Err(String::new())) {
                Ok(submission) => {
                    waiting.push((line, batch.len()));
                    batch.push(submission);
                }
                Err(says) => {
                    rejects.add(&reader.headings, &line, &says)?;
                    done.rejected = done.rejected.saturating_add(1);
                }
            }
        }
        if batch.len() == BATCH_MAX || (ended && !batch.is_empty()) {
            let lines = std::mem::take(&mut waiting);
            hand_in(
                open,
                (std::mem::take(&mut batch), &lines),
                &mut done,
                (&mut rejects, &reader),
            )?;
            bar.set_position(done.lines);
            if !arguments.dry_run {
                keep_mark(&mark, at)?;
            }
        }
        if ended {
            break;
        }
    }
    bar.finish_and_clear();
    if !arguments.dry_run && mark.exists() {
        std::fs::remove_file(&mark).map_err(Failure::broken)?;
    }
    done.rejects_file = rejects.finish()?;
    Ok(done)
}

fn hand_in(
    open: &Installation,
    (batch, lines): (Vec<Submission>, &[(Line, usize)]),
    done: &mut Imported,
    (rejects, reader): (&mut Rejects, &Reader<File>),
) -> Result<(), Failure> {
    let manner = Manner {
        request: RequestId::new(),
        bringer: Bringer::Staff(actor(None)),
        dry_run: done.dry_run,
        once: None,
    };
    let taken = match wait(intake::hand_in(&open.gateway, manner, batch))? {
        Ok(taken) => taken,
        Err(error @ Error::Busy { .. }) => {
            let hint = "run the same command again: it goes on where it stopped";
            return Err(Failure::from(error).hint(hint));
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(receipt) = &taken.receipt {
        done.entries.push(receipt.index());
    }
    for ((line, _), outcome) in lines.iter().zip(&taken.outcomes) {
        let (count, says) = match outcome {
            Outcome::Created => (&mut done.created, None),
            Outcome::Merged => (&mut done.merged, None),
            Outcome::Suppressed => {
                (&mut done.suppressed, Some("suppressed: the person withdrew".to_owned()))
            }
            Outcome::Invalid(fault) => {
                let place = fault.at.rsplit('/').next().unwrap_or_default();
                (&mut done.rejected, Some(format!("{place} {}", fault.says)))
            }
        };
        *count = count.saturating_add(1);
        if let Some(says) = says {
            rejects.add(&reader.headings, line, &says)?;
        }
    }
    Ok(())
}

fn progress(voice: Voice) -> ProgressBar {
    use std::io::IsTerminal as _;
    if voice.is_json() || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} lines, {per_sec}, {elapsed}");
    let bar = ProgressBar::no_length();
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

fn last_line(mark: &Path) -> u64 {
    std::fs::read_to_string(mark).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn keep_mark(mark: &Path, line: u64) -> Result<(), Failure> {
    super::installation::write_private(mark, line.to_string().as_bytes())
}

/// The file of rejected lines: line number, reason, and the cells as they were, so that it can be
/// mended and imported again. It holds personal data, so only its owner may read it.
struct Rejects {
    path: PathBuf,
    append: bool,
    csv: Option<csv::Writer<std::fs::File>>,
}

impl Rejects {
    fn new(path: PathBuf, append: bool) -> Self {
        Self { path, append, csv: None }
    }

    fn add(&mut self, headings: &[String], line: &Line, says: &str) -> Result<(), Failure> {
        if self.csv.is_none() {
            let mut options = std::fs::OpenOptions::new();
            options.create(true).write(true).append(self.append).truncate(!self.append);
            #[cfg(unix)]
            {
                use std::os::unix::fs::OpenOptionsExt as _;
                options.mode(0o600);
            }
            let file = options.open(&self.path).map_err(Failure::broken)?;
            let fresh = file.metadata().map_err(Failure::broken)?.len() == 0;
            let mut csv = csv::WriterBuilder::new().flexible(true).from_writer(file);
            if fresh {
                let first = ["line", "reason"].into_iter();
                csv.write_record(first.chain(headings.iter().map(String::as_str)))
                    .map_err(Failure::broken)?;
            }
            self.csv = Some(csv);
        }
        let Some(csv) = &mut self.csv else { return Ok(()) };
        let number = line.number.to_string();
        let first = [number.as_str(), says].into_iter();
        csv.write_record(first.chain(line.cells.iter().map(String::as_str)))
            .map_err(Failure::broken)
    }

    fn finish(self) -> Result<Option<String>, Failure> {
        let Some(csv) = self.csv else { return Ok(None) };
        let mut file = csv.into_inner().map_err(|error| Failure::broken(error.error()))?;
        file.flush().map_err(Failure::broken)?;
        Ok(Some(self.path.display().to_string()))
    }
}
