//! One step of one recall: an entry, and the row beside it.

use crate::domain::contact::{ContactState, Standing};
use crate::domain::field::FieldSet;
use crate::domain::recall::{Recall, RecallFault, RecallState, RefusalGround};
use crate::flows::release::Asker;
use crate::flows::{ATTEMPTS, Actor, Appended, Error, Gateway, Thing};
use crate::id::{RecallId, RequestId};
use crate::ledger::{Draft, Facts, Item, Kind, Receipt};
use crate::secret::random;
use crate::store::{
    Effect, EffectError, ReadTx, StoreError, WriteTx, contact_rows, erasure_rows, recall_rows,
};

/// A step of a recall, as it was recorded.
#[derive(Debug)]
pub struct Step {
    /// The recall as it stands now; `last` is the index of the entry.
    pub recall: Recall,
    /// The receipt of the entry; `None` where the step had been taken before.
    pub receipt: Option<Receipt>,
}

/// Who moves a recall on.
#[derive(Debug, Clone, Copy)]
pub enum Mover<'a> {
    /// The partner itself, for its own recalls alone.
    Partner(Asker),
    /// Staff, for a partner that answers by mail or telephone.
    Staff(&'a Actor),
}

impl Mover<'_> {
    fn may_move(&self, recall: &Recall) -> bool {
        match self {
            Self::Partner(asker) => asker.partner == recall.partner,
            Self::Staff(_) => true,
        }
    }

    fn facts(&self, gateway: &Gateway, (kind, op): (Kind, &'static str)) -> Facts {
        match self {
            Self::Partner(asker) => {
                let mut facts = Facts::new(kind, op, asker.request, gateway.now());
                facts.certificate = Some(asker.certificate);
                facts
            }
            Self::Staff(actor) => gateway.staff_facts(kind, op, actor),
        }
    }
}

/// Moves a recall on to a state, unless it is there or beyond.
pub(super) async fn step(
    gateway: &Gateway,
    by: Mover<'_>,
    (id, to, ground): (RecallId, RecallState, Option<RefusalGround>),
    op: &'static str,
) -> Result<Step, Error> {
    for _ in 0..ATTEMPTS {
        let found = gateway.store.read(move |tx| find_with_person(tx, id)).await?;
        let found = found.filter(|(recall, _)| by.may_move(recall));
        let Some((mut recall, person)) = found else { return Err(Error::Unknown(Thing::Recall)) };
        if !goes_on(&recall, to, ground).map_err(in_the_way)? {
            return Ok(Step { recall, receipt: None });
        }
        let mut facts = by.facts(gateway, (kind_of(to), op));
        name(&mut facts, &recall);
        facts.detail = ground.map(|ground| ground.code().into());
        let item = person.as_ref().map(item_of).transpose()?;
        let was = recall.clone();
        let change = move |tx: &mut WriteTx| recall_rows::move_recall(tx, &was, to, ground);
        match gateway.append(draft_about(facts, &recall, item, change)?).await {
            Ok(Appended::Done(receipt)) => {
                (recall.state, recall.ground, recall.last) = (to, ground, receipt.index());
                return Ok(Step { recall, receipt: Some(receipt) });
            }
            // Somebody else moved it in between, or she was erased: look again.
            Ok(Appended::Stale) | Err(Error::Conflict(..)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}

/// Notes that a recall is overdue, unless it was answered or noted meanwhile; gives whether it did.
pub(super) async fn note_overdue(gateway: &Gateway, id: RecallId) -> Result<bool, Error> {
    let found = gateway.store.read(move |tx| find_with_person(tx, id)).await?;
    let Some((recall, person)) = found else { return Ok(false) };
    let at = gateway.now();
    let mut facts = Facts::new(Kind::RecallOverdue, "recall.overdue", RequestId::new(), at);
    name(&mut facts, &recall);
    let item = person.as_ref().map(item_of).transpose()?;
    let draft = draft_about(facts, &recall, item, move |tx| recall_rows::note_overdue(tx, id))?;
    match gateway.act(draft).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict(..)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An entry about a recall with a change beside it. Of a person who is erased in between no item
/// may be made.
fn draft_about(
    facts: Facts,
    recall: &Recall,
    item: Option<Item>,
    change: impl FnOnce(&mut WriteTx) -> Result<(), EffectError> + Send + 'static,
) -> Result<Draft<Effect>, Error> {
    let (contact, present) = (recall.contact, item.is_some());
    let mut draft = Gateway::draft(facts, item.into_iter().collect())?;
    draft.effect = Some(Effect::new(move |tx| {
        if present {
            erasure_rows::demand_present(tx, contact)?;
        }
        change(tx)
    }));
    Ok(draft)
}

/// A recall, and where its person stands. Of an erased person no more items are made: those there
/// are wait to be forgotten.
fn find_with_person(
    tx: &mut ReadTx,
    id: RecallId,
) -> Result<Option<(Recall, Option<Standing>)>, StoreError> {
    let Some(recall) = recall_rows::find_recall(tx, id)? else { return Ok(None) };
    let contact = contact_rows::load_contact(tx, recall.contact)?;
    let standing = contact.map(|contact| contact.standing);
    Ok(Some((recall, standing.filter(|standing| standing.state != ContactState::Erased))))
}

fn item_of(standing: &Standing) -> Result<Item, Error> {
    Ok(Item {
        contact_no: Some(standing.no),
        contact_ref: standing.reference,
        fields: FieldSet::NONE,
        salt: random().map_err(Error::broken)?,
        version: standing.version,
    })
}

fn goes_on(
    recall: &Recall,
    to: RecallState,
    ground: Option<RefusalGround>,
) -> Result<bool, RecallFault> {
    if to == RecallState::Refused && recall.state == to && recall.ground != ground {
        return Err(RecallFault::Answered(recall.state));
    }
    recall.state.goes_on_to(to)
}

fn in_the_way(fault: RecallFault) -> Error {
    Error::Conflict(Thing::Recall, fault.to_string())
}

fn name(facts: &mut Facts, recall: &Recall) {
    facts.partner = Some(recall.partner);
    facts.purpose = recall.purpose;
    facts.subject = Some(recall.id.to_string().into());
}

const fn kind_of(state: RecallState) -> Kind {
    match state {
        RecallState::Open => Kind::RecallOpen,
        RecallState::Told => Kind::RecallTold,
        RecallState::Received => Kind::RecallReceived,
        RecallState::Erased => Kind::RecallErased,
        RecallState::NotHeld => Kind::RecallNotHeld,
        RecallState::Refused => Kind::RecallRefused,
    }
}
