//! Rows of the registry, of contacts and of releases: what goes in comes out, on both databases.

use super::ledger::{append, draft, entry, facts, item};
use super::*;
use crate::clock::{Clock, DAY, Moment};
use crate::domain::consent::{Choice, ChoiceOrigin};
use crate::domain::contact::{CollectionPoint, ContactState, Country, Origin, PointSet};
use crate::domain::field::{Field, FieldSet};
use crate::domain::grant::{Grant, Territory};
use crate::domain::partner::{
    Certificate, CertificateSource, CertificateStatus, KindSet, Partner, PartnerKind, PartnerState,
};
use crate::domain::policy::{Policy, PolicyText, PurposeTerms};
use crate::domain::purpose::Purpose;
use crate::id::{ContactNo, ContactRef, GrantId, KeyId, PartnerId, PolicyVersion, Thumbprint};
use crate::ledger::{Draft, Facts, Kind, Refused};
use crate::store::contact_rows::{ContactChange, NewContact};
use crate::store::release_rows::{Candidate, CandidateQuery};
use crate::vault::blind_index::BlindIndex;
use crate::vault::sealed::{Sealed, SealedKey, WrappedKey};

/// Runs a change as the effect of an entry of its own.
pub(super) fn change<F>(store: &Store, work: F) -> Result<u64, Refused>
where
    F: FnOnce(&mut WriteTx) -> Result<(), EffectError> + Send + 'static,
{
    let effect = Some(Effect::new(work));
    let mut outcomes =
        append(&mut store.shelf(), vec![Draft { effect, ..draft(Kind::StaffAct) }]).outcomes;
    outcomes.remove(0)
}

fn version(store: &Store) -> i64 {
    store.read_blocking(release_rows::read_head).unwrap().registry_version
}

pub(super) fn partner(code: &str) -> Partner {
    Partner {
        id: PartnerId::new(),
        code: code.to_owned(),
        kind: PartnerKind::Reseller,
        state: PartnerState::Applied,
        legal_name: "Acme Resale GmbH".into(),
        country: Country::parse("DE").unwrap(),
        contract_ref: "C-1".into(),
        contract_version: "2".into(),
        privacy_contact: "privacy@acme.example".into(),
        recall_days: 7,
        requests_per_minute: 600,
        applied_by: "s-17".into(),
        approved_by: None,
        tokens_not_before: Moment(0),
        created_at: Moment(10),
    }
}

#[test]
fn partners_certificates_and_keys_come_back_as_they_went_in() {
    on_both(|bed| {
        let store = bed.store();
        let (first, second) = (partner("acme"), partner("bravo"));
        let [one, two] = [first.clone(), second.clone()];
        change(&store, move |tx| {
            partner_rows::insert_partner(tx, &two)?;
            partner_rows::insert_partner(tx, &one)
        })
        .unwrap();
        assert_eq!(version(&store), 2);
        let twice = Partner { id: PartnerId::new(), ..first.clone() };
        let refused = change(&store, move |tx| partner_rows::insert_partner(tx, &twice));
        assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");
        let active = Partner {
            state: PartnerState::Active,
            approved_by: Some("s-2".into()),
            tokens_not_before: Moment(99),
            ..first.clone()
        };
        let update = active.clone();
        change(&store, move |tx| partner_rows::update_partner(tx, &update)).unwrap();
        let unknown = partner("nobody");
        assert!(change(&store, move |tx| partner_rows::update_partner(tx, &unknown)).is_err());

        let bound = Certificate {
            thumbprint: Thumbprint::of(b"der"),
            partner: first.id,
            source: CertificateSource::Pinned,
            status: CertificateStatus::Pending,
            serial: "0a".into(),
            key_hash: [3; 32],
            not_before: Moment(1),
            not_after: Moment(2),
            der: b"der".to_vec(),
            bound_at: Moment(3),
            revoked_at: None,
            revoked_reason: None,
        };
        let revoked = Certificate {
            status: CertificateStatus::Revoked,
            revoked_at: Some(Moment(9)),
            revoked_reason: Some("keyCompromise".into()),
            ..bound.clone()
        };
        let (insert, update) = (bound.clone(), revoked.clone());
        change(&store, move |tx| partner_rows::insert_certificate(tx, &insert)).unwrap();
        let strange =
            Certificate { partner: PartnerId::new(), thumbprint: Thumbprint([1; 32]), ..bound };
        let refused = change(&store, move |tx| partner_rows::insert_certificate(tx, &strange));
        assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");
        change(&store, move |tx| partner_rows::update_certificate(tx, &update)).unwrap();

        let key = SealedKey {
            id: KeyId::new(),
            usage: "token".into(),
            created_at: 4,
            retired_at: None,
            bytes: vec![1, 2, 3],
        };
        let (insert, id) = (key.clone(), key.id);
        change(&store, move |tx| key_rows::insert_key(tx, &insert)).unwrap();
        change(&store, move |tx| key_rows::retire_key(tx, id, Moment(8))).unwrap();
        assert!(change(&store, move |tx| key_rows::retire_key(tx, id, Moment(9))).is_err());

        let (id, other) = (first.id, second.id);
        store
            .read_blocking(move |tx| {
                assert_eq!(partner_rows::find_partner(tx, id)?, Some(active.clone()));
                assert_eq!(partner_rows::find_partner_by_code(tx, "acme")?, Some(active.clone()));
                assert_eq!(partner_rows::find_partner_by_code(tx, "nobody")?, None);
                assert_eq!(partner_rows::list_partners(tx)?, [active, second]);
                assert_eq!(
                    partner_rows::find_certificate(tx, revoked.thumbprint)?,
                    Some(revoked.clone())
                );
                assert_eq!(partner_rows::list_certificates(tx, None)?, [revoked]);
                assert_eq!(partner_rows::list_certificates(tx, Some(other))?, []);
                assert!(partner_rows::key_is_known(tx, &[3; 32])?);
                assert!(!partner_rows::key_is_known(tx, &[4; 32])?);
                let retired = SealedKey { retired_at: Some(8), ..key };
                assert_eq!(key_rows::list_keys(tx)?, [retired]);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn a_new_grant_ends_the_former_where_it_begins() {
    on_both(|bed| {
        let store = bed.store();
        let of = partner("acme");
        let grant = |from, until: Option<i64>| Grant {
            id: GrantId::new(),
            partner: of.id,
            purpose: Purpose::Offers,
            fields: FieldSet::of(&[Field::Email, Field::Country]),
            territory: Territory::parse("DE,AT").unwrap(),
            points: PointSet::of(&[CollectionPoint::Trial]),
            from: Moment(from),
            until: until.map(Moment),
        };
        let (first, second, future) = (grant(10, None), grant(20, Some(90)), grant(50, None));
        let grants = [first.clone(), second.clone(), future.clone()];
        let (row, ended, unknown) = (of.clone(), future.id, GrantId::new());
        change(&store, move |tx| {
            partner_rows::insert_partner(tx, &row)?;
            grants.iter().try_for_each(|grant| partner_rows::set_grant(tx, grant))
        })
        .unwrap();
        change(&store, move |tx| partner_rows::end_grant(tx, ended, Moment(40))).unwrap();
        assert!(change(&store, move |tx| partner_rows::end_grant(tx, ended, Moment(45))).is_err());
        assert!(change(&store, move |tx| partner_rows::end_grant(tx, unknown, Moment(1))).is_err());
        let expected = [
            Grant { until: Some(Moment(20)), ..first },
            Grant { until: Some(Moment(50)), ..second },
            Grant { until: Some(Moment(50)), ..future },
        ];
        let (all, none) = store
            .read_blocking(move |tx| {
                let none = partner_rows::list_grants(tx, Some(PartnerId::new()))?;
                Ok((partner_rows::list_grants(tx, Some(of.id))?, none))
            })
            .unwrap();
        assert_eq!((all.as_slice(), none.len()), (expected.as_slice(), 0));
    });
}

#[test]
fn a_published_policy_never_changes() {
    on_both(|bed| {
        let store = bed.store();
        let draft = |fields: &[Field]| Policy {
            version: PolicyVersion(1),
            effective_at: Moment(100),
            published_at: None,
            terms: [Purpose::Offers, Purpose::Support]
                .map(|purpose| PurposeTerms {
                    purpose,
                    fields: FieldSet::of(fields),
                    recipients: KindSet::of(&[PartnerKind::Reseller]),
                })
                .to_vec(),
            texts: ["de", "en"]
                .map(|language| PolicyText {
                    language: language.into(),
                    text: format!("text {language}"),
                    wording_hash: [7; 32],
                })
                .to_vec(),
        };
        let (first, second) = (draft(&[Field::Email]), draft(&[Field::Email, Field::Country]));
        let (save, replace, late) = (first.clone(), second.clone(), first);
        change(&store, move |tx| policy_rows::save_draft(tx, &save)).unwrap();
        change(&store, move |tx| policy_rows::save_draft(tx, &replace)).unwrap();
        let publish = |at| {
            change(&store, move |tx| {
                policy_rows::publish(tx, PolicyVersion(1), Moment(at), Moment(at + 5))
            })
        };
        publish(200).unwrap();
        assert!(matches!(publish(300), Err(Refused::Conflict(_))));
        let refused = change(&store, move |tx| policy_rows::save_draft(tx, &late));
        assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");
        let published =
            Policy { published_at: Some(Moment(200)), effective_at: Moment(205), ..second };
        assert_eq!(store.read_blocking(policy_rows::list_policies).unwrap(), [published]);
    });
}

fn sealed(field: Field, version: i64) -> Sealed {
    Sealed { field, version, bytes: vec![field.bit(), u8::try_from(version).unwrap()] }
}

pub(super) fn contact(byte: u8, country: &str) -> NewContact {
    let held = FieldSet::of(&[Field::Email, Field::GivenName, Field::Country]);
    NewContact {
        reference: ContactRef([byte; 16]),
        index: BlindIndex([byte; 32]),
        key: WrappedKey { key: KeyId::new(), bytes: vec![byte; 60] },
        country: Country::parse(country).unwrap(),
        points: PointSet::of(&[CollectionPoint::Trial]),
        held,
        policy: PolicyVersion(1),
        at: Moment(i64::from(byte)),
        fields: held.iter().map(|field| sealed(field, 1)).collect(),
    }
}

pub(super) fn enter(store: &Store, contacts: Vec<NewContact>) {
    change(store, move |tx| {
        contacts.iter().try_for_each(|one| contact_rows::insert_contact(tx, one).map(drop))
    })
    .unwrap();
}

#[test]
fn an_intake_is_found_corrected_and_erased() {
    on_both(|bed| {
        let store = bed.store();
        let new = contact(1, "DE");
        // The item's number is not known before the effect has made the contact.
        let intake = Draft {
            effect: Some(Effect::new({
                let new = new.clone();
                move |tx| {
                    let no = contact_rows::insert_contact(tx, &new)?;
                    contact_rows::insert_origin(tx, no, &origin())?;
                    contact_rows::insert_origin(tx, no, &origin())
                }
            })),
            ..Draft::new(entry(facts(Kind::Intake), vec![item(None, 1)]))
        };
        let lost = Draft::new(entry(facts(Kind::Intake), vec![item(None, 77)]));
        let outcomes = append(&mut store.shelf(), vec![intake, lost]).outcomes;
        assert_eq!(outcomes[0], Ok(0));
        assert!(matches!(outcomes[1], Err(Refused::Invalid(_))));
        let again = new.clone();
        let refused = change(&store, move |tx| contact_rows::insert_contact(tx, &again).map(drop));
        assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");

        let index = new.index;
        let found = store.read_blocking(move |tx| contact_rows::find_contact(tx, &index)).unwrap();
        let found = found.unwrap();
        assert_eq!(found.standing.no, ContactNo(1));
        assert_eq!((found.standing.reference, found.standing.held), (new.reference, new.held));
        assert_eq!(found.key, new.key);
        assert!(found.index == Some(new.index));

        let correction = ContactChange {
            version: 2,
            country: Country::parse("AT").unwrap(),
            points: PointSet::EVERY,
            held: FieldSet::of(&[Field::Email, Field::Country, Field::City]),
            policy: PolicyVersion(2),
            at: Moment(50),
            fields: vec![sealed(Field::Country, 2), sealed(Field::City, 2)],
        };
        let (first, second) = (correction.clone(), correction.clone());
        change(&store, move |tx| contact_rows::update_contact(tx, ContactNo(1), 1, &first))
            .unwrap();
        let moved =
            change(&store, move |tx| contact_rows::update_contact(tx, ContactNo(1), 1, &second));
        assert!(matches!(moved, Err(Refused::Conflict(_))), "{moved:?}");
        let everything = [(ContactNo(1), FieldSet::EVERY)];
        let fields =
            store.read_blocking(move |tx| release_rows::list_sealed(tx, &everything)).unwrap();
        let expected = [
            (ContactNo(1), sealed(Field::Email, 1)),
            (ContactNo(1), sealed(Field::Country, 2)),
            (ContactNo(1), sealed(Field::City, 2)),
        ];
        assert_eq!(fields, expected);
        erased(&store, &new);
    });
}

fn origin() -> Origin {
    Origin {
        point: CollectionPoint::Support,
        at: Moment(6),
        policy: PolicyVersion(1),
        wording_hash: [8; 32],
    }
}

fn erased(store: &Store, new: &NewContact) {
    let (index, old) = (new.index, new.reference);
    let release = Draft {
        response_salt: Some([2; 16]),
        ..Draft::new(entry(
            Facts {
                partner: Some(PartnerId::new()),
                purpose: Some(Purpose::Offers),
                ..facts(Kind::Release)
            },
            vec![item(Some(1), 1)],
        ))
    };
    let erase = Draft {
        effect: Some(Effect::new(move |tx| {
            erasure_rows::erase_contact(tx, ContactNo(1), &index, Moment(60))?;
            erasure_rows::forget_disclosures(tx, ContactNo(1), u32::MAX)?;
            erasure_rows::replace_reference(tx, ContactNo(1), ContactRef([0xee; 16]))
        })),
        ..draft(Kind::Erase)
    };
    // In one batch: the rows of the release must be there for the erasure to delete.
    let outcomes = append(&mut store.shelf(), vec![release, erase]).outcomes;
    let released = *outcomes[0].as_ref().unwrap();
    assert_eq!(outcomes[1], Ok(released + 1));
    store
        .read_blocking(move |tx| {
            assert!(contact_rows::find_contact(tx, &index)?.is_none());
            let shell = contact_rows::load_contact(tx, ContactNo(1))?.unwrap();
            assert_eq!(shell.standing.state, ContactState::Erased);
            assert!(shell.standing.reference != old && shell.key.bytes.is_empty());
            assert_eq!(release_rows::list_sealed(tx, &[(ContactNo(1), FieldSet::EVERY)])?, []);
            assert_eq!(audit_rows::list_disclosures(tx, ContactNo(1))?, []);
            let projection = audit_rows::find_projection(tx, released)?.unwrap();
            assert_eq!((projection.response_salt, projection.item_hashes.len()), (None, 1));
            assert_eq!(contact_rows::list_origins(tx, ContactNo(1))?, []);
            assert_eq!(erasure_rows::list_wrapped(tx, ContactNo(0), 5)?, []);
            Ok(())
        })
        .unwrap();
    let no = ContactNo(1);
    let revive = change(store, move |tx| {
        contact_rows::set_contact_state(tx, no, ContactState::Active, Moment(70))
    });
    assert!(matches!(revive, Err(Refused::Conflict(_))), "{revive:?}");
    enter(store, vec![contact(9, "DE")]);
    let next = store.read_blocking(|tx| contact_rows::load_contact(tx, ContactNo(2))).unwrap();
    assert!(next.is_some(), "a number is never given twice");
}

#[test]
fn the_newest_choice_is_in_force_and_the_history_is_kept() {
    on_both(|bed| {
        let store = bed.store();
        enter(&store, vec![contact(1, "DE")]);
        let (no, other) = (ContactNo(1), PartnerId::new());
        let choice = |partner, given, at| Choice {
            purpose: Purpose::Offers,
            partner,
            given,
            at: Moment(at),
            origin: ChoiceOrigin::Person,
            policy: PolicyVersion(1),
        };
        let acts = vec![
            choice(None, false, 30),
            choice(None, true, 20),
            choice(Some(other), true, 10),
            choice(Some(other), false, 40),
        ];
        let (late, index) = (acts.clone(), BlindIndex([4; 32]));
        change(&store, move |tx| {
            late.iter().try_for_each(|one| choice_rows::insert_choice(tx, no, one))?;
            choice_rows::suppress(tx, &index, None, Moment(1))?;
            choice_rows::suppress(tx, &index, Some(Purpose::News), Moment(1))?;
            choice_rows::suppress(tx, &index, None, Moment(2))
        })
        .unwrap();
        let nobody = acts[0].clone();
        assert!(
            change(&store, move |tx| { choice_rows::insert_choice(tx, ContactNo(9), &nobody) })
                .is_err()
        );
        change(&store, move |tx| choice_rows::lift_suppression(tx, &index, Some(Purpose::News)))
            .unwrap();
        store
            .read_blocking(move |tx| {
                let mut history = acts.clone();
                history.sort_by_key(|choice| choice.at);
                assert_eq!(choice_rows::list_choices(tx, no)?, history);
                assert_eq!(
                    choice_rows::current_choices(tx, no)?,
                    [(Purpose::Offers, None, false), (Purpose::Offers, Some(other), false),]
                );
                let asked = [index, BlindIndex([5; 32])];
                assert!(choice_rows::list_suppressions(tx, &asked)? == [(index, None)]);
                Ok(())
            })
            .unwrap();
    });
}

fn numbers(candidates: &[Candidate]) -> Vec<i64> {
    candidates.iter().map(|candidate| candidate.standing.no.0).collect()
}

#[test]
fn a_page_is_three_statements_and_leaves_out_whom_it_may_not_concern() {
    on_both(|bed| {
        let store = bed.store();
        let (me, other) = (PartnerId::new(), PartnerId::new());
        let mut contacts: Vec<_> = (1..=9).map(|byte| contact(byte, "DE")).collect();
        contacts[1].country = Country::parse("FR").unwrap();
        contacts[2].points = PointSet::of(&[CollectionPoint::News]);
        contacts[3].policy = PolicyVersion(2);
        enter(&store, contacts);
        let choice = |partner, given| Choice {
            purpose: Purpose::Offers,
            partner,
            given,
            at: Moment(100),
            origin: ChoiceOrigin::Person,
            policy: PolicyVersion(1),
        };
        change(&store, move |tx| {
            contact_rows::set_contact_state(tx, ContactNo(5), ContactState::Restricted, Moment(5))?;
            choice_rows::insert_choice(tx, ContactNo(6), &choice(None, false))?;
            choice_rows::insert_choice(tx, ContactNo(7), &choice(Some(me), false))?;
            choice_rows::insert_choice(tx, ContactNo(8), &choice(Some(other), false))?;
            choice_rows::insert_choice(tx, ContactNo(8), &choice(None, true))
        })
        .unwrap();
        let page = move |purpose, territory: &str, after, since: Option<i64>, limit| {
            let territory = Territory::parse(territory).unwrap();
            move |tx: &mut ReadTx| {
                let query = CandidateQuery {
                    partner: me,
                    purpose,
                    territory: &territory,
                    points: PointSet::of(&[CollectionPoint::Trial]),
                    policies: &[PolicyVersion(1), PolicyVersion(3)],
                    after: ContactNo(after),
                    updated_since: since.map(Moment),
                    limit,
                };
                release_rows::list_candidates(tx, &query).map(|found| numbers(&found))
            }
        };
        let read = |one| store.read_blocking(one).unwrap();
        assert_eq!(read(page(Purpose::Offers, "AT,DE", 0, None, 50)), [1, 8, 9]);
        assert_eq!(read(page(Purpose::Offers, "*", 0, None, 50)), [1, 2, 8, 9]);
        assert_eq!(read(page(Purpose::Offers, "*", 1, None, 2)), [2, 8]);
        assert_eq!(read(page(Purpose::Offers, "*", 0, Some(9), 50)), [8, 9]);
        // A contract purpose knows no choice.
        assert_eq!(read(page(Purpose::Licensing, "DE", 0, None, 50)), [1, 6, 7, 8, 9]);

        store
            .read_blocking(move |tx| {
                assert_eq!(release_rows::read_head(tx)?.size, 2);
                let found = page(Purpose::Offers, "DE", 0, None, 50)(tx)?;
                let decided = [
                    (ContactNo(found[0]), FieldSet::of(&[Field::Email])),
                    (ContactNo(found[1]), FieldSet::of(&[Field::Country, Field::Phone])),
                ];
                let sealed_values = release_rows::list_sealed(tx, &decided)?;
                assert_eq!(
                    sealed_values,
                    [
                        (ContactNo(1), sealed(Field::Email, 1)),
                        (ContactNo(8), sealed(Field::Country, 1)),
                    ]
                );
                assert_eq!(tx.statements(), 3);
                assert_eq!(release_rows::list_sealed(tx, &[])?, []);
                let one = |tx: &mut ReadTx, no| {
                    release_rows::find_candidate(tx, me, Purpose::Offers, ContactNo(no))
                };
                let restricted = one(tx, 5)?.unwrap().standing;
                assert_eq!(restricted.state, ContactState::Restricted);
                assert_eq!(one(tx, 7)?.unwrap().standing.choice_partner, Some(false));
                assert_eq!(one(tx, 6)?.unwrap().standing.choice_all, Some(false));
                let open = one(tx, 8)?.unwrap();
                assert_eq!(
                    (open.standing.choice_all, open.standing.choice_partner),
                    (Some(true), None)
                );
                assert_eq!(open.key.bytes, vec![8; 60]);
                assert_eq!(one(tx, 99)?, None);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn data_keys_are_listed_and_wrapped_anew() {
    on_both(|bed| {
        let store = bed.store();
        enter(&store, (1..=3).map(|byte| contact(byte, "DE")).collect());
        let fresh = WrappedKey { key: KeyId::new(), bytes: vec![0xaa; 60] };
        let wrapped = fresh.clone();
        change(&store, move |tx| erasure_rows::update_wrapped(tx, ContactNo(2), &wrapped)).unwrap();
        let page =
            store.read_blocking(|tx| erasure_rows::list_wrapped(tx, ContactNo(1), 1)).unwrap();
        assert_eq!(page, [(ContactNo(2), ContactRef([2; 16]), fresh)]);
    });
}

#[test]
fn a_moment_survives_the_database_to_the_microsecond() {
    on_both(|bed| {
        let store = bed.store();
        let now = Clock::System.now().plus(DAY);
        let mut new = contact(1, "DE");
        new.at = now;
        enter(&store, vec![new]);
        let found = store.read_blocking(|tx| contact_rows::load_contact(tx, ContactNo(1))).unwrap();
        assert_eq!(found.unwrap().created_at, now);
    });
}
