//! What grows with the ledger: append, page, proof, who has this person's data, at three sizes.
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
    clippy::cast_possible_wrap,
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

use std::time::Instant;

use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, QueryableByName, RunQueryDsl as _, SqliteConnection};
use fieldgate::clock::Clock;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::purpose::Purpose;
use fieldgate::id::{ContactNo, ContactRef, PartnerId, PolicyVersion, RequestId, Thumbprint};
use fieldgate::ledger::verify::{self, Plan};
use fieldgate::ledger::{
    Archive as _, Draft, Entry, Facts, Item, Kind, Notary, Prepared, Shelf, ShelfError,
};
use fieldgate::store::{Effect, SqlShelf, StoreError, audit_rows, contact_rows};
use harness::world::signer;
use harness::{Database, World, databases, postgres, wait};
use measure::{Effort, Rounds, Table, at_most, flush_ms, hashes_per_s, number, quantile};

/// Leads on a page.
const PAGE: usize = 100;

/// People who are asked about, and how often each stands in the entries of one size.
const ASKED: usize = 20;
const HITS: usize = 100;

/// Entries of one transaction while the ledger grows.
const BATCH: usize = 2_048;

/// Writes entries with their hashes, tiles and rows, many in a transaction, past the sequencer.
struct Writer {
    world: World,
    shelf: SqlShelf,
    partner: PartnerId,
    references: Vec<ContactRef>,
    nonce: u64,
}

impl Writer {
    async fn new(database: Database, sizes: usize) -> Self {
        let world = World::new(database).await;
        let people = PAGE + ASKED * sizes;
        world.people(people).await;
        let load = move |tx: &mut fieldgate::store::ReadTx| {
            (1..=people as i64)
                .map(|no| {
                    let found = contact_rows::load_contact(tx, ContactNo(no))?;
                    Ok(found.unwrap().standing.reference)
                })
                .collect::<Result<Vec<_>, StoreError>>()
        };
        let references = world.store.read(load).await.unwrap();
        let shelf = world.store.shelf();
        Self { world, shelf, partner: PartnerId::new(), references, nonce: 0 }
    }

    /// A release of the people at these places of the order of intake.
    fn release(&mut self, places: std::ops::Range<usize>) -> Prepared<Effect> {
        self.nonce += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonce.to_be_bytes());
        let fields = FieldSet::of(&[Field::Email, Field::Country]);
        let item = |place: usize| Item {
            contact_no: Some(ContactNo(place as i64 + 1)),
            contact_ref: self.references[place],
            fields,
            salt: nonce,
            version: 1,
        };
        let facts = Facts {
            partner: Some(self.partner),
            certificate: Some(Thumbprint([7; 32])),
            purpose: Some(Purpose::Offers),
            policy: Some(PolicyVersion(1)),
            fields: Some(fields),
            ..Facts::new(Kind::Release, "leads.list", RequestId::new(), Clock::System.now())
        };
        let entry = Entry::new(facts, places.map(item).collect(), nonce).unwrap();
        Draft::new(entry).into()
    }

    fn size(&mut self) -> usize {
        self.shelf.head().unwrap().size() as usize
    }

    /// Grows the ledger to a size. The people of this size stand in it, evenly spread.
    fn grow(&mut self, size: usize, step: usize) {
        let first = self.size();
        let every = ((size - first) / (ASKED * HITS)).max(1);
        let mut next = first;
        while next < size {
            let until = (next + BATCH).min(size);
            let places: Vec<_> = (next..until)
                .map(|index| {
                    let number = (index - first) / every;
                    let hit = (index - first).is_multiple_of(every) && number < ASKED * HITS;
                    let place = PAGE + step * ASKED + number % ASKED;
                    if hit { place..place + 1 } else { 0..0 }
                })
                .collect();
            self.append_all(&places);
            next = until;
        }
    }

    /// Appends a batch. SQLite's log is emptied by force at this pace, which may take longer than
    /// an append waits.
    fn append_all(&mut self, places: &[std::ops::Range<usize>]) {
        loop {
            let batch = places.iter().map(|place| self.release(place.clone())).collect();
            match self.shelf.append(batch) {
                Ok(_) => return,
                Err(error) => assert!(matches!(error, ShelfError::Busy(_)), "{error}"),
            }
        }
    }

    /// Appends one by one: the median in milliseconds.
    fn append(&mut self, times: usize, leads: usize) -> f64 {
        let mut taken = Vec::with_capacity(times);
        for _ in 0..times {
            let draft = self.release(0..leads);
            let begun = Instant::now();
            self.shelf.append(vec![draft]).unwrap();
            taken.push(begun.elapsed());
        }
        taken.sort();
        quantile(&taken, 0.5)
    }

    /// Receipts of entries all over the ledger: the median in milliseconds.
    fn prove(&mut self, times: usize) -> f64 {
        let size = self.size() as u64;
        let make = move |tx: &mut fieldgate::store::ReadTx| {
            let notary = Notary::new(vec![signer()]);
            let mut taken: Vec<_> = (0..times as u64)
                .map(|number| {
                    let begun = Instant::now();
                    let index = (number * 7_919_003 + 13) % size;
                    std::hint::black_box(notary.receipt(tx, index).unwrap());
                    begun.elapsed()
                })
                .collect();
            taken.sort();
            Ok(quantile(&taken, 0.5))
        };
        self.world.store.read_blocking(make).unwrap()
    }

    /// Who has these people's data: the median in milliseconds.
    fn ask(&mut self, step: usize) -> f64 {
        let ask = move |tx: &mut fieldgate::store::ReadTx| {
            let mut taken = Vec::new();
            for number in 0..ASKED {
                let no = ContactNo((PAGE + step * ASKED + number) as i64 + 1);
                let begun = Instant::now();
                let found = audit_rows::list_disclosures(tx, no)?;
                taken.push(begun.elapsed());
                assert!(found.len() <= HITS && !found.is_empty(), "{}", found.len());
            }
            taken.sort();
            Ok(quantile(&taken, 0.5))
        };
        self.world.store.read_blocking(ask).unwrap()
    }

    /// Verifies everything: entries per second, and the most memory this process ever held, in MB.
    fn verify(&self) -> (f64, f64) {
        let begun = Instant::now();
        let walk = |tx: &mut fieldgate::store::ReadTx| {
            tx.take_time()?;
            Ok(verify::everything(tx, &Plan::default(), |_| ()))
        };
        let report = self.world.store.read_blocking(walk).unwrap().unwrap();
        assert!(report.is_sound(), "{:?}", report.findings);
        (report.entries as f64 / begun.elapsed().as_secs_f64(), peak_mb())
    }

    /// The first bodies, at most so many.
    fn bodies(&mut self, most: u64) -> Vec<Vec<u8>> {
        self.shelf.bodies(0, most).unwrap()
    }

    /// Bytes that a table takes with its indexes, from the database's own account.
    fn bytes(&self, table: &str) -> f64 {
        #[derive(QueryableByName)]
        struct Sum {
            #[diesel(sql_type = BigInt)]
            bytes: i64,
        }
        let Some(file) = self.world.url.strip_prefix("sqlite://") else {
            // Those of the partitions; the parents have none.
            let sum = format!(
                "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c \
                 LEFT JOIN pg_inherits i ON i.inhrelid = c.oid \
                 WHERE c.relname = '{table}' OR i.inhparent = '{table}'::regclass"
            );
            let database = self.world.url.rsplit('/').next().unwrap();
            return postgres::server().unwrap().told(database, &sum).trim().parse().unwrap();
        };
        let mut connection = SqliteConnection::establish(file).unwrap();
        let sum = "SELECT coalesce(sum(pgsize), 0) AS bytes FROM dbstat WHERE name IN \
             (SELECT name FROM sqlite_schema WHERE tbl_name = ?)";
        let query = diesel::sql_query(sum).bind::<Text, _>(table);
        query.get_result::<Sum>(&mut connection).unwrap().bytes as f64
    }
}

/// The high-water mark of this process.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok())
        .map_or(f64::NAN, |kilobytes| kilobytes / 1024.0)
}

#[derive(Default)]
struct Cell {
    append: Rounds,
    page: Rounds,
    proof: Rounds,
    who: Rounds,
    verify: f64,
    peak: f64,
}

fn main() {
    let effort = Effort::from_arguments();
    println!("append, page, proof, look-up as the ledger grows; {}", measure::machine());
    for database in effort.pick(databases(), databases(), vec![Database::Sqlite]) {
        run(database, effort);
    }
}

fn run(database: Database, effort: Effort) {
    let sizes: &[usize] =
        effort.pick(&[10_000, 1_000_000, 10_000_000], &[10_000, 100_000], &[2_500, 5_000]);
    let mut writer = wait(Writer::new(database, sizes.len()));
    let mut cells = Vec::new();
    let mut raw = (Rounds::default(), Rounds::default());
    for (step, size) in sizes.iter().enumerate() {
        writer.grow(*size, step);
        // What the disk and the processor give at most, beside what is measured.
        for _ in 0..effort.rounds() {
            raw.0.0.push(flush_ms(&writer.world.folder(), effort.pick(200, 100, 5)));
            raw.1.0.push(hashes_per_s(&writer.bodies(10_000)));
        }
        let mut cell = Cell::default();
        for _ in 0..effort.rounds() {
            cell.append.0.push(writer.append(effort.pick(200, 100, 5), 0));
            cell.page.0.push(writer.append(effort.pick(100, 50, 5), PAGE));
            cell.proof.0.push(writer.prove(effort.pick(400, 100, 5)));
            cell.who.0.push(writer.ask(step));
        }
        (cell.verify, cell.peak) = writer.verify();
        cells.push(cell);
    }
    report(database, sizes, &cells);
    let (flush, hashes) = (raw.0.show(), raw.1.show());
    println!(
        "raw limits: fdatasync of 4 KiB {flush} ms; SHA-256 of entries on both cores {hashes}/s"
    );
    weigh(&mut writer, effort.pick(2_000, 500, 20));
}

fn report(database: Database, sizes: &[usize], cells: &[Cell]) {
    println!("\n{database:?}; medians in ms; peak is of the whole process so far");
    let heads = ["entries", "append", "page of 100", "proof", "who", "verify/s", "peak MB"];
    let mut table = Table::new(&heads);
    for (size, cell) in sizes.iter().zip(cells) {
        let [append, page, proof, who] =
            [&cell.append, &cell.page, &cell.proof, &cell.who].map(Rounds::show);
        let (verify, peak) = (number(cell.verify), number(cell.peak));
        table.row([size.to_string(), append, page, proof, who, verify, peak]);
    }
    table.print();
    let (first, last) = (&cells[0], &cells[cells.len() - 1]);
    let between = format!("at {} entries / at {} (goal 1.2)", sizes[sizes.len() - 1], sizes[0]);
    for (what, of) in [
        ("append", (|cell| &cell.append) as fn(&Cell) -> &Rounds),
        ("page of 100", |cell| &cell.page),
        ("proof", |cell| &cell.proof),
        ("who has this person's data, 100 hits", |cell| &cell.who),
    ] {
        at_most(&format!("{what} {between}"), 2.0, &of(last).against(of(first)));
    }
    at_most("most memory of a process that verified, MB", 200.0, &Rounds(vec![last.peak]));
}

/// What an entry and a link weigh, with their indexes.
fn weigh(writer: &mut Writer, pages: usize) {
    let ledger = |writer: &Writer| {
        let tables = ["ledger_entry", "ledger_tile", "ledger_projection"];
        tables.iter().map(|table| writer.bytes(table)).sum::<f64>()
    };
    let per_entry = ledger(writer) / writer.size() as f64;
    at_most("bytes per entry without items", 700.0, &Rounds(vec![per_entry]));
    let before = writer.bytes("disclosed_item");
    for _ in 0..pages.div_ceil(20) {
        let batch = (0..20).map(|_| writer.release(0..PAGE)).collect();
        writer.shelf.append(batch).unwrap();
    }
    let per_link =
        (writer.bytes("disclosed_item") - before) / (pages.div_ceil(20) * 20 * PAGE) as f64;
    at_most("bytes per link, pages in the order of contacts", 40.0, &Rounds(vec![per_link]));
}
