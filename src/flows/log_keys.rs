//! The keys that sign the log: a new one comes in beside the old one, and the old one is retired
//! once everybody who checks has heard of the new one.
//!
//! Each step is one entry that names the public key and commits together with the key's row. Who
//! signs is read in the snapshot that is signed, so every replica signs every size with the keys
//! that the entries below it brought in, whatever it knew before.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::{DAY, Moment};
use crate::id::KeyId;
use crate::ledger::log_key::{ADDED, RETIRED, subject};
use crate::ledger::{Cause, Facts, Kind, Notary, Receipt};
use crate::secret::KeyBytes;
use crate::store::{Effect, EffectError, ReadTx, StoreError, key_rows, release_rows};
use crate::vault::keyring::{KeyUse, Keyring};
use crate::vault::sealed::SealedKey;

use super::{Actor, Error, Gateway, Thing};

/// How long both keys sign at least: witnesses and partners need time to take up the new one.
pub const OVERLAP: i64 = DAY;

/// Makes a notary of the rows of the key ring.
pub type MakeNotary = dyn Fn(&[SealedKey]) -> Result<Notary, Cause> + Send + Sync;

/// The notary of the gateway, made anew when the key ring has changed.
pub(super) struct LogKeys {
    at_hand: ArcSwap<(i64, Arc<Notary>)>,
    make: Option<Arc<MakeNotary>>,
}

impl LogKeys {
    /// Keys that never change.
    pub(super) fn fixed(notary: Notary) -> Self {
        Self { at_hand: ArcSwap::from_pointee((-1, Arc::new(notary))), make: None }
    }

    /// Keys that are followed, beginning with those at hand.
    pub(super) fn followed(&self, make: Arc<MakeNotary>) -> Self {
        Self { at_hand: ArcSwap::new(self.at_hand.load_full()), make: Some(make) }
    }

    /// The notary as it was last: good for what does not sign.
    pub(super) fn at_hand(&self) -> Arc<Notary> {
        Arc::clone(&self.at_hand.load().1)
    }

    /// The notary that signs what this snapshot shows.
    ///
    /// # Errors
    /// The rows cannot be read, or a key does not open.
    pub(super) fn within(&self, tx: &mut ReadTx) -> Result<Arc<Notary>, StoreError> {
        let Some(make) = &self.make else { return Ok(self.at_hand()) };
        let version = release_rows::read_head(tx)?.registry_version;
        let at_hand = self.at_hand.load();
        if at_hand.0 == version {
            return Ok(Arc::clone(&at_hand.1));
        }
        let rows = key_rows::list_keys(tx)?;
        let notary = Arc::new(make(&rows).map_err(StoreError::Broken)?);
        if version > at_hand.0 {
            self.at_hand.store(Arc::new((version, Arc::clone(&notary))));
        }
        Ok(notary)
    }
}

/// A key that signs the log, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKey {
    /// Its id in the key ring.
    pub id: KeyId,
    /// Its public key as a vkey line.
    pub vkey: String,
    /// When it came in.
    pub since: Moment,
    /// When it was retired.
    pub until: Option<Moment>,
    /// Its public key as the entries name it.
    subject: String,
}

/// What an act on the log's keys did.
#[derive(Debug)]
pub enum Changed {
    /// It is done: the key concerned, and the entry.
    Done(LogKey, Receipt),
    /// It was done before: the key that came last.
    Already(LogKey),
}

/// Every key of the log, newest first.
///
/// # Errors
/// `Busy` when the database does not answer; a key that does not open.
pub async fn list(gateway: &Gateway) -> Result<Vec<LogKey>, Error> {
    let rows = gateway.store.read(key_rows::list_keys).await?;
    read(&rows, maker(gateway)?)
}

/// The keys of the log among the rows of the key ring, newest first.
///
/// # Errors
/// A key that does not open.
pub fn read(rows: &[SealedKey], make: &MakeNotary) -> Result<Vec<LogKey>, Error> {
    let own = rows.iter().filter(|row| row.usage == KeyUse::Checkpoint.code());
    own.rev().map(|row| read_one(row, make)).collect()
}

fn maker(gateway: &Gateway) -> Result<&MakeNotary, Error> {
    let make = gateway.log_keys.make.as_deref();
    make.ok_or_else(|| Error::broken("this gateway does not follow the key ring"))
}

fn read_one(row: &SealedKey, make: &MakeNotary) -> Result<LogKey, Error> {
    // Alone and as if it signed: so the notary tells its public key.
    let alone = SealedKey { retired_at: None, ..row.clone() };
    let notary = make(&[alone]).map_err(Error::broken)?;
    let verifiers = notary.verifiers();
    let key = verifiers.first().ok_or_else(|| Error::broken("a log key without a public key"))?;
    Ok(LogKey {
        id: row.id,
        vkey: key.to_string(),
        since: Moment(row.created_at),
        until: row.retired_at.map(Moment),
        subject: subject(key),
    })
}

/// The keys that sign now, newest first.
pub fn signing(keys: &[LogKey]) -> Vec<&LogKey> {
    keys.iter().filter(|key| key.until.is_none()).collect()
}

/// Brings in a new key; from its entry on, both sign. While two sign already, nothing is done.
///
/// # Errors
/// `Conflict` when somebody else was faster; `Busy`.
pub async fn add(gateway: &Gateway, actor: &Actor, master: &KeyBytes) -> Result<Changed, Error> {
    let keys = list(gateway).await?;
    let now = signing(&keys);
    if let [newest, _, ..] = now.as_slice() {
        return Ok(Changed::Already((*newest).clone()));
    }
    let sealed = Keyring::seal_new(master, KeyUse::Checkpoint, None, gateway.now());
    let sealed = sealed.map_err(Error::broken)?;
    let new = read_one(&sealed, maker(gateway)?)?;
    let known: Vec<KeyId> = now.iter().map(|key| key.id).collect();
    let effect = Effect::new(move |tx| {
        demand_signing(tx, &known)?;
        key_rows::insert_key(tx, &sealed)
    });
    let receipt = change(gateway, actor, (ADDED, &new), effect).await?;
    Ok(Changed::Done(new, receipt))
}

/// Retires all keys but the newest. Earlier than [`OVERLAP`] after the newest came in only if
/// `early`: whoever has not heard of it yet then refuses what it signs. With one key nothing is
/// done.
///
/// # Errors
/// `Conflict` before the time, or when somebody else was faster; `Busy`.
pub async fn retire(gateway: &Gateway, actor: &Actor, early: bool) -> Result<Changed, Error> {
    let keys = list(gateway).await?;
    let now = signing(&keys);
    let [newest, old] = now.as_slice() else {
        let last = keys.first().cloned().ok_or(Error::Unknown(Thing::Key))?;
        return Ok(Changed::Already(last));
    };
    check_overlap(newest, gateway.now(), early)?;
    let (at, old) = (gateway.now(), (*old).clone());
    let (known, id) = (vec![newest.id, old.id], old.id);
    let effect = Effect::new(move |tx| {
        demand_signing(tx, &known)?;
        key_rows::retire_key(tx, id, at)
    });
    let receipt = change(gateway, actor, (RETIRED, &old), effect).await?;
    Ok(Changed::Done(LogKey { until: Some(at), ..old }, receipt))
}

/// Whether the key before this one may be retired now.
///
/// # Errors
/// `Conflict` before the time.
pub fn check_overlap(newest: &LogKey, now: Moment, early: bool) -> Result<(), Error> {
    let from = newest.since.plus(OVERLAP);
    if early || now >= from {
        return Ok(());
    }
    let says = format!("the new key came in {}; both sign until {from} at least", newest.since);
    Err(Error::Conflict(Thing::Key, says))
}

async fn change(
    gateway: &Gateway,
    actor: &Actor,
    (op, key): (&'static str, &LogKey),
    effect: Effect,
) -> Result<Receipt, Error> {
    let facts = Facts {
        subject: Some(key.subject.clone().into()),
        ..gateway.staff_facts(Kind::KeyRotate, op, actor)
    };
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(effect);
    gateway.act(draft).await
}

/// Two people at once: the one who comes second must look again.
fn demand_signing(tx: &mut ReadTx, known: &[KeyId]) -> Result<(), EffectError> {
    let rows = key_rows::list_keys(tx)?;
    let signs =
        |row: &&SealedKey| row.usage == KeyUse::Checkpoint.code() && row.retired_at.is_none();
    let now: Vec<KeyId> = rows.iter().filter(signs).map(|row| row.id).collect();
    let same = now.len() == known.len() && now.iter().all(|id| known.contains(id));
    if same {
        return Ok(());
    }
    Err(EffectError::Conflict("the log's keys were changed meanwhile; look again".to_owned()))
}
