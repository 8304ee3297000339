//! What was shared is demanded back from everybody who received it, until each has answered.

use fieldgate::clock::{Clock, DAY};
use fieldgate::domain::erasure::ErasureGround;
use fieldgate::domain::purpose::Purpose;
use fieldgate::domain::recall::{RecallAnswer, RecallCause, RecallState, RefusalGround};
use fieldgate::flows::question::{self, Inquirer, Question, Search};
use fieldgate::flows::recall::{self, Demand, Mover, RecallQuery};
use fieldgate::flows::release::Asker;
use fieldgate::flows::report::{self, Holding};
use fieldgate::flows::withdraw;
use fieldgate::flows::{Error, erase, onboard};
use fieldgate::id::RecallId;
use fieldgate::ledger::Kind;
use fieldgate::secret::Personal;
use fieldgate::store::recall_rows;

use crate::harness::world::{actor, address, replica_at};
use crate::harness::{World, databases, wait};

fn person(number: usize) -> Personal {
    Personal::new(address(number))
}

async fn poll(world: &World, who: Asker, ack: &[RecallId]) -> Vec<Demand> {
    let polled = recall::poll(&world.gateway, who, ack, 100).await.unwrap();
    assert!(polled.unknown.is_empty() && !polled.more);
    polled.demands
}

async fn holdings(world: &World, number: usize) -> Vec<Holding> {
    report::who(&world.gateway, &actor("officer"), &person(number)).await.unwrap().holdings
}

async fn state(world: &World, number: usize) -> Option<&'static str> {
    holdings(world, number).await[0].recall.as_ref().map(|one| one.state.code())
}

/// The kinds of all entries about a person, oldest first.
async fn history(world: &World, number: usize) -> Vec<Kind> {
    let question = Question {
        search: Search::default(),
        person: Some(person(number)),
        newest_first: false,
        limit: 100,
        cursor: None,
    };
    let by = Inquirer::Staff(actor("officer"));
    let answer = question::ask(&world.gateway, &by, &question).await.unwrap();
    answer.hits.iter().map(|hit| Kind::from_code(hit.row.kind).unwrap()).collect()
}

fn is_sound(world: &World) {
    let report = world.verify();
    assert!(report.is_sound(), "{:?}", report.findings);
}

#[test]
fn a_person_says_no_and_whoever_received_is_told_acknowledges_and_deletes() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (acme, other) = (world.reseller("acme").await, world.reseller("other").await);
            world.people(2).await;
            world.pull(acme, 10).await.unwrap();
            assert_eq!(state(&world, 0).await, None);
            assert_eq!(poll(&world, acme, &[]).await.len(), 0);

            let done = world.says_to_offers(0, false).await;
            assert_eq!(done.recalls.len(), 1);
            let opened = &done.recalls[0];
            assert_eq!((opened.partner, opened.cause), (acme.partner, RecallCause::Choice));
            assert_eq!(
                (opened.opened, opened.purpose),
                (done.receipt.index(), Some(Purpose::Offers))
            );
            let week = opened.opened_at.plus(7 * DAY);
            assert_eq!(opened.due_at.day(), week.day(), "as its contract says");
            assert_eq!(state(&world, 0).await, Some("open"));
            // The same once more opens nothing new; who received nothing is told nothing.
            assert_eq!(world.says_to_offers(0, false).await.recalls, []);
            assert_eq!(poll(&world, other, &[]).await.len(), 0);

            let told = poll(&world, acme, &[]).await;
            assert_eq!(told.len(), 1);
            let id = told[0].recall.id;
            assert_eq!(state(&world, 0).await, Some("told"));
            // Until it is acknowledged it comes again, without a second entry.
            let again = poll(&world, acme, &[]).await;
            assert_eq!((again.len(), again[0].recall.last), (1, told[0].recall.last));
            assert_eq!(poll(&world, acme, &[id]).await.len(), 0);
            assert_eq!(state(&world, 0).await, Some("received"));

            // Only the partner that owes the answer can give it.
            let erased =
                |by| recall::answer(&world.gateway, Mover::Partner(by), id, RecallAnswer::Erased);
            assert!(matches!(erased(other).await, Err(Error::Unknown(_))));
            let unknown = recall::poll(&world.gateway, other, &[id], 10).await.unwrap().unknown;
            assert_eq!(unknown, [id], "nor acknowledge it");
            let first = erased(acme).await.unwrap();
            let second = erased(acme).await.unwrap();
            assert_eq!(first.receipt.map(|one| one.index()), Some(second.recall.last));
            assert!(second.receipt.is_none(), "it had been said");
            assert_eq!(state(&world, 0).await, Some("erased"));
            let held =
                recall::answer(&world.gateway, Mover::Partner(acme), id, RecallAnswer::NotHeld);
            assert!(matches!(held.await, Err(Error::Conflict(..))), "an answer stands");

            let about: Vec<_> = history(&world, 0).await;
            let steps = [Kind::RecallTold, Kind::RecallReceived, Kind::RecallErased];
            let recalls: Vec<_> = about.into_iter().filter(|kind| steps.contains(kind)).collect();
            assert_eq!(recalls, steps, "her history tells each step");
            is_sound(&world);
        });
    }
}

#[test]
fn a_yes_after_a_recall_begins_a_new_story() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            world.people(1).await;
            world.pull(acme, 10).await.unwrap();
            world.says_to_offers(0, false).await;
            let id = poll(&world, acme, &[]).await[0].recall.id;
            let refused = RecallAnswer::Refused(RefusalGround::LegalClaim);
            let by = Mover::Partner(acme);
            recall::answer(&world.gateway, by, id, refused).await.unwrap();
            let shown = holdings(&world, 0).await.remove(0).recall.unwrap();
            let ground = Some(RefusalGround::LegalClaim);
            assert_eq!((shown.state, shown.ground), (RecallState::Refused, ground));
            assert_eq!(
                world.says_to_offers(0, false).await.recalls,
                [],
                "a no that is only repeated"
            );
            let other = RecallAnswer::Refused(RefusalGround::OwnCustomer);
            let changed = recall::answer(&world.gateway, by, id, other).await;
            assert!(matches!(changed, Err(Error::Conflict(..))), "grounds are not swapped");
            recall::answer(&world.gateway, by, id, RecallAnswer::Erased).await.unwrap();
            assert_eq!(state(&world, 0).await, Some("erased"), "it may give in");

            let mut yes = world.person(0);
            yes.choices = vec![(Purpose::Offers, true)];
            world.take(vec![yes]).await.unwrap();
            let done = world.says_to_offers(0, true).await;
            assert_eq!(done.recalls, []);
            assert_eq!(world.pull(acme, 10).await.unwrap().leads.len(), 1);
            assert_eq!(state(&world, 0).await, None, "what it holds now nobody demands back");
            // A box crossed at a collection point is a no like any other.
            let mut no = world.person(0);
            no.choices = vec![(Purpose::Offers, false)];
            world.take(vec![no]).await.unwrap();
            assert_eq!(state(&world, 0).await, Some("open"));
            is_sound(&world);
        });
    }
}

#[test]
fn an_erased_person_is_forgotten_when_every_receiver_has_answered() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (acme, other) = (world.reseller("acme").await, world.reseller("other").await);
            world.people(2).await;
            let lead = world.pull(acme, 10).await.unwrap().leads.remove(0).id;
            world.pull(other, 10).await.unwrap();
            let (gateway, officer) = (&world.gateway, actor("officer"));
            let left = withdraw::withdraw(gateway, &officer, &person(0)).await.unwrap();
            assert_eq!(left.recalls.len(), 2);
            let ground = ErasureGround::Request;
            let erased = erase::erase(gateway, &officer, &person(0), ground).await.unwrap();
            assert_eq!(erased.to_tell.len(), 2, "asked already, not answered");
            let no = erased.contact;
            let early = erase::forget(gateway, &officer, no, &[]).await.unwrap_err();
            assert!(early.to_string().contains("not answered their recall"), "{early}");

            for (who, answer) in [
                (acme, RecallAnswer::Erased),
                (other, RecallAnswer::Refused(RefusalGround::LegalObligation)),
            ] {
                let demands = poll(&world, who, &[]).await;
                assert_eq!(demands.len(), 1, "one demand, though she left and was erased");
                if who.partner == acme.partner {
                    assert_eq!(demands[0].lead_id, lead, "the id it knows her by");
                }
                let id = demands[0].recall.id;
                recall::answer(gateway, Mover::Partner(who), id, answer).await.unwrap();
            }
            assert_eq!(erase::unforgotten(gateway, &officer).await.unwrap()[0].to_tell, []);
            erase::forget(gateway, &officer, no, &[]).await.unwrap();
            let rows = world.store.read_blocking(move |tx| recall_rows::list_recalls_of(tx, no));
            assert_eq!(rows.unwrap(), [], "nothing leads to her any more");
            is_sound(&world);
        });
    }
}

#[test]
fn staff_recall_tell_and_answer_for_a_partner_without_a_system() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let (acme, other) = (world.reseller("acme").await, world.reseller("other").await);
            world.people(1).await;
            let (gateway, officer) = (&world.gateway, actor("officer"));
            let none = recall::open(gateway, &officer, &person(0), None).await;
            assert!(matches!(none, Err(Error::Invalid(_))), "nobody received anything");
            world.pull(acme, 10).await.unwrap();
            world.pull(other, 10).await.unwrap();
            let only = Some(acme.partner);
            let foreseen = recall::foresee(gateway, &officer, &person(0), only).await.unwrap();
            assert_eq!(foreseen.to_tell, [acme.partner]);
            let done = recall::open(gateway, &officer, &person(0), only).await.unwrap();
            assert_eq!(done.receipt.entry().facts().kind, Kind::RecallOpen);
            assert_eq!(done.recalls[0].cause, RecallCause::Staff);
            let id = done.recalls[0].id;

            onboard::suspend(gateway, &officer, "acme").await.unwrap();
            recall::tell(gateway, &officer, id, false).await.unwrap();
            let received = recall::tell(gateway, &officer, id, true).await.unwrap();
            assert_eq!(received.recall.state, RecallState::Received);
            let by = Mover::Staff(&officer);
            let answered = recall::answer(gateway, by, id, RecallAnswer::NotHeld).await.unwrap();
            assert!(answered.receipt.is_some());
            let of = RecallQuery { answered: true, limit: 10, ..RecallQuery::default() };
            let (_, all) = recall::list(gateway, &officer, of).await.unwrap();
            assert_eq!(all[0].recall.state, RecallState::NotHeld);
            let of = RecallQuery { answered: false, ..of };
            assert!(recall::list(gateway, &officer, of).await.unwrap().1.is_empty());
            is_sound(&world);
        });
    }
}

#[test]
fn whoever_is_late_is_noted_once_and_can_still_answer() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let acme = world.reseller("acme").await;
            world.people(2).await;
            world.pull(acme, 10).await.unwrap();
            world.says_to_offers(0, false).await;
            let due = world.says_to_offers(1, false).await.recalls[0].due_at;
            assert_eq!(recall::note_late(&world.gateway).await.unwrap(), 0);
            let (later, sequencer) =
                replica_at(&world.url, &world.master, Clock::fixed(due.plus(1)));
            assert_eq!(recall::note_late(&later).await.unwrap(), 2);
            assert_eq!(recall::note_late(&later).await.unwrap(), 0, "once");
            let found = report::who(&later, &actor("officer"), &person(1)).await.unwrap();
            let shown = found.holdings[0].recall.clone().unwrap();
            assert!(shown.is_late(found.at) && shown.state == RecallState::Open);
            assert_eq!(shown.entries().len(), 2);

            // It acknowledged and lost it: what is late comes again, acknowledged or not.
            let ids: Vec<_> =
                poll(&world, acme, &[]).await.iter().map(|one| one.recall.id).collect();
            let again = poll(&world, acme, &ids).await;
            assert_eq!(again.iter().map(|one| one.recall.id).collect::<Vec<_>>(), ids);
            let (id, by) = (ids[0], Mover::Partner(acme));
            recall::answer(&world.gateway, by, id, RecallAnswer::Erased).await.unwrap();
            assert_eq!(poll(&world, acme, &[]).await.len(), 1);
            let found = report::who(&later, &actor("officer"), &person(0)).await.unwrap();
            let shown = found.holdings[0].recall.clone().unwrap();
            assert!(!shown.is_late(found.at) && shown.entries().len() == 3, "{shown:?}");
            let about = history(&world, 0).await;
            assert!(about.contains(&Kind::RecallOverdue), "her history says that it was late");
            sequencer.close();
            is_sound(&world);
        });
    }
}

#[test]
fn a_recall_list_is_the_list_of_receivers_however_releases_race_with_it() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let mut partners = Vec::new();
            for number in 0..6 {
                partners.push(world.reseller(&format!("partner-{number}")).await);
            }
            world.people(1).await;
            let pulls = partners.iter().map(|who| world.pull(*who, 10));
            let (officer, she) = (actor("officer"), person(0));
            let (pulled, left) = futures_util::join!(
                futures_util::future::join_all(pulls),
                withdraw::withdraw(&world.gateway, &officer, &she)
            );
            let received = partners
                .iter()
                .zip(&pulled)
                .filter(|(_, page)| page.as_ref().is_ok_and(|page| !page.leads.is_empty()));
            let mut received: Vec<_> = received.map(|(who, _)| who.partner).collect();
            received.sort_unstable();
            let mut told: Vec<_> =
                left.unwrap().recalls.iter().map(|recall| recall.partner).collect();
            told.sort_unstable();
            assert_eq!(told, received);
            is_sound(&world);
        });
    }
}
