//! The ledger's rows as any snapshot shows them: head, bodies, tiles, and which log it is.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary, SmallInt, Text};

use super::dialect::{self, HeadRow};
use super::error::{EffectError, StoreError};
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;
use crate::ledger::{Archive, Head, ShelfError};
use crate::merkle::Hash;
use crate::merkle::tile::Tile;
use crate::merkle::tree::Frontier;

impl From<StoreError> for ShelfError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(_) => Self::Busy(error.into()),
            other => Self::Broken(other.into()),
        }
    }
}

impl Archive for ReadTx {
    fn head(&mut self) -> Result<Head, ShelfError> {
        Ok(head_of(dialect::read_head(self.statement())?)?)
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        Ok(read_bodies(self, from, until)?)
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        let found: Vec<Vec<u8>> =
            fixed::<Binary>("SELECT hashes FROM ledger_tile WHERE level = $1 AND n = $2")
                .bind::<SmallInt, _>(i16::from(level))
                .bind::<BigInt, _>(signed(n))
                .load(self.statement())
                .map_err(StoreError::from)?;
        let tile = found.first().map(|hashes| Tile::from_bytes(level, n, hashes)).transpose();
        tile.map_err(|error| ShelfError::Broken(error.into()))
    }

    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        Ok(read_roots(self, level, from, until)?)
    }

    fn min_index(&mut self) -> Result<u64, ShelfError> {
        Ok(min_index(self)?)
    }
}

pub(super) fn read_bodies(
    tx: &mut ReadTx,
    from: u64,
    until: u64,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = fixed::<(BigInt, Binary)>(
        "SELECT idx, body FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx",
    )
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(signed(until))
    .load(tx.statement())?;
    // A gap ends the answer: what follows would stand at the wrong place.
    let expected = signed(from)..;
    let run = rows.into_iter().zip(expected).take_while(|((index, _), at)| index == at);
    Ok(run.map(|((_, body), _)| body).collect())
}

pub(super) fn read_roots(
    tx: &mut ReadTx,
    level: u8,
    from: u64,
    until: u64,
) -> Result<Vec<Hash>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> = fixed::<(BigInt, Binary)>(
        "SELECT n, root FROM ledger_tile WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n",
    )
    .bind::<SmallInt, _>(i16::from(level))
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(signed(until))
    .load(tx.statement())?;
    let expected = signed(from)..;
    let run = rows.into_iter().zip(expected).take_while(|((n, _), at)| n == at);
    run.map(|((_, root), _)| Hash::from_slice(&root).ok_or_else(|| nonsense("a tile's root")))
        .collect()
}

/// Numbers of entries and tiles: far below the limit in any log there will ever be.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| nonsense("a negative number"))
}

pub(super) fn nonsense(what: &str) -> StoreError {
    StoreError::Row(what.to_owned())
}

pub(super) fn head_of(
    (size, frontier, last_restricting, epoch, _, registry_version): HeadRow,
) -> Result<Head, StoreError> {
    let frontier = Frontier::from_bytes(unsigned(size)?, &frontier)
        .map_err(|error| StoreError::Row(error.to_string()))?;
    Ok(Head {
        frontier,
        last_restricting: u64::try_from(last_restricting).ok(),
        epoch: u32::try_from(epoch).map_err(|_| nonsense("an epoch"))?,
        registry_version,
    })
}

/// Which log this database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// The name in its checkpoints.
    pub origin: String,
    /// The ids of its keys, joined by commas.
    pub key_ids: String,
    /// When it was founded.
    pub created_at: Moment,
}

/// The log that was founded here, if one was.
pub fn find_log(tx: &mut ReadTx) -> Result<Option<LogIdentity>, StoreError> {
    let rows: Vec<(String, String, i64)> = fixed::<(Text, Text, BigInt)>(
        "SELECT origin, log_key_ids, created_at FROM ledger_log WHERE id = 1",
    )
    .load(tx.statement())?;
    let identity = |(origin, key_ids, at)| LogIdentity { origin, key_ids, created_at: Moment(at) };
    Ok(rows.into_iter().next().map(identity))
}

/// The first index whose entry is kept; 0 unless entries were pruned, and in a database without
/// a log.
pub fn min_index(tx: &mut ReadTx) -> Result<u64, StoreError> {
    let rows: Vec<i64> =
        fixed::<BigInt>("SELECT min_index FROM ledger_log WHERE id = 1").load(tx.statement())?;
    unsigned(rows.first().copied().unwrap_or(0))
}

/// Founds the log; there is one per database.
///
/// # Errors
/// `Conflict` when one was founded before.
pub fn insert_log(tx: &mut WriteTx, identity: &LogIdentity) -> Result<(), EffectError> {
    fixed::<()>(
        "INSERT INTO ledger_log (id, origin, log_key_ids, created_at, min_index, format_version) \
         VALUES (1, $1, $2, $3, 0, 1)",
    )
    .bind::<Text, _>(&identity.origin)
    .bind::<Text, _>(&identity.key_ids)
    .bind::<BigInt, _>(identity.created_at.0)
    .execute(tx.statement())?;
    Ok(())
}
