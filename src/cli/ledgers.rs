//! `fieldgate ledger`: verify all of it, prove one entry, export it as files.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::clock::Clock;
use crate::ledger::prove::serve;
use crate::ledger::verify::{self, Plan, VerifiedReceipt};
use crate::ledger::{Archive as _, Notary};
use crate::merkle::key::Verifier;
use crate::merkle::policy::Policy;
use crate::merkle::tile::tiles_of;
use crate::store::{ReadTx, StoreError};

use super::installation::{Reading, chain, read_file};
use super::partners::invalid;
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Re-hash everything: entries, tiles, head, projections, items. Names what is wrong.
    Verify {
        /// Check one receipt file offline instead, without any database.
        #[arg(long, value_name = "FILE", requires = "key")]
        receipt: Option<PathBuf>,
        /// The log's public key (vkey), or a file with a vkey or a tlog-policy.
        #[arg(long, value_name = "VKEY|FILE")]
        key: Option<String>,
    },
    /// Print the log's public key (vkey): what a partner pins to check receipts.
    Key,
    /// Write the receipt of one entry.
    Prove {
        /// Index of the entry.
        index: u64,
        /// Where; standard output when left out.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Compare every anchor with the ledger.
    Anchors {
        /// Put away an alarm whose cause is gone: every anchor agrees again.
        #[arg(long)]
        settle: bool,
    },
    /// Write checkpoint, tiles and entries as files (c2sp.org/tlog-tiles).
    Export {
        /// Folder; what is there already and full is kept.
        #[arg(long)]
        dir: PathBuf,
    },
}

pub(super) fn run(command: &LedgerCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    match command {
        LedgerCommand::Verify { receipt: Some(file), key } => {
            verify_receipt(file, key.as_deref().unwrap_or_default(), voice)
        }
        LedgerCommand::Verify { .. } => verify_store(&Reading::open(config)?, voice),
        LedgerCommand::Key => {
            let keys = Reading::open(config)?.notary()?.verifiers();
            voice.tell(&LogKeys { keys: keys.iter().map(ToString::to_string).collect() });
            Ok(Ending::Done)
        }
        LedgerCommand::Prove { index, out } => prove(config, *index, out.as_deref(), voice),
        LedgerCommand::Anchors { settle } => {
            super::anchors::show(&Reading::open(config)?, *settle, voice)
        }
        LedgerCommand::Export { dir } => export(config, dir, voice),
    }
}

#[derive(Debug, Serialize)]
struct LogKeys {
    keys: Vec<String>,
}

impl Say for LogKeys {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        self.keys.iter().try_for_each(|key| writeln!(out, "{key}"))
    }
}

#[derive(Debug, Serialize)]
struct Verdict {
    sound: bool,
    size: u64,
    root: String,
    seconds: f64,
    findings: Vec<String>,
}

impl Say for Verdict {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for finding in &self.findings {
            writeln!(out, "  WRONG  {finding}")?;
        }
        let word = if self.sound { "VERIFIED" } else { "NOT VERIFIED" };
        let Self { size, root, seconds, .. } = self;
        writeln!(out, "{word}: {size} entries, root {root}, in {seconds:.2} s")
    }
}

fn verify_store(open: &Reading, voice: Voice) -> Result<Ending, Failure> {
    let plan = Plan { log: open.notary()?.verifiers(), ..Plan::default() };
    let bar = if voice.is_json() { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let begun = Clock::System.now();
    let shown = bar.clone();
    let report = open.store.read_blocking(move |tx| {
        tx.take_time()?;
        let walked = tx.head().and_then(|head| {
            shown.set_length(head.size());
            verify::everything(tx, &plan, |progress| shown.set_position(progress.done))
        });
        Ok::<_, StoreError>(walked)
    });
    let report = report.map_err(|error| Failure::broken(chain(&error)))?;
    let report = report.map_err(|error| Failure::broken(chain(&error)))?;
    bar.finish_and_clear();
    let micros = Clock::System.now().0.saturating_sub(begun.0);
    let verdict = Verdict {
        sound: report.is_sound(),
        size: report.head.size,
        root: report.head.root.to_base64(),
        seconds: std::time::Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64(),
        findings: report.findings.iter().map(ToString::to_string).collect(),
    };
    let ending = if verdict.sound { Ending::Done } else { Ending::Wrong };
    voice.tell(&verdict);
    Ok(ending)
}

#[derive(Debug, Serialize)]
struct ReceiptVerdict {
    verified: bool,
    index: u64,
    size: u64,
    origin: String,
    entry: String,
    #[serde(skip)]
    told: Vec<String>,
}

impl ReceiptVerdict {
    fn of(receipt: &VerifiedReceipt) -> Self {
        let facts = &receipt.entry.facts;
        let mut told = vec![format!("kind      {} ({})", facts.kind, facts.op)];
        told.push(format!("time      {}", facts.at));
        let partner = facts.partner.map(|one| format!("partner   {one}"));
        let purpose = facts.purpose.map(|one| format!("purpose   {one}"));
        let fields = facts.fields.map(|one| format!("fields    {}", one.codes()));
        let reason = facts.reason.map(|one| format!("withheld  {}", one.row().label));
        let people = receipt.entry.items.map(|items| format!("people    {}", items.count));
        told.extend([partner, purpose, fields, people, reason].into_iter().flatten());
        Self {
            verified: true,
            index: receipt.index,
            size: receipt.checkpoint.size,
            origin: receipt.checkpoint.origin.clone(),
            entry: String::from_utf8_lossy(&receipt.bytes).into_owned(),
            told,
        }
    }
}

impl Say for ReceiptVerdict {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(
            out,
            "VERIFIED offline: entry {} of {} in {}",
            self.index, self.size, self.origin
        )?;
        self.told.iter().try_for_each(|line| writeln!(out, "  {line}"))
    }
}

fn verify_receipt(file: &Path, key: &str, voice: Voice) -> Result<Ending, Failure> {
    let text =
        String::from_utf8(read_file(file)?).map_err(|_| invalid("receipt", "is not UTF-8"))?;
    match verify::verify_receipt(&text, &policy(key)?) {
        Ok(receipt) => {
            voice.tell(&ReceiptVerdict::of(&receipt));
            Ok(Ending::Done)
        }
        Err(error) => {
            let says = format!("NOT VERIFIED: {}", chain(&error));
            Err(Failure::new(Ending::Wrong, says).hint(
                "the file was altered, belongs to another log, or the key is not that log's key",
            ))
        }
    }
}

/// A vkey as it stands, or a file that holds a vkey or a tlog-policy.
pub(super) fn policy(key: &str) -> Result<Policy, Failure> {
    if let Ok(log) = Verifier::parse(key.trim()) {
        return Ok(Policy::of_log(log));
    }
    let bytes = read_file(Path::new(key))?;
    let text = String::from_utf8_lossy(&bytes);
    if let Ok(log) = Verifier::parse(text.trim()) {
        return Ok(Policy::of_log(log));
    }
    Policy::parse(&bytes).map_err(|fault| invalid("key", fault))
}

fn prove(config: &Path, index: u64, out: Option<&Path>, voice: Voice) -> Result<Ending, Failure> {
    let open = Reading::open(config)?;
    let notary = open.notary()?;
    let proof = open
        .store
        .read_blocking(move |tx| Ok::<_, StoreError>(notary.receipt(tx, index)))
        .map_err(|error| Failure::broken(chain(&error)))?;
    let proof = proof.map_err(|error| Failure::new(Ending::Unknown, chain(&error)))?.to_string();
    match out {
        None => Voice::raw(proof.as_bytes()),
        Some(file) => {
            std::fs::write(file, proof).map_err(Failure::broken)?;
            voice.line(format_args!("receipt of entry {index} written to {}", file.display()));
        }
    }
    Ok(Ending::Done)
}

#[derive(Debug, Serialize)]
struct Exported {
    size: u64,
    written: u64,
    kept: u64,
    dir: String,
}

impl Say for Exported {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { size, written, kept, dir } = self;
        writeln!(out, "{size} entries in {dir}: {written} files written, {kept} kept")
    }
}

/// Writes the static form of the log. Full tiles never change and are kept; the checkpoint is
/// written last, so that it never promises what is not there yet.
fn export(config: &Path, dir: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Reading::open(config)?;
    let notary = open.notary()?;
    let target = dir.to_owned();
    let exported = open
        .store
        .read_blocking(move |tx| {
            tx.take_time()?;
            Ok::<_, StoreError>(write_tiles(tx, &notary, &target))
        })
        .map_err(|error| Failure::broken(chain(&error)))??;
    voice.tell(&exported);
    Ok(Ending::Done)
}

fn write_tiles(tx: &mut ReadTx, notary: &Notary, dir: &Path) -> Result<Exported, Failure> {
    let head = tx.head().map_err(|error| Failure::broken(chain(&error)))?;
    let size = head.size();
    let (mut written, mut kept) = (0_u64, 0_u64);
    for path in tiles_of(size) {
        let file = dir.join("tile").join(path.to_string());
        if path.is_full() && file.exists() {
            kept = kept.saturating_add(1);
            continue;
        }
        let bytes = serve(tx, path).map_err(|error| Failure::broken(chain(&error)))?;
        write_file(&file, &bytes)?;
        written = written.saturating_add(1);
    }
    let note = notary.checkpoint(&head).map_err(|error| Failure::broken(chain(&error)))?;
    let keys: Vec<_> = notary.verifiers().iter().map(ToString::to_string).collect();
    write_file(&dir.join("log.vkey"), keys.join("\n").as_bytes())?;
    write_file(&dir.join("checkpoint"), note.to_string().as_bytes())?;
    let dir = dir.display().to_string();
    Ok(Exported { size, written: written.saturating_add(2), kept, dir })
}

fn write_file(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::broken(format!("cannot write {}: {error}", file.display()));
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    super::installation::write_public(file, bytes)
}
