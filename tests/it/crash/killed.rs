//! Kill -9 under load: what a client was given is in the ledger, and the ledger is whole.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fieldgate::cli::Client;
use fieldgate::ledger::verify::Report;
use fieldgate::ledger::{Archive as _, Kind};
use fieldgate::store::checkpoint_rows;

use super::load::{Batches, Cast, Dying, Received, hand_in, pull, try_page};
use crate::harness::process::{Installed, until};
use crate::harness::{Database, databases, wait};

/// Clients that pull at the same time.
const PULLERS: usize = 6;

#[test]
fn every_answer_survives_thirty_crashes_of_the_gateway_on_sqlite() {
    wait(crash(Database::Sqlite, 30));
}

#[test]
fn every_answer_survives_twelve_crashes_of_the_gateway_on_postgresql() {
    if databases().contains(&Database::Postgres) {
        wait(crash(Database::Postgres, 12));
    }
}

async fn crash(database: Database, rounds: u64) {
    let (installed, cast) =
        Installed::new(database, async |world| Cast::enter(world, 12).await).await;
    let received = Arc::new(Received::default());
    let mut batches = Batches::new();
    let begun = Instant::now();
    let mut size = 0;
    let served: Arc<Mutex<HashSet<String>>> = Arc::default();
    for round in 0..rounds {
        let mut gate = installed.serve();
        let dying = Arc::new(Dying::default());
        let pullers: Vec<_> = (0..PULLERS)
            .map(|_| {
                let client = installed.client(&cast.reseller.0, &cast.reseller.1);
                tokio::spawn(pull(client, Arc::clone(&received), Arc::clone(&dying)))
            })
            .collect();
        let client = installed.client(&cast.reseller.0, &cast.reseller.1);
        let reader = tokio::spawn(read(client, Arc::clone(&served), Arc::clone(&dying)));
        let client = installed.client(&cast.points.0, &cast.points.1);
        let writer = tokio::spawn(hand_in(client, batches, Arc::clone(&dying)));
        // It serves again without help, and dies under load at a moment of its own.
        received.until_pages(PULLERS).await;
        tokio::time::sleep(Duration::from_millis(round * 37 % 200)).await;
        dying.set();
        gate.kill();
        for puller in pullers {
            puller.await.unwrap();
        }
        batches = writer.await.unwrap();
        reader.await.unwrap();
        assert_persisted(&installed, &served);
        if round % 4 == 3 {
            // A process that dies while it starts must leave nothing behind either.
            let mut gate = installed.start();
            tokio::time::sleep(Duration::from_millis(round * 13 % 120)).await;
            gate.kill();
        }
        let report = received.assert_whole(&installed);
        assert!(report.head.size > size, "round {round}: the ledger did not grow");
        size = report.head.size;
    }
    assert!(!served.lock().unwrap().is_empty(), "no checkpoint was seen in any round");
    let spent = begun.elapsed();
    let _gate = installed.serve();
    let mut client = installed.client(&cast.reseller.0, &cast.reseller.1);
    until("a page comes", async || try_page(&mut client).await).await;
    let report = received.assert_whole(&installed);
    assert_once(&installed, &batches);
    tell(database, rounds, &received, &batches, (&report, spent));
}

/// Reads the published checkpoint until the gateway dies.
async fn read(mut client: Client, served: Arc<Mutex<HashSet<String>>>, dying: Arc<Dying>) {
    loop {
        match client.get("offers", "/ledger/v1/checkpoint").await {
            Ok(answer) if answer.status == 200 => {
                served.lock().unwrap().insert(answer.text);
            }
            // Nothing is published yet, or the database is busy.
            Ok(answer) => assert!([404, 503].contains(&answer.status), "{}", answer.text),
            Err(error) => {
                assert!(dying.is_set(), "a connection broke under a live gateway: {error:?}");
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whatever checkpoint anybody saw was persisted before: a crash takes none of them back.
fn assert_persisted(installed: &Installed, served: &Mutex<HashSet<String>>) {
    let rows = installed.look(|tx| checkpoint_rows::list_checkpoints(tx, 0, u16::MAX));
    let rows: HashSet<String> = rows.into_iter().map(|row| row.note).collect();
    for note in served.lock().unwrap().iter() {
        assert!(rows.contains(note), "served, and not in the database:\n{note}");
    }
}

/// Every answered batch stands in the ledger once: one that was handed in again after a crash
/// was not done twice.
fn assert_once(installed: &Installed, batches: &Batches) {
    let bodies = installed.look(|tx| {
        let size = tx.head().unwrap().size();
        Ok(tx.bodies(0, size).unwrap())
    });
    let kind = |body: &[u8]| {
        let entry: serde_json::Value = serde_json::from_slice(body).unwrap();
        entry["k"].as_str().unwrap().to_owned()
    };
    for index in &batches.entries {
        assert_eq!(kind(&bodies[usize::try_from(*index).unwrap()]), Kind::Intake.code());
    }
    let taken = bodies.iter().filter(|body| kind(body) == Kind::Intake.code()).count();
    // One for the people of the beginning, and perhaps the batch that the last crash cut off.
    let cut_off = taken - batches.entries.len() - 1;
    assert!(cut_off <= 1, "{taken} intakes for {} answered batches", batches.entries.len());
}

fn tell(
    database: Database,
    rounds: u64,
    received: &Received,
    batches: &Batches,
    (report, spent): (&Report, Duration),
) {
    let pages = received.pages.lock().unwrap().len();
    let receipts = received.receipts.lock().unwrap().len();
    eprintln!(
        "{database:?}: {rounds} crashes in {spent:.1?}: {pages} pages, {receipts} receipts, \
         {} batches ({} asked twice), {} refused as busy; {} entries verified",
        batches.entries.len(),
        batches.replayed,
        received.busy.lock().unwrap(),
        report.entries,
    );
}
