//! Witnesses are asked to cosign what was published; their lines are kept, and a contradiction
//! stops the ledger.

use std::sync::Arc;

use crate::ledger::prove::prove_consistency;
use crate::ledger::publishing::Published;
use crate::ledger::witness::answer::{Verdict, judge};
use crate::ledger::{Archive as _, Notary, publishing};
use crate::store::witness_rows::{self, Cosignature};
use crate::store::{ReadTx, StoreError, checkpoint_rows};

use super::{Alarm, Error, Gateway};

pub use crate::ledger::witness::answer::{Answer, Question, Witness};

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The line is kept; the witness has seen so many entries now.
    Cosigned(u64),
    /// Ask again, with a proof from this size.
    AskFrom(u64),
    /// Wait, longer each time; why.
    Wait(String),
}

/// The witnesses of the policy that have an address.
pub fn list(gateway: &Gateway) -> Vec<Witness> {
    gateway.log_keys.at_hand().witnesses()
}

/// What to ask a witness that has seen `old` entries: for its line below the newest published
/// checkpoint. `None` before the first is published.
///
/// # Errors
/// `Busy` when the database does not answer.
pub async fn question(gateway: &Gateway, old: u64) -> Result<Option<Question>, Error> {
    let read = gateway.store.read(move |tx: &mut ReadTx| {
        let Some(newest) = checkpoint_rows::newest_checkpoint(tx)? else { return Ok(None) };
        let old = old.min(newest.size);
        let proof = prove_consistency(tx, old, newest.size)
            .map_err(|error| StoreError::Broken(error.into()))?;
        publishing::question(&newest, old, proof)
            .map(Some)
            .ok_or_else(|| StoreError::Row("ledger_checkpoint.note".to_owned()))
    });
    Ok(read.await?)
}

/// Does what the answer of a witness asks for.
///
/// # Errors
/// `Stopped` when the witness has seen more than we have, or something else: the alarm is raised.
pub async fn settle(
    gateway: &Gateway,
    witness: &Witness,
    question: &Question,
    answer: &Answer,
) -> Result<Next, Error> {
    match judge(answer, question, witness) {
        Verdict::Cosigned(line, at) => {
            let (size, witness) = (question.size, witness.key_id());
            let kept = Cosignature { size, witness, line, at };
            let keys = Arc::clone(&gateway.log_keys);
            let keep = gateway.store.keep(move |tx| {
                witness_rows::keep_cosignature(tx, &kept)?;
                let notary = keys.within(tx)?;
                if meets_quorum(tx, &notary, size)? {
                    checkpoint_rows::note_quorum(tx, size)?;
                }
                Ok(())
            });
            keep.await?;
            Ok(Next::Cosigned(size))
        }
        Verdict::At(seen) => at(gateway, witness, seen).await,
        Verdict::Forked => {
            // The alarm must be raised whether or not the database answers: then we hold at least
            // what was handed in.
            let have = sizes(gateway).await.map_or(question.size, |(have, _)| have);
            let by = format!("witness {}", witness.name);
            stop(gateway, Alarm::Forked { have, size: question.size, by })
        }
        Verdict::Later(why) => Ok(Next::Wait(why.to_owned())),
        Verdict::Misconfigured(status) => Ok(Next::Wait(format!(
            "it answered {status}: does its policy name this log and its present key?"
        ))),
    }
}

/// The witness names a size. Another replica may have shown it more than we knew, so the head is
/// read anew before that is called a rollback.
async fn at(gateway: &Gateway, witness: &Witness, seen: u64) -> Result<Next, Error> {
    let (have, published) = sizes(gateway).await?;
    if seen > have {
        let by = format!("witness {}", witness.name);
        return stop(gateway, Alarm::RolledBack { have, seen, by });
    }
    if seen > published {
        return Ok(Next::Wait("it is ahead of what is published here".to_owned()));
    }
    Ok(Next::AskFrom(seen))
}

/// Number of entries here, and of those the published ones.
async fn sizes(gateway: &Gateway) -> Result<(u64, u64), Error> {
    let read = gateway.store.read(|tx: &mut ReadTx| {
        let have = tx.head().map_err(|error| StoreError::Busy(error.to_string()))?.size();
        let published = checkpoint_rows::newest_checkpoint(tx)?.map_or(0, |newest| newest.size);
        Ok::<_, StoreError>((have, published))
    });
    Ok(read.await?)
}

fn stop(gateway: &Gateway, alarm: Alarm) -> Result<Next, Error> {
    gateway.alarm(alarm.clone());
    Err(Error::Stopped(alarm))
}

/// The newest published checkpoint that satisfies the policy, with its cosignatures; without a
/// policy the newest. `None` while there is none.
///
/// # Errors
/// `Busy` when the database does not answer.
pub async fn published(gateway: &Gateway) -> Result<Option<String>, Error> {
    let keys = Arc::clone(&gateway.log_keys);
    let read = gateway.store.read(move |tx: &mut ReadTx| {
        let notary = keys.within(tx)?;
        newest_convincing(tx, &notary)
    });
    Ok(read.await?.map(|published| published.note))
}

/// The same within a snapshot, with its size.
///
/// # Errors
/// The rows cannot be read.
pub fn newest_convincing(
    tx: &mut ReadTx,
    notary: &Notary,
) -> Result<Option<Published>, StoreError> {
    let mut rows: Vec<_> = checkpoint_rows::newest_checkpoint(tx)?.into_iter().collect();
    if notary.has_policy() {
        rows.extend(checkpoint_rows::list_quorum_met(tx, FORMER_MAX)?);
    }
    for row in rows {
        if let Some(note) = convincing(tx, notary, &row)? {
            return Ok(Some(Published { note, ..row }));
        }
    }
    Ok(None)
}

/// A published checkpoint with the lines below it, if they satisfy the policy.
fn convincing(
    tx: &mut ReadTx,
    notary: &Notary,
    row: &Published,
) -> Result<Option<String>, StoreError> {
    let lines = witness_rows::list_cosignatures(tx, row.size)?;
    Ok(notary.convincing(&row.note, lines.iter().map(|one| one.line.as_str())))
}

/// Whether the lines below the checkpoint of a size satisfy the policy.
fn meets_quorum(tx: &mut ReadTx, notary: &Notary, size: u64) -> Result<bool, StoreError> {
    let rows = checkpoint_rows::list_checkpoints(tx, size, 1)?;
    let Some(row) = rows.iter().find(|row| row.size == size) else { return Ok(false) };
    Ok(convincing(tx, notary, row)?.is_some())
}

/// How many checkpoints that met a quorum are looked at: the first convinces, unless the policy
/// asks for more than the one that judged it.
const FORMER_MAX: u16 = 64;
