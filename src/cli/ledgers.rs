//! `fieldgate ledger`: what can be asked of the whole log, and the proof of one entry.

use std::io;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::store::StoreError;

use super::export::{self, ExportArguments};
use super::founding::{self, InitArguments};
use super::gossip::{self, GossipArguments};
use super::installation::{Reading, chain};
use super::policy_file;
use super::prune::{self, PruneArgs};
use super::say::{Ending, Failure, Say, Voice};
use super::verify::log::{self, VerifyLog};

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Found the log of a new installation: master key, key ring, authority, server certificate and
    /// first entry. Never where a log, a key or a checkpoint is already.
    Init(InitArguments),
    /// Re-hash everything: entries, tiles, checkpoint, and in a database what hangs on the entries.
    /// Names what is wrong.
    Verify(VerifyLog),
    /// Print the log's public key (vkey): what a partner pins to check receipts. Two while one is
    /// replaced.
    Key,
    /// Print whom to trust about this log, as a tlog-policy file: the keys that sign or signed it,
    /// its witnesses, and how many of them are enough. For `--policy` of the verifying commands.
    Policy,
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
    /// Remove the bodies of old entries under the written retention rule; all hashes stay.
    Prune(#[command(flatten)] PruneArgs),
    /// Write checkpoint, tiles and entries as files (c2sp.org/tlog-tiles).
    Export(ExportArguments),
    /// Compare receipts that you hold with the published log: is everybody shown the same one?
    Gossip(GossipArguments),
}

pub(super) fn run(command: &LedgerCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    match command {
        LedgerCommand::Init(asked) => founding::run(asked, config, voice),
        LedgerCommand::Verify(asked) => log::run(asked, config, voice),
        LedgerCommand::Key => {
            let keys = Reading::open(config)?.notary()?.verifiers();
            voice.tell(&LogKeys { keys: keys.iter().map(ToString::to_string).collect() });
            Ok(Ending::Done)
        }
        LedgerCommand::Policy => policy_file::show(&Reading::open(config)?, voice),
        LedgerCommand::Prune(args) => prune::run(args, config, voice),
        LedgerCommand::Prove { index, out } => prove(config, *index, out.as_deref(), voice),
        LedgerCommand::Anchors { settle } => {
            super::anchors::show(&Reading::open(config)?, *settle, voice)
        }
        LedgerCommand::Export(asked) => export::run(asked, config, voice),
        LedgerCommand::Gossip(asked) => gossip::run(asked, config, voice),
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
