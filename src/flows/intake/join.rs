//! Joins the submissions of a batch per person and says what is to be written.

use std::collections::BTreeMap;

use crate::clock::Moment;
use crate::domain::consent::{Choice, ChoiceOrigin};
use crate::domain::contact::{ContactState, Country, Origin, PointSet, Standing};
use crate::domain::field::{Field, FieldSet};
use crate::domain::purpose::Purpose;
use crate::flows::Error;
use crate::id::{ContactNo, ContactRef, PolicyVersion};
use crate::ledger::Item;
use crate::secret::{Personal, random};
use crate::store::contact_rows::{ContactChange, ContactRecord, NewContact};
use crate::vault::blind_index::BlindIndex;
use crate::vault::keyring::Keyring;
use crate::vault::seal::Sealer;
use crate::vault::sealed::{Sealed, WrappedKey};

use super::check::Checked;
use super::{Known, Outcome, Submission, set};

/// One contact of the batch: what happens to its row, and what the ledger says about it.
pub(super) enum Act {
    Create(NewContact, Vec<Origin>, Vec<Choice>),
    Change(ContactNo, i64, ContactChange, Vec<Origin>, Vec<Choice>),
}

impl Act {
    /// Whether it takes a permission away from a contact that may be on its way out.
    pub(super) fn narrows(&self) -> bool {
        match self {
            Self::Create(..) => false,
            Self::Change(_, _, _, _, choices) => choices.iter().any(|choice| !choice.given),
        }
    }
}

/// What a batch comes to.
pub(super) struct Plan {
    pub(super) acts: Vec<Act>,
    pub(super) items: Vec<Item>,
    pub(super) points: PointSet,
}

/// Joins the submissions per person, seals the values, and says what is to be written.
pub(super) fn plan(
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
    let Some(brought) = Brought::of(batch, visits, contact) else { return Ok(()) };
    let submissions = visits.iter().filter_map(|one| batch.get(one.submission));
    let choices = choices_of(index, contact, submissions, known);
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
    let fields = seal_all(&sealer, version, &brought.newest)?;
    plan.points = plan.points.or(brought.points);
    plan.items.push(Item {
        contact_no: contact.map(|contact| contact.standing.no),
        contact_ref: reference,
        fields: brought.held,
        salt: random().map_err(Error::broken)?,
        version,
    });
    plan.acts.push(match contact {
        None => {
            let new = brought.create((reference, key), index, fields);
            Act::Create(new, brought.origins, choices)
        }
        Some(contact) => {
            let old = &contact.standing;
            let change = brought.change(old, version, fields);
            Act::Change(old.no, old.version, change, brought.origins, choices)
        }
    });
    Ok(())
}

/// What the occasions of one person bring, joined.
struct Brought<'a> {
    origins: Vec<Origin>,
    points: PointSet,
    policy: PolicyVersion,
    at: Moment,
    newest: BTreeMap<Field, &'a Personal>,
    held: FieldSet,
    country: Option<Country>,
}

impl<'a> Brought<'a> {
    /// `None` where there is no occasion.
    fn of(
        batch: &[Submission],
        visits: &'a [Checked],
        contact: Option<&ContactRecord>,
    ) -> Option<Self> {
        let submissions = || visits.iter().filter_map(|one| batch.get(one.submission));
        let newest = newest_of(batch, visits, contact);
        let held: FieldSet = newest.keys().copied().collect();
        let named =
            |one: &&Checked| held.contains(Field::Country) && one.country != Country::UNKNOWN;
        Some(Self {
            origins: submissions().map(origin_of).collect(),
            points: submissions().map(|submission| submission.point).collect(),
            policy: submissions().map(|submission| submission.policy).max()?,
            at: submissions().map(|submission| submission.at).max()?,
            newest,
            held,
            country: visits.iter().rev().find(named).map(|one| one.country),
        })
    }

    fn create(
        &self,
        (reference, key): (ContactRef, WrappedKey),
        index: BlindIndex,
        fields: Vec<Sealed>,
    ) -> NewContact {
        let country = self.country.unwrap_or(Country::UNKNOWN);
        let Self { points, held, policy, at, .. } = *self;
        NewContact { reference, index, key, country, points, held, policy, at, fields }
    }

    fn change(&self, old: &Standing, version: i64, fields: Vec<Sealed>) -> ContactChange {
        ContactChange {
            points: old.points.or(self.points),
            held: old.held.or(self.held),
            policy: self.policy.max(old.policy),
            version,
            country: self.country.unwrap_or(old.country),
            at: self.at.max(old.updated_at),
            fields,
        }
    }
}

/// The newest value of each field. An occasion that is older than what is known of the person adds
/// what is missing and replaces nothing: an old list must not undo what she said since.
fn newest_of<'a>(
    batch: &[Submission],
    visits: &'a [Checked],
    contact: Option<&ContactRecord>,
) -> BTreeMap<Field, &'a Personal> {
    let mut newest = BTreeMap::new();
    for visit in visits {
        let at = batch.get(visit.submission).map(|submission| submission.at);
        let standing = contact.map(|contact| &contact.standing);
        let older = standing.filter(|standing| at.is_some_and(|at| at < standing.updated_at));
        let kept = older.map_or(FieldSet::NONE, |standing| standing.held);
        for (field, value) in visit.values.iter().filter(|(field, _)| !kept.contains(*field)) {
            newest.insert(*field, value);
        }
    }
    newest
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
