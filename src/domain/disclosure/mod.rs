//! Decides: which fields of whom may leave, for what, or why not. Pure and total.
//!
//! A partner gets grant ∩ policy ∩ purpose ∩ request, nothing else. The question is asked in two
//! steps because the first has one answer for a whole page: `permit` looks at the partner, the
//! grant and the policy in force; `decide` looks at one person. Neither can widen the other.

use crate::clock::Moment;

use super::catalogue::catalogue;
use super::contact::{CollectionPoint, ContactState, Country, PointSet, Standing};
use super::field::FieldSet;
use super::grant::{Grant, Territory};
use super::partner::{PartnerKind, PartnerState};
use super::policy::Policy;
use super::purpose::{ChoiceEffect, Purpose};

/// One row of the list of reasons.
#[derive(Debug, Clone, Copy)]
pub struct ReasonRow {
    /// What an operator or a partner reads.
    pub label: &'static str,
    /// What to do about it.
    pub hint: &'static str,
}

const fn because(label: &'static str, hint: &'static str) -> ReasonRow {
    ReasonRow { label, hint }
}

catalogue! {
    /// Why something is withheld: a closed list. The first group refuses a request as a whole,
    /// the second withholds one person.
    Reason,
    /// A set of reasons.
    ReasonSet(u32), row ReasonRow;

    /// Only an active partner receives anything.
    PartnerNotActive = 0, "partner_not_active" =>
        because("the partner is not active", "ask your contact to approve or resume the partner");
    /// Nothing is published yet, or nothing is effective yet.
    NoPolicy = 1, "no_policy_in_force" =>
        because("no policy version is in force", "publish a policy version");
    /// The policy in force does not name this purpose.
    PurposeNotDisclosed = 2, "purpose_not_disclosed" =>
        because("the policy in force does not disclose this purpose", "ask for a disclosed purpose");
    /// The policy in force does not name this kind of partner for the purpose.
    RecipientNotDisclosed = 3, "recipient_not_disclosed" =>
        because("the policy in force does not name this kind of partner", "see the policy page");
    /// No grant for the purpose.
    PurposeNotGranted = 4, "purpose_not_granted" =>
        because("the partner has no grant for this purpose", "whoami lists the purposes granted");
    /// The grant has not begun, or has ended.
    GrantNotInForce = 5, "grant_not_in_force" =>
        because("the grant has not begun or has ended", "ask your contact to renew the grant");
    /// A field outside the grant was asked for.
    FieldNotGranted = 6, "field_not_granted" =>
        because("a field outside the grant was asked for", "ask for granted fields; whoami lists them");
    /// A field that the policy in force does not disclose was asked for.
    FieldNotDisclosed = 7, "field_not_disclosed" =>
        because("the policy in force does not disclose a field asked for", "leave the field out");
    /// A field that the purpose can never have was asked for.
    FieldNotForPurpose = 8, "field_not_for_purpose" =>
        because("a field asked for is not needed for this purpose", "leave the field out");
    /// A country outside the grant was asked for.
    TerritoryNotGranted = 9, "territory_not_granted" =>
        because("a territory outside the grant was asked for", "ask for granted territories");
    /// A collection point outside the grant was asked for.
    PointNotGranted = 10, "collection_point_not_granted" =>
        because("a collection point outside the grant was asked for", "ask for granted ones");
    /// The access token was not valid on the connection it came over.
    TokenNotValid = 11, "token_not_valid" =>
        because("the access token is not valid on this connection", "fetch a token over it");
    /// The access token does not cover what was asked for.
    ScopeMissing = 12, "scope_missing" =>
        because("the access token does not cover the purpose asked for", "fetch a token for it");

    /// The person closed the account.
    Withdrawn = 16, "withdrawn" =>
        because("the person closed the account", "delete what you hold of this person");
    /// The person's data may be kept but not used.
    Restricted = 17, "restricted" =>
        because("the person's data is restricted", "do not use what you hold");
    /// The person's key is shredded.
    Erased = 18, "erased" =>
        because("the person's data is erased", "delete what you hold of this person");
    /// The person said no to the purpose.
    OptedOut = 19, "opted_out" =>
        because("the person opted out of this purpose", "stop using the data for this purpose");
    /// The person said no to the purpose for this partner.
    OptedOutPartner = 20, "opted_out_partner" =>
        because("the person opted out of this purpose for this partner", "stop using the data");
    /// The person lives outside the territory.
    OutsideTerritory = 21, "outside_territory" =>
        because("the person lives outside the territory granted", "nothing to do");
    /// The person was collected elsewhere.
    OutsidePoints = 22, "outside_collection_points" =>
        because("the person was collected at another collection point", "nothing to do");
    /// The policy version the person is bound to does not disclose this.
    PolicyNotAccepted = 23, "policy_not_accepted" =>
        because("the policy version the person is bound to does not disclose this", "nothing to do");
    /// The contact holds none of the fields permitted.
    NothingHeld = 24, "nothing_held" =>
        because("the contact holds none of the fields permitted", "nothing to do");
    /// There is no such contact, or none that this partner may know of.
    UnknownContact = 25, "unknown_contact" =>
        because("there is no such lead for this partner", "use an id from a page of leads");
}

impl Reason {
    /// Whether it belongs to the second group: it lies in one person, and a partner must not
    /// learn from it that she exists, or why she is hidden.
    pub const fn is_about_a_person(self) -> bool {
        self.bit() >= Self::Withdrawn.bit()
    }
}

/// The answer for one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// These fields leave; never empty.
    Release(FieldSet),
    /// Nothing leaves.
    Withhold(Reason),
}

/// What a partner asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The purpose.
    pub purpose: Purpose,
    /// The fields; everything permitted when `None`.
    pub fields: Option<FieldSet>,
    /// Only people of this country.
    pub territory: Option<Country>,
    /// Only people of this collection point.
    pub point: Option<CollectionPoint>,
}

/// What the registry and the policies say at one moment about the partner that asks.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// What the partner is.
    pub kind: PartnerKind,
    /// Where it stands.
    pub state: PartnerState,
    /// Its grant for the purpose asked for.
    pub grant: Option<&'a Grant>,
    /// The policy version in force.
    pub policy: Option<&'a Policy>,
    /// The present moment.
    pub now: Moment,
}

/// What one request may have of anyone: already narrowed by purpose, policy, grant and request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    purpose: Purpose,
    fields: FieldSet,
    kind: PartnerKind,
    territory: Territory,
    points: PointSet,
}

impl Permit {
    /// The purpose.
    pub const fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// The most fields anyone's lead can have under this permit.
    pub const fn fields(&self) -> FieldSet {
        self.fields
    }

    /// Where its people live.
    pub const fn territory(&self) -> &Territory {
        &self.territory
    }

    /// Where its people were collected.
    pub const fn points(&self) -> PointSet {
        self.points
    }

    /// What may be shared of people bound to `policy`: the permit's fields as far as that version
    /// disclosed them to this kind of partner too.
    pub fn fields_under(&self, policy: &Policy) -> FieldSet {
        let terms = policy.terms(self.purpose);
        if terms.recipients.contains(self.kind) {
            self.fields.and(terms.fields)
        } else {
            FieldSet::NONE
        }
    }
}

/// Step one: what may this partner have of anyone, for this request? Asking for more than is
/// granted is refused with the reason, never silently narrowed.
pub fn permit(terms: &Terms<'_>, request: &Request) -> Result<Permit, Reason> {
    let Request { purpose, territory, point, .. } = *request;
    if terms.state != PartnerState::Active {
        return Err(Reason::PartnerNotActive);
    }
    let grant =
        terms.grant.filter(|grant| grant.purpose == purpose).ok_or(Reason::PurposeNotGranted)?;
    if !grant.in_force(terms.now) {
        return Err(Reason::GrantNotInForce);
    }
    let disclosed = terms.policy.ok_or(Reason::NoPolicy)?.terms(purpose);
    let row = purpose.row();
    if disclosed.fields.is_empty() {
        return Err(Reason::PurposeNotDisclosed);
    }
    if !disclosed.recipients.and(row.recipients).contains(terms.kind) {
        return Err(Reason::RecipientNotDisclosed);
    }
    let fields = permit_fields(request, grant, disclosed.fields)?;
    let points = permit_points(point, grant.points.and(row.points))?;
    let territory = match territory {
        None => grant.territory.clone(),
        Some(country) if grant.territory.contains(country) => Territory::Countries(vec![country]),
        Some(_) => return Err(Reason::TerritoryNotGranted),
    };
    Ok(Permit { purpose, fields, kind: terms.kind, territory, points })
}

fn permit_fields(
    request: &Request,
    grant: &Grant,
    disclosed: FieldSet,
) -> Result<FieldSet, Reason> {
    let most = request.purpose.row().fields_max;
    let permitted = grant.fields.and(disclosed).and(most);
    match request.fields {
        None => Ok(permitted),
        Some(fields) if !fields.within(most) => Err(Reason::FieldNotForPurpose),
        Some(fields) if !fields.within(grant.fields) => Err(Reason::FieldNotGranted),
        Some(fields) if !fields.within(disclosed) => Err(Reason::FieldNotDisclosed),
        Some(fields) => Ok(fields.and(permitted)),
    }
}

fn permit_points(point: Option<CollectionPoint>, granted: PointSet) -> Result<PointSet, Reason> {
    match point {
        None => Ok(granted),
        Some(point) if granted.contains(point) => Ok(PointSet::of(&[point])),
        Some(_) => Err(Reason::PointNotGranted),
    }
}

/// Step two: what of it may leave of this person? `bound` is the policy version the person is
/// bound to: what may be shared is that version ∩ the version in force.
pub fn decide(permit: &Permit, bound: Option<&Policy>, person: &Standing) -> Decision {
    match person.state {
        ContactState::Active => {}
        ContactState::Restricted => return Decision::Withhold(Reason::Restricted),
        ContactState::Withdrawn => return Decision::Withhold(Reason::Withdrawn),
        ContactState::Erased => return Decision::Withhold(Reason::Erased),
    }
    if permit.purpose.row().choice == ChoiceEffect::OptOut {
        if person.choice_all == Some(false) {
            return Decision::Withhold(Reason::OptedOut);
        }
        if person.choice_partner == Some(false) {
            return Decision::Withhold(Reason::OptedOutPartner);
        }
    }
    if !permit.territory.contains(person.country) {
        return Decision::Withhold(Reason::OutsideTerritory);
    }
    if permit.points.and(person.points).is_empty() {
        return Decision::Withhold(Reason::OutsidePoints);
    }
    let fields = bound.map_or(FieldSet::NONE, |policy| permit.fields_under(policy));
    if fields.is_empty() {
        return Decision::Withhold(Reason::PolicyNotAccepted);
    }
    let fields = fields.and(person.held);
    if fields.is_empty() {
        return Decision::Withhold(Reason::NothingHeld);
    }
    Decision::Release(fields)
}

#[cfg(test)]
mod tests;
