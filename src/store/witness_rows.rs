//! The lines with which witnesses cosigned published checkpoints.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::error::StoreError;
use super::evidence::EvidenceTx;
use super::ledger_rows::{signed, unsigned};
use super::statement::fixed;
use super::tx::ReadTx;
use crate::clock::Moment;

/// One line of a witness, verified before it came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Size of the checkpoint.
    pub size: u64,
    /// The witness: name and id of its key, `<name>+<id>`.
    pub witness: String,
    /// The signature line with its newline.
    pub line: String,
    /// When the witness says that it saw the checkpoint.
    pub at: Moment,
}

/// The lines below the checkpoint of a size.
pub fn list_cosignatures(tx: &mut ReadTx, size: u64) -> Result<Vec<Cosignature>, StoreError> {
    list_cosignatures_between(tx, size, size)
}

/// The lines below the checkpoints of the sizes `from..=until`, smallest first.
pub fn list_cosignatures_between(
    tx: &mut ReadTx,
    from: u64,
    until: u64,
) -> Result<Vec<Cosignature>, StoreError> {
    let rows: Vec<(i64, String, String, i64)> = fixed::<(BigInt, Text, Text, BigInt)>(
        "SELECT size, witness, line, at FROM ledger_cosignature \
         WHERE size >= $1 AND size <= $2 ORDER BY size, witness",
    )
    .bind::<BigInt, _>(signed(from))
    .bind::<BigInt, _>(signed(until))
    .load(tx.statement())?;
    let line = |(size, witness, line, at)| {
        Ok(Cosignature { size: unsigned(size)?, witness, line, at: Moment(at) })
    };
    rows.into_iter().map(line).collect()
}

/// Size and time of the largest checkpoint that a witness cosigned.
pub fn find_cosigned(tx: &mut ReadTx, witness: &str) -> Result<Option<(u64, Moment)>, StoreError> {
    let rows: Vec<(i64, i64)> = fixed::<(BigInt, BigInt)>(
        "SELECT size, at FROM ledger_cosignature WHERE witness = $1 ORDER BY size DESC LIMIT 1",
    )
    .bind::<Text, _>(witness)
    .load(tx.statement())?;
    rows.first().map(|(size, at)| Ok((unsigned(*size)?, Moment(*at)))).transpose()
}

/// When any witness last cosigned anything.
pub fn last_cosigned_at(tx: &mut ReadTx) -> Result<Option<Moment>, StoreError> {
    let at: Vec<Option<i64>> =
        fixed::<Nullable<BigInt>>("SELECT max(at) FROM ledger_cosignature").load(tx.statement())?;
    Ok(at.into_iter().flatten().next().map(Moment))
}

/// Keeps a line; of two for the same checkpoint the later one stays.
pub fn keep_cosignature(tx: &mut EvidenceTx, line: &Cosignature) -> Result<(), StoreError> {
    fixed::<()>(
        "INSERT INTO ledger_cosignature (size, witness, line, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (size, witness) DO UPDATE SET line = excluded.line, at = excluded.at \
         WHERE ledger_cosignature.at < excluded.at",
    )
    .bind::<BigInt, _>(signed(line.size))
    .bind::<Text, _>(&line.witness)
    .bind::<Text, _>(&line.line)
    .bind::<BigInt, _>(line.at.0)
    .execute(tx.statement())?;
    Ok(())
}
