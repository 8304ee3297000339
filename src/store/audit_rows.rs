//! Questions to the ledger's projections: who received this person's data, and what happened.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};

use super::dialect;
use super::dictionary::Dictionary;
use super::error::{StoreError, read};
use super::ledger_rows::{signed, unsigned};
use super::partner_rows::fields_of;
use super::statement::fixed;
use super::told::{Bytes, Told};
use super::tx::ReadTx;
use crate::clock::Moment;
use crate::domain::disclosure::Reason;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, PartnerId, PolicyVersion, Thumbprint};
use crate::ledger::{Item, Kind, Projection, StoredProjection, items};
use crate::merkle::Hash;

/// One release of one person's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    /// Index of the entry.
    pub index: u64,
    /// When.
    pub at: Moment,
    /// Who received.
    pub partner: PartnerId,
    /// What for.
    pub purpose: Purpose,
    /// Under which policy version.
    pub policy: Option<PolicyVersion>,
    /// Which of the person's fields.
    pub fields: FieldSet,
    /// The item's bytes: the leaf below the entry.
    pub item: Vec<u8>,
    /// The item's place on the page, from 0.
    pub position: u32,
}

/// Who received a person's data, oldest first.
pub fn list_disclosures(tx: &mut ReadTx, no: ContactNo) -> Result<Vec<Disclosure>, StoreError> {
    type Columns = (BigInt, Integer, Binary, BigInt, Text, Text, Nullable<Integer>);
    type Row = (i64, i32, Vec<u8>, i64, String, String, Option<i32>);
    let rows: Vec<Row> = fixed::<Columns>(
        "SELECT d.idx, d.pos, i.items, p.at, p.partner, p.purpose, p.policy \
         FROM disclosed_item d JOIN ledger_projection p ON p.idx = d.idx \
         JOIN ledger_items i ON i.idx = d.idx \
         WHERE d.contact_no = $1 AND p.kind = 'release' \
         AND d.idx >= coalesce((SELECT min_index FROM ledger_log WHERE id = 1), 0) \
         ORDER BY d.idx, d.pos",
    )
    .bind::<BigInt, _>(no.0)
    .load(tx.statement())?;
    rows.into_iter()
        .map(|(index, position, run, at, partner, purpose, policy)| {
            let position = read(u32::try_from(position).ok(), "disclosed_item.pos")?;
            let item = read(items::item_at(&run, position), "disclosed_item.pos")?.to_vec();
            let fields = Item::parse(&item).ok().map(|item| item.fields);
            Ok(Disclosure {
                index: unsigned(index)?,
                at: Moment(at),
                partner: read(partner.parse().ok(), "ledger_projection.partner")?,
                purpose: read(Purpose::from_code(&purpose), "ledger_projection.purpose")?,
                policy: policy.map(PolicyVersion),
                fields: read(fields, "ledger_items.items")?,
                item,
                position,
            })
        })
        .collect()
}

type ProjectionColumns = (
    BigInt,
    Text,
    Nullable<Text>,
    Nullable<Text>,
    Text,
    BigInt,
    Nullable<Text>,
    Nullable<Binary>,
    Nullable<Integer>,
    Nullable<BigInt>,
    Bool,
    Nullable<Binary>,
    Nullable<Binary>,
    Nullable<Text>,
);

type ProjectionRow = (
    i64,
    Told<Kind>,
    Option<Told<PartnerId>>,
    Option<Told<Purpose>>,
    String,
    i64,
    Option<Told<Reason>>,
    Option<Bytes<32>>,
    Option<i32>,
    Option<i64>,
    bool,
    Option<Bytes<16>>,
    Option<Vec<u8>>,
    Option<Told<Kind>>,
);

macro_rules! projection {
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT idx, kind, partner, purpose, op, at, reason, certificate, policy, fields, \
             restricting, response_salt, item_hashes, decision",
            $more,
            " FROM ledger_projection ",
            $rest
        )
    };
}

/// The columns of one entry.
pub fn find_projection(tx: &mut ReadTx, index: u64) -> Result<Option<Projection>, StoreError> {
    let rows: Vec<ProjectionRow> = fixed::<ProjectionColumns>(projection!("", "WHERE idx = $1"))
        .bind::<BigInt, _>(signed(index))
        .load(tx.statement())?;
    Ok(rows.into_iter().next().map(projection_of).transpose()?.map(|(_, projection)| projection))
}

fn projection_of(row: ProjectionRow) -> Result<(u64, Projection), StoreError> {
    let (index, kind, partner, purpose, op, at, reason, certificate, policy, fields, ..) = row;
    let (restricting, salt, hashes, decision) = (row.10, row.11, row.12, row.13);
    let hashes = Hash::split(hashes.as_deref().unwrap_or_default());
    let decided = |Told(kind): Told<Kind>| kind.and_then(Kind::decision);
    let thumbprint = |Bytes(bytes): Bytes<32>| bytes.map(Thumbprint);
    let projection = Projection {
        kind: read(kind.0, "ledger_projection.kind")?,
        partner: maybe(partner, |told| told.0, "ledger_projection.partner")?,
        purpose: maybe(purpose, |told| told.0, "ledger_projection.purpose")?,
        op,
        at: Moment(at),
        decision: maybe(decision, decided, "ledger_projection.decision")?,
        reason: maybe(reason, |told| told.0, "ledger_projection.reason")?,
        certificate: maybe(certificate, thumbprint, "ledger_projection.certificate")?,
        policy: policy.map(PolicyVersion),
        fields: maybe(fields, fields_of, "ledger_projection.fields")?,
        restricting,
        response_salt: maybe(salt, |bytes| bytes.0, "ledger_projection.response_salt")?,
        item_hashes: read(hashes, "ledger_projection.item_hashes")?,
    };
    Ok((unsigned(index)?, projection))
}

/// A column that may be empty, but is not something else.
fn maybe<V, T>(
    value: Option<V>,
    understand: impl FnOnce(V) -> Option<T>,
    column: &'static str,
) -> Result<Option<T>, StoreError> {
    value.map(|value| read(understand(value), column)).transpose()
}

/// The columns of the entries `from..until`, for the auditor's walk: what cannot be read at all is
/// a finding there, not an error. So is a row whose numbers stand for something else.
pub(super) fn read_projections(
    tx: &mut ReadTx,
    from: u64,
    until: u64,
) -> Result<Vec<StoredProjection>, StoreError> {
    let rows: Vec<(ProjectionRow, FinderRow)> = fixed::<(ProjectionColumns, FinderColumns)>(
        projection!(", asker, shape, late", "WHERE idx >= $1 AND idx < $2 ORDER BY idx"),
    )
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(signed(until))
    .load(tx.statement())?;
    let askers = rows.iter().map(|(_, (asker, ..))| *asker).collect();
    let dictionary = Dictionary::read(tx, askers, rows.iter().map(|(_, row)| row.1).collect())?;
    let stored = |(row, (asker, shape, late)): (ProjectionRow, FinderRow)| {
        let index = unsigned(row.0)?;
        let projection = projection_of(row).ok().map(|(_, projection)| projection);
        let projection = projection.filter(|said| dictionary.says((asker, shape), said));
        Ok(StoredProjection { index, projection, late })
    };
    rows.into_iter().map(stored).collect()
}

type FinderColumns = (Integer, Integer, Nullable<BigInt>);
type FinderRow = (i32, i32, Option<i64>);

/// The bodies of entries by index, in the order asked for.
///
/// # Errors
/// One of them is not there.
pub fn read_entries(tx: &mut ReadTx, indices: &[u64]) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut bodies = dialect::read_bodies_at(tx.statement(), indices)?;
    let body = |index: &u64| {
        let body = bodies.remove(&signed(*index));
        Ok((*index, read(body, "ledger_entry.idx")?))
    };
    indices.iter().map(body).collect()
}

/// The items of an entry that speak of a contact, with the place of each.
pub fn find_items(
    tx: &mut ReadTx,
    no: ContactNo,
    index: u64,
) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let rows: Vec<(i32, Vec<u8>)> = fixed::<(Integer, Binary)>(
        "SELECT d.pos, i.items FROM disclosed_item d JOIN ledger_items i ON i.idx = d.idx \
         WHERE d.contact_no = $1 AND d.idx = $2 ORDER BY d.pos",
    )
    .bind::<BigInt, _>(no.0)
    .bind::<BigInt, _>(signed(index))
    .load(tx.statement())?;
    let item = |(position, run): (i32, Vec<u8>)| {
        let position = read(u32::try_from(position).ok(), "disclosed_item.pos")?;
        let item = items::item_at(&run, position).map(<[u8]>::to_vec);
        Ok((position, read(item, "ledger_items.items")?))
    };
    rows.into_iter().map(item).collect()
}
