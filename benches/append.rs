//! Durable appends through the sequencer, beside `SQLite`'s raw batch insert of the same bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a bench fails loudly, prints, and shares the harness of the tests"
)]

#[path = "../tests/it/harness/mod.rs"]
mod harness;
mod measure;

use std::path::Path;
use std::time::Instant;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use fieldgate::clock::Clock;
use fieldgate::domain::disclosure::Reason;
use fieldgate::domain::purpose::Purpose;
use fieldgate::id::{PartnerId, PolicyVersion, RequestId, Thumbprint};
use fieldgate::ledger::{Draft, Entry, Facts, Kind};
use fieldgate::store::Effect;
use harness::{Database, World, databases, wait};
use measure::{Effort, Rounds, Table, at_least, flush_ms, number, quantile};

diesel::table! {
    raw (idx) {
        idx -> BigInt,
        body -> Binary,
    }
}

/// Entries of a refused request: no contact, every usual fact.
fn entries(count: usize) -> Vec<Entry> {
    let partner = PartnerId::new();
    let entry = |_| {
        let now = Clock::System.now();
        let mut facts = Facts::new(Kind::Withhold, "leads.list", RequestId::new(), now);
        facts.partner = Some(partner);
        facts.certificate = Some(Thumbprint([7; 32]));
        facts.purpose = Some(Purpose::Offers);
        facts.policy = Some(PolicyVersion(1));
        facts.reason = Some(Reason::PartnerNotActive);
        Entry::new(facts, Vec::new(), fieldgate::secret::random().unwrap()).unwrap()
    };
    (0..count).map(entry).collect()
}

/// Appends them with so many waiting at any time: entries per second, p50 and p99 of the wait.
async fn appends(world: &World, entries: &[Entry], waiting: usize) -> (f64, f64, f64) {
    let begun = Instant::now();
    let tasks: Vec<_> = entries
        .chunks(entries.len().div_ceil(waiting))
        .map(|share| {
            let (share, sequencer) = (share.to_vec(), world.sequencer.clone());
            tokio::spawn(async move {
                let mut taken = Vec::with_capacity(share.len());
                for entry in share {
                    let one = Instant::now();
                    sequencer.submit(Draft::<Effect>::new(entry)).await.unwrap();
                    taken.push(one.elapsed());
                }
                taken
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.append(&mut task.await.unwrap());
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    all.sort();
    (rate, quantile(&all, 0.5), quantile(&all, 0.99))
}

/// Inserts the same bytes into a bare table of a file of its own, so many in a transaction.
fn raw_inserts(folder: &Path, entries: &[Entry], batch: usize) -> f64 {
    let path = folder.join("raw.db");
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
    let mut connection = SqliteConnection::establish(&path.display().to_string()).unwrap();
    let session = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
         PRAGMA wal_autocheckpoint = 0; \
         CREATE TABLE raw (idx INTEGER PRIMARY KEY, body BLOB NOT NULL)";
    connection.batch_execute(session).unwrap();
    let begun = Instant::now();
    let mut index = 0_i64;
    for chunk in entries.chunks(batch) {
        connection.batch_execute("BEGIN IMMEDIATE").unwrap();
        for entry in chunk {
            diesel::insert_into(raw::table)
                .values((raw::idx.eq(index), raw::body.eq(entry.bytes())))
                .execute(&mut connection)
                .unwrap();
            index += 1;
        }
        connection.batch_execute("COMMIT").unwrap();
    }
    entries.len() as f64 / begun.elapsed().as_secs_f64()
}

#[derive(Default)]
struct Cell {
    rate: Rounds,
    p50: Rounds,
    p99: Rounds,
    raw: Rounds,
}

fn main() {
    let effort = Effort::from_arguments();
    let sample = entries(1);
    let bytes = sample[0].bytes().len();
    println!("durable appends of entries of {bytes} bytes; {}", measure::machine());
    let shapes: &[(usize, usize)] = effort.pick(
        &[(1, 2_000), (8, 8_000), (32, 16_000), (128, 24_000), (512, 32_000)],
        &[(1, 200), (8, 1_600), (32, 3_200), (128, 6_400), (512, 10_240)],
        &[(1, 50), (32, 640)],
    );
    for database in effort.pick(databases(), databases(), vec![Database::Sqlite]) {
        run(database, effort, shapes);
    }
}

fn run(database: Database, effort: Effort, shapes: &[(usize, usize)]) {
    let mut cells: Vec<Cell> = shapes.iter().map(|_| Cell::default()).collect();
    let mut flushes = Rounds::default();
    wait(async {
        let world = World::new(database).await;
        for _ in 0..effort.rounds() {
            flushes.0.push(flush_ms(&world.folder(), effort.pick(400, 100, 20)));
            for ((waiting, count), cell) in shapes.iter().zip(&mut cells) {
                let entries = entries(*count);
                let (rate, p50, p99) = appends(&world, &entries, *waiting).await;
                cell.rate.0.push(rate);
                cell.p50.0.push(p50);
                cell.p99.0.push(p99);
                cell.raw.0.push(raw_inserts(&world.folder(), &entries, *waiting));
            }
        }
        assert!(world.verify().is_sound());
    });
    println!("\n{database:?}; fdatasync of 4 KiB {} ms", flushes.show());
    let heads = ["waiting", "appends/s", "p50 ms", "p99 ms", "SQLite raw/s", "ratio"];
    let mut table = Table::new(&heads);
    for ((waiting, _), cell) in shapes.iter().zip(&cells) {
        table.row([
            waiting.to_string(),
            cell.rate.show(),
            cell.p50.show(),
            cell.p99.show(),
            cell.raw.show(),
            number(cell.rate.against(&cell.raw).median()),
        ]);
    }
    table.print();
    let Some(((512, _), cell)) = shapes.iter().zip(&cells).next_back() else { return };
    at_least(
        "appends, 512 waiting, ratio to SQLite's raw batch",
        0.3,
        &cell.rate.against(&cell.raw),
    );
    let must = if database == Database::Sqlite { 5_000.0 } else { 3_000.0 };
    at_least("appends per second, 512 waiting", must, &cell.rate);
}
