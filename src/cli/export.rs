//! `fieldgate ledger export`: the log as static files, for auditors who never touch the database.
//!
//! Full tiles and bundles never change, so a second run writes what is new. Every file is written
//! whole or not at all, and the checkpoint last: whatever moment the run is cut off at, the
//! checkpoint that stands there promises only what is there.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde::Serialize;

use crate::ledger::prove::{ProveError, serve};
use crate::ledger::{Archive as _, Notary};
use crate::merkle::tile::tiles_of;
use crate::store::{ReadTx, StoreError};

use super::installation::{Reading, chain, write_public};
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// Folder; what is there already and full is kept.
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Debug, Serialize)]
struct Exported {
    size: u64,
    written: u64,
    kept: u64,
    pruned: u64,
    to: String,
}

impl Say for Exported {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Self { size, written, kept, pruned, to } = self;
        write!(out, "{size} entries in {to}: {written} files written, {kept} kept")?;
        match pruned {
            0 => writeln!(out),
            _ => writeln!(out, ", {pruned} bundles left out: their entries were pruned"),
        }
    }
}

/// A folder that gets the files.
struct Target {
    dir: PathBuf,
    /// Folders whose lists of names are not flushed yet.
    touched: BTreeSet<PathBuf>,
}

impl Target {
    fn has(&self, path: &str) -> bool {
        self.dir.join(path).exists()
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.dir.join(path);
        let failed =
            |error: io::Error| Failure::broken(format!("cannot write {}: {error}", file.display()));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
            let above = folder.ancestors().take_while(|above| above.starts_with(&self.dir));
            self.touched.extend(above.map(Path::to_owned));
        }
        write_public(&file, bytes)
    }

    /// Everything written so far survives the loss of power when this returns.
    fn settle(&mut self) -> Result<(), Failure> {
        for folder in std::mem::take(&mut self.touched) {
            let flushed = std::fs::File::open(&folder).and_then(|folder| folder.sync_all());
            flushed.map_err(|error| {
                Failure::broken(format!("cannot flush {}: {error}", folder.display()))
            })?;
        }
        Ok(())
    }
}

pub(super) fn run(asked: &ExportArguments, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let open = Reading::open(config)?;
    let notary = open.notary()?;
    let target = Target { dir: asked.dir.clone(), touched: BTreeSet::new() };
    let bar = if voice.is_json() { ProgressBar::hidden() } else { ProgressBar::no_length() };
    let shown = bar.clone();
    let exported = open
        .store
        .read_blocking(move |tx| {
            tx.take_time()?;
            Ok::<_, StoreError>(export(tx, &notary, target, &shown))
        })
        .map_err(|error| Failure::broken(chain(&error)))?;
    bar.finish_and_clear();
    voice.tell(&exported?);
    Ok(Ending::Done)
}

fn export(
    tx: &mut ReadTx,
    notary: &Notary,
    mut target: Target,
    bar: &ProgressBar,
) -> Result<Exported, Failure> {
    let head = tx.head().map_err(|error| Failure::broken(chain(&error)))?;
    let (mut written, mut kept, mut pruned) = (0_u64, 0_u64, 0_u64);
    let paths = tiles_of(head.size());
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
        target.write(&name, &bytes)?;
        written = written.saturating_add(1);
    }
    let note = notary.checkpoint(&head).map_err(|error| Failure::broken(chain(&error)))?;
    let keys: Vec<_> = notary.verifiers().iter().map(ToString::to_string).collect();
    target.write("log.vkey", keys.join("\n").as_bytes())?;
    target.settle()?;
    target.write("checkpoint", note.to_string().as_bytes())?;
    target.settle()?;
    let to = target.dir.display().to_string();
    Ok(Exported { size: head.size(), written: written.saturating_add(2), kept, pruned, to })
}
