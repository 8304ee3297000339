//! A person is erased: keys and values are shredded at once, every link between her and the
//! ledger when whoever received the data has answered its recall, or staff vouch that it was told.
//!
//! Two entries, because two things happen at two times. `erase` restricts: no release that was
//! decided before it can land behind it. `forget` deletes the items; until then they are the only
//! record of who must be told, and name nobody.

use crate::clock::Moment;
use crate::domain::contact::ContactState;
use crate::domain::erasure::{ErasureGround, untold};
use crate::domain::recall::{RecallCause, Scope};
use crate::id::{ContactNo, ContactRef, PartnerId};
use crate::ledger::{Kind, Receipt};
use crate::secret::{Personal, random};
use crate::store::erasure_rows::{self, Traces};
use crate::store::{Effect, EffectError, ReadTx, StoreError, contact_rows, recall_rows};

use super::recall::Owed;
use super::withdraw::{find, personal};
use super::{Actor, Error, Gateway, Thing};

/// Items that one entry forgets: each of them writes the row of a whole page again, under the
/// ledger's lock.
const ITEMS_AT_ONCE: u32 = 64;

/// What an erasure would delete, and who would have to be told.
#[derive(Debug, Clone)]
pub struct Foreseen {
    /// Fields with a sealed value.
    pub fields: u32,
    /// Rows of other kinds.
    pub traces: Traces,
    /// Partners that received the data and have not answered a recall.
    pub to_tell: Vec<PartnerId>,
    /// Index of the entry this question made.
    pub entry: u64,
}

/// A contact that was erased.
#[derive(Debug)]
pub struct Erased {
    /// The receipt of the entry.
    pub receipt: Receipt,
    /// Its number: all that is left to call it by.
    pub contact: ContactNo,
    /// Partners that received the data and have not answered a recall: the rest is not forgotten
    /// before.
    pub to_tell: Vec<PartnerId>,
}

/// A contact whose last traces are gone.
#[derive(Debug)]
pub struct Forgotten {
    /// The receipt of the last entry.
    pub receipt: Receipt,
    /// Items that were deleted from the ledger's rows, with their salts.
    pub items: u64,
}

/// An erased contact that is not forgotten yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unforgotten {
    /// Its number.
    pub contact: ContactNo,
    /// Partners that received the data and have not answered a recall.
    pub to_tell: Vec<PartnerId>,
}

/// Says what an erasure would delete. It tells who has the data, so the question is an entry.
///
/// # Errors
/// `Unknown` for an address that is not here, `Conflict` for one that is erased.
pub async fn foresee(
    gateway: &Gateway,
    actor: &Actor,
    address: &Personal,
) -> Result<Foreseen, Error> {
    let found = find(gateway, address).await?;
    let facts = gateway.staff_facts(Kind::AuditQuery, "person.erase", actor);
    let receipt = gateway.act(personal(facts, &found)?).await?;
    let no = found.contact.standing.no;
    let read = move |tx: &mut ReadTx| {
        Ok::<_, StoreError>((erasure_rows::count_traces(tx, no)?, unanswered_by(tx, no)?))
    };
    let (traces, to_tell) = gateway.store.read(read).await?;
    let fields = found.contact.standing.held.bits().count_ones();
    Ok(Foreseen { fields, traces, to_tell, entry: receipt.index() })
}

/// Erases a person. When it returns, no release that starts later holds her, nothing of hers can
/// be opened by anybody, and no import brings her address back.
///
/// # Errors
/// `Unknown` for an address that is not here, `Conflict` for one that is erased.
pub async fn erase(
    gateway: &Gateway,
    actor: &Actor,
    address: &Personal,
    ground: ErasureGround,
) -> Result<Erased, Error> {
    let found = find(gateway, address).await?;
    let mut facts = gateway.staff_facts(Kind::Erase, "person.erase", actor);
    facts.restricting = true;
    facts.detail = Some(ground.code().into());
    let day: Moment = facts.at.day_start();
    let mut draft = personal(facts, &found)?;
    let (no, index) = (found.contact.standing.no, found.index);
    let (known, at) = (Owed::of(gateway, no).await?.receivers, gateway.now());
    draft.effect = Some(Effect::new(move |tx| {
        erasure_rows::erase_contact(tx, no, &index, day)?;
        let asked = (Scope::ALL, RecallCause::Erasure);
        recall_rows::open_recalls(tx, no, known, asked, at)
    }));
    let receipt = gateway.act(draft).await?;
    // Read behind the entry: a release may have landed just before it.
    let to_tell = gateway.store.read(move |tx| unanswered_by(tx, no)).await?;
    Ok(Erased { receipt, contact: no, to_tell })
}

/// Deletes the items of an erased contact, with their salts, and the salts of the responses they
/// were part of. From then on nothing leads from any entry to her, or back. Long histories go in
/// pieces, an entry each; interrupted, it can be called again.
///
/// # Errors
/// `Unknown` for a number that was never given; `Conflict` for a contact that is not erased, is
/// forgotten already, or was received by a partner that has not answered its recall and is not
/// among those `told`.
pub async fn forget(
    gateway: &Gateway,
    actor: &Actor,
    no: ContactNo,
    told: &[PartnerId],
) -> Result<Forgotten, Error> {
    let conflict = |says: &str| Err(Error::Conflict(Thing::Contact, says.to_owned()));
    let read = gateway.store.read(move |tx| {
        let Some(contact) = contact_rows::load_contact(tx, no)? else { return Ok(None) };
        let items = erasure_rows::count_traces(tx, no)?.items;
        Ok::<_, StoreError>(Some((contact.standing.state, items, unanswered_by(tx, no)?)))
    });
    let Some((state, items, owing)) = read.await? else {
        return Err(Error::Unknown(Thing::Contact));
    };
    if state != ContactState::Erased {
        return conflict("it is not erased; `fieldgate person erase` comes first");
    }
    if items == 0 {
        return conflict("it is forgotten already");
    }
    let open = untold(&owing, told);
    if !open.is_empty() {
        let registry = gateway.registry_now().await?;
        let code = |id| registry.partners.get(id).map(|partner| partner.code.clone());
        let codes: Vec<_> = open.iter().filter_map(code).collect();
        let codes = codes.join(", ");
        return conflict(&format!("these partners have not answered their recall: {codes}"));
    }
    let mut left = items;
    loop {
        let piece = left.min(u64::from(ITEMS_AT_ONCE));
        let mut facts = gateway.staff_facts(Kind::Erase, "person.forget", actor);
        facts.detail = Some(format!("items-{piece}.told-{}", owing.len()).into());
        let mut draft = Gateway::draft(facts, Vec::new())?;
        draft.effect = Some(forget_piece(no, left)?);
        let receipt = gateway.act(draft).await?;
        left = left.saturating_sub(piece);
        if left == 0 {
            return Ok(Forgotten { receipt, items });
        }
    }
}

/// Deletes the oldest items of a contact that has `left`; with the last, its reference goes.
fn forget_piece(no: ContactNo, left: u64) -> Result<Effect, Error> {
    let fresh = ContactRef(random().map_err(Error::broken)?);
    Ok(Effect::new(move |tx| {
        if erasure_rows::count_traces(tx, no).map_err(EffectError::from)?.items != left {
            return Err(EffectError::Conflict("it was forgotten in between".to_owned()));
        }
        erasure_rows::forget_disclosures(tx, no, ITEMS_AT_ONCE)?;
        if left > u64::from(ITEMS_AT_ONCE) {
            return Ok(());
        }
        recall_rows::delete_recalls(tx, no)?;
        erasure_rows::replace_reference(tx, no, fresh)
    }))
}

/// Erased contacts that are not forgotten yet, with whom to tell. It names nobody, but who may
/// have what is a question all the same, so it is an entry.
pub async fn unforgotten(gateway: &Gateway, actor: &Actor) -> Result<Vec<Unforgotten>, Error> {
    let facts = gateway.staff_facts(Kind::AuditQuery, "person.forget", actor);
    gateway.act(Gateway::draft(facts, Vec::new())?).await?;
    let read = gateway.store.read(|tx| {
        let numbers = erasure_rows::list_unforgotten(tx)?;
        let open = |no| Ok(Unforgotten { contact: no, to_tell: unanswered_by(tx, no)? });
        numbers.into_iter().map(open).collect::<Result<_, StoreError>>()
    });
    Ok(read.await?)
}

fn unanswered_by(tx: &mut ReadTx, no: ContactNo) -> Result<Vec<PartnerId>, StoreError> {
    Ok(Owed::read(tx, no)?.unanswered())
}
