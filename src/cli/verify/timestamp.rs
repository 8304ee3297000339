//! The timestamp of one checkpoint, told so that a lawyer understands it: what existed when.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::clock::Moment;
use crate::jobs::timestamp::{BadAnswer, Query, Timestamp};
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::Note;

use super::super::anchors::timestamp_authority;
use super::super::installation::read_file;
use super::super::partners::invalid;
use super::super::say::{Ending, Failure, Say, Voice};

/// What no timestamp proves, whatever it says.
const NOT_PROVED: [&str; 3] = [
    "that the checkpoint is signed by the log it names: `fieldgate ledger verify --policy` of the \
     log, or of a copy of it, holds its signature against the key you trust",
    "that what the entries say is true: only that they, and all before them, stood there by then",
    "that nothing is older: it says by when something existed, not since when",
];

/// A checked timestamp in words and for machines.
#[derive(Debug, Serialize)]
struct Verdict {
    verified: bool,
    at: String,
    signer: String,
    origin: String,
    size: u64,
}

impl Say for Verdict {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { at, signer, origin, size, .. } = self;
        writeln!(out, "VERIFIED: this checkpoint existed at {at}.\n\nWhat existed")?;
        writeln!(out, "  the checkpoint of the log {origin} over its first {size} entries:")?;
        writeln!(
            out,
            "  none of them was altered, moved, added or left out since, unless the log"
        )?;
        writeln!(out, "  contradicts this checkpoint")?;
        writeln!(out, "\nWho vouches for the time")?;
        writeln!(out, "  {signer}")?;
        writeln!(
            out,
            "  signed a digest of this very file together with that time; its certificate"
        )?;
        writeln!(
            out,
            "  was valid then, is made for timestamps alone, and leads to the file that you"
        )?;
        writeln!(out, "  gave")?;
        writeln!(out, "\nWhat it does not prove")?;
        NOT_PROVED.iter().try_for_each(|line| writeln!(out, "  - {line}"))
    }
}

/// Checks a timestamp offline against the certificates of its authority.
pub(super) fn verify_timestamp(
    note: &Path,
    answer: &Path,
    authority: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let bytes = read_file(note)?;
    let parsed = Note::parse(&bytes).map_err(|fault| invalid("note", fault))?;
    let checkpoint = Checkpoint::parse(parsed.text()).map_err(|fault| invalid("note", fault))?;
    let authorities = timestamp_authority(authority)?;
    match Query::about(&bytes, None).check(&read_file(answer)?, &authorities) {
        Ok(Timestamp { seconds, signer }) => {
            let at = Moment::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX)).rfc3339();
            let Checkpoint { origin, size, .. } = checkpoint;
            voice.tell(&Verdict { verified: true, at, signer, origin, size });
            Ok(Ending::Done)
        }
        Err(bad) => {
            let says = format!("NOT VERIFIED: {} does not count: {bad}", answer.display());
            Err(Failure::new(Ending::Wrong, says).hint(reason(bad)))
        }
    }
}

/// What the failure means, and what to do.
fn reason(bad: BadAnswer) -> &'static str {
    match bad {
        BadAnswer::Syntax | BadAnswer::TooLong | BadAnswer::Refused(_) => {
            "this is no timestamp, or it was damaged on its way: get the file again"
        }
        BadAnswer::OtherData | BadAnswer::OtherNonce => {
            "one of the two files belongs to another one, or the checkpoint was altered after it was \
             stamped: compare the names, and get both again"
        }
        BadAnswer::Algorithm => {
            "ask the timestamp authority for a stronger or more usual signature"
        }
        BadAnswer::Signature => "the timestamp was altered after it was signed",
        BadAnswer::Signer => {
            "whoever signed is not vouched for by the certificates you gave: get those of the \
             timestamp authority by a way you trust"
        }
    }
}
