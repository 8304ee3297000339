//! `fieldgate verify`: what somebody else gave us is checked without any database.

mod bundle;

pub(super) mod log;

mod kept;

mod receipt;

mod resume;

mod timestamp;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::merkle::key::Verifier;
use crate::merkle::policy::Policy;

use super::installation::read_file;
use super::partners::invalid;
use super::say::{Ending, Failure, Voice};

pub(super) use receipt::verify_receipt;

#[derive(Debug, Subcommand)]
pub(super) enum VerifyCommand {
    /// Check a proof bundle: every entry, person and line of it, offline.
    Bundle {
        /// The bundle (`.zip`), as `fieldgate audit export` writes it.
        file: PathBuf,
        /// Whom you trust: the log's public key (vkey), a file that holds it, or a tlog-policy
        /// file that also names witnesses and how many of them are enough.
        #[arg(long, value_name = "FILE|VKEY")]
        policy: String,
    },
    /// Check one receipt: what was recorded, who vouches for it, what it does not prove.
    Receipt {
        /// The receipt (`.tlog-proof`).
        file: PathBuf,
        /// Whom you trust: the log's public key (vkey), a file that holds it, or a tlog-policy
        /// file that also names witnesses and how many of them are enough.
        #[arg(long, value_name = "FILE|VKEY")]
        policy: String,
    },
    /// Check the timestamp of a checkpoint: when it existed at the latest, and who says so.
    Timestamp {
        /// The checkpoint (`.note`), as the anchor keeps it.
        note: PathBuf,
        /// The timestamp beside it (`.tsr`).
        answer: PathBuf,
        /// Root certificate of the timestamp authority in PEM, one or more.
        #[arg(long, value_name = "FILE")]
        authority: PathBuf,
    },
}

pub(super) fn run(command: &VerifyCommand, voice: Voice) -> Result<Ending, Failure> {
    match command {
        VerifyCommand::Bundle { file, policy } => bundle::verify_bundle(file, policy, voice),
        VerifyCommand::Receipt { file, policy } => verify_receipt(file, policy, voice),
        VerifyCommand::Timestamp { note, answer, authority } => {
            timestamp::verify_timestamp(note, answer, authority, voice)
        }
    }
}

/// A vkey as it stands, or a file that holds vkeys, one a line, or a tlog-policy.
pub(super) fn policy(key: &str) -> Result<Policy, Failure> {
    if let Ok(log) = Verifier::parse(key.trim()) {
        return Ok(Policy::of_log(log));
    }
    let bytes = read_file(Path::new(key))?;
    match of_lines(&String::from_utf8_lossy(&bytes)) {
        Some(policy) => Ok(policy),
        None => Policy::parse(&bytes).map_err(|fault| invalid("policy", fault)),
    }
}

/// The policy of a text that is log keys and nothing else, one a line: two while one is replaced.
fn of_lines(text: &str) -> Option<Policy> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let keys: Option<Vec<Verifier>> = lines.map(|line| Verifier::parse(line.trim()).ok()).collect();
    keys.filter(|keys| !keys.is_empty()).map(|keys| Policy::of_logs(Vec::new()).trusting(keys))
}
