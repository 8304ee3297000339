//! Checkpoints are published once a second, beat once a minute, and only ever grow.

use fieldgate::clock::{Clock, Moment, SECOND};
use fieldgate::flows::{Alarm, Error, Gateway, checkpoints};
use fieldgate::id::RequestId;
use fieldgate::ledger::publishing::Published;
use fieldgate::ledger::verify::{self, Plan};
use fieldgate::ledger::{Archive as _, Draft, Entry, Facts, Kind, Sequencer, SequencerError};
use fieldgate::merkle::checkpoint::Checkpoint;
use fieldgate::merkle::note::Note;
use fieldgate::secret::random;
use fieldgate::store::{Effect, EvidenceTx, Store, StoreError, checkpoint_rows};

use crate::harness::process::until;
use crate::harness::world::{replica_at, signer};
use crate::harness::{Database, Doors, World, databases, wait};

fn entry() -> Entry {
    let facts = Facts::new(Kind::StaffAct, "log.test", RequestId::new(), Moment(SECOND));
    Entry::new(facts, Vec::new(), random().unwrap()).unwrap()
}

async fn append(sequencer: &Sequencer<Effect>) -> u64 {
    loop {
        match sequencer.submit(Draft::new(entry())).await {
            Ok(receipt) => return receipt.size(),
            Err(SequencerError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn all_published(store: &Store) -> Vec<Published> {
    store.read_blocking(|tx| checkpoint_rows::list_checkpoints(tx, 0, u16::MAX)).unwrap()
}

fn size_of(row: &Published) -> u64 {
    let note = Note::parse(row.note.as_bytes()).unwrap();
    note.verify(&[signer().verifier().clone()]).unwrap();
    Checkpoint::parse(note.text()).unwrap().size
}

#[test]
fn a_checkpoint_is_published_when_the_ledger_grew_and_beats_when_it_did_not() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let clock = Clock::fixed(Moment(1_000 * SECOND));
            let (gateway, sequencer) = replica_at(&world.url, &world.master, clock.clone());
            let turn = async || checkpoints::publish(&gateway).await.unwrap();
            let first = turn().await;
            assert!(first.published && !first.clock_behind);
            assert!(!turn().await.published, "nothing grew");

            let grown = append(&sequencer).await;
            assert!(!turn().await.published, "within the same second");
            clock.advance(SECOND);
            let second = turn().await;
            assert_eq!((second.size, second.published), (grown, true));

            clock.advance(59 * SECOND);
            assert!(!turn().await.published);
            clock.advance(SECOND);
            let beat = turn().await;
            assert_eq!((beat.size, beat.published), (grown, true));

            let rows = all_published(&world.store);
            assert_eq!(rows.iter().map(|row| row.size).collect::<Vec<_>>(), [first.size, grown]);
            assert!(rows.iter().all(|row| size_of(row) == row.size));
            assert_eq!(rows[1].at, clock.now());
            world.sequencer.close();
            sequencer.close();
        });
    }
}

#[test]
fn a_clock_that_goes_backwards_is_noticed_and_the_order_does_not_depend_on_it() {
    for database in databases() {
        wait(async {
            let world = World::new(database).await;
            let clock = Clock::fixed(Moment(9_000 * SECOND));
            let (gateway, sequencer) = replica_at(&world.url, &world.master, clock.clone());
            let before = checkpoints::publish(&gateway).await.unwrap();
            clock.advance(-3_600 * SECOND);
            let size = append(&sequencer).await;
            let turn = checkpoints::publish(&gateway).await.unwrap();
            assert!(turn.clock_behind && turn.published);
            assert_eq!(turn.size, size);
            assert!(turn.size > before.size);
            clock.advance(SECOND);
            append(&sequencer).await;
            let turn = checkpoints::publish(&gateway).await.unwrap();
            assert!(turn.published && !turn.clock_behind);
            assert!(world.verify().is_sound());
            sequencer.close();
        });
    }
}

#[test]
fn three_replicas_publish_one_history_while_they_append() {
    for database in databases() {
        // SQLite has one writer process; stores apart are what a second process would be.
        wait(three_replicas(database));
    }
}

async fn three_replicas(database: Database) {
    let world = World::new(database).await;
    let clock = Clock::fixed(Moment(1_000 * SECOND));
    let replicas: Vec<_> =
        (0..3).map(|_| replica_at(&world.url, &world.master, clock.clone())).collect();
    let threads: Vec<_> = replicas
        .iter()
        .map(|(gateway, sequencer)| {
            let (gateway, sequencer, clock) = (gateway.clone(), sequencer.clone(), clock.clone());
            std::thread::spawn(move || {
                let mut seen = Vec::new();
                for _ in 0..40 {
                    wait(append(&sequencer));
                    clock.advance(SECOND / 3);
                    seen.push(publish(&gateway));
                }
                seen
            })
        })
        .collect();
    let mut published = 0;
    for thread in threads {
        let turns = thread.join().unwrap();
        assert!(turns.is_sorted_by_key(|turn| turn.size), "a replica saw sizes go back");
        published += turns.iter().filter(|turn| turn.published).count();
    }
    let rows = all_published(&world.store);
    assert!(rows.len() > 10 && published >= rows.len(), "{} of {published}", rows.len());
    assert!(rows.iter().all(|row| size_of(row) == row.size));
    let notes = rows.iter().map(|row| Note::parse(row.note.as_bytes()).unwrap()).collect();
    let log = vec![signer().verifier().clone()];
    let plan = Plan { log, checkpoints: notes, ..Plan::default() };
    let report = world
        .store
        .read_blocking(move |tx| Ok::<_, StoreError>(verify::everything(tx, &plan, |_| {})))
        .unwrap()
        .unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    for (_, sequencer) in &replicas {
        sequencer.close();
    }
}

/// One turn; a database that is busy with the other replicas is asked again.
fn publish(gateway: &Gateway) -> checkpoints::Turn {
    loop {
        match wait(checkpoints::publish(gateway)) {
            Ok(turn) => return turn,
            Err(Error::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_published_checkpoint_that_the_ledger_does_not_continue_stops_it() {
    for database in databases() {
        for (ahead, spoiled) in [(true, false), (false, true)] {
            wait(async {
                let world = World::new(database).await;
                let size = append(&world.sequencer).await;
                let seen = if ahead { size + 7 } else { size };
                let root = fieldgate::merkle::Hash::leaf(b"another history");
                let other =
                    Checkpoint { origin: crate::harness::world::ORIGIN.into(), size: seen, root };
                let note = other.sign(&[signer()]).unwrap().to_string();
                let row = Published { size: seen, note, at: Moment(0) };
                let keep = move |tx: &mut EvidenceTx| checkpoint_rows::insert_checkpoint(tx, &row);
                world.store.keep(keep).await.unwrap();
                let stopped = checkpoints::publish(&world.gateway).await.unwrap_err();
                let Error::Stopped(alarm) = stopped else { panic!("{stopped}") };
                match &alarm {
                    Alarm::RolledBack { have, seen: there, .. } => {
                        assert!(ahead && (*have, *there) == (size, seen));
                    }
                    Alarm::Forked { have, size: at, .. } => {
                        assert!(spoiled && (*have, *at) == (size, size));
                    }
                }
                assert_eq!(world.gateway.alarm_raised(), Some(alarm.clone()));
                assert!(!world.gateway.is_ready() && !world.gateway.is_broken());
                let refused = world.sequencer.submit(Draft::new(entry())).await.unwrap_err();
                assert_eq!(refused, SequencerError::Stopped(alarm));
            });
        }
    }
}

#[test]
fn what_is_published_is_read_in_one_snapshot_while_others_append() {
    // SQLite's writer lock keeps everybody else out for so long.
    for database in databases().into_iter().filter(|one| *one == Database::Postgres) {
        wait(async {
            let world = World::new(database).await;
            let sequencer = world.sequencer.clone();
            let keep = move |tx: &mut EvidenceTx| {
                let before = tx.head().unwrap().size();
                let grown = wait(append(&sequencer));
                Ok::<_, StoreError>((before, grown, tx.head().unwrap().size()))
            };
            let (before, grown, after) = world.store.keep(keep).await.unwrap();
            assert!(grown > before);
            assert_eq!(after, before, "keys of one moment would sign the head of another");
        });
    }
}

#[test]
fn readiness_is_amber_for_a_while_after_the_clock_was_turned_back() {
    let mut world = wait(World::new(Database::Sqlite));
    let clock = Clock::fixed(Clock::System.now());
    (world.gateway, world.sequencer) = replica_at(&world.url, &world.master, clock.clone());
    let doors = Doors::open(&world);
    let wire = std::cell::RefCell::new(doors.ops_wire());
    let clock_is = |condition: &str| {
        let answer = wire.borrow_mut().call("GET", "/readyz", &[], b"");
        let checks = answer.json();
        let checks = checks["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["part"] == "clock").unwrap();
        (found["condition"] == condition).then_some((answer.status, found["says"].to_string()))
    };
    wait(async {
        let (status, says) = until("all is well", async || clock_is("green")).await;
        assert_eq!((status, says.contains("forward")), (200, true), "{says}");
        until("something is published", async || all_published(&world.store).pop()).await;
        clock.advance(-3_600 * SECOND);
        let (status, says) = until("it is amber", async || clock_is("amber")).await;
        // The next publications follow in order; whoever looks only now is told all the same.
        for _ in 0..2 {
            let size = append(&world.sequencer).await;
            clock.advance(SECOND);
            let newest = async || all_published(&world.store).pop().filter(|row| row.size == size);
            until("it is published", newest).await;
        }
        assert!(clock_is("amber").is_some());
        assert_eq!((status, says.contains("turned back")), (200, true), "{says}");
        clock.advance(900 * SECOND);
        assert!(clock_is("green").is_some());
    });
    world.sequencer.close();
}
