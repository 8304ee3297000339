//! Which entry a request with an `Idempotency-Key` made, so that a retry finds it.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Binary};

use super::error::{EffectError, StoreError, read};
use super::ledger_rows::{signed, unsigned};
use super::statement::fixed;
use super::tx::{ReadTx, WriteTx};
use crate::clock::Moment;

/// What was answered to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Index of the entry.
    pub index: u64,
    /// SHA-256 of the request's body: the same key with another body is a mistake.
    pub body_hash: [u8; 32],
    /// When.
    pub at: Moment,
}

/// Finds the answer to a key: the full SHA-256 over partner and `Idempotency-Key`.
pub fn find_answer(tx: &mut ReadTx, key: &[u8; 32]) -> Result<Option<Answer>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, i64)> = fixed::<(BigInt, Binary, BigInt)>(
        "SELECT idx, body_hash, at FROM idempotency WHERE key = $1",
    )
    .bind::<Binary, _>(key.as_slice())
    .load(tx.statement())?;
    let answer = |(index, body_hash, at): (i64, Vec<u8>, i64)| {
        let body_hash = read(body_hash.try_into().ok(), "idempotency.body_hash")?;
        Ok(Answer { index: unsigned(index)?, body_hash, at: Moment(at) })
    };
    rows.into_iter().next().map(answer).transpose()
}

/// Notes that the entry beside which this effect commits answers the key.
///
/// # Errors
/// `Conflict` when the key was answered before.
pub fn insert_answer(
    tx: &mut WriteTx,
    key: &[u8; 32],
    body_hash: &[u8; 32],
    at: Moment,
) -> Result<(), EffectError> {
    let index = signed(tx.index());
    fixed::<()>("INSERT INTO idempotency (key, idx, body_hash, at) VALUES ($1, $2, $3, $4)")
        .bind::<Binary, _>(key.as_slice())
        .bind::<BigInt, _>(index)
        .bind::<Binary, _>(body_hash.as_slice())
        .bind::<BigInt, _>(at.0)
        .execute(tx.statement())?;
    Ok(())
}
