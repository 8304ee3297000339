//! Checkpoints as they were published, and the cosignatures they got.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::error::StoreError;
use super::evidence::EvidenceTx;
use super::ledger_rows::{signed, unsigned};
use super::statement::fixed;
use super::tx::ReadTx;
use crate::clock::Moment;
use crate::ledger::publishing::Published;

type Columns = (BigInt, Text, Nullable<BigInt>);
type Row = (i64, String, Option<i64>);

fn published((size, note, at): Row) -> Result<Published, StoreError> {
    Ok(Published { size: unsigned(size)?, note, at: Moment(at.unwrap_or(0)) })
}

/// The largest checkpoint that was published.
pub fn newest_checkpoint(tx: &mut ReadTx) -> Result<Option<Published>, StoreError> {
    let rows: Vec<Row> = fixed::<Columns>(
        "SELECT size, note, published_at FROM ledger_checkpoint ORDER BY size DESC LIMIT 1",
    )
    .load(tx.statement())?;
    rows.into_iter().next().map(published).transpose()
}

/// Published checkpoints from a size on, smallest first, at most `limit`.
pub fn list_checkpoints(
    tx: &mut ReadTx,
    from: u64,
    limit: u16,
) -> Result<Vec<Published>, StoreError> {
    let rows: Vec<Row> = fixed::<Columns>(
        "SELECT size, note, published_at FROM ledger_checkpoint WHERE size >= $1 \
         ORDER BY size LIMIT $2",
    )
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(i64::from(limit))
    .load(tx.statement())?;
    rows.into_iter().map(published).collect()
}

/// Checkpoints that met the policy's quorum when a line came in, largest first, at most `limit`.
pub fn list_quorum_met(tx: &mut ReadTx, limit: u16) -> Result<Vec<Published>, StoreError> {
    let rows: Vec<Row> = fixed::<Columns>(
        "SELECT size, note, published_at FROM ledger_checkpoint WHERE quorum_met \
         ORDER BY size DESC LIMIT $1",
    )
    .bind::<BigInt, _>(i64::from(limit))
    .load(tx.statement())?;
    rows.into_iter().map(published).collect()
}

/// Notes that the checkpoint of a size met the policy's quorum. It proves nothing: whoever serves
/// the note judges it again.
pub fn note_quorum(tx: &mut EvidenceTx, size: u64) -> Result<(), StoreError> {
    fixed::<()>(
        "UPDATE ledger_checkpoint SET quorum_met = TRUE WHERE size = $1 AND NOT quorum_met",
    )
    .bind::<BigInt, _>(signed(size))
    .execute(tx.statement())?;
    Ok(())
}

/// Adds a checkpoint; sizes only grow, which the caller has checked under the lock.
///
/// # Errors
/// `Conflict` when one of this size was published.
pub fn insert_checkpoint(tx: &mut EvidenceTx, row: &Published) -> Result<(), StoreError> {
    fixed::<()>("INSERT INTO ledger_checkpoint (size, note, published_at) VALUES ($1, $2, $3)")
        .bind::<BigInt, _>(signed(row.size))
        .bind::<Text, _>(&row.note)
        .bind::<BigInt, _>(row.at.0)
        .execute(tx.statement())?;
    Ok(())
}

/// Says that the checkpoint of this size still stands: the heartbeat.
pub fn renew_checkpoint(tx: &mut EvidenceTx, row: &Published) -> Result<(), StoreError> {
    fixed::<()>("UPDATE ledger_checkpoint SET note = $1, published_at = $2 WHERE size = $3")
        .bind::<Text, _>(&row.note)
        .bind::<BigInt, _>(row.at.0)
        .bind::<BigInt, _>(signed(row.size))
        .execute(tx.statement())?;
    Ok(())
}
