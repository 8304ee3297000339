//! The rows that hang on the entries, as the auditor's walk reads them.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, SmallInt};

use super::audit_rows::read_projections;
use super::dialect;
use super::error::{StoreError, read};
use super::ledger_rows::{signed, unsigned};
use super::statement::fixed;
use super::tx::ReadTx;
use crate::id::{ContactNo, ContactRef};
use crate::ledger::{
    Link, LinkedTo, Records, ShelfError, StoredItems, StoredLink, StoredProjection,
};
use crate::merkle::tile::{WIDTH, hashes_at};

/// The highest level that has full tiles in any tree that fits into a signed 64-bit size.
const TOP_LEVEL: u8 = 6;

type LinkColumns = (BigInt, BigInt, Integer, Nullable<Bool>, Nullable<Binary>);
type LinkRow = (i64, i64, i32, Option<bool>, Option<Vec<u8>>);

/// Links with what is known of their contacts today.
macro_rules! links {
    ($where:literal) => {
        concat!(
            "SELECT d.contact_no, d.idx, d.pos, c.state = 'erased', c.ref FROM disclosed_item d \
             LEFT JOIN contact c ON c.no = d.contact_no WHERE ",
            $where
        )
    };
}
impl Records for ReadTx {
    fn items(&mut self, from: u64, until: u64) -> Result<Vec<StoredItems>, ShelfError> {
        Ok(read_items(self, from, until)?)
    }

    fn projections(&mut self, from: u64, until: u64) -> Result<Vec<StoredProjection>, ShelfError> {
        Ok(read_projections(self, from, until)?)
    }

    fn links(
        &mut self,
        from: u64,
        after: Option<Link>,
        limit: u32,
    ) -> Result<Vec<StoredLink>, ShelfError> {
        Ok(read_links(self, from, after, limit)?)
    }

    fn links_to(&mut self, from: u64, until: u64) -> Result<Vec<StoredLink>, ShelfError> {
        let rows = fixed::<LinkColumns>(links!("d.idx >= $1 AND d.idx < $2"))
            .bind::<BigInt, _>(signed(from))
            .bind::<BigInt, _>(signed(until))
            .load(self.statement())
            .map_err(StoreError::from)?;
        let links: Result<_, StoreError> = rows.into_iter().map(link_of).collect();
        Ok(links?)
    }

    fn surplus_tiles(&mut self, size: u64) -> Result<Vec<(u8, u64)>, ShelfError> {
        Ok(list_surplus_tiles(self, size)?)
    }

    fn newest_time(&mut self) -> Result<i64, ShelfError> {
        let (.., newest, _) = dialect::read_head(self.statement())?;
        Ok(newest)
    }

    fn is_known(&mut self, reference: ContactRef) -> Result<bool, ShelfError> {
        let found: Vec<i64> =
            fixed::<BigInt>("SELECT no FROM contact WHERE ref = $1 AND state <> 'erased'")
                .bind::<Binary, _>(reference.0.as_slice())
                .load(self.statement())
                .map_err(StoreError::from)?;
        Ok(!found.is_empty())
    }
}

/// Surplus tiles that are named: one is a finding, and a thousand are no more.
const SURPLUS_MAX: i64 = 16;

fn list_surplus_tiles(tx: &mut ReadTx, size: u64) -> Result<Vec<(u8, u64)>, StoreError> {
    let mut surplus = Vec::new();
    for level in 0..=TOP_LEVEL {
        let full = hashes_at(level, size) / u64::from(WIDTH);
        let numbers: Vec<i64> = fixed::<BigInt>(
            "SELECT n FROM ledger_tile WHERE level = $1 AND (n >= $2 OR n < 0) ORDER BY n LIMIT $3",
        )
        .bind::<SmallInt, _>(i16::from(level))
        .bind::<BigInt, _>(signed(full))
        .bind::<BigInt, _>(SURPLUS_MAX)
        .load(tx.statement())?;
        surplus.extend(numbers.into_iter().map(|n| (level, n.unsigned_abs())));
    }
    let elsewhere: Vec<(i16, i64)> = fixed::<(SmallInt, BigInt)>(
        "SELECT level, n FROM ledger_tile WHERE level < 0 OR level > $1 LIMIT $2",
    )
    .bind::<SmallInt, _>(i16::from(TOP_LEVEL))
    .bind::<BigInt, _>(SURPLUS_MAX)
    .load(tx.statement())?;
    let named = |(level, n): (i16, i64)| (u8::try_from(level).unwrap_or(u8::MAX), n.unsigned_abs());
    surplus.extend(elsewhere.into_iter().map(named));
    Ok(surplus)
}

fn read_items(tx: &mut ReadTx, from: u64, until: u64) -> Result<Vec<StoredItems>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = fixed::<(BigInt, Binary)>(
        "SELECT idx, items FROM ledger_items WHERE idx >= $1 AND idx < $2 ORDER BY idx",
    )
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(signed(until))
    .load(tx.statement())?;
    rows.into_iter().map(|(index, run)| Ok(StoredItems { index: unsigned(index)?, run })).collect()
}

fn read_links(
    tx: &mut ReadTx,
    from: u64,
    after: Option<Link>,
    limit: u32,
) -> Result<Vec<StoredLink>, StoreError> {
    let first = (i64::MIN, i64::MIN, i32::MIN);
    let (contact, index, position) = after.map_or(first, |after| {
        let position = i32::try_from(after.position).unwrap_or(i32::MAX);
        (after.contact_no.0, signed(after.index), position)
    });
    let rows: Vec<LinkRow> = fixed::<LinkColumns>(links!(
        "(d.contact_no, d.idx, d.pos) > ($1, $2, $3) AND d.idx >= $4 \
         ORDER BY d.contact_no, d.idx, d.pos LIMIT $5"
    ))
    .bind::<BigInt, _>(contact)
    .bind::<BigInt, _>(index)
    .bind::<Integer, _>(position)
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(i64::from(limit))
    .load(tx.statement())?;
    rows.into_iter().map(link_of).collect()
}

fn link_of((contact, index, position, erased, owner): LinkRow) -> Result<StoredLink, StoreError> {
    let position = read(u32::try_from(position).ok(), "disclosed_item.pos")?;
    let link = Link { contact_no: ContactNo(contact), index: unsigned(index)?, position };
    let to = match (erased, owner) {
        (Some(false), Some(owner)) => {
            LinkedTo::Contact(ContactRef(read(owner.try_into().ok(), "contact.ref")?))
        }
        (Some(true), _) => LinkedTo::Erased,
        _ => LinkedTo::Nobody,
    };
    Ok((link, to))
}
