//! Opens an installation from its settings: master key, key ring, store, ledger, gateway.

use std::path::Path;

use crate::clock::Clock;
use crate::config::Settings;
use crate::flows::{Actor, Gateway};
use crate::id::RequestId;
use crate::ledger::{Notary, Sequencer};
use crate::merkle::policy::Policy;
use crate::secret::KeyBytes;
use crate::store::{Effect, OpenOptions, Store, Url, key_rows, ledger_rows};
use crate::vault::authority::Authority;
use crate::vault::certificate::leaf_from_pem;
use crate::vault::keyring::{KeyUse, Keyring};

use super::anchors;
use super::log_keys;
use super::say::{Ending, Failure};
use super::witnesses;

/// What reads an installation and appends nothing: works on a damaged ledger too, which is
/// when it is needed most.
pub(super) struct Reading {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) master: KeyBytes,
    pub(super) keyring: Keyring,
}

impl Reading {
    /// Opens the installation a settings file describes, for reading.
    pub(super) fn open(config: &Path) -> Result<Self, Failure> {
        let settings = load(config)?;
        let master = read_master(&settings.keys.master_file)?;
        let url = store_url(&settings)?;
        let options = OpenOptions { readers: settings.store.readers, create: false };
        let store = Store::open(&url, options)?;
        let rows = store.read_blocking(key_rows::list_keys)?;
        let keyring =
            Keyring::open(&master, &rows).map_err(|fault| Failure::new(Ending::Settings, fault))?;
        check_log(&store, &settings)?;
        Ok(Self { settings, store, master, keyring })
    }

    /// Signs checkpoints of what is committed.
    pub(super) fn notary(&self) -> Result<Notary, Failure> {
        let policy = self.policy()?;
        let origin = &self.settings.ledger.origin;
        let notary = log_keys::notary(&self.keyring, origin, policy.as_ref())
            .map_err(|fault| Failure::new(Ending::Settings, fault))?;
        let own = notary.verifiers();
        let named = |log| own.contains(log) || notary.former().contains(log);
        match (&policy, &self.settings.ledger.policy_file) {
            (Some(policy), Some(file)) if !policy.logs().any(named) => {
                let says = format!("{} does not name this log's key", file.display());
                Err(Failure::new(Ending::Settings, says).hint("fieldgate ledger key prints it"))
            }
            _ => Ok(notary),
        }
    }

    /// The policy of the settings, if they name one.
    pub(super) fn policy(&self) -> Result<Option<Policy>, Failure> {
        self.settings.ledger.policy_file.as_deref().map(witnesses::read_policy).transpose()
    }
}

/// Everything a command needs that changes something.
pub(super) struct Installation {
    pub(super) settings: Settings,
    pub(super) master: KeyBytes,
    pub(super) store: Store,
    pub(super) sequencer: Sequencer<Effect>,
    pub(super) gateway: Gateway,
}

impl Installation {
    /// Opens the installation a settings file describes, and its ledger for writing.
    pub(super) fn open(config: &Path) -> Result<Self, Failure> {
        let reading = Reading::open(config)?;
        let (notary, policy) = (reading.notary()?, reading.policy()?);
        let Reading { settings, store, master, keyring } = reading;
        anchors::demand_agreement(&settings, &store)?;
        let origin = &settings.ledger.origin;
        let signers = log_keys::followed(&store, &master, origin)?;
        let sequencer = Sequencer::start(store.shelf(), signers).map_err(|error| {
            Failure::broken(chain(&error)).hint("`fieldgate ledger verify` names what is wrong")
        })?;
        let handles = (keyring, notary);
        let gateway = Gateway::new(store.clone(), sequencer.clone(), handles, Clock::System)
            .following_log_keys(log_keys::maker(&master, origin, policy));
        Ok(Self { settings, master, store, sequencer, gateway })
    }

    /// The authority that issues certificates here.
    pub(super) fn authority(&self) -> Result<Authority, Failure> {
        let pem = read_file(&self.settings.keys.authority_file)?;
        open_authority(&self.gateway.keyring(), &pem)
    }
}

/// The database must hold the log that the settings name: a log under two names is two logs.
fn check_log(store: &Store, settings: &Settings) -> Result<(), Failure> {
    match store.read_blocking(ledger_rows::find_log)? {
        None => Err(Failure::new(Ending::Settings, "no ledger was founded in this database")
            .hint("fieldgate ledger init")),
        Some(log) if log.origin == settings.ledger.origin => Ok(()),
        Some(log) => {
            let says = format!("this database holds the log {}", log.origin);
            Err(Failure::new(Ending::Settings, says).hint("correct [ledger] origin"))
        }
    }
}

/// The authority whose key is in the key ring and whose certificate this PEM text holds.
pub(super) fn open_authority(keyring: &Keyring, pem: &[u8]) -> Result<Authority, Failure> {
    let key = keyring
        .current(KeyUse::Authority)
        .and_then(|id| keyring.document(id))
        .map_err(|fault| Failure::new(Ending::Settings, fault))?;
    let certificate = leaf_from_pem(pem).map_err(|f| Failure::new(Ending::Settings, f))?;
    Authority::open(&key, &certificate).map_err(Failure::broken)
}

/// Reads the settings.
pub(super) fn load(config: &Path) -> Result<Settings, Failure> {
    Settings::load(config).map_err(|error| Failure::new(Ending::Settings, error))
}

/// The store's address.
pub(super) fn store_url(settings: &Settings) -> Result<Url, Failure> {
    Url::parse(&settings.store.url).map_err(|error| Failure::new(Ending::Settings, error))
}

/// Reads the master key: 64 hex digits in a file that only its owner may read.
pub(super) fn read_master(path: &Path) -> Result<KeyBytes, Failure> {
    check_mode(path)?;
    let text = read_file(path)?;
    let wrong = || {
        let says = format!("{} does not hold 64 hex digits", path.display());
        Failure::new(Ending::Settings, says)
    };
    let text = std::str::from_utf8(&text).map_err(|_| wrong())?.trim();
    let digits: Option<Vec<u8>> = text.bytes().map(hex_digit).collect();
    let bytes: Vec<u8> = digits
        .ok_or_else(wrong)?
        .chunks_exact(2)
        .filter_map(|pair| match pair {
            [high, low] => Some(high.wrapping_mul(16).wrapping_add(*low)),
            _ => None,
        })
        .collect();
    if text.len() != 64 {
        return Err(wrong());
    }
    bytes.try_into().map(KeyBytes::new).map_err(|_| wrong())
}

fn hex_digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Refuses a file with a secret that others than its owner may read.
#[cfg(unix)]
pub(super) fn check_mode(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(facts) = std::fs::metadata(path) else { return Ok(()) };
    if facts.permissions().mode() & 0o077 != 0 {
        let says = format!("{} can be read by others than its owner", path.display());
        let hint = format!("chmod 600 {}", path.display());
        return Err(Failure::new(Ending::Settings, says).hint(hint));
    }
    Ok(())
}

/// Modes are a matter of Unix.
#[cfg(not(unix))]
pub(super) fn check_mode(_: &Path) -> Result<(), Failure> {
    Ok(())
}

/// Reads a file, naming it when it cannot be read.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(Ending::Settings, format!("cannot read {}: {error}", path.display()))
    })
}

/// Writes a file that only its owner may read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes, 0o600)
}

/// Writes a file that everybody may read: what is published.
pub(super) fn write_public(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_whole(path, bytes, 0o644)
}

/// Made with its mode, then filled, flushed and renamed: no moment exists in which others could
/// read what they may not, or half of it is there.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    use std::io::Write as _;
    let failed = |error: std::io::Error| {
        Failure::broken(format!("cannot write {}: {error}", path.display()))
    };
    let temporary = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(mode);
    }
    let mut file = options.open(&temporary).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&temporary, path).map_err(failed)
}

/// The operating system's user who runs the command, under a new request id. `--as` overrides it
/// where two people are needed.
pub(super) fn actor(name: Option<&str>) -> Actor {
    let name = name.map_or_else(operator, str::to_owned);
    Actor { name, request: RequestId::new() }
}

#[allow(clippy::disallowed_methods, reason = "the login is a fact of the session, not a setting")]
fn operator() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "operator".to_owned())
}

/// An error with its causes, for people.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut says = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        says = format!("{says}: {inner}");
        cause = inner.source();
    }
    says
}

/// Runs an async story to its end.
pub(super) fn wait<T>(story: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(Failure::broken)?.block_on(story))
}
