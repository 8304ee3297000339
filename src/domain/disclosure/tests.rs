//! Shows that `decide` gives no more than the rules do, over every combination and by properties.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use proptest::prelude::*;

use super::*;
use crate::domain::field::Field;
use crate::domain::partner::KindSet;
use crate::domain::policy::{PolicyText, PurposeTerms};
use crate::id::{ContactNo, ContactRef, GrantId, PartnerId, PolicyVersion};

const NOW: Moment = Moment(1_000);

fn policy(version: i32, terms: Vec<PurposeTerms>) -> Policy {
    Policy {
        version: PolicyVersion(version),
        effective_at: Moment(0),
        published_at: Some(Moment(0)),
        terms,
        texts: vec![PolicyText { language: "en".into(), text: "t".into(), wording_hash: [0; 32] }],
    }
}

fn wide_policy() -> Policy {
    let terms = Purpose::ALL.iter().map(|purpose| PurposeTerms {
        purpose: *purpose,
        fields: purpose.row().fields_max,
        recipients: purpose.row().recipients,
    });
    policy(1, terms.collect())
}

fn wide_grant(purpose: Purpose) -> Grant {
    Grant {
        id: GrantId::new(),
        partner: PartnerId::new(),
        purpose,
        fields: purpose.row().fields_max,
        territory: Territory::Everywhere,
        points: PointSet::EVERY,
        from: Moment(0),
        until: None,
    }
}

fn person() -> Standing {
    Standing {
        no: ContactNo(1),
        reference: ContactRef([7; 16]),
        state: ContactState::Active,
        country: Country::parse("DE").unwrap(),
        points: PointSet::EVERY,
        held: FieldSet::EVERY,
        policy: PolicyVersion(1),
        version: 1,
        updated_at: Moment(0),
        choice_all: None,
        choice_partner: None,
    }
}

fn recipient(purpose: Purpose) -> PartnerKind {
    purpose.row().recipients.iter().next().unwrap()
}

/// The whole question in one call, for tests that vary everything.
fn answer(
    terms: &Terms<'_>,
    request: &Request,
    bound: Option<&Policy>,
    person: &Standing,
) -> Decision {
    match permit(terms, request) {
        Ok(permit) => decide(&permit, bound, person),
        Err(reason) => Decision::Withhold(reason),
    }
}

fn released(decision: Decision) -> FieldSet {
    match decision {
        Decision::Release(fields) => fields,
        Decision::Withhold(_) => FieldSet::NONE,
    }
}

#[test]
fn every_field_purpose_state_and_kind_is_decided_as_the_catalogue_says() {
    let policy = wide_policy();
    let mut cells = 0;
    for purpose in Purpose::ALL.iter().copied() {
        let grant = wide_grant(purpose);
        for field in Field::ALL.iter().copied() {
            for partner_state in PartnerState::ALL.iter().copied() {
                for kind in PartnerKind::ALL.iter().copied() {
                    for state in ContactState::ALL.iter().copied() {
                        for choice_all in [None, Some(true), Some(false)] {
                            for choice_partner in [None, Some(true), Some(false)] {
                                let terms = Terms {
                                    kind,
                                    state: partner_state,
                                    grant: Some(&grant),
                                    policy: Some(&policy),
                                    now: NOW,
                                };
                                let request = Request {
                                    purpose,
                                    fields: Some(FieldSet::of(&[field])),
                                    territory: None,
                                    point: None,
                                };
                                let person =
                                    Standing { state, choice_all, choice_partner, ..person() };
                                let row = purpose.row();
                                let objected = row.choice == ChoiceEffect::OptOut
                                    && (choice_all == Some(false) || choice_partner == Some(false));
                                let expected = partner_state == PartnerState::Active
                                    && row.recipients.contains(kind)
                                    && row.fields_max.contains(field)
                                    && state == ContactState::Active
                                    && !objected;
                                let got = answer(&terms, &request, Some(&policy), &person);
                                let want =
                                    if expected { FieldSet::of(&[field]) } else { FieldSet::NONE };
                                assert_eq!(released(got), want, "{purpose} {field} {got:?}");
                                cells += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    let expected = Purpose::ALL.len() * Field::ALL.len() * PartnerState::ALL.len();
    assert_eq!(cells, expected * PartnerKind::ALL.len() * ContactState::ALL.len() * 9);
}

#[test]
fn each_reason_is_given_where_its_rule_fails() {
    let policy = wide_policy();
    let grant = wide_grant(Purpose::Offers);
    let terms = Terms {
        kind: PartnerKind::Reseller,
        state: PartnerState::Active,
        grant: Some(&grant),
        policy: Some(&policy),
        now: NOW,
    };
    let request = Request { purpose: Purpose::Offers, fields: None, territory: None, point: None };
    let with = |fields| Request { fields: Some(FieldSet::of(fields)), ..request };
    let refused = |terms: &Terms<'_>, request: &Request| permit(terms, request).unwrap_err();

    let suspended = Terms { state: PartnerState::Suspended, ..terms };
    assert_eq!(refused(&suspended, &request), Reason::PartnerNotActive);
    assert_eq!(refused(&Terms { policy: None, ..terms }, &request), Reason::NoPolicy);
    assert_eq!(refused(&Terms { grant: None, ..terms }, &request), Reason::PurposeNotGranted);
    let licensing = Request { purpose: Purpose::Licensing, ..request };
    assert_eq!(refused(&terms, &licensing), Reason::PurposeNotGranted);
    let service = Terms { kind: PartnerKind::ServicePartner, ..terms };
    assert_eq!(refused(&service, &request), Reason::RecipientNotDisclosed);
    let silent = super::tests::policy(2, Vec::new());
    let unsaid = Terms { policy: Some(&silent), ..terms };
    assert_eq!(refused(&unsaid, &request), Reason::PurposeNotDisclosed);
    let ended = Grant { until: Some(NOW), ..grant.clone() };
    assert_eq!(refused(&Terms { grant: Some(&ended), ..terms }, &request), Reason::GrantNotInForce);
    assert_eq!(refused(&terms, &with(&[Field::Phone])), Reason::FieldNotForPurpose);
    let narrow = Grant {
        fields: FieldSet::of(&[Field::Email]),
        territory: Territory::parse("DE").unwrap(),
        points: PointSet::of(&[CollectionPoint::Trial]),
        ..grant.clone()
    };
    let narrowed = Terms { grant: Some(&narrow), ..terms };
    assert_eq!(refused(&narrowed, &with(&[Field::Company])), Reason::FieldNotGranted);
    let abroad = Request { territory: Some(Country::parse("FR").unwrap()), ..request };
    assert_eq!(refused(&narrowed, &abroad), Reason::TerritoryNotGranted);
    let news = Request { point: Some(CollectionPoint::News), ..request };
    assert_eq!(refused(&narrowed, &news), Reason::PointNotGranted);
    let mut short = wide_policy();
    short.terms[0].fields = FieldSet::of(&[Field::Email]);
    let disclosed = Terms { policy: Some(&short), ..terms };
    assert_eq!(refused(&disclosed, &with(&[Field::Company])), Reason::FieldNotDisclosed);

    let allowed = permit(&narrowed, &request).unwrap();
    let withheld = |person: Standing, bound| decide(&allowed, bound, &person);
    let country = Country::parse("FR").unwrap();
    let cases = [
        (Standing { country, ..person() }, Reason::OutsideTerritory),
        (
            Standing { points: PointSet::of(&[CollectionPoint::News]), ..person() },
            Reason::OutsidePoints,
        ),
        (Standing { held: FieldSet::of(&[Field::Phone]), ..person() }, Reason::NothingHeld),
        (Standing { state: ContactState::Withdrawn, ..person() }, Reason::Withdrawn),
        (Standing { choice_partner: Some(false), ..person() }, Reason::OptedOutPartner),
    ];
    for (person, reason) in cases {
        assert_eq!(withheld(person, Some(&policy)), Decision::Withhold(reason));
    }
    assert_eq!(withheld(person(), Some(&silent)), Decision::Withhold(Reason::PolicyNotAccepted));
    assert_eq!(withheld(person(), None), Decision::Withhold(Reason::PolicyNotAccepted));
}

fn any_fields() -> impl Strategy<Value = FieldSet> {
    any::<u32>().prop_map(|bits| FieldSet::from_bits(bits & FieldSet::EVERY.bits()).unwrap())
}

fn any_policy() -> impl Strategy<Value = Policy> {
    proptest::collection::vec((any_fields(), any::<u8>()), Purpose::ALL.len()).prop_map(|rows| {
        let terms = Purpose::ALL.iter().zip(rows).map(|(purpose, (fields, kinds))| PurposeTerms {
            purpose: *purpose,
            fields,
            recipients: KindSet::from_bits(kinds & KindSet::EVERY.bits()).unwrap(),
        });
        policy(1, terms.collect())
    })
}

fn any_choice() -> impl Strategy<Value = Option<bool>> {
    any::<Option<bool>>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn less_never_gives_more(
        purpose in proptest::sample::select(Purpose::ALL),
        wide in any_fields(), mask in any_fields(),
        in_force in any_policy(), bound in any_policy(), narrower in any_policy(),
        requested in proptest::option::of(any_fields()),
        held in any_fields(),
        all in any_choice(), partner in any_choice(),
    ) {
        let grant = Grant { fields: wide, ..wide_grant(purpose) };
        let terms = Terms {
            kind: recipient(purpose), state: PartnerState::Active,
            grant: Some(&grant), policy: Some(&in_force), now: NOW,
        };
        let request = Request { purpose, fields: requested, territory: None, point: None };
        let person = Standing { held, choice_all: all, choice_partner: partner, ..person() };
        let before = released(answer(&terms, &request, Some(&bound), &person));

        // Never more than each of the four, and what the contact holds.
        prop_assert!(before.within(wide));
        prop_assert!(before.within(in_force.terms(purpose).fields));
        prop_assert!(before.within(bound.terms(purpose).fields));
        prop_assert!(before.within(purpose.row().fields_max));
        prop_assert!(before.within(held));
        prop_assert!(requested.is_none_or(|fields| before.within(fields)));

        // A narrower grant, policy or bound version never releases more.
        let less = Grant { fields: wide.and(mask), ..grant.clone() };
        let fewer = Terms { grant: Some(&less), ..terms };
        prop_assert!(released(answer(&fewer, &request, Some(&bound), &person)).within(before));
        let open = Request { fields: None, ..request };
        let open_before = released(answer(&terms, &open, Some(&bound), &person));
        prop_assert!(released(answer(&fewer, &open, Some(&bound), &person)).within(open_before));
        let cut = |policy: &Policy| Policy {
            terms: policy.terms.iter().zip(&narrower.terms).map(|(a, b)| PurposeTerms {
                purpose: a.purpose,
                fields: a.fields.and(b.fields),
                recipients: a.recipients.and(b.recipients),
            }).collect(),
            ..policy.clone()
        };
        let cut_force = cut(&in_force);
        prop_assert!(cut_force.within(&in_force));
        let under = Terms { policy: Some(&cut_force), ..terms };
        prop_assert!(released(answer(&under, &open, Some(&bound), &person)).within(open_before));
        let cut_bound = cut(&bound);
        prop_assert!(released(answer(&terms, &open, Some(&cut_bound), &person)).within(open_before));

        // Less consent never releases more.
        for (all, partner) in [(Some(false), partner), (all, Some(false))] {
            let less = Standing { choice_all: all, choice_partner: partner, ..person };
            prop_assert!(released(answer(&terms, &request, Some(&bound), &less)).within(before));
        }
        for state in [ContactState::Restricted, ContactState::Withdrawn, ContactState::Erased] {
            let gone = Standing { state, ..person };
            prop_assert!(released(answer(&terms, &request, Some(&bound), &gone)).is_empty());
        }
    }
}
