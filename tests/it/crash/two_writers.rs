//! Two gateway processes append to one ledger at the same time: one order, no gap, no double.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use fieldgate::clock::Clock;
use fieldgate::id::RequestId;
use fieldgate::ledger::sequencer::{BATCH_MAX, Pending};
use fieldgate::ledger::{Draft, Entry, Facts, Kind, Sequencer, SequencerError};
use fieldgate::secret::random;
use fieldgate::store::{Effect, OpenOptions, Store, Url};

use crate::harness::process::rerun;
use crate::harness::world::signer;
use crate::harness::{Database, World, databases, wait};

/// Tells a process that it is one of the writers: the folder with its orders.
const ORDERS: &str = "FIELDGATE_TEST_WRITER";

#[test]
fn two_processes_append_100_000_entries_to_one_postgresql() {
    if databases().contains(&Database::Postgres) {
        wait(two_writers(Database::Postgres, 50_000));
    }
}

#[test]
fn two_processes_append_10_000_entries_to_one_sqlite_file() {
    wait(two_writers(Database::Sqlite, 5_000));
}

async fn two_writers(database: Database, each: usize) {
    let world = World::new(database).await;
    let before = world.verify().head.size;
    let begun = Instant::now();
    let writers = ["one", "two"].map(|name| {
        let orders = world.folder().join(name);
        std::fs::create_dir(&orders).unwrap();
        std::fs::write(orders.join("url"), &world.url).unwrap();
        std::fs::write(orders.join("entries"), each.to_string()).unwrap();
        let test = "crash::two_writers::a_writer_in_a_process_of_its_own";
        let child = rerun(&[], test, (ORDERS, &orders)).spawn().unwrap();
        (orders, child)
    });
    let mut indices = Vec::new();
    let mut turns = Vec::new();
    for (number, (orders, mut child)) in writers.into_iter().enumerate() {
        assert!(child.wait().unwrap().success(), "writer {number} failed");
        let written = std::fs::read_to_string(orders.join("indices")).unwrap();
        let own: Vec<u64> = written.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(own.len(), each);
        assert!(own.is_sorted(), "a writer's entries keep the order in which it gave them");
        turns.extend(own.iter().map(|index| (*index, number)));
        indices.extend(own);
    }
    let appended = begun.elapsed();
    indices.sort_unstable();
    let size = before + u64::try_from(each * 2).unwrap();
    assert!(indices.iter().copied().eq(before..size), "a gap, a double, or an entry of nobody");

    let begun = Instant::now();
    let report = world.verify();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.head.size, size);
    turns.sort_unstable();
    let changes = turns.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    assert!(changes > 1, "the writers did not write at the same time");
    eprintln!(
        "{database:?}: 2 processes appended {} entries in {appended:.1?}, the writer changed \
         {changes} times, verified in {:.1?}",
        each * 2,
        begun.elapsed(),
    );
}

/// Not a test by itself: the body of a writer process; returns at once in a usual run.
#[test]
fn a_writer_in_a_process_of_its_own() {
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let read = |name| std::fs::read_to_string(Path::new(&orders).join(name)).unwrap();
    let url = Url::parse(&read("url")).unwrap();
    let store = Store::open(&url, OpenOptions { readers: 1, create: false }).unwrap();
    let sequencer = Sequencer::start(store.shelf(), vec![signer()]).unwrap();
    let indices = append(&sequencer, read("entries").parse().unwrap());
    sequencer.close();
    let mut lines = String::new();
    for index in indices {
        writeln!(lines, "{index}").unwrap();
    }
    std::fs::write(Path::new(&orders).join("indices"), lines).unwrap();
}

/// Keeps two batches in the queue until all entries have their receipts. An entry that was turned
/// away as busy is handed in again: nothing of it was written.
fn append(sequencer: &Sequencer<Effect>, entries: usize) -> Vec<u64> {
    let mut flight: VecDeque<Pending> = VecDeque::new();
    let mut indices = Vec::with_capacity(entries);
    while indices.len() < entries {
        while flight.len() < BATCH_MAX * 3 / 2 && indices.len() + flight.len() < entries {
            flight.push_back(sequencer.submit(Draft::new(entry())));
        }
        match flight.pop_front().unwrap().wait() {
            Ok(receipt) => indices.push(receipt.index()),
            Err(SequencerError::Busy) => {}
            Err(error) => panic!("{error}"),
        }
    }
    indices
}

fn entry() -> Entry {
    let facts = Facts::new(Kind::StaffAct, "load.test", RequestId::new(), Clock::System.now());
    Entry::new(facts, Vec::new(), random().unwrap()).unwrap()
}
