//! `fieldgate ledger verify`: the whole log again, in the database, in a folder or behind a door.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::clock::{Clock, Moment};
use crate::ledger::verify::{self, Plan, Progress, Report};
use crate::ledger::{Archive, ShelfError};
use crate::merkle::proof::TreeHead;
use crate::store::StoreError;

use super::super::installation::{Reading, chain};
use super::super::log_source::LogPlace;
use super::super::say::{Ending, Failure, Say, Voice};
use super::kept;
use super::resume::{Depth, Resume};
use super::{of_lines, policy};

/// What is to be verified, and how.
#[derive(Debug, clap::Args)]
pub(in super::super) struct VerifyLog {
    #[command(flatten)]
    place: LogPlace,
    /// Whom you trust: the log's public key (vkey), a file that holds it, or a tlog-policy file
    /// that also names witnesses. Left out, the installation's key, or the one in the folder.
    #[arg(long, alias = "key", value_name = "FILE|VKEY")]
    policy: Option<String>,
    /// Entries below this index were pruned; a multiple of 256.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Keep in this file how far everything is sound, and go on from there the next time. Entries
    /// that were read in an earlier run are not read again. A published log is kept while it is
    /// read; the database, whose rows are compared with each other, once it was read to the end.
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Check one receipt instead, as `fieldgate verify receipt` does.
    #[arg(long, value_name = "FILE", requires = "policy")]
    receipt: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    sound: bool,
    size: u64,
    root: String,
    entries: u64,
    seconds: f64,
    findings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'static str>,
}

impl Say for Verdict {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for finding in &self.findings {
            writeln!(out, "  WRONG  {finding}")?;
        }
        let word = if self.sound { "VERIFIED" } else { "NOT VERIFIED" };
        let Self { size, root, seconds, .. } = self;
        writeln!(out, "{word}: {size} entries, root {root}, in {seconds:.2} s")?;
        self.remark.map_or(Ok(()), |remark| writeln!(out, "  {remark}"))
    }
}

pub(in super::super) fn run(
    asked: &VerifyLog,
    config: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    if let Some(file) = &asked.receipt {
        return super::verify_receipt(file, asked.policy.as_deref().unwrap_or_default(), voice);
    }
    let begun = Clock::System.now();
    let (report, also, remark) = if asked.place.is_named() {
        published(asked, config, voice)?
    } else {
        stored(asked, config, voice)?
    };
    let verdict = verdict(&report, also, begun, remark);
    let ending = if verdict.sound { Ending::Done } else { Ending::Wrong };
    voice.tell(&verdict);
    Ok(ending)
}

fn verdict(
    report: &Report,
    also: Vec<String>,
    begun: Moment,
    remark: Option<&'static str>,
) -> Verdict {
    let micros = Clock::System.now().0.saturating_sub(begun.0);
    let mut findings: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    if report.more > 0 {
        findings.push(format!("and {} more", report.more));
    }
    findings.extend(also);
    Verdict {
        sound: findings.is_empty(),
        size: report.head.size,
        root: report.head.root.to_base64(),
        entries: report.entries,
        seconds: Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64(),
        findings,
        remark,
    }
}

type Walked = (Report, Vec<String>, Option<&'static str>);

/// The live database: everything, also what hangs on the entries.
fn stored(asked: &VerifyLog, config: &Path, voice: Voice) -> Result<Walked, Failure> {
    let open = Reading::open(config)?;
    let notary = open.notary()?;
    let trusted = match asked.policy.as_deref() {
        Some(named) => policy(named)?,
        None => notary.policy(),
    };
    let resume = Resume::open(asked.resume.as_deref(), Depth::Rows)?;
    let from = asked.from.max(resume.from());
    let plan = Plan { signing: notary.verifiers(), from, ..Plan::default() };
    let bar = progress(voice);
    let shown = bar.clone();
    let walked = open.store.read_blocking(move |tx| {
        tx.take_time()?;
        Ok::<_, StoreError>(walk(tx, resume, &shown, |tx, heard| {
            let mut report = verify::everything(tx, &plan, heard)?;
            verify::kept(tx, (&trusted, plan.from), kept::page, &mut report)?;
            Ok(report)
        }))
    });
    bar.finish_and_clear();
    let (report, also) = walked.map_err(|error| Failure::broken(chain(&error)))??;
    Ok((report, also, None))
}

/// One walk with its state: shown, kept while it goes on, and at its end.
fn walk<A: Archive>(
    archive: &mut A,
    mut resume: Resume,
    bar: &ProgressBar,
    run: impl FnOnce(&mut A, &mut dyn FnMut(Progress)) -> Result<Report, ShelfError>,
) -> Result<(Report, Vec<String>), Failure> {
    let broken = |error: ShelfError| Failure::broken(chain(&error));
    let head = archive.head().map_err(broken)?;
    let head = TreeHead { size: head.size(), root: head.frontier.root() };
    bar.set_length(head.size);
    bar.set_position(resume.from());
    bar.reset_eta();
    let changed = resume.begin(archive, head)?;
    let report = run(archive, &mut |progress| {
        bar.set_position(progress.done);
        if changed.is_none() {
            resume.hear(progress);
        }
    });
    let report = report.map_err(broken)?;
    if report.is_sound() && changed.is_none() {
        resume.save(head.size)?;
    }
    Ok((report, changed.into_iter().collect()))
}

/// An export or a served log: what its checkpoint promises.
fn published(asked: &VerifyLog, config: &Path, voice: Voice) -> Result<Walked, Failure> {
    let mut log = asked.place.open(config)?;
    let (trusted, remark) = match &asked.policy {
        Some(named) => (policy(named)?, None),
        None => {
            let own = asked.place.own_keys(config)?.as_deref().and_then(of_lines);
            let own = own.ok_or_else(nobody_trusted)?;
            (own, Some("by the key in the folder itself: compare it with yours"))
        }
    };
    let resume = Resume::open(asked.resume.as_deref(), Depth::Published)?;
    let plan = Plan {
        log: trusted.logs().cloned().collect(),
        checkpoints: vec![log.note().clone()],
        from: asked.from.max(resume.from()),
        ..Plan::default()
    };
    let size = log.checkpoint().size;
    let unconvinced = trusted.check(log.note()).err();
    let bar = progress(voice);
    let walked = walk(&mut log, resume, &bar, |log, heard| verify::published(log, &plan, heard));
    bar.finish_and_clear();
    let (report, mut also) = walked?;
    let unsigned = |fault| format!("the checkpoint of size {size}: {}", chain(&fault));
    also.extend(unconvinced.map(unsigned));
    Ok((report, also, remark))
}

fn nobody_trusted() -> Failure {
    Failure::new(Ending::Invalid, "whose signature shall count?").hint("--policy FILE|VKEY")
}

/// How far it is, how fast, and how much longer; on standard error, and silent for machines.
fn progress(voice: Voice) -> ProgressBar {
    if voice.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::no_length();
    let form = "{bar:30} {human_pos} of {human_len} entries, {per_sec}, {eta} left";
    match ProgressStyle::with_template(form) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
