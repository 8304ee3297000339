//! The keys that sign the log, as the key ring holds them: signers for the sequencer, a notary for
//! the doors, and the commands that bring in a key and retire one.

use std::sync::Arc;

use serde::Serialize;

use crate::flows::log_keys::{self, Changed, LogKey, signing};
use crate::id::KeyId;
use crate::ledger::{Cause, Notary, Signers};
use crate::merkle::key::{KeyType, Signer, Verifier};
use crate::merkle::policy::Policy;
use crate::secret::KeyBytes;
use crate::store::{Store, StoreError, key_rows, release_rows};
use crate::vault::VaultError;
use crate::vault::keyring::{KeyUse, Keyring};

use super::installation::{Installation, Reading, actor, wait};
use super::say::{Act, Ending, Failure, Say, Voice};

/// The signers of the log, newest first; their name is the origin.
pub(super) fn signers(keyring: &Keyring, origin: &str) -> Result<Vec<Signer>, Cause> {
    let active = keyring.active(KeyUse::Checkpoint);
    if active.is_empty() {
        return Err(VaultError::NoKey(KeyUse::Checkpoint.code()).into());
    }
    active.into_iter().map(|id| signer(keyring, origin, id)).collect()
}

fn signer(keyring: &Keyring, origin: &str, id: KeyId) -> Result<Signer, Cause> {
    Ok(Signer::from_seed(origin, KeyType::Log, keyring.seed(id)?.expose())?)
}

/// The notary of a key ring, with former keys and the policy of the installation.
pub(super) fn notary(
    keyring: &Keyring,
    origin: &str,
    policy: Option<&Policy>,
) -> Result<Notary, Cause> {
    let retired = keyring.retired(KeyUse::Checkpoint).into_iter();
    let former = retired.map(|id| Ok(signer(keyring, origin, id)?.verifier().clone()));
    let former: Result<Vec<Verifier>, Cause> = former.collect();
    let notary = Notary::new(signers(keyring, origin)?).after(former?);
    Ok(match policy {
        Some(policy) => notary.judged_by(policy.clone()),
        None => notary,
    })
}

/// What makes a notary of the rows of the key ring, for a gateway that follows them.
pub(super) fn maker(
    master: &KeyBytes,
    origin: &str,
    policy: Option<Policy>,
) -> Arc<log_keys::MakeNotary> {
    let (master, origin) = (master.clone(), origin.to_owned());
    Arc::new(move |rows| notary(&Keyring::open(&master, rows)?, &origin, policy.as_ref()))
}

/// The signers of a sequencer, which reads them from the store whenever the registry moved.
pub(super) fn followed(store: &Store, master: &KeyBytes, origin: &str) -> Result<Signers, Failure> {
    let (store, master, origin) = (store.clone(), master.clone(), origin.to_owned());
    let read = move || {
        let (version, rows) = store.read_blocking(|tx| {
            let version = release_rows::read_head(tx)?.registry_version;
            Ok::<_, StoreError>((version, key_rows::list_keys(tx)?))
        })?;
        Ok((version, signers(&Keyring::open(&master, &rows)?, &origin)?))
    };
    Signers::read_by(read).map_err(|error| Failure::new(Ending::Settings, error))
}

/// Every key of the log, newest first.
pub(super) fn list(open: &Reading) -> Result<Vec<LogKey>, Failure> {
    let make = maker(&open.master, &open.settings.ledger.origin, None);
    let rows = open.store.read_blocking(key_rows::list_keys)?;
    Ok(log_keys::read(&rows, &*make)?)
}

/// A key that came or went.
#[derive(Debug, Serialize)]
struct Turned {
    done: &'static str,
    changed: bool,
    vkey: String,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    next: &'static str,
}

impl Turned {
    fn of((done, already): (&'static str, &'static str), changed: &Changed) -> Self {
        let (done, key, entry) = match changed {
            Changed::Done(key, receipt) => (done, key, Some(receipt.index())),
            Changed::Already(key) => (already, key, None),
        };
        Self {
            done,
            changed: entry.is_some(),
            vkey: key.vkey.clone(),
            since: key.since.to_string(),
            until: key.until.map(|until| until.to_string()),
            entry,
            next: "",
        }
    }
}

impl Say for Turned {
    fn say(&self, out: &mut dyn std::io::Write) -> std::io::Result<()> {
        match self.entry {
            Some(entry) => writeln!(out, "{} (ledger entry {entry})", self.done)?,
            None => writeln!(out, "{}", self.done)?,
        }
        writeln!(out, "  key: {}", self.vkey)?;
        writeln!(out, "  next: {}", self.next)
    }
}

const AFTER_ADDING: &str = "give everybody the new policy file (`fieldgate ledger policy`): \
witnesses, partners, auditors, and [ledger] policy_file; a day later at the earliest: \
fieldgate key retire --use checkpoint";

const AFTER_RETIRING: &str = "keep this key in policy files by which receipts of its time are \
checked; `fieldgate ledger policy` names it";

/// `fieldgate key rotate --use checkpoint`.
pub(super) fn add(open: &Installation, dry_run: bool, voice: Voice) -> Result<Ending, Failure> {
    if dry_run {
        let keys = wait(log_keys::list(&open.gateway))??;
        let says = match signing(&keys).as_slice() {
            [newest, _, ..] => format!("two keys sign already, the newer one {}", newest.vkey),
            _ => "would bring in a second key of the log; both would sign".to_owned(),
        };
        voice.tell(&Act::dry(says));
        return Ok(Ending::Done);
    }
    let changed = wait(log_keys::add(&open.gateway, &actor(None), &open.master))??;
    let says = ("a new key of the log came in; both sign", "two keys of the log sign already");
    voice.tell(&Turned { next: AFTER_ADDING, ..Turned::of(says, &changed) });
    Ok(Ending::Done)
}

/// `fieldgate key retire --use checkpoint`.
pub(super) fn retire(
    open: &Installation,
    (early, dry_run): (bool, bool),
    voice: Voice,
) -> Result<Ending, Failure> {
    let hint = |error: crate::flows::Error| {
        let told = matches!(error, crate::flows::Error::Conflict(..));
        let failure = Failure::from(error);
        if told { failure.hint(TOO_EARLY) } else { failure }
    };
    if dry_run {
        let keys = wait(log_keys::list(&open.gateway))??;
        let says = match signing(&keys).as_slice() {
            [newest, old] => {
                let now = open.gateway.now();
                log_keys::check_overlap(newest, now, early).map_err(hint)?;
                format!("would retire {}", old.vkey)
            }
            _ => "one key signs: there is none to retire".to_owned(),
        };
        voice.tell(&Act::dry(says));
        return Ok(Ending::Done);
    }
    let changed = wait(log_keys::retire(&open.gateway, &actor(None), early))?.map_err(hint)?;
    let says =
        ("the old key of the log is retired; the new one signs alone", "one key signs alone");
    voice.tell(&Turned { next: AFTER_RETIRING, ..Turned::of(says, &changed) });
    Ok(Ending::Done)
}

const TOO_EARLY: &str = "whoever has not heard of the new key would refuse every checkpoint; if \
the old key was stolen: --early";
