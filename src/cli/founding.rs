//! `fieldgate ledger init`: founds the log of a new installation, with its first keys. A log is
//! founded once, by somebody who means it, and never where one may have been before.

use std::path::Path;

use crate::clock::{Clock, Moment};
use crate::config::Settings;
use crate::flows::{Gateway, keys};
use crate::ledger::{Archive as _, Sequencer};
use crate::secret::{KeyBytes, KeyDocument};
use crate::store::{OpenOptions, ReadTx, Store, StoreError, key_rows};
use crate::vault::authority::{Authority, new_signing_key, to_pem};
use crate::vault::keyring::{KeyUse, Keyring};

use super::anchors;
use super::installation::{
    actor, chain, load, read_master, store_url, wait, write_private, write_public,
};
use super::keys::{SERVER_DAYS, write_server};
use super::log_keys;
use super::say::{Act, Ending, Failure, Voice};

/// Whom the doors of the new installation answer as.
#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// Names under which the doors are reached.
    #[arg(long, value_delimiter = ',', default_value = "localhost,127.0.0.1")]
    names: Vec<String>,
    /// Check and tell, change nothing.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(asked: &InitArguments, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let settings = load(config)?;
    let origin = &settings.ledger.origin;
    if asked.dry_run {
        demand_nothing_there(&settings)?;
        voice.tell(&Act::dry(format!("would make all keys and found the ledger {origin}")));
        return Ok(Ending::Done);
    }
    create(&settings, &asked.names)?;
    voice.tell(&Act {
        done: format!(
            "keys made, authority and server certificate written, ledger {origin} founded"
        ),
        entry: Some(0),
        id: None,
        next: Some(format!(
            "keep a copy of {} in a safe place: without it nothing opens",
            settings.keys.master_file.display()
        )),
    });
    Ok(Ending::Done)
}

/// Makes everything secret of an installation whose database is migrated and empty.
pub(super) fn create(settings: &Settings, names: &[String]) -> Result<(), Failure> {
    let store = demand_nothing_there(settings)?;
    let files = &settings.keys;
    let master = make_master(settings)?;
    let now = Clock::System.now();
    let authority =
        Authority::create("Fieldgate partner authority", now).map_err(Failure::broken)?;
    let opened =
        Authority::open(&authority.key, &authority.certificate).map_err(Failure::broken)?;
    let server = opened.issue_server(names, now, SERVER_DAYS).map_err(Failure::broken)?;
    found(settings, store, &master, (&authority.key, now))?;
    let certificate = to_pem("CERTIFICATE", &authority.certificate);
    write_public(&files.authority_file, certificate.as_bytes())?;
    write_server(settings, &server)
}

/// Opens the database, if nothing speaks of a log that was founded before: no file of keys, no row
/// of the ledger, no checkpoint in any anchor.
fn demand_nothing_there(settings: &Settings) -> Result<Store, Failure> {
    let conflict = |says: String| Failure::new(Ending::Conflict, says);
    let files = &settings.keys;
    for file in [&files.authority_file, &files.server_certificate_file, &files.server_key_file] {
        if file.exists() {
            let says = format!("{} is there already", file.display());
            return Err(conflict(says).hint(ELSEWHERE));
        }
    }
    let options = OpenOptions { readers: settings.store.readers, create: false };
    let store = Store::open(&store_url(settings)?, options)?;
    let there = store.read_blocking(|tx: &mut ReadTx| {
        let size = tx.head().map_err(|error| StoreError::Broken(error.into()))?.size();
        Ok::<_, StoreError>((size, !key_rows::list_keys(tx)?.is_empty()))
    });
    match there.map_err(|error| Failure::broken(chain(&error)))? {
        (0, false) => {}
        (size, false) => {
            let says = format!("the database has a ledger of {size} entries already");
            return Err(conflict(says).hint(ELSEWHERE));
        }
        (_, true) => {
            return Err(conflict("the database has a key ring already".into()).hint(ELSEWHERE));
        }
    }
    anchors::demand_empty(settings)?;
    Ok(store)
}

/// What to do where something is there.
const ELSEWHERE: &str = "a log is founded once: if this is the one, fieldgate doctor tells what it \
lacks; a new one needs a database, files and anchors of its own, and an origin of its own";

fn make_master(settings: &Settings) -> Result<KeyBytes, Failure> {
    let file = &settings.keys.master_file;
    if file.exists() {
        return read_master(file);
    }
    let master = KeyBytes::random().map_err(Failure::broken)?;
    let hex = crate::id::Thumbprint(*master.expose()).hex();
    write_private(file, format!("{hex}\n").as_bytes())?;
    Ok(master)
}

/// Seals the first keys and writes them beside the ledger's first entries.
fn found(
    settings: &Settings,
    store: Store,
    master: &KeyBytes,
    (authority, now): (&KeyDocument, Moment),
) -> Result<(), Failure> {
    let mut rows = Vec::with_capacity(KeyUse::ALL.len());
    for usage in KeyUse::ALL {
        let document = match usage {
            KeyUse::Authority => Some(authority.clone()),
            KeyUse::Token => Some(new_signing_key().map_err(Failure::broken)?),
            _ => None,
        };
        let row = Keyring::seal_new(master, *usage, document.as_ref(), now);
        rows.push(row.map_err(Failure::broken)?);
    }
    let keyring = Keyring::open(master, &rows).map_err(Failure::broken)?;
    let origin = settings.ledger.origin.clone();
    let unusable = |fault| Failure::new(Ending::Settings, fault);
    let notary = log_keys::notary(&keyring, &origin, None).map_err(unusable)?;
    let signers = log_keys::signers(&keyring, &origin).map_err(unusable)?;
    let key_ids: Vec<_> = notary.verifiers().iter().map(|key| key.id().to_string()).collect();
    let sequencer =
        Sequencer::start(store.shelf(), signers).map_err(|error| Failure::broken(chain(&error)))?;
    let gateway = Gateway::new(store, sequencer.clone(), (keyring, notary), Clock::System);
    let who = actor(None);
    wait(keys::found(&gateway, &who, origin, key_ids.join(",")))??;
    wait(keys::store_first(&gateway, &who, rows))??;
    sequencer.close();
    Ok(())
}
