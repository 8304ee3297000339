//! `fieldgate key`: a new key takes over from one in use, or a new certificate.

use std::path::Path;

use clap::Subcommand;
use indicatif::ProgressBar;

use crate::config::Settings;
use crate::flows::keys;
use crate::id::ContactNo;
use crate::vault::authority::{KeyAndCertificate, to_pem};
use crate::vault::keyring::KeyUse;

use super::installation::{Installation, actor, wait, write_private, write_public};
use super::log_keys;
use super::partners::parse_code;
use super::say::{Act, Ending, Failure, Voice};

/// Days a server certificate lives.
pub(super) const SERVER_DAYS: u16 = 90;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
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

pub(super) fn write_server(settings: &Settings, server: &KeyAndCertificate) -> Result<(), Failure> {
    let files = &settings.keys;
    let key = to_pem("PRIVATE KEY", server.key.expose());
    let certificate = to_pem("CERTIFICATE", &server.certificate);
    write_private(&files.server_key_file, key.as_bytes())?;
    write_public(&files.server_certificate_file, certificate.as_bytes())
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
