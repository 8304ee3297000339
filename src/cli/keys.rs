//! `fieldgate key`: make the keys of a new installation, rotate one of them.

use std::path::Path;

use clap::Subcommand;
use indicatif::ProgressBar;

use crate::clock::{Clock, Moment};
use crate::config::Settings;
use crate::flows::{Gateway, keys};
use crate::id::ContactNo;
use crate::ledger::Sequencer;
use crate::secret::{KeyBytes, KeyDocument};
use crate::store::{OpenOptions, Store, key_rows};
use crate::vault::authority::{Authority, KeyAndCertificate, new_signing_key, to_pem};
use crate::vault::keyring::{KeyUse, Keyring};

use super::installation::{
    Installation, actor, chain, load, read_master, store_url, wait, write_private, write_public,
};
use super::log_keys;
use super::partners::parse_code;
use super::say::{Act, Ending, Failure, Voice};

/// Days a server certificate lives.
const SERVER_DAYS: u16 = 90;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make master key, key ring, authority and server certificate of a new installation, and
    /// found its ledger. Never replaces anything that is there.
    New {
        /// Names under which the doors are reached.
        #[arg(long, value_delimiter = ',', default_value = "localhost,127.0.0.1")]
        names: Vec<String>,
    },
    /// Issue a new certificate for the doors; they take it up when they start.
    Server {
        /// Names under which the doors are reached.
        #[arg(long, value_delimiter = ',', default_value = "localhost,127.0.0.1")]
        names: Vec<String>,
    },
    /// Let a new key take over; the former ones still open and verify. A new key of the log
    /// (checkpoint) signs beside the old one until that is retired.
    Rotate {
        /// checkpoint, contact, ticket or token.
        #[arg(long = "use")]
        usage: String,
        /// Check and tell, change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Retire the old key of the log, a day after the new one came in at the earliest.
    Retire {
        /// checkpoint.
        #[arg(long = "use")]
        usage: String,
        /// Do not wait for the day: the old key was stolen, and whoever has not heard of the new
        /// one yet shall refuse.
        #[arg(long)]
        early: bool,
        /// Check and tell, change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

pub(super) fn run(command: &KeyCommand, config: &Path, voice: Voice) -> Result<Ending, Failure> {
    match command {
        KeyCommand::New { names } => {
            let settings = load(config)?;
            create(&settings, names)?;
            voice.tell(&Act {
                done: "keys made, authority and server certificate written, ledger founded".into(),
                entry: None,
                id: None,
                next: Some(format!(
                    "keep a copy of {} in a safe place: without it nothing opens",
                    settings.keys.master_file.display()
                )),
            });
            Ok(Ending::Done)
        }
        KeyCommand::Server { names } => {
            let open = Installation::open(config)?;
            let now = open.gateway.now();
            let issued = open.authority()?.issue_server(names, now, SERVER_DAYS);
            write_server(&open.settings, &issued.map_err(Failure::broken)?)?;
            voice.tell(&Act {
                done: format!("server certificate issued for {SERVER_DAYS} days"),
                entry: None,
                id: None,
                next: Some(
                    "restart the gateway: it takes the certificate up when it starts".into(),
                ),
            });
            Ok(Ending::Done)
        }
        KeyCommand::Rotate { usage, dry_run } => rotate((usage, *dry_run), config, voice),
        KeyCommand::Retire { usage, early, dry_run } => {
            let usage = parse_code("use", usage, KeyUse::ALL, KeyUse::code)?;
            if usage != KeyUse::Checkpoint {
                let says = format!("{} keys are not retired: they still open", usage.code());
                return Err(Failure::new(Ending::Invalid, says));
            }
            log_keys::retire(&Installation::open(config)?, (*early, *dry_run), voice)
        }
    }
}

/// Makes everything secret of an installation whose database is migrated and empty.
pub(super) fn create(settings: &Settings, names: &[String]) -> Result<(), Failure> {
    let files = &settings.keys;
    for file in [&files.authority_file, &files.server_certificate_file, &files.server_key_file] {
        if file.exists() {
            let says = format!("{} is there already", file.display());
            return Err(Failure::new(Ending::Conflict, says));
        }
    }
    let options = OpenOptions { readers: settings.store.readers, create: false };
    let store = Store::open(&store_url(settings)?, options)?;
    let there = store.read_blocking(key_rows::list_keys)?;
    if !there.is_empty() {
        return Err(Failure::new(Ending::Conflict, "the database has a key ring already"));
    }
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

fn write_server(settings: &Settings, server: &KeyAndCertificate) -> Result<(), Failure> {
    let files = &settings.keys;
    let key = to_pem("PRIVATE KEY", server.key.expose());
    let certificate = to_pem("CERTIFICATE", &server.certificate);
    write_private(&files.server_key_file, key.as_bytes())?;
    write_public(&files.server_certificate_file, certificate.as_bytes())
}

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

fn rotate((usage, dry_run): (&str, bool), config: &Path, voice: Voice) -> Result<Ending, Failure> {
    let usage = parse_code("use", usage, KeyUse::ALL, KeyUse::code)?;
    let open = Installation::open(config)?;
    if usage == KeyUse::Checkpoint {
        return log_keys::add(&open, dry_run, voice);
    }
    if dry_run {
        keys::check_use(usage)?;
        voice.tell(&Act::dry(format!("would make a new {} key", usage.code())));
        return Ok(Ending::Done);
    }
    let who = actor(None);
    let id = wait(keys::rotate(&open.gateway, &who, &open.master, usage))??;
    if usage == KeyUse::Contact {
        let bar = if voice.is_json() { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let mut after = ContactNo(0);
        while let Some(last) = wait(keys::rewrap_next(&open.gateway, &who, after))?? {
            after = last;
            bar.set_position(u64::try_from(last.0).unwrap_or(0));
        }
        bar.finish_and_clear();
    }
    voice.tell(&Act {
        done: format!("a new {} key took over", usage.code()),
        entry: None,
        id: Some(id.to_string()),
        next: Some("running gateways take it up within a second".into()),
    });
    Ok(Ending::Done)
}
