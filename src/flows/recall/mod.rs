//! What was shared is demanded back: partners are told, acknowledge, and answer.
//!
//! A recall is opened in the transaction of the entry that causes it (`withdraw`, `erase`,
//! `intake`, and `open` here). Each further step is an entry of its own before anybody is told
//! of it, and whoever says the same thing twice is answered with the first entry.

mod open;
mod owed;
mod step;

use futures_util::future::join_all;

use crate::domain::recall::{Recall, RecallAnswer, RecallState};
use crate::id::RecallId;
use crate::ledger::Kind;
use crate::store::{ReadTx, StoreError, recall_rows};
use crate::vault::ticket;

use super::release::Asker;
use super::{Actor, Error, Gateway, Thing};

pub use crate::store::recall_rows::RecallQuery;
pub use open::{foresee, open};
pub use step::{Mover, Step};

pub(super) use owed::Owed;
use step::step;

/// Most recalls that one answer to a poll or one page of a list holds.
///
/// So many acknowledged ids fit into the body of a usual request.
pub const RECALLS_MAX: u16 = 250;

/// How many of them when nobody names a number.
pub const RECALLS_USUAL: u16 = 100;

/// The operation of a poll's entries.
const POLL: &str = "recalls.poll";

/// Most recalls that are noted as overdue in one go.
const LATE_MAX: u16 = 200;

/// A recall with the partner's own id of the person.
#[derive(Debug, Clone)]
pub struct Demand {
    /// The recall.
    pub recall: Recall,
    /// The partner's id of the person, the one of its leads.
    pub lead_id: String,
}

/// What a poll gives.
#[derive(Debug)]
pub struct Polled {
    /// What the partner has not acknowledged, oldest first; then what it did and is late with.
    pub demands: Vec<Demand>,
    /// Whether more is not acknowledged than fitted.
    pub more: bool,
    /// Acknowledged ids that are no recall of this partner.
    pub unknown: Vec<RecallId>,
}

/// A partner acknowledges recalls it received before, and is told what waits for it (the poll of
/// RFC 8936). What it has not acknowledged comes again with the next poll, and so does what it did
/// not answer in time: a partner that lost a demand gets it again.
///
/// # Errors
/// `Busy`, `Broken`.
pub async fn poll(
    gateway: &Gateway,
    asker: Asker,
    acknowledged: &[RecallId],
    limit: u16,
) -> Result<Polled, Error> {
    let by = Mover::Partner(asker);
    // Together, so that they share commits.
    let received = |id: &RecallId| step(gateway, by, (*id, RecallState::Received, None), POLL);
    let received = join_all(acknowledged.iter().map(received)).await;
    let mut unknown = Vec::new();
    for (id, outcome) in acknowledged.iter().zip(received) {
        match outcome {
            Ok(_) => {}
            Err(Error::Unknown(_)) => unknown.push(*id),
            Err(error) => return Err(error),
        }
    }
    let limit = limit.clamp(1, RECALLS_MAX);
    let read = move |tx: &mut ReadTx| {
        let new = recall_rows::list_undelivered(tx, asker.partner, limit.saturating_add(1))?;
        let taken = u16::try_from(new.len()).unwrap_or(limit);
        let left = limit.saturating_sub(taken);
        Ok::<_, StoreError>((new, recall_rows::list_reminders(tx, asker.partner, left)?))
    };
    let (mut waiting, reminders) = gateway.store.read(read).await?;
    let more = waiting.len() > usize::from(limit);
    waiting.truncate(usize::from(limit));
    waiting.extend(reminders);
    let told = |one: &Recall| step(gateway, by, (one.id, RecallState::Told, None), POLL);
    let mut demands = Vec::with_capacity(waiting.len());
    for outcome in join_all(waiting.iter().map(told)).await {
        match outcome {
            Ok(Step { recall, .. }) if !recall.state.is_answered() => {
                demands.push(Demand::of(gateway, recall)?);
            }
            // Answered or forgotten since it was listed.
            Ok(_) | Err(Error::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Polled { demands, more, unknown })
}

/// A partner answers a recall, or staff in its place.
///
/// # Errors
/// `Unknown` for a recall of nobody or of another partner, `Conflict` for one that was answered
/// otherwise.
pub async fn answer(
    gateway: &Gateway,
    by: Mover<'_>,
    id: RecallId,
    answer: RecallAnswer,
) -> Result<Step, Error> {
    let op = match by {
        Mover::Partner(_) => "recalls.result",
        Mover::Staff(_) => "recall.answer",
    };
    step(gateway, by, (id, answer.state(), answer.ground()), op).await
}

/// Staff told a partner by mail, telephone or letter, or it said that it received the demand.
///
/// # Errors
/// `Unknown` for a recall that is not here.
pub async fn tell(
    gateway: &Gateway,
    actor: &Actor,
    id: RecallId,
    received: bool,
) -> Result<Step, Error> {
    let state = if received { RecallState::Received } else { RecallState::Told };
    step(gateway, Mover::Staff(actor), (id, state, None), "recall.tell").await
}

/// A page of recalls with the partners' ids of the people, for staff. Who may have what is a
/// question, so it is an entry.
///
/// # Errors
/// `Busy`, `Broken`.
pub async fn list(
    gateway: &Gateway,
    actor: &Actor,
    of: RecallQuery,
) -> Result<(u64, Vec<Demand>), Error> {
    let mut facts = gateway.staff_facts(Kind::AuditQuery, "recall.list", actor);
    facts.partner = of.partner;
    let receipt = gateway.act(Gateway::draft(facts, Vec::new())?).await?;
    let recalls = gateway.store.read(move |tx| recall_rows::list_recalls(tx, of)).await?;
    let demands: Result<_, _> =
        recalls.into_iter().map(|recall| Demand::of(gateway, recall)).collect();
    Ok((receipt.index(), demands?))
}

/// A recall as it stands: where a page ended is told by its id.
///
/// # Errors
/// `Unknown` for a recall that is not here.
pub async fn show(gateway: &Gateway, id: RecallId) -> Result<Recall, Error> {
    let found = gateway.store.read(move |tx| recall_rows::find_recall(tx, id)).await?;
    found.ok_or(Error::Unknown(Thing::Recall))
}

/// Notes as overdue what was not answered in time, each with an entry; gives how many.
///
/// # Errors
/// `Busy`, `Broken`.
pub async fn note_late(gateway: &Gateway) -> Result<u64, Error> {
    let mut noted = 0_u64;
    loop {
        let now = gateway.now();
        let read = move |tx: &mut ReadTx| recall_rows::list_late(tx, now, LATE_MAX);
        let late = gateway.store.read(read).await?;
        if late.is_empty() {
            return Ok(noted);
        }
        for recall in late {
            // Answered just now, or noted by another replica, it does not count.
            noted = noted.saturating_add(u64::from(step::note_overdue(gateway, recall.id).await?));
        }
    }
}

impl Demand {
    fn of(gateway: &Gateway, recall: Recall) -> Result<Self, Error> {
        let lead_id = ticket::lead_id(&gateway.keyring(), recall.partner, recall.contact);
        Ok(Self { lead_id: lead_id.map_err(Error::broken)?, recall })
    }
}
