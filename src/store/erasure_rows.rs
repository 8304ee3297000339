//! What goes when a person is erased, and what is wrapped anew when a key is rotated.

use diesel::RunQueryDsl as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer};

use super::error::{EffectError, StoreError, read};
use super::partner_rows::one;
use super::schema::{choice, contact, origin};
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::domain::contact::ContactState;
use crate::id::{ContactNo, ContactRef};
use crate::ledger::items;
use crate::vault::sealed::WrappedKey;

/// Shreds a contact: sealed values, data key, blind index, origins and choices go. The number
/// stays, so that it is never given again; the reference is replaced by `fresh`, a new random one
/// that stands nowhere else. Its items and the links to them stay until
/// [`forget_disclosures`]: recalls still need to know who received the data.
///
/// # Errors
/// `Conflict` when there is no such contact, or it is erased already.
pub fn erase_contact(
    tx: &mut WriteTx,
    no: ContactNo,
    fresh: ContactRef,
    at: Moment,
) -> Result<(), EffectError> {
    let present = contact::no.eq(no.0).and(contact::state.ne(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(present))
        .set((
            contact::state.eq(ContactState::Erased.code()),
            contact::reference.eq(fresh.0.to_vec()),
            contact::blind_index.eq(None::<Vec<u8>>),
            contact::data_key.eq(Vec::<u8>::new()),
            contact::fields.eq(0_i64),
            contact::updated_at.eq(at.0),
        ))
        .execute(tx.statement())?;
    one(changed, "there is no such contact, or it is erased")?;
    fixed::<()>("DELETE FROM sealed_field WHERE contact_no = $1")
        .bind::<BigInt, _>(no.0)
        .execute(tx.statement())?;
    fixed::<()>("DELETE FROM choice_now WHERE contact_no = $1")
        .bind::<BigInt, _>(no.0)
        .execute(tx.statement())?;
    diesel::delete(choice::table.filter(choice::contact_no.eq(no.0))).execute(tx.statement())?;
    diesel::delete(origin::table.filter(origin::contact_no.eq(no.0))).execute(tx.statement())?;
    Ok(())
}

/// Cuts a contact's items with their salts out of the entries they hang on, and deletes the salts
/// of the responses they were part of and the links to them: nothing leads from the ledger to the
/// person any more (ledger.md §12). The items' leaf hashes stay, for the proofs of their
/// neighbours.
pub fn forget_disclosures(tx: &mut WriteTx, no: ContactNo) -> Result<(), EffectError> {
    let places: Vec<(i64, i32)> = fixed::<(BigInt, Integer)>(
        "SELECT idx, pos FROM disclosed_item WHERE contact_no = $1 ORDER BY idx, pos",
    )
    .bind::<BigInt, _>(no.0)
    .load(tx.statement())?;
    for (index, position) in places {
        cut_item(tx, index, position)?;
    }
    fixed::<()>(
        "UPDATE ledger_projection SET response_salt = NULL WHERE response_salt IS NOT NULL \
         AND idx IN (SELECT idx FROM disclosed_item WHERE contact_no = $1)",
    )
    .bind::<BigInt, _>(no.0)
    .execute(tx.statement())?;
    fixed::<()>("DELETE FROM disclosed_item WHERE contact_no = $1")
        .bind::<BigInt, _>(no.0)
        .execute(tx.statement())?;
    Ok(())
}

/// Writes the items of one entry again without one of them: the only change that the trigger of
/// `ledger_items` lets pass.
fn cut_item(tx: &mut WriteTx, index: i64, position: i32) -> Result<(), EffectError> {
    let runs: Vec<Vec<u8>> = fixed::<Binary>("SELECT items FROM ledger_items WHERE idx = $1")
        .bind::<BigInt, _>(index)
        .load(tx.statement())?;
    let position = read(u32::try_from(position).ok(), "disclosed_item.pos")?;
    let run = runs.first().and_then(|run| items::cut(run, position));
    fixed::<()>("UPDATE ledger_items SET items = $1 WHERE idx = $2")
        .bind::<Binary, _>(read(run, "disclosed_item.pos")?)
        .bind::<BigInt, _>(index)
        .execute(tx.statement())?;
    Ok(())
}

/// The next contacts with their wrapped data keys, in the order of their numbers; erased ones
/// have none.
pub fn list_wrapped(
    tx: &mut ReadTx,
    after: ContactNo,
    limit: u16,
) -> Result<Vec<(ContactNo, ContactRef, WrappedKey)>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, Vec<u8>, String)> = contact::table
        .filter(contact::no.gt(after.0).and(contact::state.ne(ContactState::Erased.code())))
        .order(contact::no)
        .limit(i64::from(limit))
        .select((contact::no, contact::reference, contact::data_key, contact::key_id))
        .load(tx.statement())?;
    rows.into_iter()
        .map(|(no, reference, bytes, key)| {
            let reference = ContactRef(read(reference.try_into().ok(), "contact.ref")?);
            let key = read(key.parse().ok(), "contact.key_id")?;
            Ok((ContactNo(no), reference, WrappedKey { key, bytes }))
        })
        .collect()
}

/// Replaces a contact's wrapped data key by the same key wrapped anew.
///
/// # Errors
/// `Conflict` when there is no such contact, or it is erased.
pub fn update_wrapped(
    tx: &mut WriteTx,
    no: ContactNo,
    key: &WrappedKey,
) -> Result<(), EffectError> {
    let present = contact::no.eq(no.0).and(contact::state.ne(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(present))
        .set((contact::data_key.eq(&key.bytes), contact::key_id.eq(key.key.to_string())))
        .execute(tx.statement())?;
    one(changed, "there is no such contact, or it is erased")
}
