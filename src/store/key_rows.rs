//! The key ring's rows: keys sealed by the master key, which is never stored.

use diesel::prelude::*;

use super::error::{EffectError, StoreError, read};
use super::partner_rows::{one, raise_registry_version};
use super::schema::sealed_key;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::id::KeyId;
use crate::vault::sealed::SealedKey;

/// Every key, retired ones too, oldest first.
pub fn list_keys(tx: &mut ReadTx) -> Result<Vec<SealedKey>, StoreError> {
    type Row = (String, String, i64, Option<i64>, Vec<u8>);
    let rows: Vec<Row> =
        sealed_key::table.order((sealed_key::created_at, sealed_key::id)).load(tx.statement())?;
    rows.into_iter()
        .map(|(id, usage, created_at, retired_at, bytes)| {
            let id = read(id.parse().ok(), "sealed_key.id")?;
            Ok(SealedKey { id, usage, created_at, retired_at, bytes })
        })
        .collect()
}

/// Adds a key.
///
/// # Errors
/// `Conflict` when the id is taken.
pub fn insert_key(tx: &mut WriteTx, key: &SealedKey) -> Result<(), EffectError> {
    diesel::insert_into(sealed_key::table)
        .values((
            sealed_key::id.eq(key.id.to_string()),
            sealed_key::usage.eq(&key.usage),
            sealed_key::created_at.eq(key.created_at),
            sealed_key::retired_at.eq(key.retired_at),
            sealed_key::sealed.eq(&key.bytes),
        ))
        .execute(tx.statement())?;
    raise_registry_version(tx)
}

/// Retires a key: it no longer seals or signs, but still opens and verifies.
///
/// # Errors
/// `Conflict` when there is no such key, or it is retired already.
pub fn retire_key(tx: &mut WriteTx, id: KeyId, at: Moment) -> Result<(), EffectError> {
    let current = sealed_key::id.eq(id.to_string()).and(sealed_key::retired_at.is_null());
    let changed = diesel::update(sealed_key::table.filter(current))
        .set(sealed_key::retired_at.eq(Some(at.0)))
        .execute(tx.statement())?;
    one(changed, "there is no such current key")?;
    raise_registry_version(tx)
}
