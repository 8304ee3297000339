//! What goes when a person is erased, and what is wrapped anew when a key is rotated.

use diesel::RunQueryDsl as _;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer};

use super::choice_rows;
use super::error::{EffectError, StoreError, read};
use super::ledger_rows::unsigned;
use super::partner_rows::one;
use super::schema::contact;
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::domain::contact::{ContactState, Country};
use crate::id::{ContactNo, ContactRef};
use crate::ledger::items;
use crate::vault::blind_index::BlindIndex;
use crate::vault::sealed::WrappedKey;

/// Shreds a contact: sealed values, data key, blind index, origins and choices go, and so does
/// what stood in the clear. The number stays, so that it is never given again. What keeps the
/// address from coming back is one suppression, kept by the day: an exact time would lead to the
/// entry. Items and the links to them stay until [`forget_disclosures`]: whoever received the data
/// must be told first.
///
/// # Errors
/// `Conflict` when there is no such contact, or it is erased already.
pub fn erase_contact(
    tx: &mut WriteTx,
    no: ContactNo,
    index: &BlindIndex,
    day: Moment,
) -> Result<(), EffectError> {
    let present = contact::no.eq(no.0).and(contact::state.ne(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(present))
        .set((
            contact::state.eq(ContactState::Erased.code()),
            contact::blind_index.eq(None::<Vec<u8>>),
            contact::country.eq(Country::UNKNOWN.code()),
            contact::collection_points.eq(0_i16),
            contact::fields.eq(0_i64),
            contact::policy_version.eq(0),
            contact::data_key.eq(Vec::<u8>::new()),
            contact::version.eq(0_i64),
            contact::created_at.eq(0_i64),
            contact::updated_at.eq(0_i64),
        ))
        .execute(tx.statement())?;
    one(changed, "there is no such contact, or it is erased")?;
    for goes in [
        fixed::<()>("DELETE FROM sealed_field WHERE contact_no = $1"),
        fixed::<()>("DELETE FROM choice_now WHERE contact_no = $1"),
        fixed::<()>("DELETE FROM choice WHERE contact_no = $1"),
        fixed::<()>("DELETE FROM origin WHERE contact_no = $1"),
        // The hash of a request's body is a fingerprint of the people in it.
        fixed::<()>(
            "DELETE FROM idempotency WHERE idx IN \
             (SELECT idx FROM disclosed_item WHERE contact_no = $1)",
        ),
    ] {
        goes.bind::<BigInt, _>(no.0).execute(tx.statement())?;
    }
    fixed::<()>("DELETE FROM suppression WHERE blind_index = $1")
        .bind::<Binary, _>(index.0.as_slice())
        .execute(tx.statement())?;
    choice_rows::suppress(tx, index, None, day)
}

/// Cuts a contact's items with their salts out of the entries they hang on, and deletes the salts
/// of the responses they were part of and the links to them: nothing leads from the ledger to the
/// person any more (ledger.md §12). The items' leaf hashes stay, for the proofs of their
/// neighbours. At most so many items, the oldest first: an entry with a long page is written
/// again for each.
pub fn forget_disclosures(tx: &mut WriteTx, no: ContactNo, limit: u32) -> Result<(), EffectError> {
    let places: Vec<(i64, i32)> = fixed::<(BigInt, Integer)>(
        "SELECT idx, pos FROM disclosed_item WHERE contact_no = $1 ORDER BY idx, pos LIMIT $2",
    )
    .bind::<BigInt, _>(no.0)
    .bind::<BigInt, _>(i64::from(limit))
    .load(tx.statement())?;
    for (index, position) in places {
        cut_item(tx, index, position)?;
        fixed::<()>(
            "UPDATE ledger_projection SET response_salt = NULL \
             WHERE idx = $1 AND response_salt IS NOT NULL",
        )
        .bind::<BigInt, _>(index)
        .execute(tx.statement())?;
        fixed::<()>("DELETE FROM disclosed_item WHERE contact_no = $1 AND idx = $2 AND pos = $3")
            .bind::<BigInt, _>(no.0)
            .bind::<BigInt, _>(index)
            .bind::<Integer, _>(position)
            .execute(tx.statement())?;
    }
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

/// Demands that a contact is not erased: an entry about it that was drafted just before its
/// erasure would hang an item on a number that must have none.
///
/// # Errors
/// `Conflict` when there is no such contact, or it is erased.
pub fn demand_present(tx: &mut WriteTx, no: ContactNo) -> Result<(), EffectError> {
    let present = contact::no.eq(no.0).and(contact::state.ne(ContactState::Erased.code()));
    let found: i64 = contact::table.filter(present).count().get_result(tx.statement())?;
    one(usize::from(found == 1), "the contact was erased in between")
}

/// Gives an erased contact another reference: with its items gone, the old one stands nowhere.
///
/// # Errors
/// `Conflict` when there is no such contact, or it is not erased.
pub fn replace_reference(
    tx: &mut WriteTx,
    no: ContactNo,
    fresh: ContactRef,
) -> Result<(), EffectError> {
    let erased = contact::no.eq(no.0).and(contact::state.eq(ContactState::Erased.code()));
    let changed = diesel::update(contact::table.filter(erased))
        .set(contact::reference.eq(fresh.0.to_vec()))
        .execute(tx.statement())?;
    one(changed, "there is no such contact, or it is not erased")
}

/// What is stored of a person beside the sealed values, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traces {
    /// Occasions on which she left details.
    pub origins: u64,
    /// Her yes and no, with their history.
    pub choices: u64,
    /// Items of the ledger about her.
    pub items: u64,
}

/// Counts what an erasure would delete, and what [`forget_disclosures`] would.
pub fn count_traces(tx: &mut ReadTx, no: ContactNo) -> Result<Traces, StoreError> {
    let (origins, choices, items): (i64, i64, i64) = fixed::<(BigInt, BigInt, BigInt)>(
        "SELECT (SELECT count(*) FROM origin WHERE contact_no = $1), \
         (SELECT count(*) FROM choice WHERE contact_no = $1), \
         (SELECT count(*) FROM disclosed_item WHERE contact_no = $1)",
    )
    .bind::<BigInt, _>(no.0)
    .get_result(tx.statement())?;
    Ok(Traces { origins: unsigned(origins)?, choices: unsigned(choices)?, items: unsigned(items)? })
}

/// Erased contacts of which the ledger still has items, in the order of their numbers: not every
/// partner that received the data has been told.
pub fn list_unforgotten(tx: &mut ReadTx) -> Result<Vec<ContactNo>, StoreError> {
    let rows: Vec<i64> = fixed::<BigInt>(
        "SELECT no FROM contact WHERE state = 'erased' AND EXISTS \
         (SELECT 1 FROM disclosed_item WHERE contact_no = contact.no) ORDER BY no",
    )
    .load(tx.statement())?;
    Ok(rows.into_iter().map(ContactNo).collect())
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
