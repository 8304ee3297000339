//! What a question to the ledger costs: a hundred hits out of N entries, for every kind of question,
//! with the plan of each statement and the size of each index.
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
use fieldgate::clock::{Moment, SECOND};
use fieldgate::domain::disclosure::Reason;
use fieldgate::domain::field::{Field, FieldSet};
use fieldgate::domain::purpose::Purpose;
use fieldgate::id::{ContactNo, ContactRef, PartnerId, PolicyVersion, RequestId, Thumbprint};
use fieldgate::ledger::{Archive as _, Draft, Entry, Facts, Item, Kind, Shelf, ShelfError};
use fieldgate::store::search_rows::{self, Page, Search};
use fieldgate::store::{Effect, SqlShelf, audit_rows, contact_rows};
use harness::{Database, World, databases, postgres, wait};
use measure::{Effort, Rounds, Table, at_most, number, quantile};

/// Hits that every question asks for, and that each rare thing has.
const HITS: u16 = 100;

/// Entries of one transaction while the ledger grows.
const BATCH: u64 = 2_048;

/// Partners, each with two certificates.
const PARTNERS: usize = 40;

/// Policy versions, one after the other.
const POLICIES: u64 = 8;

/// One row of `EXPLAIN QUERY PLAN`.
#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// What `SQLite` says of its own pages.
#[derive(QueryableByName)]
struct Sum {
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// A ledger of entries that say what the entries of some years say.
struct Filled {
    world: World,
    size: u64,
    /// One entry a second from here on.
    begin: Moment,
    partners: Vec<PartnerId>,
    person: (ContactNo, ContactRef),
}

impl Filled {
    fn new(database: Database, size: u64) -> Self {
        let world = wait(async {
            let world = World::new(database).await;
            world.people(1).await;
            world
        });
        let no = ContactNo(1);
        let load = move |tx: &mut fieldgate::store::ReadTx| contact_rows::load_contact(tx, no);
        let person = world.store.read_blocking(load).unwrap().unwrap();
        let partners = (0..PARTNERS).map(|_| PartnerId::new()).collect();
        let mut filled = Self {
            begin: world.gateway.now(),
            person: (no, person.standing.reference),
            world,
            size,
            partners,
        };
        filled.fill();
        filled
    }

    fn fill(&mut self) {
        let mut writer: SqlShelf = self.world.store.shelf();
        let mut next = writer.head().unwrap().size();
        while next < self.size {
            let until = (next + BATCH).min(self.size);
            let batch = || (next..until).map(|index| self.draft(index).into()).collect();
            // SQLite's log is emptied by force at this pace, which may take longer than an append waits.
            while let Err(error) = writer.append(batch()) {
                assert!(matches!(error, ShelfError::Busy(_)), "{error}");
            }
            next = until;
            if next.is_multiple_of(BATCH * 512) {
                eprintln!("  {next} of {} entries", self.size);
            }
        }
        if let Some((server, database)) = self.server() {
            server.sql_in(&database, "VACUUM ANALYZE");
        }
    }

    /// Nine of ten are releases, to busy and less busy partners; one in N / 100 is rare.
    fn draft(&self, index: u64) -> Draft<Effect> {
        let rare = index.is_multiple_of((self.size / u64::from(HITS)).max(1));
        let roll = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&index.to_be_bytes());
        let kind = if roll.is_multiple_of(10) { Kind::Withhold } else { Kind::Release };
        // The first partner is the busiest; the last one asks once in N / 100 entries.
        let busy = (roll / 10 % 37).min(roll / 370 % 39) as usize;
        let partner = if rare { PARTNERS - 1 } else { busy };
        let purpose = if roll.is_multiple_of(3) { Purpose::Support } else { Purpose::Offers };
        let mut fields = vec![Field::Email];
        fields.extend(
            [(2, Field::Country), (3, Field::Language)]
                .iter()
                .filter_map(|(n, field)| (roll / 7).is_multiple_of(*n).then_some(*field)),
        );
        if rare {
            fields.push(Field::Phone);
        }
        let at = self.begin.plus(index as i64 * SECOND);
        let certificate = Thumbprint([partner as u8 * 2 + (roll / 50 % 2) as u8; 32]);
        let mut facts = Facts {
            partner: Some(self.partners[partner]),
            certificate: Some(certificate),
            purpose: Some(purpose),
            policy: Some(PolicyVersion((index * POLICIES / self.size) as i32 + 1)),
            ..Facts::new(kind, "leads.list", RequestId::new(), at)
        };
        if kind == Kind::Withhold {
            facts.reason = Some(if rare { Reason::NoPolicy } else { Reason::OptedOut });
        } else {
            facts.fields = Some(FieldSet::of(&fields));
        }
        let item = Item {
            contact_no: Some(self.person.0),
            contact_ref: self.person.1,
            fields: FieldSet::of(&[Field::Email]),
            salt: nonce,
            version: 1,
        };
        let items = if rare && kind == Kind::Release { vec![item] } else { Vec::new() };
        Draft::new(Entry::new(facts, items, nonce).unwrap())
    }

    fn server(&self) -> Option<(&'static postgres::Server, String)> {
        let database = self.world.url.strip_prefix("postgres")?.rsplit('/').next()?.to_owned();
        Some((postgres::server()?, database))
    }

    /// Every kind of question, with the common and the rare case of it.
    fn questions(&self) -> Vec<(&'static str, Search)> {
        let plain = Search::default;
        let at = |part: i64| Some(self.begin.plus(self.size as i64 / 100 * part * SECOND));
        let (busy, rare) = (Some(self.partners[0]), Some(self.partners[PARTNERS - 1]));
        vec![
            ("everything", plain()),
            ("nothing", Search { kind: Some(Kind::Erase), ..plain() }),
            ("person", Search { contact: Some(self.person.0), ..plain() }),
            (
                "person, purpose",
                Search { contact: Some(self.person.0), purpose: Some(Purpose::Offers), ..plain() },
            ),
            ("partner, busy", Search { partner: busy, ..plain() }),
            ("partner, rare", Search { partner: rare, ..plain() }),
            ("purpose", Search { purpose: Some(Purpose::Support), ..plain() }),
            ("field", Search { fields: FieldSet::of(&[Field::Language]), ..plain() }),
            ("field, rare", Search { fields: FieldSet::of(&[Field::Phone]), ..plain() }),
            ("decision", Search { kind: Some(Kind::Withhold), ..plain() }),
            ("reason", Search { reason: Some(Reason::OptedOut), ..plain() }),
            ("reason, rare", Search { reason: Some(Reason::NoPolicy), ..plain() }),
            ("certificate", Search { certificate: Some(Thumbprint([1; 32])), ..plain() }),
            ("policy, oldest", Search { policy: Some(PolicyVersion(1)), ..plain() }),
            ("policy, newest", Search { policy: Some(PolicyVersion(POLICIES as i32)), ..plain() }),
            ("time", Search { from: at(40), until: at(41), ..plain() }),
            (
                "partner, field, time",
                Search {
                    partner: busy,
                    fields: FieldSet::of(&[Field::Country]),
                    from: at(70),
                    until: at(80),
                    ..plain()
                },
            ),
        ]
    }

    /// Answers a question again and again, newest and oldest first in turn, with the bodies of the
    /// hits: how many there were, median and 99 of 100 in milliseconds.
    fn ask(&self, search: &Search, times: usize) -> (usize, f64, f64) {
        let mut taken = Vec::with_capacity(times);
        let mut hits = 0;
        for time in 0..times {
            let (asked, newest_first) = (search.clone(), time % 2 == 0);
            let page = Page { horizon: self.size, after: None, newest_first, limit: HITS };
            let begun = Instant::now();
            let found = self.world.store.read_blocking(move |tx| {
                let indices = search_rows::find_entries(tx, &asked, &page)?;
                audit_rows::read_entries(tx, &indices)
            });
            taken.push(begun.elapsed());
            hits = found.unwrap().len();
        }
        taken.sort();
        (hits, quantile(&taken, 0.5), quantile(&taken, 0.99))
    }

    /// Each statement with how the database runs it.
    fn plans(&self) -> Vec<String> {
        let mut plans = Vec::new();
        for statement in search_rows::statements() {
            let postgres = self.server().is_some();
            if statement.postgres.is_some_and(|only| only != postgres) {
                continue;
            }
            let [newest, oldest] = statement.texts;
            plans.push(format!("{}: {}", statement.index, self.plan(newest)));
            if oldest != newest {
                plans.push(format!("  oldest first: {}", self.plan(oldest)));
            }
        }
        plans
    }

    fn plan(&self, text: &str) -> String {
        if let Some((server, database)) = self.server() {
            let places = (1..=9).take_while(|place| text.contains(&format!("${place}"))).count();
            let several = text.contains("unnest");
            let value = |place| match place {
                0 | 1 if several => ("int[]", "'{1}'"),
                2 if several => ("bigint[]", "'{1}'"),
                _ => ("bigint", "1"),
            };
            let (types, values): (Vec<_>, Vec<_>) = (0..places).map(value).unzip();
            let list = |items: Vec<&str>| match places {
                0 => String::new(),
                _ => format!("({})", items.join(", ")),
            };
            let (types, given) = (list(types), list(values));
            let plan = format!(
                "PREPARE q {types} AS {text}; SET plan_cache_mode = force_generic_plan; \
                 EXPLAIN (COSTS OFF) EXECUTE q {given}"
            );
            return server.told(&database, &plan).replace('\n', "\n    ");
        }
        let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {text}"));
        let steps = plan.load::<Step>(&mut self.file()).unwrap();
        steps.into_iter().map(|step| step.detail).collect::<Vec<_>>().join("; ")
    }

    fn file(&self) -> SqliteConnection {
        SqliteConnection::establish(self.world.url.strip_prefix("sqlite://").unwrap()).unwrap()
    }

    /// Bytes that a table or an index takes.
    fn bytes(&self, name: &str) -> f64 {
        if let Some((server, database)) = self.server() {
            // Those of the partitions; the parents have none.
            let sum = format!(
                "SELECT coalesce(sum(pg_relation_size(c.oid)), 0) FROM pg_class c \
                 LEFT JOIN pg_inherits i ON i.inhrelid = c.oid \
                 WHERE c.relname = '{name}' OR i.inhparent = '{name}'::regclass"
            );
            return server.told(&database, &sum).trim().parse().unwrap();
        }
        let sum = "SELECT coalesce(sum(pgsize), 0) AS bytes FROM dbstat WHERE name = ?";
        let query = diesel::sql_query(sum).bind::<Text, _>(name);
        query.get_result::<Sum>(&mut self.file()).unwrap().bytes as f64
    }
}

fn main() {
    let effort = Effort::from_arguments();
    println!("{HITS} hits out of N entries; {}", measure::machine());
    let sizes: &[u64] =
        effort.pick(&[10_000, 1_000_000, 10_000_000], &[10_000, 1_000_000], &[2_000]);
    for database in effort.pick(databases(), databases(), vec![Database::Sqlite]) {
        for size in sizes {
            run(&Filled::new(database, *size), database, effort);
        }
    }
}

fn run(filled: &Filled, database: Database, effort: Effort) {
    println!("\n{database:?}, {} entries; p50 and p99 in ms", filled.size);
    let mut table = Table::new(&["question", "hits", "p50", "p99"]);
    let mut slowest = Rounds::default();
    for (name, search) in filled.questions() {
        let (hits, median, late) = filled.ask(&search, effort.pick(400, 100, 4));
        let expected = if name == "nothing" { 0..=0 } else { 1..=usize::from(HITS) };
        assert!(expected.contains(&hits), "{name}: {hits} hits");
        table.row([name.to_owned(), hits.to_string(), number(median), number(late)]);
        slowest.0.push(median);
    }
    table.print();
    let worst = slowest.0.iter().copied().fold(0.0, f64::max);
    at_most("slowest question, p50 in ms", 10.0, &Rounds(vec![worst]));

    let mut table = Table::new(&["table or index", "MB", "bytes per entry"]);
    for name in [
        "ledger_projection",
        "ledger_projection_asker",
        "ledger_projection_shape",
        "ledger_projection_late",
    ] {
        let bytes = filled.bytes(name);
        let each = number(bytes / filled.size as f64);
        table.row([name.to_owned(), number(bytes / 1e6), each]);
    }
    table.print();
    for plan in filled.plans() {
        println!("  {plan}");
    }
}
