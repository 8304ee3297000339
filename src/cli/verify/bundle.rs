//! `fieldgate verify bundle`: an answer with its proofs, checked against a key one trusts.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::ledger::bundle::{BYTES_MAX, Bundle, BundleError, VerifiedBundle};
use crate::merkle::policy::Unconvinced;

use super::super::installation::{chain, read_file};
use super::super::say::{Ending, Failure, Say, Voice};
use super::policy;

#[derive(Debug, Serialize)]
struct BundleVerdict {
    verified: bool,
    origin: String,
    size: u64,
    entries: usize,
    first: Option<String>,
    last: Option<String>,
}

impl BundleVerdict {
    fn of(proved: &VerifiedBundle) -> Self {
        let mut times: Vec<&String> = proved.rows.iter().map(|row| &row.time).collect();
        times.sort_unstable();
        Self {
            verified: true,
            origin: proved.checkpoint.origin.clone(),
            size: proved.checkpoint.size,
            entries: proved.rows.len(),
            first: times.first().map(ToString::to_string),
            last: times.last().map(ToString::to_string),
        }
    }
}

impl Say for BundleVerdict {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { entries, size, origin, .. } = self;
        writeln!(out, "VERIFIED offline: {entries} entries of the {size} in {origin}")?;
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            writeln!(out, "  from {first} to {last}")?;
        }
        writeln!(out, "  each stands in the log as the bundle shows it, and so does each person")?;
        writeln!(out, "  not proved: that no other entry answers the question")
    }
}

pub(super) fn verify_bundle(file: &Path, trusted: &str, voice: Voice) -> Result<Ending, Failure> {
    let large = std::fs::metadata(file)
        .is_ok_and(|about| usize::try_from(about.len()).map_or(true, |length| length > BYTES_MAX));
    if large {
        return Err(refused(&BundleError::Container("it is larger than 128 MiB")));
    }
    let (bytes, policy) = (read_file(file)?, policy(trusted)?);
    match Bundle::read(&bytes).and_then(|bundle| bundle.verify(&policy)) {
        Ok(proved) => {
            voice.tell(&BundleVerdict::of(&proved));
            Ok(Ending::Done)
        }
        Err(error) => Err(refused(&error)),
    }
}

fn refused(error: &BundleError) -> Failure {
    let hint = match error {
        BundleError::Checkpoint(Unconvinced::Quorum) => {
            "the witnesses of your policy had not cosigned when it was written: ask for it again, \
             or check it with the log's key alone"
        }
        BundleError::Format(_) => "use a newer fieldgate, or ask for the older format",
        BundleError::Checkpoint(_) => "is the key or policy that of the log it came from?",
        BundleError::Container(_) => "ask for the file again; it must not be unpacked and repacked",
        BundleError::Part(_) | BundleError::Entry(_) | BundleError::Item { .. } => {
            "the file was altered after it was written: keep it as evidence and ask for another"
        }
    };
    Failure::new(Ending::Wrong, format!("NOT VERIFIED: {}", chain(error))).hint(hint)
}
