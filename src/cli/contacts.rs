//! `fieldgate contacts`: import a CSV file, or find a contact.

use std::path::Path;

use clap::Subcommand;

use crate::flows::report;

use super::import::{ImportArguments, import};
use super::installation::{Installation, actor, wait};
use super::persons::Whom;
use super::say::{Ending, Failure, Voice};
use super::who::WhoAnswer;

#[derive(Debug, Subcommand)]
pub(super) enum ContactsCommand {
    /// Bring contacts in from a CSV file. Wrong lines go to FILE.rejects.csv with the reason;
    /// an import that was cut off goes on where it stopped.
    Import(ImportArguments),
    /// Whether a person is known, where the contact stands, who has the data.
    Find {
        #[command(flatten)]
        who: Whom,
    },
}

pub(super) fn run(
    command: &ContactsCommand,
    config: &Path,
    voice: Voice,
) -> Result<Ending, Failure> {
    let open = Installation::open(config)?;
    match command {
        ContactsCommand::Import(arguments) => {
            let done = import(&open, arguments, voice)?;
            let ending = if done.rejected == 0 { Ending::Done } else { Ending::Invalid };
            voice.tell(&done);
            Ok(ending)
        }
        ContactsCommand::Find { who } => {
            let found = wait(report::who(&open.gateway, &actor(None), &who.read()?))??;
            voice.tell(&WhoAnswer::of(&found));
            Ok(Ending::Done)
        }
    }
}
