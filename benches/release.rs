//! What a release costs, and what of it is the price of the ledger: the same with a stub beside.
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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fieldgate::clock::Clock;
use fieldgate::domain::disclosure::Request;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::purpose::Purpose;
use fieldgate::flows::Gateway;
use fieldgate::flows::release::{self, Asker, PageRequest, Released};
use fieldgate::ledger::growth::Batch;
use fieldgate::ledger::{Appended, Archive, Head, Notary, Prepared, Sequencer, Shelf, ShelfError};
use fieldgate::merkle::Hash;
use fieldgate::merkle::tile::Tile;
use fieldgate::store::{Effect, SqlShelf, Store, key_rows};
use fieldgate::vault::keyring::Keyring;
use harness::world::signer;
use harness::{Database, World, databases, wait};
use measure::{Effort, Rounds, Table, at_least, at_most, flush_ms, number, quantile};

const FIELDS: &[Field] = &[Field::Email, Field::Country, Field::Language];

/// Keeps hashes in memory and nothing on disk: a release on it has no durable entry.
struct StubShelf {
    real: SqlShelf,
    head: Head,
    levels: Vec<Vec<Hash>>,
}

impl StubShelf {
    fn new(store: &Store) -> Self {
        let mut real = store.shelf();
        let head = real.head().unwrap();
        let bodies = real.bodies(0, head.size()).unwrap();
        assert!(bodies.len() < 256, "the stub begins on an unfinished first tile");
        let leaves = bodies.iter().map(|body| Hash::leaf(body)).collect();
        let mut levels = vec![Vec::new(); 8];
        levels[0] = leaves;
        Self { real, head, levels }
    }
}

impl Archive for StubShelf {
    fn head(&mut self) -> Result<Head, ShelfError> {
        self.real.head()
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        self.real.bodies(from, until)
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        self.real.tile(level, n)
    }

    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        self.real.tile_roots(level, from, until)
    }
}

impl Shelf for StubShelf {
    type Effect = Effect;

    fn append(&mut self, batch: Vec<Prepared<Effect>>) -> Result<Appended, ShelfError> {
        let before = self.head.clone();
        let mut growing = Batch::begin(before.clone());
        let outcomes = batch.iter().map(|draft| {
            growing.admit(draft)?;
            Ok(growing.accept(draft))
        });
        let outcomes: Vec<_> = outcomes.collect();
        let levels = &self.levels;
        let edge = |level: u8, n: u64| {
            Ok::<_, ShelfError>(levels[usize::from(level)][n as usize * 256..].to_vec())
        };
        let growth = growing.finish(edge).unwrap();
        self.levels[0].extend(batch.iter().map(|draft| draft.leaf));
        for tile in &growth.tiles {
            self.levels[usize::from(tile.level()) + 1].push(tile.root());
        }
        self.head = growth.after.clone();
        Ok(Appended { before, after: growth.after, outcomes })
    }
}

/// A gateway on the same database whose ledger is the stub.
fn stubbed(world: &World) -> Gateway {
    let rows = world.store.read_blocking(key_rows::list_keys).unwrap();
    let keyring = Keyring::open(&world.master, &rows).unwrap();
    let sequencer = Sequencer::start(StubShelf::new(&world.store), vec![signer()]).unwrap();
    let handles = (keyring, Notary::new(vec![signer()]));
    Gateway::new(world.store.clone(), sequencer, handles, Clock::System)
}

fn what() -> Request {
    let fields = Some(FieldSet::of(FIELDS));
    Request { purpose: Purpose::Offers, fields, territory: None, point: None }
}

/// Where each release begins, so that all people are walked through as a partner does it: the
/// cursors of all pages of one size, or for one lead the ids of all leads.
struct Places {
    leads: u16,
    begins: Vec<Option<String>>,
    next: AtomicUsize,
}

impl Places {
    async fn find(gateway: &Gateway, asker: Asker, leads: u16) -> Self {
        let size = leads.max(25);
        let (mut cursor, mut begins, mut ids) = (None, Vec::new(), Vec::new());
        loop {
            let page = page(gateway, asker, size, cursor.clone()).await;
            if page.leads.len() == usize::from(size) {
                begins.push(cursor);
            }
            ids.extend(page.leads.into_iter().map(|lead| Some(lead.id)));
            cursor = page.next;
            if cursor.is_none() {
                let begins = if leads == 1 { ids } else { begins };
                return Self { leads, begins, next: AtomicUsize::new(0) };
            }
        }
    }

    /// The next release: a page, or for one lead the lead itself.
    async fn pull(&self, gateway: &Gateway, asker: Asker) {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.begins.len();
        let begin = self.begins[place].clone();
        let released = match self.leads {
            1 => release::one(gateway, asker, what(), &begin.unwrap()).await.unwrap(),
            _ => page(gateway, asker, self.leads, begin).await,
        };
        assert_eq!(released.leads.len(), usize::from(self.leads));
        assert_eq!(released.leads[0].fields.len(), FIELDS.len());
    }
}

async fn page(gateway: &Gateway, asker: Asker, limit: u16, cursor: Option<String>) -> Released {
    let ask = PageRequest { what: what(), updated_since: None, limit, cursor };
    release::page(gateway, asker, ask).await.unwrap()
}

/// Releases per second and the median time of one, in milliseconds.
async fn drive(
    gateway: &Gateway,
    asker: Asker,
    (places, at_once): (&Arc<Places>, usize),
    time: Duration,
) -> (f64, f64) {
    let begun = Instant::now();
    let tasks = (0..at_once).map(|_| {
        let (gateway, places) = (gateway.clone(), Arc::clone(places));
        tokio::spawn(async move {
            let mut taken = Vec::new();
            while begun.elapsed() < time {
                let one = Instant::now();
                places.pull(&gateway, asker).await;
                taken.push(one.elapsed());
            }
            taken
        })
    });
    let mut all = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        all.append(&mut task.await.unwrap());
    }
    let seconds = begun.elapsed().as_secs_f64();
    all.sort();
    (all.len() as f64 / seconds, quantile(&all, 0.5))
}

#[derive(Default)]
struct Cell {
    audited: Rounds,
    stubbed: Rounds,
    audited_p50: Rounds,
    stubbed_p50: Rounds,
}

fn main() {
    let effort = Effort::from_arguments();
    println!("release of leads with 3 fields, per second; {}", measure::machine());
    let databases = effort.pick(databases(), databases(), vec![Database::Sqlite]);
    for database in databases {
        run(database, effort);
    }
}

fn run(database: Database, effort: Effort) {
    let time = Duration::from_millis(effort.pick(600, 150, 50));
    let shapes: &[(u16, usize)] = effort.pick(
        &[(1, 1), (1, 16), (25, 1), (25, 16), (100, 1), (100, 16)],
        &[(1, 1), (1, 16), (25, 1), (25, 16), (100, 1), (100, 16)],
        &[(25, 2)],
    );
    let mut cells: Vec<Cell> = shapes.iter().map(|_| Cell::default()).collect();
    let mut flushes = Rounds::default();
    let statements = wait(async {
        let world = World::new(database).await;
        world.people(effort.pick(10_000, 2_000, 200)).await;
        let asker = world.reseller("reseller").await;
        let stub = stubbed(&world);
        let mut places = BTreeMap::new();
        for (leads, _) in shapes {
            let found = Places::find(&world.gateway, asker, *leads).await;
            places.insert(*leads, Arc::new(found));
        }
        let before = world.store.statements();
        page(&world.gateway, asker, 100, None).await;
        let statements = world.store.statements() - before;
        for _ in 0..effort.rounds() {
            flushes.0.push(flush_ms(&world.folder(), effort.pick(400, 100, 20)));
            for ((leads, at_once), cell) in shapes.iter().zip(&mut cells) {
                let what = (&places[leads], *at_once);
                let (rate, p50) = drive(&world.gateway, asker, what, time).await;
                cell.audited.0.push(rate);
                cell.audited_p50.0.push(p50);
                let (rate, p50) = drive(&stub, asker, what, time).await;
                cell.stubbed.0.push(rate);
                cell.stubbed_p50.0.push(p50);
            }
        }
        assert!(world.verify().is_sound());
        statements
    });
    println!(
        "\n{database:?}: {statements} statements read a page; fdatasync of 4 KiB {} ms",
        flushes.show()
    );
    let mut table = Table::new(&[
        "leads x at once",
        "audited/s",
        "stubbed/s",
        "ratio",
        "p50 ms",
        "stubbed p50 ms",
    ]);
    for ((leads, at_once), cell) in shapes.iter().zip(&cells) {
        table.row([
            format!("{leads} x {at_once}"),
            cell.audited.show(),
            cell.stubbed.show(),
            number(cell.audited.against(&cell.stubbed).median()),
            cell.audited_p50.show(),
            cell.stubbed_p50.show(),
        ]);
    }
    table.print();
    for ((leads, at_once), cell) in shapes.iter().zip(&cells) {
        match (leads, at_once) {
            (100, 16) => {
                let price = cell.audited.against(&cell.stubbed);
                at_least("price of the ledger, page of 100 by 16, audited / stubbed", 0.6, &price);
            }
            (1, 1) => {
                let units = cell.audited_p50.against(&flushes);
                at_most("one audited lead alone, p50 in flushes", 4.0, &units);
            }
            _ => {}
        }
    }
}
