//! `ledger verify` beside SHA-256 of the same bytes; one receipt checked offline; one proof made.
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

use std::hint::black_box;
use std::time::Instant;

use fieldgate::clock::Clock;
use fieldgate::domain::disclosure::Reason;
use fieldgate::domain::purpose::Purpose;
use fieldgate::id::{PartnerId, PolicyVersion, RequestId, Thumbprint};
use fieldgate::ledger::verify::{self, Plan};
use fieldgate::ledger::{Archive as _, Draft, Entry, Facts, Kind, Notary};
use fieldgate::merkle::policy::Policy;
use fieldgate::store::{Effect, StoreError};
use harness::world::signer;
use harness::{Database, World, databases, wait};
use measure::{Effort, Rounds, Table, at_least, at_most, hashes_per_s};

fn draft(partner: PartnerId) -> Draft<Effect> {
    let mut facts = Facts::new(Kind::Withhold, "leads.list", RequestId::new(), Clock::System.now());
    facts.partner = Some(partner);
    facts.certificate = Some(Thumbprint([7; 32]));
    facts.purpose = Some(Purpose::Offers);
    facts.policy = Some(PolicyVersion(1));
    facts.reason = Some(Reason::PartnerNotActive);
    let nonce = fieldgate::secret::random().unwrap();
    Draft::new(Entry::new(facts, Vec::new(), nonce).unwrap())
}

/// Lets the ledger grow to a size.
async fn grow(world: &World, size: usize) {
    let partner = PartnerId::new();
    let head = world.sequencer.submit(draft(partner)).await.unwrap().size();
    let mut missing = size.saturating_sub(head as usize);
    while missing > 0 {
        let part = missing.min(500);
        let waiting: Vec<_> = (0..part).map(|_| world.sequencer.submit(draft(partner))).collect();
        for one in waiting {
            one.await.unwrap();
        }
        missing -= part;
    }
}

fn bodies(world: &World) -> Vec<Vec<u8>> {
    let read = |tx: &mut fieldgate::store::ReadTx| {
        let size = tx.head().map(|head| head.size());
        Ok::<_, StoreError>(size.and_then(|size| tx.bodies(0, size)))
    };
    world.store.read_blocking(read).unwrap().unwrap()
}

/// Walks everything, or the tree alone: entries per second.
fn walk(world: &World, tree_alone: bool) -> f64 {
    let plan = Plan { log: vec![signer().verifier().clone()], ..Plan::default() };
    let begun = Instant::now();
    let walk = move |tx: &mut fieldgate::store::ReadTx| {
        Ok::<_, StoreError>(if tree_alone {
            verify::tree(tx, &plan, |_| {})
        } else {
            verify::everything(tx, &plan, |_| {})
        })
    };
    let report = world.store.read_blocking(walk).unwrap().unwrap();
    assert!(report.is_sound());
    report.entries as f64 / begun.elapsed().as_secs_f64()
}

/// Makes the receipts of entries spread over the ledger: milliseconds each, and one of them.
fn proofs(world: &World, size: u64, count: u64) -> (f64, String) {
    let notary = Notary::new(vec![signer()]);
    let begun = Instant::now();
    let make = move |tx: &mut fieldgate::store::ReadTx| {
        let receipts = (0..count).map(|number| {
            let index = number * (size / count);
            notary.receipt(tx, index).unwrap().to_string()
        });
        Ok::<_, StoreError>(receipts.last().unwrap())
    };
    let last = world.store.read_blocking(make).unwrap();
    (begun.elapsed().as_secs_f64() * 1000.0 / count as f64, last)
}

/// Checks one receipt against the log's key alone: milliseconds each.
fn checks(receipt: &str, count: u32) -> f64 {
    let policy = Policy::of_log(signer().verifier().clone());
    let begun = Instant::now();
    for _ in 0..count {
        black_box(verify::verify_receipt(receipt, &policy).unwrap());
    }
    begun.elapsed().as_secs_f64() * 1000.0 / f64::from(count)
}

#[derive(Default)]
struct Cell {
    everything: Rounds,
    tree: Rounds,
    sha256: Rounds,
    proof: Rounds,
    check: Rounds,
}

fn main() {
    let effort = Effort::from_arguments();
    println!("walks, receipts and proofs; {}", measure::machine());
    for database in effort.pick(databases(), databases(), vec![Database::Sqlite]) {
        run(database, effort);
    }
}

fn run(database: Database, effort: Effort) {
    let sizes: [usize; 2] = effort.pick([10_000, 100_000], [5_000, 20_000], [500, 1_000]);
    let cells = sizes.map(|size| {
        let world = wait(async {
            let world = World::new(database).await;
            grow(&world, size).await;
            world
        });
        let bodies = bodies(&world);
        let mut cell = Cell::default();
        for _ in 0..effort.rounds() {
            cell.sha256.0.push(hashes_per_s(&bodies));
            cell.everything.0.push(walk(&world, false));
            cell.tree.0.push(walk(&world, true));
            let (proof, receipt) = proofs(&world, size as u64, effort.pick(200, 50, 5));
            cell.proof.0.push(proof);
            cell.check.0.push(checks(&receipt, effort.pick(500, 100, 5)));
        }
        cell
    });
    println!("\n{database:?}");
    let heads = ["entries", "verify/s", "tree alone/s", "SHA-256/s", "proof ms", "check ms"];
    let mut table = Table::new(&heads);
    for (size, cell) in sizes.iter().zip(&cells) {
        let Cell { everything, tree, sha256, proof, check } = cell;
        let all = [everything, tree, sha256, proof, check].map(Rounds::show);
        let [everything, tree, sha256, proof, check] = all;
        table.row([size.to_string(), everything, tree, sha256, proof, check]);
    }
    table.print();
    let [small, large] = &cells;
    let share = large.everything.against(&large.sha256);
    at_least("verify everything, ratio to SHA-256 on both cores", 0.3, &share);
    at_least("verify everything, entries per second", 300_000.0, &large.everything);
    at_most("one receipt checked offline, ms", 10.0, &large.check);
    at_most("one proof made, ms", 10.0, &large.proof);
    let what = format!("proof at {} entries / at {}", sizes[1], sizes[0]);
    at_most(&what, 2.0, &large.proof.against(&small.proof));
}
