//! A person leaves details at a collection point. One person at three points is one contact.
//!
//! A contact is found by the blind index of its e-mail address. What a new occasion brings is a
//! union of facts, never of permissions: a no stays a no, and an address that was withdrawn or
//! erased is not taken in again until the person comes back herself.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::clock::{DAY, Moment};
use crate::domain::consent::{Choice, ChoiceOrigin};
use crate::domain::contact::{CollectionPoint, ContactState, Country, Origin, PointSet};
use crate::domain::field::{Field, FieldSet};
use crate::domain::policy::Policy;
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, ContactRef, PartnerId, PolicyVersion, RequestId, Thumbprint};
use crate::ledger::{Facts, Item, Kind, Receipt};
use crate::secret::{Personal, random};
use crate::store::contact_rows::{self, ContactChange, ContactRecord, NewContact};
use crate::store::{
    Effect, EffectError, ReadTx, StoreError, WriteTx, choice_rows, idempotency_rows, release_rows,
};
use crate::vault::blind_index::{BlindIndex, blind_index};
use crate::vault::keyring::Keyring;
use crate::vault::seal::Sealer;
use crate::vault::sealed::Sealed;

use super::{Actor, Appended, Error, Fault, Gateway, Registry, Thing};

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

/// A submission that passed every check: normal values, its blind index.
struct Checked {
    index: BlindIndex,
    country: Country,
    values: Vec<(Field, Personal)>,
    submission: usize,
}

/// What the snapshot knows of the addresses of a batch.
struct Known {
    size: u64,
    contacts: HashMap<BlindIndex, ContactRecord>,
    choices: HashMap<ContactNo, Vec<(Purpose, Option<PartnerId>, bool)>>,
    suppressed: HashSet<BlindIndex>,
    no_to: HashSet<(BlindIndex, Purpose)>,
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

fn set(outcomes: &mut [Outcome], position: usize, outcome: Outcome) {
    if let Some(slot) = outcomes.get_mut(position) {
        *slot = outcome;
    }
}

fn check(
    registry: &Registry,
    keyring: &Keyring,
    submission: &Submission,
    (position, now): (usize, Moment),
) -> Result<Checked, Fault> {
    let at = |what: &str| format!("/contacts/{position}/{what}");
    let wrong = |what: &str, says: String| Fault { at: at(what), says };
    let policy = registry.policy(submission.policy).filter(|policy| policy.published_at.is_some());
    let policy = policy
        .ok_or_else(|| wrong("policy_version", "names no published policy version".to_owned()))?;
    check_wording(policy, submission).map_err(|says| wrong("wording_hash", says))?;
    if submission.at > now.plus(DAY) {
        return Err(wrong("collected_at", "lies in the future".to_owned()));
    }
    let mut values = Vec::with_capacity(submission.fields.len());
    let mut seen = FieldSet::NONE;
    for (field, value) in &submission.fields {
        if seen.contains(*field) {
            return Err(wrong(&format!("fields/{field}"), "is given twice".to_owned()));
        }
        seen = seen.or(FieldSet::of(&[*field]));
        let normal = field.parse(value.expose());
        let normal =
            normal.map_err(|fault| wrong(&format!("fields/{field}"), fault.to_string()))?;
        values.push((*field, Personal::new(normal)));
    }
    let value_of = |wanted: Field| values.iter().find(|(field, _)| *field == wanted);
    let (_, address) = value_of(Field::Email)
        .ok_or_else(|| wrong("fields/email", "is missing: every contact needs one".to_owned()))?;
    let index = blind_index(keyring, address);
    let index = index.map_err(|fault| wrong("fields/email", fault.to_string()))?;
    let country = match value_of(Field::Country) {
        None => Country::UNKNOWN,
        Some((_, code)) => Country::parse(code.expose())
            .map_err(|fault| wrong("fields/country", fault.to_string()))?,
    };
    Ok(Checked { index, country, values, submission: position })
}

fn check_wording(policy: &Policy, submission: &Submission) -> Result<(), String> {
    let shown = policy.texts.iter().any(|text| text.wording_hash == submission.wording_hash);
    if shown {
        Ok(())
    } else {
        Err(format!("is not the SHA-256 of a text of policy version {}", policy.version))
    }
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

/// One contact of the batch: what happens to its row, and what the ledger says about it.
enum Act {
    Create(NewContact, Vec<Origin>, Vec<Choice>),
    Change(ContactNo, i64, ContactChange, Vec<Origin>, Vec<Choice>),
}

impl Act {
    /// Whether it takes a permission away from a contact that may be on its way out.
    fn narrows(&self) -> bool {
        match self {
            Self::Create(..) => false,
            Self::Change(_, _, _, _, choices) => choices.iter().any(|choice| !choice.given),
        }
    }
}

struct Plan {
    acts: Vec<Act>,
    items: Vec<Item>,
    points: PointSet,
}

/// Joins the submissions per person, seals the values, and says what is to be written.
fn plan(
    keyring: &Keyring,
    batch: &[Submission],
    checked: Vec<Checked>,
    known: &Known,
    outcomes: &mut [Outcome],
) -> Result<Plan, Error> {
    let mut plan = Plan { acts: Vec::new(), items: Vec::new(), points: PointSet::NONE };
    let mut people: BTreeMap<[u8; 32], Vec<Checked>> = BTreeMap::new();
    let mut order = Vec::new();
    for one in checked {
        let contact = known.contacts.get(&one.index);
        let gone = contact.is_some_and(|contact| contact.standing.state != ContactState::Active);
        if known.suppressed.contains(&one.index) || gone {
            set(outcomes, one.submission, Outcome::Suppressed);
            continue;
        }
        let first = !people.contains_key(&one.index.0);
        if first {
            order.push(one.index);
        }
        if contact.is_some() || !first {
            set(outcomes, one.submission, Outcome::Merged);
        }
        people.entry(one.index.0).or_default().push(one);
    }
    for index in order {
        let mut visits = people.remove(&index.0).unwrap_or_default();
        visits.sort_by_key(|one| batch.get(one.submission).map(|submission| submission.at));
        plan_person(keyring, batch, (index, &visits), known, &mut plan)?;
    }
    Ok(plan)
}

fn plan_person(
    keyring: &Keyring,
    batch: &[Submission],
    (index, visits): (BlindIndex, &[Checked]),
    known: &Known,
    plan: &mut Plan,
) -> Result<(), Error> {
    let contact = known.contacts.get(&index);
    let submissions = || visits.iter().filter_map(|one| batch.get(one.submission));
    let origins: Vec<_> = submissions().map(origin_of).collect();
    let points: PointSet = submissions().map(|submission| submission.point).collect();
    let policy = submissions().map(|submission| submission.policy).max();
    let at = submissions().map(|submission| submission.at).max();
    let (Some(policy), Some(at)) = (policy, at) else { return Ok(()) };
    let mut newest: BTreeMap<Field, &Personal> = BTreeMap::new();
    for (field, value) in visits.iter().flat_map(|one| &one.values) {
        newest.insert(*field, value);
    }
    let held: FieldSet = newest.keys().copied().collect();
    let named = visits.iter().rev().map(|one| one.country).find(|one| *one != Country::UNKNOWN);
    let choices = choices_of(index, contact, submissions(), known);
    let (reference, version, sealer) = match contact {
        Some(contact) => {
            let reference = contact.standing.reference;
            let version = contact.standing.version.saturating_add(1);
            let sealer = Sealer::of(keyring, reference, &contact.key);
            (reference, version, sealer.map(|sealer| (sealer, contact.key.clone())))
        }
        None => {
            let reference = ContactRef(random().map_err(Error::broken)?);
            (reference, 1, Sealer::create(keyring, reference))
        }
    };
    let (sealer, key) = sealer.map_err(Error::broken)?;
    let fields = seal_all(&sealer, version, &newest)?;
    plan.points = plan.points.or(points);
    plan.items.push(Item {
        contact_no: contact.map(|contact| contact.standing.no),
        contact_ref: reference,
        fields: held,
        salt: random().map_err(Error::broken)?,
        version,
    });
    plan.acts.push(match contact {
        None => {
            let country = named.unwrap_or(Country::UNKNOWN);
            let new =
                NewContact { reference, index, key, country, points, held, policy, at, fields };
            Act::Create(new, origins, choices)
        }
        Some(contact) => {
            let old = &contact.standing;
            let change = ContactChange {
                points: old.points.or(points),
                held: old.held.or(held),
                policy: policy.max(old.policy),
                version,
                country: named.unwrap_or(old.country),
                at: at.max(old.updated_at),
                fields,
            };
            Act::Change(old.no, old.version, change, origins, choices)
        }
    });
    Ok(())
}

fn seal_all(
    sealer: &Sealer,
    version: i64,
    values: &BTreeMap<Field, &Personal>,
) -> Result<Vec<Sealed>, Error> {
    values
        .iter()
        .map(|(field, value)| sealer.seal(*field, version, value).map_err(Error::broken))
        .collect()
}

fn origin_of(submission: &Submission) -> Origin {
    Origin {
        point: submission.point,
        at: submission.at,
        policy: submission.policy,
        wording_hash: submission.wording_hash,
    }
}

/// The choices of a batch that count: a yes never takes back a no.
fn choices_of<'a>(
    index: BlindIndex,
    contact: Option<&ContactRecord>,
    submissions: impl Iterator<Item = &'a Submission>,
    known: &Known,
) -> Vec<Choice> {
    let current = contact.and_then(|contact| known.choices.get(&contact.standing.no));
    let mut said: BTreeMap<Purpose, bool> = current
        .into_iter()
        .flatten()
        .filter(|(_, partner, _)| partner.is_none())
        .map(|(purpose, _, given)| (*purpose, *given))
        .collect();
    let mut choices = Vec::new();
    for submission in submissions {
        for (purpose, given) in &submission.choices {
            let choice = Choice {
                purpose: *purpose,
                partner: None,
                given: *given,
                at: submission.at,
                origin: ChoiceOrigin::Import,
                policy: submission.policy,
            };
            let before = said.get(purpose).copied();
            let refused = known.no_to.contains(&(index, *purpose)) && *given;
            if !refused && choice.check(before).is_ok() {
                said.insert(*purpose, *given);
                choices.push(choice);
            }
        }
    }
    // A no that outlived the contact it was said for binds the new contact too.
    for purpose in Purpose::ALL {
        if contact.is_none() && known.no_to.contains(&(index, *purpose)) {
            choices.push(Choice {
                purpose: *purpose,
                partner: None,
                given: false,
                at: Moment(0),
                origin: ChoiceOrigin::Import,
                policy: PolicyVersion(0),
            });
        }
    }
    choices
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
    let mut draft = gateway.draft(facts, plan.items)?;
    draft.decided_at = Some(size);
    let (acts, once, now) = (plan.acts, manner.once, gateway.now());
    draft.effect = Some(Effect::new(move |tx| {
        if let Some(once) = once {
            idempotency_rows::insert_answer(tx, &once.key, &once.body, now)?;
        }
        acts.iter().try_for_each(|act| write(tx, act))
    }));
    match gateway.append(draft).await {
        Ok(Appended::Done(receipt)) => Ok(Some(receipt)),
        // The same person arrived by another way in between: look again and join.
        Ok(Appended::Stale) | Err(Error::Conflict(..)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(tx: &mut WriteTx, act: &Act) -> Result<(), EffectError> {
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
    Ok(())
}
