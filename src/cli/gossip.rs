//! `fieldgate ledger gossip`: the heads of receipts that a partner holds against the published log.
//!
//! A company that shows two histories must give each reader a checkpoint of one of them. Whoever
//! holds receipts compares them with what everybody can fetch, and the second history shows.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ledger::prove::{ProveError, prove_consistency};
use crate::ledger::published::Published;
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::policy::Policy;
use crate::merkle::proof::verify_consistency;
use crate::merkle::tlog_proof::TlogProof;

use super::installation::{chain, read_file};
use super::log_source::{LogPlace, LogSource};
use super::say::{Ending, Failure, Say, Voice};
use super::verify::policy;

#[derive(Debug, clap::Args)]
pub(super) struct GossipArguments {
    /// Receipts (`.tlog-proof`) or checkpoints.
    #[arg(required = true)]
    receipts: Vec<PathBuf>,
    #[command(flatten)]
    place: LogPlace,
    /// Whom you trust: the log's public key (vkey), a file that holds it, or a tlog-policy file.
    #[arg(long, value_name = "FILE|VKEY")]
    policy: String,
}

/// How one head and the published log stand to each other.
#[derive(Debug, Serialize)]
struct Compared {
    receipt: String,
    agrees: bool,
    /// The receipt is newer than what is published there: nothing can be said yet.
    newer: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    says: String,
}

#[derive(Debug, Serialize)]
struct Gossip {
    agrees: bool,
    published: u64,
    receipts: Vec<Compared>,
    /// The published checkpoint, as evidence beside a receipt that contradicts it.
    checkpoint: String,
}

impl Say for Gossip {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for one @ Compared { receipt, says, .. } in &self.receipts {
            let word = match one {
                Compared { agrees: true, .. } => "ok   ",
                Compared { newer: true, .. } => "newer",
                _ => "WRONG",
            };
            writeln!(out, "  {word}  {receipt}: {says}")?;
        }
        if self.agrees {
            let count = self.receipts.len();
            return writeln!(
                out,
                "ONE HISTORY: {count} receipts are part of the published log of {} entries",
                self.published
            );
        }
        if !self.contradicts() {
            return writeln!(
                out,
                "NOT COMPARED YET: a receipt is newer than the {} entries published there",
                self.published
            );
        }
        writeln!(
            out,
            "NOT ONE HISTORY: keep these receipts and the published checkpoint below; together \
             they are the proof\n\n{}",
            self.checkpoint
        )
    }
}

impl Gossip {
    fn contradicts(&self) -> bool {
        self.receipts.iter().any(|one| !one.agrees && !one.newer)
    }
}

pub(super) fn run(asked: &GossipArguments, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let policy = policy(&asked.policy)?;
    let mut log = asked.place.open(config)?;
    policy.check(log.note()).map_err(|fault| {
        let says = format!("the published checkpoint does not convince: {}", chain(&fault));
        Failure::new(Ending::Wrong, says)
    })?;
    let mut receipts = Vec::with_capacity(asked.receipts.len());
    for file in &asked.receipts {
        let text = String::from_utf8_lossy(&read_file(file)?).into_owned();
        receipts.push(compare(&mut log, &policy, &file.display().to_string(), &text)?);
    }
    let gossip = Gossip {
        agrees: receipts.iter().all(|one| one.agrees),
        published: log.checkpoint().size,
        receipts,
        checkpoint: log.note().to_string(),
    };
    let ending = match (gossip.agrees, gossip.contradicts()) {
        (true, _) => Ending::Done,
        (false, true) => Ending::Wrong,
        (false, false) => Ending::Busy,
    };
    voice.tell(&gossip);
    Ok(ending)
}

fn compare(
    log: &mut Published<LogSource>,
    policy: &Policy,
    receipt: &str,
    text: &str,
) -> Result<Compared, Failure> {
    let says = |agrees, size, says: String| {
        Ok(Compared { receipt: receipt.to_owned(), agrees, newer: false, size, says })
    };
    let note = TlogProof::parse(text).map(|proof| proof.checkpoint);
    let note = note.or_else(|_| crate::merkle::note::Note::parse(text.as_bytes()));
    let Ok(note) = note else {
        return says(false, None, "neither a receipt nor a checkpoint".to_owned());
    };
    // Only what the log signed binds it: the log's key alone, witnesses do not matter here.
    let logs: Vec<_> = policy.logs().cloned().collect();
    let held = Checkpoint::parse(note.text()).ok().filter(|_| note.verify(&logs).is_ok());
    let published = log.checkpoint().clone();
    let Some(held) = held.filter(|held| held.origin == published.origin) else {
        return says(false, None, "not signed by this log: it is no evidence".to_owned());
    };
    let size = Some(held.size);
    if held.size > published.size {
        // Publishing lags behind the commits that receipts are made of; only time can tell.
        let says = format!(
            "the log showed you {} entries and publishes {}: fetch it again; if it never gets \
             there, it went back",
            held.size, published.size
        );
        let receipt = receipt.to_owned();
        return Ok(Compared { receipt, agrees: false, newer: true, size, says });
    }
    let path = match prove_consistency(log, held.size, published.size) {
        Ok(path) => path,
        Err(ProveError::Shelf(error)) => return Err(Failure::broken(chain(&error))),
        Err(error) => return says(false, size, chain(&error)),
    };
    match verify_consistency(&held.head(), &published.head(), &path) {
        Ok(()) => says(true, size, format!("its {} entries begin the published log", held.size)),
        Err(_) => says(
            false,
            size,
            format!(
                "SPLIT VIEW: at {} entries you were shown root {}, which is not how the published \
                 log begins",
                held.size,
                held.root.to_base64()
            ),
        ),
    }
}
