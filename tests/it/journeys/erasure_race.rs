//! The erasure race: no disclosure of a person stands behind her erasure, whoever pulls meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fieldgate::domain::erasure::ErasureGround;
use fieldgate::flows::release::{self, PageRequest};
use fieldgate::flows::{Error, erase};
use fieldgate::ledger::items::split;
use fieldgate::ledger::{Archive as _, Item, Kind, Records as _};
use fieldgate::secret::Personal;
use fieldgate::store::StoreError;
use tokio::task::JoinSet;

use crate::harness::world::{actor, address, offers};
use crate::harness::{World, databases, wait};

const PULLERS: usize = 8;
const PEOPLE: usize = 50;
const ERASURES: usize = 40;

#[test]
fn no_disclosure_of_a_person_stands_behind_her_erasure() {
    for database in databases() {
        wait(async {
            let world = Arc::new(World::new(database).await);
            let acme = world.reseller("acme").await;
            world.people(PEOPLE).await;
            let over = Arc::new(AtomicBool::new(false));
            let mut pullers = JoinSet::new();
            for _ in 0..PULLERS {
                let (world, over) = (world.clone(), over.clone());
                pullers.spawn(async move {
                    let (mut pages, mut cursor) = (0, None);
                    while !over.load(Ordering::SeqCst) {
                        let ask = PageRequest { cursor: cursor.take(), ..offers(20) };
                        let Ok(page) = release::page(&world.gateway, acme, ask).await else {
                            continue;
                        };
                        cursor = page.next;
                        pages += 1;
                    }
                    pages
                });
            }
            for number in 0..ERASURES {
                let who = Personal::new(address(number));
                loop {
                    let by = actor("officer");
                    match erase::erase(&world.gateway, &by, &who, ErasureGround::Request).await {
                        Ok(_) => break,
                        Err(Error::Busy { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            over.store(true, Ordering::SeqCst);
            let mut pages = 0;
            while let Some(one) = pullers.join_next().await {
                pages += one.unwrap();
            }
            assert!(pages > PULLERS, "{database:?}: only {pages} pages, the race did not run");
            let behind = disclosures_behind_an_erasure(&world);
            assert_eq!(behind, 0, "{database:?}");
            assert!(world.verify().is_sound());
        });
    }
}

/// Reads the ledger as an auditor. Nobody is forgotten yet, so every item is there.
fn disclosures_behind_an_erasure(world: &World) -> usize {
    let (items, projections) = world
        .store
        .read_blocking(|tx| {
            let size = tx.head().unwrap().size();
            Ok::<_, StoreError>((tx.items(0, size).unwrap(), tx.projections(0, size).unwrap()))
        })
        .unwrap();
    let kinds: HashMap<u64, Kind> =
        projections.iter().map(|one| (one.index, one.projection.as_ref().unwrap().kind)).collect();
    let parsed = |item| Item::parse(item).unwrap().contact_ref;
    let entries: Vec<_> = items
        .iter()
        .flat_map(|one| split(&one.run).map(move |item| (parsed(item), one.index)))
        .collect();
    let of = |kind| entries.iter().filter(move |(_, index)| kinds[index] == kind).copied();
    let erased: HashMap<_, u64> = of.clone()(Kind::Erase).collect();
    assert_eq!(erased.len(), ERASURES);
    of(Kind::Release)
        .filter(|(who, index)| erased.get(who).is_some_and(|gone| index > gone))
        .count()
}
