//! Keys are made and rotated; each change is an entry, and the key ring is opened anew.

use crate::id::{ContactNo, KeyId};
use crate::ledger::log_key::{FOUNDED, subject};
use crate::ledger::{Facts, Kind, Receipt};
use crate::secret::KeyBytes;
use crate::store::ledger_rows::{self, LogIdentity};
use crate::store::{Effect, erasure_rows, key_rows};
use crate::vault::authority::new_signing_key;
use crate::vault::keyring::{KeyUse, Keyring};
use crate::vault::seal::rewrap;
use crate::vault::sealed::SealedKey;

use super::{Actor, Error, Gateway};

/// Data keys that are wrapped anew in one transaction.
const REWRAP_BATCH: u16 = 500;

/// Whether keys of this use are rotated.
///
/// # Errors
/// `Invalid` for the others: a new one would break what it signed or found.
pub fn check_use(usage: KeyUse) -> Result<(), Error> {
    if usage.rotates() {
        return Ok(());
    }
    Err(Error::invalid("use", format!("{} keys are not rotated by this command", usage.code())))
}

/// Makes a new key that takes over at once; the former ones still open and verify.
pub async fn rotate(
    gateway: &Gateway,
    actor: &Actor,
    master: &KeyBytes,
    usage: KeyUse,
) -> Result<KeyId, Error> {
    check_use(usage)?;
    let document = match usage {
        KeyUse::Token => Some(new_signing_key().map_err(Error::broken)?),
        _ => None,
    };
    let sealed = Keyring::seal_new(master, usage, document.as_ref(), gateway.now());
    let sealed = sealed.map_err(Error::broken)?;
    let id = sealed.id;
    let facts = gateway.staff_facts(Kind::KeyRotate, "key.rotate", actor);
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| key_rows::insert_key(tx, &sealed)));
    gateway.act(draft).await?;
    let rows = gateway.store.read(key_rows::list_keys).await?;
    gateway.swap_keyring(Keyring::open(master, &rows).map_err(Error::broken)?);
    Ok(id)
}

/// Wraps the data keys of the next contacts under the current key-encryption key, beginning
/// after `after`. Gives where it stopped, or `None` at the end; the caller shows progress.
pub async fn rewrap_next(
    gateway: &Gateway,
    actor: &Actor,
    after: ContactNo,
) -> Result<Option<ContactNo>, Error> {
    let read =
        move |tx: &mut crate::store::ReadTx| erasure_rows::list_wrapped(tx, after, REWRAP_BATCH);
    let rows = gateway.store.read(read).await?;
    let Some((last, _, _)) = rows.last() else { return Ok(None) };
    let last = *last;
    let keyring = gateway.keyring();
    let mut changed = Vec::new();
    for (no, reference, wrapped) in &rows {
        if let Some(new) = rewrap(&keyring, *reference, wrapped).map_err(Error::broken)? {
            changed.push((*no, new));
        }
    }
    if !changed.is_empty() {
        let facts = gateway.staff_facts(Kind::KeyRotate, "key.rewrap", actor);
        let mut draft = Gateway::draft(facts, Vec::new())?;
        draft.effect = Some(Effect::new(move |tx| {
            changed.iter().try_for_each(|(no, key)| erasure_rows::update_wrapped(tx, *no, key))
        }));
        gateway.act(draft).await?;
    }
    Ok(Some(last))
}

/// Founds the log of the installation, once. The entry that says so is its first act.
///
/// # Errors
/// `Conflict` when a log was founded here before.
pub async fn found(
    gateway: &Gateway,
    actor: &Actor,
    origin: String,
    key_ids: String,
) -> Result<Receipt, Error> {
    let identity = LogIdentity { origin, key_ids, created_at: gateway.now() };
    let facts = Facts {
        subject: gateway.log_keys.at_hand().verifiers().first().map(|key| subject(key).into()),
        ..gateway.staff_facts(Kind::StaffAct, FOUNDED, actor)
    };
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect = Some(Effect::new(move |tx| ledger_rows::insert_log(tx, &identity)));
    gateway.act(draft).await
}

/// Stores the first keys of an installation, already sealed.
pub async fn store_first(
    gateway: &Gateway,
    actor: &Actor,
    keys: Vec<SealedKey>,
) -> Result<Receipt, Error> {
    let facts = gateway.staff_facts(Kind::KeyRotate, "key.new", actor);
    let mut draft = Gateway::draft(facts, Vec::new())?;
    draft.effect =
        Some(Effect::new(move |tx| keys.iter().try_for_each(|key| key_rows::insert_key(tx, key))));
    gateway.act(draft).await
}
