//! `fieldgate database`: migrate to the schema of this program, or check what is there.

use std::io;
use std::path::Path;

use clap::Subcommand;
use serde::Serialize;

use crate::store::{SchemaState, migrate, schema_state};

use super::installation::{load, store_url};
use super::say::{Ending, Failure, Say, Voice};

#[derive(Debug, Subcommand)]
pub(super) enum DatabaseCommand {
    /// Make the database, or bring it to the schema of this program.
    Migrate {
        /// Tell what would be done, change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check schema and durability settings.
    Check,
}

#[derive(Debug, Serialize)]
struct Schema {
    state: &'static str,
    pending: Vec<String>,
    applied: Vec<String>,
}

impl Say for Schema {
    fn say(&self, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "database: {}", self.state)?;
        for name in &self.applied {
            writeln!(out, "  applied {name}")?;
        }
        for name in &self.pending {
            writeln!(out, "  pending {name}")?;
        }
        Ok(())
    }
}

pub(super) fn run(
    command: &DatabaseCommand,
    config: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let url = store_url(&load(config)?)?;
    match command {
        DatabaseCommand::Migrate { dry_run: false } => {
            let applied = migrate(&url)?;
            voice.tell(&Schema { state: "current", pending: Vec::new(), applied });
            Ok(Ending::Done)
        }
        DatabaseCommand::Migrate { dry_run: true } | DatabaseCommand::Check => {
            let (state, pending, ending) = match schema_state(&url)? {
                SchemaState::Current => ("current", Vec::new(), Ending::Done),
                SchemaState::Behind(pending) => {
                    ("behind: run `fieldgate database migrate`", pending, Ending::Wrong)
                }
                SchemaState::Unknown(name) => {
                    ("made by a newer version of this program", vec![name], Ending::Wrong)
                }
            };
            voice.tell(&Schema { state, pending, applied: Vec::new() });
            Ok(ending)
        }
    }
}
