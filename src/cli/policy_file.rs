//! `fieldgate ledger policy`: whom to trust about this log, as a file that others can use.
//!
//! The log's keys come from the key ring, the witnesses and how many of them are enough from the
//! policy file of the settings.

use std::io;

use serde::Serialize;

use crate::flows::log_keys::LogKey;
use crate::merkle::policy::Policy;

use super::installation::{Reading, read_file};
use super::log_keys;
use super::say::{Ending, Failure, Say, Voice};

/// The file, and what stands in it.
#[derive(Debug, Serialize)]
struct PolicyText {
    origin: String,
    /// Public keys that sign now, newest first.
    signing: Vec<String>,
    /// Public keys that signed in former times, newest first.
    former: Vec<String>,
    /// Public keys of the witnesses.
    witnesses: Vec<String>,
    /// The whole file.
    policy: String,
}

impl Say for PolicyText {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(self.policy.as_bytes())
    }
}

/// Prints the file.
pub(super) fn show(open: &Reading, voice: Voice) -> Result<Ending, Failure> {
    let keys = log_keys::list(open)?;
    let witnesses = match &open.settings.ledger.policy_file {
        Some(file) => String::from_utf8(read_file(file)?).map_err(|_| unreadable())?,
        None => String::new(),
    };
    let origin = open.settings.ledger.origin.clone();
    let policy = write(&origin, &keys, &witnesses);
    // What is handed out is read first as everybody will read it.
    let read = Policy::parse(policy.as_bytes()).map_err(|_| unreadable())?;
    let vkeys = |signs: bool| {
        let own = keys.iter().filter(|key| key.until.is_none() == signs);
        own.map(|key| key.vkey.clone()).collect()
    };
    voice.tell(&PolicyText {
        origin,
        signing: vkeys(true),
        former: vkeys(false),
        witnesses: read.witnesses().map(ToString::to_string).collect(),
        policy,
    });
    Ok(Ending::Done)
}

fn unreadable() -> Failure {
    Failure::new(Ending::Settings, "the file of [ledger] policy_file makes no policy with our keys")
        .hint("witnesses, groups and one quorum line belong in it; c2sp.org/tlog-policy")
}

/// The text: our keys, and all but the logs of the settings' file.
fn write(origin: &str, keys: &[LogKey], settings: &str) -> String {
    let mut lines = vec![format!("# Whom to trust about the log {origin} (c2sp.org/tlog-policy)")];
    for key in keys {
        lines.extend(key.until.map(|until| {
            format!("# signed until {until}: for receipts and checkpoints of that time alone")
        }));
        lines.push(format!("log {}", key.vkey));
    }
    let is_log = |line: &&str| line.split_whitespace().next() == Some("log");
    lines.extend(settings.lines().filter(|line| !is_log(line)).map(str::to_owned));
    let says = |line: &String| line.split_whitespace().next() == Some("quorum");
    if !lines.iter().any(says) {
        lines.push("quorum none".to_owned());
    }
    lines.join("\n") + "\n"
}
