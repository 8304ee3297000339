//! A person says yes or no to a purpose, or closes the account: releases stop in the same
//! transaction, and the entry narrows what every pull in flight may still release.

use crate::clock::Moment;
use crate::domain::consent::{Choice, ChoiceOrigin};
use crate::domain::contact::ContactState;
use crate::domain::field::FieldSet;
use crate::domain::purpose::Purpose;
use crate::domain::recall::{Recall, RecallCause, Scope};
use crate::id::{ContactNo, PartnerId, PolicyVersion};
use crate::ledger::{Draft, Facts, Item, Kind, Receipt};
use crate::secret::{Personal, random};
use crate::store::contact_rows::{self, ContactRecord};
use crate::store::{Effect, StoreError, choice_rows, erasure_rows, recall_rows};
use crate::vault::blind_index::{BlindFault, BlindIndex, blind_index};

use super::recall::Owed;
use super::{Actor, Appended, Error, Gateway, Thing};

/// What a person says about a purpose.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The purpose.
    pub purpose: Purpose,
    /// To one partner, or to all.
    pub partner: Option<PartnerId>,
    /// Yes or no.
    pub given: bool,
    /// Who says it.
    pub origin: ChoiceOrigin,
}

/// What the act did.
#[derive(Debug)]
pub struct Done {
    /// The receipt of the entry.
    pub receipt: Receipt,
    /// What it demands back: one recall for each partner that received the person's data before
    /// and was not asked since, whatever its grant is today.
    pub recalls: Vec<Recall>,
    /// How many earlier recalls about the person wait for an answer.
    pub waiting: usize,
}

impl Done {
    /// The act, and of all recalls about its person those that it opened.
    fn of(receipt: Receipt, recalls: Vec<Recall>) -> Self {
        let index = receipt.index();
        let (recalls, former): (Vec<_>, Vec<_>) =
            recalls.into_iter().partition(|one| one.opened == index);
        let waiting = former.iter().filter(|one| !one.state.is_answered()).count();
        Self { receipt, recalls, waiting }
    }
}

/// What an act would do.
#[derive(Debug)]
pub struct Foreseen {
    /// Index of the entry of the question.
    pub entry: u64,
    /// The partners that would be told to delete.
    pub to_tell: Vec<PartnerId>,
}

/// Records a person's yes or no. When it returns, no release that starts later holds the person
/// for this purpose (and this partner).
///
/// # Errors
/// `Unknown` for an address that is not here, `Invalid` for a purpose that rests on a contract.
pub async fn choose(
    gateway: &Gateway,
    actor: &Actor,
    address: &Personal,
    word: Word,
) -> Result<Done, Error> {
    for _ in 0..super::ATTEMPTS {
        let found = find(gateway, address).await?;
        let at = gateway.now();
        let choice = found.choice(word, at)?;
        let mut facts = gateway.staff_facts(Kind::Choice, "person.choose", actor);
        facts.purpose = Some(word.purpose);
        facts.partner = word.partner;
        facts.detail = Some(if word.given { "yes" } else { "no" }.into());
        facts.restricting = !word.given;
        let mut draft = personal(facts, &found)?;
        let (no, index) = (found.contact.standing.no, found.index);
        let known = if word.given { None } else { Some(Owed::of(gateway, no).await?.receivers) };
        draft.effect = Some(Effect::new(move |tx| {
            choice_rows::insert_choice(tx, no, &choice)?;
            match choice.partner {
                None if choice.given => {
                    choice_rows::lift_suppression(tx, &index, Some(choice.purpose))
                }
                None => choice_rows::suppress(tx, &index, Some(choice.purpose), at),
                Some(_) => Ok(()),
            }?;
            let Some(known) = known else { return Ok(()) };
            recall_rows::open_recalls(tx, no, known, (word.scope(), RecallCause::Choice), at)
        }));
        if let Appended::Done(receipt) = gateway.append(draft).await? {
            return done(gateway, receipt, no).await;
        }
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}

/// Closes a person's account: every purpose ends for every partner, and the address stays
/// suppressed, so that no import brings it back.
pub async fn withdraw(gateway: &Gateway, actor: &Actor, address: &Personal) -> Result<Done, Error> {
    for _ in 0..super::ATTEMPTS {
        let found = find(gateway, address).await?;
        found.check_withdrawal()?;
        let mut facts = gateway.staff_facts(Kind::Withdraw, "person.withdraw", actor);
        facts.restricting = true;
        let mut draft = personal(facts, &found)?;
        let (no, index, at) = (found.contact.standing.no, found.index, gateway.now());
        let known = Owed::of(gateway, no).await?.receivers;
        draft.effect = Some(Effect::new(move |tx| {
            contact_rows::set_contact_state(tx, no, ContactState::Withdrawn, at)?;
            choice_rows::suppress(tx, &index, None, at)?;
            let asked = (Scope::ALL, RecallCause::Withdrawal);
            recall_rows::open_recalls(tx, no, known, asked, at)
        }));
        if let Appended::Done(receipt) = gateway.append(draft).await? {
            return done(gateway, receipt, no).await;
        }
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}

/// What a word, or without one a withdrawal, would do: every check of it, and who would have to
/// be told. Changes nothing; the question is an entry.
///
/// # Errors
/// Those of `choose` and `withdraw`.
pub async fn foresee(
    gateway: &Gateway,
    actor: &Actor,
    address: &Personal,
    word: Option<Word>,
) -> Result<Foreseen, Error> {
    for _ in 0..super::ATTEMPTS {
        let found = find(gateway, address).await?;
        let (scope, cause) = match word {
            Some(word) => {
                found.choice(word, gateway.now())?;
                (word.scope(), RecallCause::Choice)
            }
            None => {
                found.check_withdrawal()?;
                (Scope::ALL, RecallCause::Withdrawal)
            }
        };
        let to_tell = if word.is_some_and(|word| word.given) {
            Vec::new()
        } else {
            Owed::of(gateway, found.contact.standing.no).await?.to_open(scope, cause)
        };
        let facts = gateway.staff_facts(Kind::AuditQuery, "person.foresee", actor);
        if let Appended::Done(receipt) = gateway.append(personal(facts, &found)?).await? {
            return Ok(Foreseen { entry: receipt.index(), to_tell });
        }
    }
    Err(Error::Busy { what: "the ledger moved", retry_after_s: 1 })
}

/// What an act about a contact did, read behind its entry.
pub(super) async fn done(
    gateway: &Gateway,
    receipt: Receipt,
    no: ContactNo,
) -> Result<Done, Error> {
    let recalls = gateway.store.read(move |tx| recall_rows::list_recalls_of(tx, no)).await?;
    Ok(Done::of(receipt, recalls))
}

impl Word {
    /// What a no demands back.
    const fn scope(&self) -> Scope {
        Scope { purpose: Some(self.purpose), partner: self.partner }
    }
}

/// A contact that was found by address, with what the stories of a person need.
pub(super) struct Found {
    pub(super) index: BlindIndex,
    pub(super) contact: ContactRecord,
    pub(super) choices: Vec<(Purpose, Option<PartnerId>, bool)>,
}

impl Found {
    /// The word as a choice, if the person may say it.
    fn choice(&self, word: Word, at: Moment) -> Result<Choice, Error> {
        let Word { purpose, partner, given, origin } = word;
        let policy = self.contact.standing.policy;
        let choice = Choice { purpose, partner, given, at, origin, policy };
        let before = self.said(purpose, partner);
        choice.check(before).map_err(|fault| Error::invalid("purpose", fault))?;
        Ok(choice)
    }

    fn check_withdrawal(&self) -> Result<(), Error> {
        if self.contact.standing.state == ContactState::Withdrawn {
            let says = "it is withdrawn already".to_owned();
            return Err(Error::Conflict(Thing::Contact, says));
        }
        Ok(())
    }

    fn said(&self, purpose: Purpose, partner: Option<PartnerId>) -> Option<bool> {
        self.choices
            .iter()
            .find(|(about, to, _)| *about == purpose && *to == partner)
            .map(|(_, _, given)| *given)
    }
}

/// What there is of an e-mail address.
pub(super) enum Trace {
    /// A contact.
    Contact(Box<Found>),
    /// Nothing but its suppression: the person was erased.
    Erased,
    /// Nothing.
    Nobody,
}

/// Finds a contact by e-mail address.
///
/// # Errors
/// `Unknown` for an address that is not here, `Conflict` for one that was erased.
pub(super) async fn find(gateway: &Gateway, address: &Personal) -> Result<Found, Error> {
    match trace(gateway, address).await? {
        Trace::Contact(found) => Ok(*found),
        Trace::Erased => Err(Error::Conflict(Thing::Contact, "it is erased".to_owned())),
        Trace::Nobody => Err(Error::Unknown(Thing::Contact)),
    }
}

/// Looks for whatever is left of an e-mail address.
pub(super) async fn trace(gateway: &Gateway, address: &Personal) -> Result<Trace, Error> {
    let index = blind_index(&gateway.keyring(), address).map_err(|fault| match fault {
        BlindFault::Address(fault) => Error::invalid("email", fault),
        BlindFault::Key(fault) => Error::broken(fault),
    })?;
    let read = gateway.store.read(move |tx| {
        let Some(contact) = contact_rows::find_contact(tx, &index)? else {
            // A withdrawn contact is still found, so what is suppressed without one is erased.
            let left = choice_rows::list_suppressions(tx, &[index])?;
            let erased = left.iter().any(|(_, purpose)| purpose.is_none());
            return Ok::<_, StoreError>(if erased { Trace::Erased } else { Trace::Nobody });
        };
        let no = contact.standing.no;
        let choices = choice_rows::current_choices(tx, no)?;
        Ok(Trace::Contact(Box::new(Found { index, contact, choices })))
    });
    Ok(read.await?)
}

/// A draft of an entry about one person: the person stands in it as one salted item. It is
/// refused once she is erased; an effect that takes the place of this check makes it itself.
pub(super) fn personal(mut facts: Facts, found: &Found) -> Result<Draft<Effect>, Error> {
    let standing = &found.contact.standing;
    facts.policy = Some(standing.policy).filter(|policy| *policy != PolicyVersion(0));
    let item = Item {
        contact_no: Some(standing.no),
        contact_ref: standing.reference,
        fields: FieldSet::NONE,
        salt: random().map_err(Error::broken)?,
        version: standing.version,
    };
    let no = standing.no;
    let mut draft = Gateway::draft(facts, vec![item])?;
    draft.effect = Some(Effect::new(move |tx| erasure_rows::demand_present(tx, no)));
    Ok(draft)
}
