//! Staff demand a person's data back, for a reason of theirs.

use super::Owed;
use crate::domain::recall::{RecallCause, Scope};
use crate::flows::withdraw::{Done, Foreseen, done, find, personal};
use crate::flows::{ATTEMPTS, Actor, Appended, Error, Gateway};
use crate::id::PartnerId;
use crate::ledger::Kind;
use crate::secret::Personal;
use crate::store::{Effect, erasure_rows, recall_rows};

/// Opens a recall because staff found a reason: for everything that a partner, or every one,
/// received of a person and that nobody demanded back since. It stops no release: what a grant still
/// gives is released again, behind the recall.
///
/// # Errors
/// `Unknown` for an address that is not here; `Invalid` when there is nothing to demand back.
pub async fn open(
    gateway: &Gateway,
    actor: &Actor,
    address: &Personal,
    partner: Option<PartnerId>,
) -> Result<Done, Error> {
    for _ in 0..ATTEMPTS {
        let found = find(gateway, address).await?;
        let scope = Scope { purpose: None, partner };
        let no = found.contact.standing.no;
        let owed = Owed::of(gateway, no).await?;
        demand_something(owed.to_open(scope, RecallCause::Staff))?;
        let mut facts = gateway.staff_facts(Kind::RecallOpen, "person.recall", actor);
        facts.partner = partner;
        // Nothing is narrowed, but a release in flight must not land unseen beside the recall.
        facts.restricting = true;
        let mut draft = personal(facts, &found)?;
        let (known, at) = (owed.receivers, gateway.now());
        draft.effect = Some(Effect::new(move |tx| {
            erasure_rows::demand_present(tx, no)?;
            recall_rows::open_recalls(tx, no, known, (scope, RecallCause::Staff), at)
        }));
        if let Appended::Done(receipt) = gateway.append(draft).await? {
            return done(gateway, receipt, no).await;
        }
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}

/// Whom `open` would tell; the question is an entry.
///
/// # Errors
/// Those of `open`.
pub async fn foresee(
    gateway: &Gateway,
    actor: &Actor,
    address: &Personal,
    partner: Option<PartnerId>,
) -> Result<Foreseen, Error> {
    let found = find(gateway, address).await?;
    let scope = Scope { purpose: None, partner };
    let owed = Owed::of(gateway, found.contact.standing.no).await?;
    let to_tell = demand_something(owed.to_open(scope, RecallCause::Staff))?;
    let facts = gateway.staff_facts(Kind::AuditQuery, "person.foresee", actor);
    let receipt = gateway.act(personal(facts, &found)?).await?;
    Ok(Foreseen { entry: receipt.index(), to_tell })
}

fn demand_something(partners: Vec<PartnerId>) -> Result<Vec<PartnerId>, Error> {
    if partners.is_empty() {
        let says = "has nothing to demand back: no partner received anything that was not recalled \
                    since";
        return Err(Error::invalid("recall", says));
    }
    Ok(partners)
}
