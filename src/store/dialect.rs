//! What the two databases say differently: the head's lock, and rows in bulk.
//!
//! `PostgreSQL` takes a batch as arrays in one round trip; `SQLite`, in the same process, takes
//! rows one prepared statement after the other.

use std::collections::HashMap;

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::query_builder::QueryFragment;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;

use super::connection::{AnyConnection, PgConnection};
use super::error::StoreError;
use super::ledger_rows::signed;
use super::statement::fixed;
use crate::ledger::Projection;
use crate::merkle::Hash;
use crate::merkle::tile::Tile;

/// Size, frontier, index of the newest restricting entry, epoch, newest time of all entries,
/// registry version.
pub(super) type HeadRow = (i64, Vec<u8>, i64, i64, i64, i64);

type HeadColumns = (BigInt, Binary, BigInt, BigInt, BigInt, BigInt);

/// A row of `disclosed_item`.
pub(super) struct LinkInsert {
    pub(super) contact_no: i64,
    pub(super) index: i64,
    pub(super) position: i32,
}

/// Reads the head as committed.
pub(super) fn read_head(connection: &mut AnyConnection) -> Result<HeadRow, StoreError> {
    let query = fixed::<HeadColumns>(
        "SELECT size, frontier, last_restricting, epoch, updated_at, registry_version \
         FROM ledger_head WHERE id = 1",
    );
    Ok(query.get_result(connection)?)
}

/// Begins the write transaction and locks the head: the one order of all writers.
pub(super) fn begin_locked(connection: &mut AnyConnection) -> Result<HeadRow, StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => connection.batch_execute("BEGIN IMMEDIATE")?,
        AnyConnection::Postgres(connection) => {
            connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED")?;
            let query = fixed::<HeadColumns>(
                "SELECT size, frontier, last_restricting, epoch, updated_at, registry_version \
                 FROM ledger_head WHERE id = 1 FOR UPDATE",
            );
            return Ok(query.get_result(connection)?);
        }
    }
    read_head(connection)
}

/// Makes room ahead of the head. Gives the size of the ledger at which to ask again: never on
/// `SQLite`, where a table is one tree, and once in 2^24 entries on `PostgreSQL`, whose entries
/// stand in partitions by index.
pub(super) fn make_room(connection: &mut AnyConnection) -> Result<i64, StoreError> {
    match connection {
        AnyConnection::Sqlite(_) => Ok(i64::MAX),
        AnyConnection::Postgres(connection) => {
            Ok(fixed::<BigInt>("SELECT ledger_partitions_ahead()").get_result(connection)?)
        }
    }
}

/// Begins a write transaction on the evidence tables, one at a time over all replicas, with one
/// snapshot that begins once the lock is held: the keys that sign must be those of the head that
/// is signed. `SQLite` has one lock for everything, and the sequencer takes it often: this one
/// waits longer.
pub(super) fn begin_evidence(connection: &mut AnyConnection) -> Result<(), StoreError> {
    let begin = match connection {
        AnyConnection::Sqlite(_) => "PRAGMA busy_timeout = 2000; BEGIN IMMEDIATE",
        AnyConnection::Postgres(_) => {
            "BEGIN ISOLATION LEVEL REPEATABLE READ; \
             LOCK TABLE ledger_checkpoint IN SHARE ROW EXCLUSIVE MODE"
        }
    };
    Ok(connection.batch_execute(begin)?)
}

/// Inserts rows of an index and some bytes, into `ledger_entry` or `ledger_items`.
fn insert_bytes(
    connection: &mut AnyConnection,
    (one, many): (&'static str, &'static str),
    rows: &[(i64, Vec<u8>)],
) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => {
            for (index, bytes) in rows {
                fixed::<()>(one)
                    .bind::<BigInt, _>(index)
                    .bind::<Binary, _>(bytes)
                    .execute(connection)?;
            }
        }
        AnyConnection::Postgres(connection) => {
            let indices: Vec<i64> = rows.iter().map(|(index, _)| *index).collect();
            let bytes: Vec<&[u8]> = rows.iter().map(|(_, bytes)| bytes.as_slice()).collect();
            fixed::<()>(many)
                .bind::<Array<BigInt>, _>(indices)
                .bind::<Array<Binary>, _>(bytes)
                .execute(connection)?;
        }
    }
    Ok(())
}

/// Begins a transaction that writes beside the ledger's own: on `SQLite` with the write lock at
/// once, because one taken half-way can fail without waiting.
pub(super) fn begin_writing(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => connection.batch_execute("BEGIN IMMEDIATE")?,
        AnyConnection::Postgres(connection) => {
            connection.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED")?;
        }
    }
    Ok(())
}

/// Inserts `ledger_entry` rows.
pub(super) fn insert_entries(
    connection: &mut AnyConnection,
    entries: &[(i64, Vec<u8>)],
) -> Result<(), StoreError> {
    const TEXTS: (&str, &str) = (
        "INSERT INTO ledger_entry (idx, body) VALUES ($1, $2)",
        "INSERT INTO ledger_entry (idx, body) SELECT * FROM unnest($1, $2)",
    );
    insert_bytes(connection, TEXTS, entries)
}

/// Inserts `ledger_items` rows: the run of an entry's items each.
pub(super) fn insert_items(
    connection: &mut AnyConnection,
    runs: &[(i64, Vec<u8>)],
) -> Result<(), StoreError> {
    const TEXTS: (&str, &str) = (
        "INSERT INTO ledger_items (idx, items) VALUES ($1, $2)",
        "INSERT INTO ledger_items (idx, items) SELECT * FROM unnest($1, $2)",
    );
    insert_bytes(connection, TEXTS, runs)
}

/// Inserts `disclosed_item` rows.
pub(super) fn insert_links(
    connection: &mut AnyConnection,
    links: &[LinkInsert],
) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => {
            for chunk in links.chunks(LinkChunk::ROWS) {
                LinkChunk(chunk).execute(connection)?;
            }
        }
        AnyConnection::Postgres(connection) => {
            let column = |of: fn(&LinkInsert) -> i64| links.iter().map(of).collect::<Vec<_>>();
            let positions: Vec<i32> = links.iter().map(|link| link.position).collect();
            fixed::<()>(
                "INSERT INTO disclosed_item (contact_no, idx, pos) \
                 SELECT * FROM unnest($1, $2, $3)",
            )
            .bind::<Array<BigInt>, _>(column(|link| link.contact_no))
            .bind::<Array<BigInt>, _>(column(|link| link.index))
            .bind::<Array<Integer>, _>(positions)
            .execute(connection)?;
        }
    }
    Ok(())
}

/// Up to `ROWS` links in one statement: a page of 100 is 4 statements of two texts.
struct LinkChunk<'a>(&'a [LinkInsert]);

impl LinkChunk<'_> {
    const ROWS: usize = 32;
}

impl QueryFragment<Sqlite> for LinkChunk<'_> {
    fn walk_ast<'b>(
        &'b self,
        mut out: diesel::query_builder::AstPass<'_, 'b, Sqlite>,
    ) -> diesel::QueryResult<()> {
        out.push_sql("INSERT INTO disclosed_item (contact_no, idx, pos) VALUES ");
        for (place, link) in self.0.iter().enumerate() {
            out.push_sql(if place == 0 { "(?, ?, ?)" } else { ", (?, ?, ?)" });
            out.push_bind_param_value_only::<BigInt, _>(&link.contact_no)?;
            out.push_bind_param_value_only::<BigInt, _>(&link.index)?;
            out.push_bind_param_value_only::<Integer, _>(&link.position)?;
        }
        Ok(())
    }
}

impl diesel::query_builder::QueryId for LinkChunk<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<C> diesel::RunQueryDsl<C> for LinkChunk<'_> {}

/// A row of `ledger_projection`: what the entry says, and what finds it.
pub(super) struct ProjectionInsert {
    pub(super) index: i64,
    pub(super) projection: Projection,
    /// Numbers of its asker and of its shape.
    pub(super) numbers: (i32, i32),
    /// Microseconds by which its time lies before the newest time in front of it.
    pub(super) late: Option<i64>,
}

/// A projection in the types of the columns.
struct ProjectionRow<'a> {
    index: i64,
    asker: i32,
    shape: i32,
    late: Option<i64>,
    kind: &'static str,
    partner: Option<String>,
    purpose: Option<&'static str>,
    op: &'a str,
    at: i64,
    decision: Option<&'static str>,
    reason: Option<&'static str>,
    certificate: Option<&'a [u8]>,
    policy: Option<i32>,
    fields: Option<i64>,
    restricting: bool,
    response_salt: Option<&'a [u8]>,
    item_hashes: Option<Vec<u8>>,
}

impl<'a> ProjectionRow<'a> {
    fn of(row: &'a ProjectionInsert) -> Self {
        let of = &row.projection;
        Self {
            index: row.index,
            asker: row.numbers.0,
            shape: row.numbers.1,
            late: row.late,
            kind: of.kind.code(),
            partner: of.partner.map(|partner| partner.to_string()),
            purpose: of.purpose.map(crate::domain::purpose::Purpose::code),
            op: &of.op,
            at: of.at.0,
            decision: of.decision,
            reason: of.reason.map(crate::domain::disclosure::Reason::code),
            certificate: of.certificate.as_ref().map(|certificate| certificate.0.as_slice()),
            policy: of.policy.map(|policy| policy.0),
            fields: of.fields.map(|fields| i64::from(fields.bits())),
            restricting: of.restricting,
            response_salt: of.response_salt.as_ref().map(<[u8; 16]>::as_slice),
            item_hashes: Some(&of.item_hashes)
                .filter(|hashes| !hashes.is_empty())
                .map(|hashes| Hash::join(hashes)),
        }
    }
}

/// Inserts `ledger_projection` rows.
pub(super) fn insert_projections(
    connection: &mut AnyConnection,
    projections: &[ProjectionInsert],
) -> Result<(), StoreError> {
    let rows: Vec<ProjectionRow<'_>> = projections.iter().map(ProjectionRow::of).collect();
    let connection = match connection {
        AnyConnection::Postgres(connection) => return insert_arrays(connection, &rows),
        AnyConnection::Sqlite(connection) => connection,
    };
    for row in &rows {
        fixed::<()>(
            "INSERT INTO ledger_projection (idx, kind, partner, purpose, op, at, decision, \
             reason, certificate, policy, fields, restricting, response_salt, item_hashes, \
             asker, shape, late) VALUES \
             ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        )
        .bind::<BigInt, _>(row.index)
        .bind::<Text, _>(row.kind)
        .bind::<Nullable<Text>, _>(row.partner.as_deref())
        .bind::<Nullable<Text>, _>(row.purpose)
        .bind::<Text, _>(row.op)
        .bind::<BigInt, _>(row.at)
        .bind::<Nullable<Text>, _>(row.decision)
        .bind::<Nullable<Text>, _>(row.reason)
        .bind::<Nullable<Binary>, _>(row.certificate)
        .bind::<Nullable<Integer>, _>(row.policy)
        .bind::<Nullable<BigInt>, _>(row.fields)
        .bind::<Bool, _>(row.restricting)
        .bind::<Nullable<Binary>, _>(row.response_salt)
        .bind::<Nullable<Binary>, _>(row.item_hashes.as_deref())
        .bind::<Integer, _>(row.asker)
        .bind::<Integer, _>(row.shape)
        .bind::<Nullable<BigInt>, _>(row.late)
        .execute(connection)?;
    }
    Ok(())
}

fn insert_arrays(
    connection: &mut PgConnection,
    rows: &[ProjectionRow<'_>],
) -> Result<(), StoreError> {
    macro_rules! column {
        ($of:ident) => {
            rows.iter().map(|row| row.$of).collect::<Vec<_>>()
        };
        (ref $of:ident) => {
            rows.iter().map(|row| row.$of.as_deref()).collect::<Vec<_>>()
        };
    }
    fixed::<()>(
        "INSERT INTO ledger_projection (idx, kind, partner, purpose, op, at, decision, \
         reason, certificate, policy, fields, restricting, response_salt, item_hashes, \
         asker, shape, late) SELECT * FROM unnest(\
         $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
    )
    .bind::<Array<BigInt>, _>(column!(index))
    .bind::<Array<Text>, _>(column!(kind))
    .bind::<Array<Nullable<Text>>, _>(column!(ref partner))
    .bind::<Array<Nullable<Text>>, _>(column!(purpose))
    .bind::<Array<Text>, _>(column!(op))
    .bind::<Array<BigInt>, _>(column!(at))
    .bind::<Array<Nullable<Text>>, _>(column!(decision))
    .bind::<Array<Nullable<Text>>, _>(column!(reason))
    .bind::<Array<Nullable<Binary>>, _>(column!(certificate))
    .bind::<Array<Nullable<Integer>>, _>(column!(policy))
    .bind::<Array<Nullable<BigInt>>, _>(column!(fields))
    .bind::<Array<Bool>, _>(column!(restricting))
    .bind::<Array<Nullable<Binary>>, _>(column!(response_salt))
    .bind::<Array<Nullable<Binary>>, _>(column!(ref item_hashes))
    .bind::<Array<Integer>, _>(column!(asker))
    .bind::<Array<Integer>, _>(column!(shape))
    .bind::<Array<Nullable<BigInt>>, _>(column!(late))
    .execute(connection)?;
    Ok(())
}

/// Inserts one full tile; one in 256 entries needs it, so the text is the same for both.
pub(super) fn insert_tile(connection: &mut AnyConnection, tile: &Tile) -> Result<(), StoreError> {
    let number = i64::try_from(tile.n()).map_err(|_| StoreError::Row("tile number".to_owned()))?;
    fixed::<()>("INSERT INTO ledger_tile (level, n, root, hashes) VALUES ($1, $2, $3, $4)")
        .bind::<SmallInt, _>(i16::from(tile.level()))
        .bind::<BigInt, _>(number)
        .bind::<Binary, _>(tile.root().0.as_slice())
        .bind::<Binary, _>(tile.to_bytes())
        .execute(connection)?;
    Ok(())
}

/// Reads `ledger_entry` rows by index.
pub(super) fn read_bodies_at(
    connection: &mut AnyConnection,
    indices: &[u64],
) -> Result<HashMap<i64, Vec<u8>>, StoreError> {
    let indices: Vec<i64> = indices.iter().copied().map(signed).collect();
    let rows: Vec<(i64, Vec<u8>)> = match connection {
        AnyConnection::Sqlite(connection) => {
            let mut rows = Vec::with_capacity(indices.len());
            for index in indices {
                let text = "SELECT idx, body FROM ledger_entry WHERE idx = $1";
                let row = fixed::<(BigInt, Binary)>(text).bind::<BigInt, _>(index);
                rows.extend(row.load::<(i64, Vec<u8>)>(connection)?);
            }
            rows
        }
        AnyConnection::Postgres(connection) => {
            let text = "SELECT idx, body FROM ledger_entry WHERE idx = ANY ($1)";
            fixed::<(BigInt, Binary)>(text).bind::<Array<BigInt>, _>(indices).load(connection)?
        }
    };
    Ok(rows.into_iter().collect())
}
