//! The opt-out race: nobody whose withdrawal was answered is in any page that started later.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fieldgate::domain::field::Field;
use fieldgate::flows::release::{self, PageRequest};
use fieldgate::flows::{Error, withdraw};
use fieldgate::ledger::items::split;
use fieldgate::ledger::{Archive as _, Item, Kind, Records as _};
use fieldgate::secret::Personal;
use fieldgate::store::StoreError;
use tokio::task::JoinSet;

use crate::harness::world::{actor, address, offers};
use crate::harness::{World, databases, wait};

const PULLERS: usize = 32;
const PEOPLE: usize = 320;
const WITHDRAWALS: usize = 300;
const PAGE: u16 = 25;

/// A page as a puller saw it: when it asked on the common hand, and whom it got.
struct Seen {
    began: u64,
    people: Vec<String>,
}

#[test]
fn nobody_whose_withdrawal_was_answered_is_in_a_page_that_started_later() {
    for database in databases() {
        wait(async {
            let world = Arc::new(World::new(database).await);
            let acme = world.reseller("acme").await;
            world.people(PEOPLE).await;
            // One hand counts starts and answers, so that "later" needs no clock.
            let hand = Arc::new(AtomicU64::new(0));
            let over = Arc::new(AtomicBool::new(false));
            let mut pullers = JoinSet::new();
            for _ in 0..PULLERS {
                let (world, hand, over) = (world.clone(), hand.clone(), over.clone());
                pullers.spawn(async move {
                    let mut seen = Vec::new();
                    let mut cursor = None;
                    while !over.load(Ordering::SeqCst) {
                        let began = hand.fetch_add(1, Ordering::SeqCst);
                        let ask = PageRequest { cursor: cursor.take(), ..offers(PAGE) };
                        let page = release::page(&world.gateway, acme, ask).await;
                        let Ok(page) = page else { continue };
                        cursor = page.next;
                        let emails = page.leads.iter().map(|lead| {
                            let (_, email) = lead
                                .fields
                                .iter()
                                .find(|(field, _)| *field == Field::Email)
                                .unwrap();
                            email.expose().to_owned()
                        });
                        seen.push(Seen { began, people: emails.collect() });
                    }
                    seen
                });
            }
            let mut answered: HashMap<String, u64> = HashMap::new();
            for number in 0..WITHDRAWALS {
                let who = Personal::new(address(number));
                // Under 32 pullers the head's lock may be busy: whoever withdraws tries again,
                // and only what was answered counts.
                loop {
                    match withdraw::withdraw(&world.gateway, &actor("person"), &who).await {
                        Ok(_) => break,
                        Err(Error::Busy { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                answered.insert(address(number), hand.fetch_add(1, Ordering::SeqCst));
            }
            over.store(true, Ordering::SeqCst);
            let mut pages = 0;
            while let Some(seen) = pullers.join_next().await {
                for Seen { began, people } in seen.unwrap() {
                    pages += 1;
                    for person in people {
                        let gone = answered.get(&person);
                        assert!(gone.is_none_or(|gone| began < *gone), "{database:?}: {person}");
                    }
                }
            }
            assert!(pages > PULLERS, "{database:?}: only {pages} pages, the race did not run");
            eprintln!("{database:?}: {pages} pages against {WITHDRAWALS} withdrawals");
            no_disclosure_after_a_withdrawal(&world);
            assert!(world.verify().is_sound());
        });
    }
}

/// Reads the ledger as an auditor: for every reference, its last release and its withdrawal.
fn no_disclosure_after_a_withdrawal(world: &World) {
    let found = world
        .store
        .read_blocking(|tx| {
            let size = tx.head().unwrap().size();
            Ok::<_, StoreError>((tx.items(0, size).unwrap(), tx.projections(0, size).unwrap()))
        })
        .unwrap();
    let (items, projections) = found;
    let kinds: HashMap<u64, Kind> =
        projections.iter().map(|one| (one.index, one.projection.as_ref().unwrap().kind)).collect();
    let items: Vec<_> = items
        .iter()
        .flat_map(|one| split(&one.run).map(|item| (one.index, Item::parse(item).unwrap())))
        .collect();
    let mut withdrawn: HashMap<_, u64> = HashMap::new();
    for (index, item) in &items {
        if kinds[index] == Kind::Withdraw {
            withdrawn.insert(item.contact_ref, *index);
        }
    }
    assert_eq!(withdrawn.len(), WITHDRAWALS);
    for (index, item) in &items {
        if kinds[index] == Kind::Release
            && let Some(gone) = withdrawn.get(&item.contact_ref)
        {
            assert!(index < gone, "a disclosure stands after the withdrawal");
        }
    }
}
