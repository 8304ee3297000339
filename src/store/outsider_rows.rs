//! When each outsider last vouched for the ledger.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Text};

use super::error::StoreError;
use super::evidence::EvidenceTx;
use super::statement::fixed;
use super::tx::ReadTx;
use crate::clock::Moment;

/// When an outsider last vouched, or was first expected to.
pub fn find_outsider(tx: &mut ReadTx, name: &str) -> Result<Option<Moment>, StoreError> {
    let rows: Vec<i64> = fixed::<BigInt>("SELECT vouched_at FROM ledger_outsider WHERE name = $1")
        .bind::<Text, _>(name)
        .load(tx.statement())?;
    Ok(rows.first().copied().map(Moment))
}

/// Keeps that an outsider vouched; of two replicas the later one is right.
pub fn keep_outsider(tx: &mut EvidenceTx, name: &str, at: Moment) -> Result<(), StoreError> {
    fixed::<()>(
        "INSERT INTO ledger_outsider (name, vouched_at) VALUES ($1, $2) \
         ON CONFLICT (name) DO UPDATE SET vouched_at = excluded.vouched_at \
         WHERE ledger_outsider.vouched_at < excluded.vouched_at",
    )
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(at.0)
    .execute(tx.statement())?;
    Ok(())
}
