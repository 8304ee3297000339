//! A partner gets what was granted, and nothing else; every answer stands in the ledger first.

use fieldgate::clock::DAY;
use fieldgate::domain::consent::ChoiceOrigin;
use fieldgate::domain::contact::CollectionPoint;
use fieldgate::domain::disclosure::{Reason, Request};
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::audit::Reader;
use fieldgate::flows::intake::Outcome;
use fieldgate::flows::release::{self, PageRequest};
use fieldgate::flows::withdraw::{self, Word};
use fieldgate::flows::{Error, audit, report};
use fieldgate::ledger::Kind;
use fieldgate::ledger::verify::verify_receipt;
use fieldgate::merkle::policy::Policy as TlogPolicy;
use fieldgate::secret::Personal;

use crate::harness::world::{actor, address, offers, signer, value};
use crate::harness::{World, databases, wait};

#[test]
fn a_partner_gets_what_was_granted_and_the_entry_names_exactly_that() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (asker, _) = world.partner("acme", PartnerKind::Reseller).await;
            let granted = FieldSet::of(&[Field::Email, Field::Company, Field::Country]);
            world.grant(asker.partner, Purpose::Offers, granted).await;
            world.people(25).await;

            let mut seen = Vec::new();
            let mut cursor = None;
            loop {
                let ask = PageRequest { cursor: cursor.take(), ..offers(10) };
                let page = release::page(&world.gateway, asker, ask).await.unwrap();
                for lead in &page.leads {
                    let fields: FieldSet = lead.fields.iter().map(|(field, _)| *field).collect();
                    assert_eq!(fields, granted);
                    seen.push(lead.id.clone());
                }
                assert_eq!(page.receipt.entry().facts().kind, Kind::Release);
                assert_eq!(page.receipt.entry().items().len(), page.leads.len());
                let log = TlogPolicy::of_log(signer().verifier().clone());
                let own = page.receipt.proof().to_string();
                assert_eq!(verify_receipt(&own, &log).unwrap().index, page.receipt.index());
                let later = audit::receipt(
                    &world.gateway,
                    Reader::Partner(asker.partner),
                    page.receipt.index(),
                )
                .await;
                assert!(verify_receipt(&later.unwrap(), &log).is_ok());
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 25, "{database:?}");
            assert!(world.verify().is_sound());
        });
    }
}

#[test]
fn a_request_beyond_the_grant_is_refused_and_the_refusal_is_an_entry() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (asker, _) = world.partner("acme", PartnerKind::Reseller).await;
            world.grant(asker.partner, Purpose::Offers, FieldSet::of(&[Field::Email])).await;
            world.people(3).await;
            let before = world.verify().entries;
            let what = Request { fields: Some(FieldSet::of(&[Field::Company])), ..offers(1).what };
            let ask = PageRequest { what, ..offers(1) };
            let refused = release::page(&world.gateway, asker, ask).await;
            assert!(matches!(refused, Err(Error::Refused(Reason::FieldNotGranted, _))));
            let what = Request { purpose: Purpose::Licensing, ..offers(1).what };
            let ask = PageRequest { what, ..offers(1) };
            let refused = release::page(&world.gateway, asker, ask).await;
            assert!(matches!(refused, Err(Error::Refused(Reason::PurposeNotGranted, _))));
            assert_eq!(world.verify().entries, before + 2);
        });
    }
}

#[test]
fn a_cursor_is_good_for_its_own_partner_and_query_alone() {
    wait(async {
        let world = World::new(crate::harness::Database::Sqlite).await;
        let acme = world.reseller("acme").await;
        let other = world.reseller("other").await;
        world.people(5).await;
        let page = world.pull(acme, 2).await.unwrap();
        let ask = PageRequest { cursor: page.next.clone(), ..offers(2) };
        assert!(release::page(&world.gateway, acme, ask.clone()).await.is_ok());
        assert!(matches!(
            release::page(&world.gateway, other, ask.clone()).await,
            Err(Error::Invalid(_))
        ));
        let point = Some(CollectionPoint::Trial);
        let ask = PageRequest { what: Request { point, ..ask.what }, ..ask };
        assert!(matches!(release::page(&world.gateway, acme, ask).await, Err(Error::Invalid(_))));
    });
}

#[test]
fn two_partners_cannot_join_their_leads_and_a_foreign_id_is_nobody() {
    wait(async {
        let world = World::new(crate::harness::Database::Sqlite).await;
        let acme = world.reseller("acme").await;
        let other = world.reseller("other").await;
        world.people(20).await;
        let mine = world.pull(acme, 100).await.unwrap();
        let theirs = world.pull(other, 100).await.unwrap();
        for lead in &mine.leads {
            assert!(theirs.leads.iter().all(|one| one.id != lead.id));
        }
        let id = &mine.leads[0].id;
        let what = offers(1).what;
        assert!(release::one(&world.gateway, acme, what, id).await.is_ok());
        for stranger in [id.as_str(), "led_0", ""] {
            let answer = release::one(&world.gateway, other, what, stranger).await;
            assert!(matches!(answer, Err(Error::Unknown(_))), "{stranger}");
        }
        let newest = world.pull(other, 1).await.unwrap().receipt.index();
        let reader = Reader::Partner(other.partner);
        assert!(audit::receipt(&world.gateway, reader, newest).await.is_ok());
        for refused in newest - 3..newest {
            let receipt = audit::receipt(&world.gateway, reader, refused).await;
            assert!(matches!(receipt, Err(Error::Unknown(_))), "why a lead is hidden stays hidden");
            assert!(audit::receipt(&world.gateway, Reader::Auditor, refused).await.is_ok());
        }
    });
}

#[test]
fn one_person_at_three_points_is_one_contact_and_a_withdrawn_one_does_not_come_back() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            let visit = |point| world.submission("Ann@Example.com", point, 1);
            let taken = world.take(vec![visit(CollectionPoint::Trial)]).await.unwrap();
            assert_eq!(taken.outcomes, [Outcome::Created]);
            let taken =
                world.take(vec![visit(CollectionPoint::Support), visit(CollectionPoint::News)]);
            assert_eq!(taken.await.unwrap().outcomes, [Outcome::Merged, Outcome::Merged]);
            assert_eq!(world.pull(acme, 10).await.unwrap().leads.len(), 1);

            let ann = Personal::new("ann@example.com".into());
            let done = withdraw::withdraw(&world.gateway, &actor("officer"), &ann).await.unwrap();
            let recalled: Vec<_> = done.recalls.iter().map(|one| one.partner).collect();
            assert_eq!(recalled, [acme.partner]);
            assert!(world.pull(acme, 10).await.unwrap().leads.is_empty());
            let again = world.take(vec![visit(CollectionPoint::Trial)]).await.unwrap();
            assert_eq!(again.outcomes, [Outcome::Suppressed]);
            assert!(world.pull(acme, 10).await.unwrap().leads.is_empty());

            let found = report::who(&world.gateway, &actor("officer"), &ann).await.unwrap();
            assert_eq!(found.holdings.len(), 1);
            assert!(found.holdings[0].must_be_told);
            assert_eq!(found.holdings[0].partner, acme.partner);
            assert!(world.verify().is_sound(), "{:?}", world.verify().findings);
        });
    }
}

#[test]
fn an_opt_out_for_one_partner_leaves_the_others_and_a_later_import_does_not_take_it_back() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            let other = world.reseller("other").await;
            world.people(3).await;
            let who = Personal::new(address(1));
            let mut word = Word {
                purpose: Purpose::Offers,
                partner: Some(acme.partner),
                given: false,
                origin: ChoiceOrigin::Person,
            };
            withdraw::choose(&world.gateway, &actor("officer"), &who, word).await.unwrap();
            assert_eq!(world.pull(acme, 10).await.unwrap().leads.len(), 2);
            assert_eq!(world.pull(other, 10).await.unwrap().leads.len(), 3);
            word.partner = None;
            withdraw::choose(&world.gateway, &actor("officer"), &who, word).await.unwrap();
            let mut again = world.person(1);
            again.choices = vec![(Purpose::Offers, true)];
            assert_eq!(world.take(vec![again]).await.unwrap().outcomes, [Outcome::Merged]);
            assert_eq!(world.pull(other, 10).await.unwrap().leads.len(), 2);
            word.purpose = Purpose::Licensing;
            let refused = withdraw::choose(&world.gateway, &actor("officer"), &who, word).await;
            assert!(matches!(refused, Err(Error::Invalid(_))));
        });
    }
}

#[test]
fn a_page_costs_three_reads_and_one_append() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            world.people(100).await;
            world.pull(acme, 100).await.unwrap();
            let before = world.store.statements();
            world.pull(acme, 100).await.unwrap();
            let reads = world.store.statements() - before;
            assert!(reads <= 3, "{database:?}: {reads} statements for a page");
        });
    }
}

#[test]
fn a_person_who_named_no_country_is_released_everywhere_and_in_no_named_territory() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            let (other, _) = world.partner("other", PartnerKind::Reseller).await;
            let all = Purpose::Offers.row().fields_max;
            world.grant_in(other.partner, Purpose::Offers, all, "DE,AT").await;
            let mut visit = world.person(1);
            visit.fields.retain(|(field, _)| *field != Field::Country);
            world.take(vec![visit]).await.unwrap();
            assert_eq!(world.pull(acme, 10).await.unwrap().leads.len(), 1);
            assert!(world.pull(other, 10).await.unwrap().leads.is_empty());
            let who = Personal::new(address(1));
            assert!(report::who(&world.gateway, &actor("officer"), &who).await.is_ok());
        });
    }
}

#[test]
fn an_older_occasion_adds_what_is_missing_and_replaces_nothing() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            let mut newer = world.person(1);
            newer.fields.retain(|(field, _)| *field != Field::Region);
            world.take(vec![newer]).await.unwrap();
            let mut older = world.person(1);
            older.at = older.at.plus(-3 * DAY);
            older.fields = [
                (Field::Email, address(1)),
                (Field::Company, "former employer".to_owned()),
                (Field::Country, "AT".to_owned()),
                (Field::Region, "Tirol".to_owned()),
            ]
            .map(|(field, value)| (field, Personal::new(value)))
            .into();
            assert_eq!(world.take(vec![older]).await.unwrap().outcomes, [Outcome::Merged]);
            let page = world.pull(acme, 10).await.unwrap();
            let value_of = |wanted: Field| {
                let mut fields = page.leads[0].fields.iter();
                fields.find(|(field, _)| *field == wanted).unwrap().1.expose().to_owned()
            };
            assert_eq!(value_of(Field::Company), value(Field::Company, 1), "{database:?}");
            assert_eq!(value_of(Field::Country), "DE");
            assert_eq!(value_of(Field::Region), "Tirol");
            let (other, _) = world.partner("other", PartnerKind::Reseller).await;
            let all = Purpose::Offers.row().fields_max;
            world.grant_in(other.partner, Purpose::Offers, all, "AT").await;
            assert!(world.pull(other, 10).await.unwrap().leads.is_empty(), "she moved back");
        });
    }
}
