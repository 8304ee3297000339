//! A person leaves details at a collection point. One person at three points is one contact.
//!
//! A contact is found by the blind index of its e-mail address. What a new occasion brings is a
//! union of facts, never of permissions: a no stays a no, and an address that was withdrawn or
//! erased is not taken in again until the person comes back herself.

mod check;

mod join;

use std::collections::{HashMap, HashSet};

use crate::clock::Moment;
use crate::domain::consent::Choice;
use crate::domain::contact::CollectionPoint;
use crate::domain::field::Field;
use crate::domain::purpose::Purpose;
use crate::domain::recall::{RecallCause, Receivers, Scope};
use crate::id::{ContactNo, PartnerId, PolicyVersion, RequestId, Thumbprint};
use crate::ledger::{Facts, Kind, Receipt};
use crate::secret::Personal;
use crate::store::contact_rows::{self, ContactRecord};
use crate::store::{
    Effect, EffectError, ReadTx, StoreError, WriteTx, choice_rows, idempotency_rows, recall_rows,
    release_rows,
};
use crate::vault::blind_index::BlindIndex;

use super::{Actor, Appended, Error, Fault, Gateway, Thing};

use check::check;
use join::{Act, Plan, plan};

/// Most submissions in one batch.
pub const BATCH_MAX: usize = 500;

/// What one person left at one collection point.
pub struct Submission {
    /// Where.
    pub point: CollectionPoint,
    /// When.
    pub at: Moment,
    /// The policy version that was shown.
    pub policy: PolicyVersion,
    /// SHA-256 of the wording that was shown.
    pub wording_hash: [u8; 32],
    /// The values, as typed; each field at most once.
    pub fields: Vec<(Field, Personal)>,
    /// Boxes that were ticked or crossed, per purpose.
    pub choices: Vec<(Purpose, bool)>,
}

/// Who hands the batch in.
#[derive(Debug, Clone)]
pub enum Bringer {
    /// A collection point of ours over mutual TLS.
    System(PartnerId, Thumbprint),
    /// Staff, from a file.
    Staff(Actor),
}

/// How one submission ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new contact.
    Created,
    /// Something is wrong with it; nothing was kept.
    Invalid(Fault),
    /// The person was known; the facts were joined.
    Merged,
    /// The address is suppressed: the person withdrew or was erased. Nothing was kept.
    Suppressed,
}

/// What a batch did.
#[derive(Debug)]
pub struct Taken {
    /// One outcome per submission, in order.
    pub outcomes: Vec<Outcome>,
    /// The receipt; `None` when nothing was kept or it was a dry run.
    pub receipt: Option<Receipt>,
}

/// How a batch is to be taken.
#[derive(Debug, Clone)]
pub struct Manner {
    /// The request or command run.
    pub request: RequestId,
    /// Who brings it.
    pub bringer: Bringer,
    /// Check and tell, keep nothing.
    pub dry_run: bool,
    /// The effect that runs with it, for idempotency keys: hash of caller and key, of the body.
    pub once: Option<Once>,
}

/// An idempotency key and the body it stands for, both as SHA-256.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    /// Hash of caller and key.
    pub key: [u8; 32],
    /// Hash of the request body.
    pub body: [u8; 32],
}

/// Takes a batch in. Wrong and suppressed submissions are told apart in the outcomes and keep the
/// rest of the batch from nothing.
pub async fn hand_in(
    gateway: &Gateway,
    manner: Manner,
    batch: Vec<Submission>,
) -> Result<Taken, Error> {
    if batch.is_empty() || batch.len() > BATCH_MAX {
        let says = format!("holds {} submissions; send 1 to {BATCH_MAX}", batch.len());
        return Err(Error::invalid("contacts", says));
    }
    let registry = gateway.registry_now().await?;
    let keyring = gateway.keyring();
    for _ in 0..super::ATTEMPTS {
        let now = gateway.now();
        let mut outcomes = vec![Outcome::Created; batch.len()];
        let mut checked = Vec::with_capacity(batch.len());
        for (position, submission) in batch.iter().enumerate() {
            match check(&registry, &keyring, submission, (position, now)) {
                Ok(one) => checked.push(one),
                Err(fault) => set(&mut outcomes, position, Outcome::Invalid(fault)),
            }
        }
        let known = look_up(gateway, checked.iter().map(|one| one.index).collect()).await?;
        let plan = plan(&keyring, &batch, checked, &known, &mut outcomes)?;
        if manner.dry_run || plan.acts.is_empty() {
            return Ok(Taken { outcomes, receipt: None });
        }
        if let Some(receipt) = keep(gateway, &manner, plan, known.size).await? {
            return Ok(Taken { outcomes, receipt: Some(receipt) });
        }
        if let Some(once) = &manner.once
            && find_replay(gateway, once).await?.is_some()
        {
            // The same request runs twice at once: the other one was first, a retry finds it.
            return Err(Error::Busy { what: "the same request", retry_after_s: 1 });
        }
    }
    Err(Error::Busy { what: "the same people keep arriving", retry_after_s: 1 })
}

/// The entry of an earlier request with the same key and body.
///
/// # Errors
/// `Conflict` when the key stood for another body.
pub async fn find_replay(gateway: &Gateway, once: &Once) -> Result<Option<u64>, Error> {
    let Once { key, body } = *once;
    let found = gateway.store.read(move |tx| idempotency_rows::find_answer(tx, &key)).await?;
    match found {
        None => Ok(None),
        Some(answer) if answer.body_hash == body => Ok(Some(answer.index)),
        Some(_) => {
            let says = "the key stood for another body".to_owned();
            Err(Error::Conflict(Thing::IdempotencyKey, says))
        }
    }
}

/// What the snapshot knows of the addresses of a batch.
struct Known {
    size: u64,
    contacts: HashMap<BlindIndex, ContactRecord>,
    choices: HashMap<ContactNo, Vec<(Purpose, Option<PartnerId>, bool)>>,
    suppressed: HashSet<BlindIndex>,
    no_to: HashSet<(BlindIndex, Purpose)>,
}

async fn look_up(gateway: &Gateway, indexes: Vec<BlindIndex>) -> Result<Known, Error> {
    let known = gateway.store.read(move |tx| look_up_rows(tx, &indexes)).await?;
    Ok(known)
}

fn look_up_rows(tx: &mut ReadTx, indexes: &[BlindIndex]) -> Result<Known, StoreError> {
    let mut known = Known {
        size: release_rows::read_head(tx)?.size,
        contacts: HashMap::new(),
        choices: HashMap::new(),
        suppressed: HashSet::new(),
        no_to: HashSet::new(),
    };
    for (index, purpose) in choice_rows::list_suppressions(tx, indexes)? {
        match purpose {
            None => known.suppressed.insert(index),
            Some(purpose) => known.no_to.insert((index, purpose)),
        };
    }
    for index in indexes {
        if let Some(contact) = contact_rows::find_contact(tx, index)? {
            let no = contact.standing.no;
            known.choices.insert(no, choice_rows::current_choices(tx, no)?);
            known.contacts.insert(*index, contact);
        }
    }
    Ok(known)
}

fn set(outcomes: &mut [Outcome], position: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(position) {
        *slot = outcome;
    }
}

async fn keep(
    gateway: &Gateway,
    manner: &Manner,
    plan: Plan,
    size: u64,
) -> Result<Option<Receipt>, Error> {
    let mut facts = Facts::new(Kind::Intake, "contacts.intake", manner.request, gateway.now());
    match &manner.bringer {
        Bringer::System(partner, certificate) => {
            facts.partner = Some(*partner);
            facts.certificate = Some(*certificate);
        }
        Bringer::Staff(actor) => facts.actor = Some(actor.code().into()),
    }
    facts.detail = Some(plan.points.codes().replace(',', ".").into());
    facts.restricting = plan.acts.iter().any(Act::narrows);
    let mut draft = Gateway::draft(facts, plan.items)?;
    draft.decided_at = Some(size);
    let (acts, once, now) = (plan.acts, manner.once, gateway.now());
    draft.effect = Some(Effect::new(move |tx| {
        if let Some(once) = once {
            idempotency_rows::insert_answer(tx, &once.key, &once.body, now)?;
        }
        acts.iter().try_for_each(|act| write(tx, act, now))
    }));
    match gateway.append(draft).await {
        Ok(Appended::Done(receipt)) => Ok(Some(receipt)),
        // The same person arrived by another way in between: look again and join.
        Ok(Appended::Stale) | Err(Error::Conflict(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(tx: &mut WriteTx, act: &Act, now: Moment) -> Result<(), EffectError> {
    let (no, origins, choices) = match act {
        Act::Create(new, origins, choices) => {
            (contact_rows::insert_contact(tx, new)?, origins, choices)
        }
        Act::Change(no, version, change, origins, choices) => {
            contact_rows::update_contact(tx, *no, *version, change)?;
            (*no, origins, choices)
        }
    };
    for origin in origins {
        contact_rows::insert_origin(tx, no, origin)?;
    }
    for choice in choices {
        choice_rows::insert_choice(tx, no, choice)?;
    }
    if act.narrows() {
        recall_refused(tx, no, choices, now)?;
    }
    Ok(())
}

/// Demands back what was released for a purpose that the person now said no to. An old no that a
/// newer yes overtook demands nothing.
fn recall_refused(
    tx: &mut WriteTx,
    no: ContactNo,
    choices: &[Choice],
    now: Moment,
) -> Result<(), EffectError> {
    let in_force = choice_rows::current_choices(tx, no)?;
    for choice in choices.iter().filter(|choice| !choice.given) {
        let Choice { purpose, partner, .. } = *choice;
        if in_force.contains(&(purpose, partner, false)) {
            let scope = Scope { purpose: Some(purpose), partner };
            let asked = (scope, RecallCause::Choice);
            recall_rows::open_recalls(tx, no, Receivers::default(), asked, now)?;
        }
    }
    Ok(())
}
