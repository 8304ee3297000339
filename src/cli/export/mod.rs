//! `fieldgate ledger export`: the log as static files, for auditors who never touch the database.
//!
//! Full tiles and bundles never change, so a second run writes what is new. Every file is written
//! whole or not at all, and the checkpoint last: whatever moment the run is cut off at, the
//! checkpoint that stands there promises only what is there.

mod target;

use std::io;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;

use crate::flows::witnesses;
use crate::ledger::prove::{ProveError, serve};
use crate::ledger::publishing::Published;
use crate::ledger::{Archive as _, Notary};
use crate::merkle::checkpoint::Checkpoint;
use crate::merkle::note::Note;
use crate::merkle::tile::tiles_of;
use crate::store::{ReadTx, StoreError};

use super::buckets;
use super::installation::{Reading, chain};
use super::say::{Ending, Failure, Say, Voice};
use target::Target;

#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// Folder; what is there already and full is kept.
    #[arg(long, required_unless_present = "object_store", conflicts_with = "object_store")]
    dir: Option<PathBuf>,
    /// The same in an object store: `s3://NAME/FOLDER`, where a section `[[buckets]]` of the
    /// settings has that name.
    #[arg(long, value_name = "URL")]
    object_store: Option<String>,
    /// End at the newest checkpoint that the witnesses of the policy cosigned, with their lines;
    /// what came after it is left for the next export.
    #[arg(long)]
    cosigned: bool,
}

#[derive(Debug, Serialize)]
struct Exported {
    size: u64,
    written: u64,
    kept: u64,
    pruned: u64,
    /// Whether the checkpoint satisfies the policy of the settings, witnesses and all.
    cosigned: bool,
    to: String,
}

impl Say for Exported {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { size, written, kept, pruned, cosigned, to } = self;
        write!(out, "{size} entries in {to}: {written} files written, {kept} kept")?;
        if *cosigned {
            write!(out, ", cosigned as the policy asks")?;
        }
        match pruned {
            0 => writeln!(out),
            _ => writeln!(out, ", {pruned} bundles left out: their entries were pruned"),
        }
    }
}

pub(super) fn run(asked: &ExportArguments, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Reading::open(config)?;
    let notary = open.notary()?;
    let target = match (&asked.object_store, &asked.dir) {
        (Some(url), _) => Target::bucket(buckets::open(&open.settings, url)?)?,
        (None, dir) => Target::folder(dir.as_deref().unwrap_or(Path::new("."))),
    };
    let cosigned = asked.cosigned;
    let bar = if voice.is_json() { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let shown = bar.clone();
    let exported = open
        .store
        .read_blocking(move |tx| {
            tx.take_time()?;
            let end = End::of(tx, &notary, cosigned);
            Ok::<_, StoreError>(end.and_then(|end| export(tx, &notary, (target, end), &shown)))
        })
        .map_err(|error| Failure::broken(chain(&error)))?;
    bar.finish_and_clear();
    voice.tell(&exported?);
    Ok(Ending::Done)
}

/// Where an export ends: a size, and the checkpoint of it.
struct End {
    size: u64,
    note: String,
    cosigned: bool,
}

impl End {
    /// The head, with the lines of its witnesses if they have seen it; or the newest checkpoint
    /// that enough of them cosigned, where nothing else will do.
    fn of(tx: &mut ReadTx, notary: &Notary, cosigned: bool) -> Result<Self, Failure> {
        let broken = |error: &dyn std::error::Error| Failure::broken(chain(error));
        let newest =
            if notary.has_policy() { witnesses::newest_convincing(tx, notary)? } else { None };
        let head = tx.head().map_err(|error| broken(&error))?;
        match newest {
            Some(Published { size, note, .. }) if cosigned || size == head.size() => {
                Ok(Self { size, note, cosigned: true })
            }
            _ if cosigned => {
                let says = "no checkpoint is cosigned as the policy of the settings asks";
                let hint =
                    "`ledger.policy_file` names the witnesses; a gateway that serves asks them";
                Err(Failure::new(Ending::Busy, says).hint(hint))
            }
            _ => {
                let note = notary.checkpoint(&head).map_err(|error| broken(&error))?;
                Ok(Self { size: head.size(), note: note.to_string(), cosigned: false })
            }
        }
    }
}

fn export(
    tx: &mut ReadTx,
    notary: &Notary,
    (mut target, end): (Target, End),
    bar: &ProgressBar,
) -> Result<Exported, Failure> {
    go_on_from(&target, end.size)?;
    let (mut written, mut kept, mut pruned) = (0_u64, 0_u64, 0_u64);
    let paths = tiles_of(end.size);
    bar.set_length(u64::try_from(paths.len()).unwrap_or(u64::MAX));
    for path in paths {
        bar.inc(1);
        let name = format!("tile/{path}");
        if path.is_full() && target.has(&name) {
            kept = kept.saturating_add(1);
            continue;
        }
        let bytes = match serve(tx, path) {
            Ok(bytes) => bytes,
            // An earlier export has what was pruned since; this one can do without.
            Err(ProveError::Pruned { .. }) => {
                pruned = pruned.saturating_add(1);
                continue;
            }
            Err(error) => return Err(Failure::broken(chain(&error))),
        };
        target.write(&name, bytes)?;
        written = written.saturating_add(1);
    }
    let keys: Vec<_> = notary.verifiers().iter().map(ToString::to_string).collect();
    target.write("log.vkey", keys.join("\n").into_bytes())?;
    target.settle()?;
    target.write("checkpoint", end.note.into_bytes())?;
    target.settle()?;
    let (to, written) = (target.to_string(), written.saturating_add(2));
    Ok(Exported { size: end.size, written, kept, pruned, cosigned: end.cosigned, to })
}

/// Refuses to put a smaller log in the place of a larger one: whoever reads it would be shown a
/// log that went back. What is no checkpoint is replaced.
fn go_on_from(target: &Target, size: u64) -> Result<(), Failure> {
    let Some(bytes) = target.read("checkpoint")? else { return Ok(()) };
    let note = Note::parse(&bytes).ok();
    let there = note.and_then(|note| Checkpoint::parse(note.text()).ok()).map(|one| one.size);
    let Some(there) = there.filter(|there| *there > size) else { return Ok(()) };
    let says = format!("{target} holds {there} entries, this ledger only {size}");
    Err(Failure::new(Ending::Conflict, says).hint("`fieldgate ledger anchors` says who is right"))
}
