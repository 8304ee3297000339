//! The rows that hang on the entries, as the auditor's walk reads them.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable};

use super::audit_rows::read_projections;
use super::error::{StoreError, read};
use super::ledger_rows::{signed, unsigned};
use super::statement::fixed;
use super::tx::ReadTx;
use crate::id::{ContactNo, ContactRef};
use crate::ledger::{
    Link, LinkedTo, Records, ShelfError, StoredItems, StoredLink, StoredProjection,
};

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

    fn is_known(&mut self, reference: ContactRef) -> Result<bool, ShelfError> {
        let found: Vec<i64> =
            fixed::<BigInt>("SELECT no FROM contact WHERE ref = $1 AND state <> 'erased'")
                .bind::<Binary, _>(reference.0.as_slice())
                .load(self.statement())
                .map_err(StoreError::from)?;
        Ok(!found.is_empty())
    }
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
