//! What goes when the ledger is pruned: one number rises with the entry, then rows are swept away.

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::BigInt;

use super::connection::{self, Use};
use super::dialect;
use super::error::{EffectError, StoreError};
use super::ledger_rows::{min_index, signed, unsigned};
use super::own_thread;
use super::partner_rows::one;
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use super::url::Url;
use crate::clock::Moment;
use crate::id::ContactNo;

/// Entries whose rows one stride deletes: some 20 ms, so that no release waits long behind it.
const ENTRIES: i64 = 1024;

/// Contacts whose links one stride looks through.
const CONTACTS: i64 = 512;

/// Index of the first entry from `from` on that was written at `since` or later. Reads as many
/// projections as are older.
pub fn find_first_since(
    tx: &mut ReadTx,
    from: u64,
    since: Moment,
) -> Result<Option<u64>, StoreError> {
    let rows: Vec<i64> = fixed::<BigInt>(
        "SELECT idx FROM ledger_projection WHERE idx >= $1 AND at >= $2 ORDER BY idx LIMIT 1",
    )
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(since.0)
    .load(tx.statement())?;
    rows.first().copied().map(unsigned).transpose()
}

/// The lowest number of an erased contact that has items below an index: whoever received its
/// data has not been told, and the rows are needed for that.
pub fn find_unforgotten_below(
    tx: &mut ReadTx,
    min_index: u64,
) -> Result<Option<ContactNo>, StoreError> {
    let rows: Vec<i64> = fixed::<BigInt>(
        "SELECT no FROM contact WHERE state = 'erased' AND EXISTS (SELECT 1 FROM disclosed_item \
         WHERE contact_no = contact.no AND idx < $1) ORDER BY no LIMIT 1",
    )
    .bind::<BigInt, _>(signed(min_index))
    .load(tx.statement())?;
    Ok(rows.first().copied().map(ContactNo))
}

/// Raises the minimum index. From the commit on, nobody is served what lies below.
///
/// # Errors
/// `Conflict` when it is as high already.
pub fn raise_min_index(tx: &mut WriteTx, min_index: u64) -> Result<(), EffectError> {
    let raised =
        fixed::<()>("UPDATE ledger_log SET min_index = $1 WHERE id = 1 AND min_index < $2")
            .bind::<BigInt, _>(signed(min_index))
            .bind::<BigInt, _>(signed(min_index))
            .execute(tx.statement())?;
    one(raised, "the ledger was pruned as far in between")
}

/// Deletes the rows below the minimum index, a little at a time, each time in a transaction of its
/// own: no entry records it, because the rising number, which an entry does record, already took
/// them away. Stopped half-way, it goes on where it stopped.
pub struct Sweeper {
    url: Url,
    connection: Option<connection::AnyConnection>,
    min_index: i64,
    contact: i64,
}

impl Sweeper {
    pub(super) fn new(url: Url) -> Self {
        Self { url, connection: None, min_index: 0, contact: 0 }
    }

    /// One stride; `None` when nothing is left, else how many entries are.
    ///
    /// # Errors
    /// `Busy` when the database is locked: the same stride can be tried again.
    pub fn stride(&mut self) -> Result<Option<u64>, StoreError> {
        own_thread(|| {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => connection::open(&self.url, Use::Write)?,
            };
            let mut tx = ReadTx::new(connection);
            dialect::begin_writing(tx.border())?;
            let swept = self.sweep(&mut tx);
            let end = if swept.is_ok() { "COMMIT" } else { "ROLLBACK" };
            tx.border().batch_execute(end)?;
            self.connection = Some(tx.into_connection());
            swept
        })
    }

    fn sweep(&mut self, tx: &mut ReadTx) -> Result<Option<u64>, StoreError> {
        self.min_index = signed(min_index(tx)?);
        if self.sweep_links(tx)? {
            return self.left(tx).map(Some);
        }
        let first = first_entry(tx)?;
        let Some(first) = first.filter(|first| *first < self.min_index) else { return Ok(None) };
        let until = first.saturating_add(ENTRIES).min(self.min_index);
        for sql in [
            "DELETE FROM ledger_items WHERE idx < $1",
            "DELETE FROM ledger_projection WHERE idx < $1",
            "DELETE FROM idempotency WHERE idx < $1",
            "DELETE FROM ledger_entry WHERE idx < $1",
        ] {
            fixed::<()>(sql).bind::<BigInt, _>(until).execute(tx.statement())?;
        }
        self.left(tx).map(Some)
    }

    /// Links are in the order of contacts, so each contact is looked at once. `false` when all
    /// have been.
    fn sweep_links(&mut self, tx: &mut ReadTx) -> Result<bool, StoreError> {
        let highest: i64 =
            fixed::<BigInt>("SELECT coalesce(max(contact_no), 0) FROM disclosed_item")
                .get_result(tx.statement())?;
        if self.contact >= highest {
            return Ok(false);
        }
        let until = self.contact.saturating_add(CONTACTS);
        fixed::<()>(
            "DELETE FROM disclosed_item WHERE contact_no > $1 AND contact_no <= $2 AND idx < $3",
        )
        .bind::<BigInt, _>(self.contact)
        .bind::<BigInt, _>(until)
        .bind::<BigInt, _>(self.min_index)
        .execute(tx.statement())?;
        self.contact = until;
        Ok(true)
    }

    fn left(&self, tx: &mut ReadTx) -> Result<u64, StoreError> {
        let first = first_entry(tx)?.unwrap_or(self.min_index);
        unsigned(self.min_index.saturating_sub(first).max(0))
    }
}

fn first_entry(tx: &mut ReadTx) -> Result<Option<i64>, StoreError> {
    let rows: Vec<i64> = fixed::<BigInt>("SELECT idx FROM ledger_entry ORDER BY idx LIMIT 1")
        .load(tx.statement())?;
    Ok(rows.first().copied())
}
