//! Load over real mutual TLS: audited pages beside the same page without database and ledger.
//!
//! The bench runs the partner door; its client is a process of its own, so that the CPU of both
//! can be told apart.
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

#[path = "load/client.rs"]
mod client;
#[path = "load/door.rs"]
mod door;
#[path = "../tests/it/harness/mod.rs"]
mod harness;
mod measure;

use std::collections::BTreeMap;
use std::time::Duration;

use fieldgate::domain::partner::PartnerKind;
use fieldgate::domain::purpose::Purpose;
use harness::{Database, World, databases, wait};
use measure::{Effort, Rounds, Table, at_least, cpu_ms, cpu_ms_of_family, number};

/// What is asked for, by name.
const PATHS: [(&str, &str); 3] = [
    ("audited page", "/v1/leads?purpose=offers&fields=email,country,language&limit=100"),
    ("page, no database", "/v1/bare"),
    ("whoami", "/v1/whoami"),
];

#[derive(Default)]
struct Cell {
    rate: Rounds,
    p50: Rounds,
    p99: Rounds,
    worst: Rounds,
    server_us: Rounds,
    client_us: Rounds,
    database_us: Rounds,
    errors: u64,
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("client") {
        return client::serve_orders();
    }
    let effort = Effort::from_arguments();
    println!("100 leads x 3 fields over mutual TLS, kept alive; {}", measure::machine());
    for database in effort.pick(databases(), databases(), vec![Database::Sqlite]) {
        run(database, effort);
    }
}

/// Process id of the `PostgreSQL` server behind an address.
fn postmaster(url: &str) -> Option<u32> {
    let directory = url.split_once('@')?.1.rsplit_once('/')?.0.replace("%2F", "/");
    let text = std::fs::read_to_string(format!("{directory}/data/postmaster.pid")).ok()?;
    text.lines().next()?.parse().ok()
}

fn run(database: Database, effort: Effort) {
    let (world, asker, pem) = wait(async {
        let world = World::new(database).await;
        world.people(effort.pick(10_000, 2_000, 200)).await;
        let (asker, pem) = world.partner("loader", PartnerKind::Reseller).await;
        let fields = Purpose::Offers.row().fields_max;
        world.grant(asker.partner, Purpose::Offers, fields).await;
        (world, asker, pem)
    });
    let door = door::open(&world);
    let client_id = asker.partner.to_string();
    let mut client = client::Orders::start(&door.base, &client_id, &pem, &door.authority);
    let postmaster = postmaster(&world.url);
    let database_ms = || postmaster.map_or(0.0, cpu_ms_of_family);
    let time = Duration::from_millis(effort.pick(1000, 300, 100));
    let at_once: &[usize] = effort.pick(&[1, 16, 64], &[1, 16, 64], &[4]);
    let mut cells: BTreeMap<(usize, usize), Cell> = BTreeMap::new();
    for _ in 0..effort.rounds() {
        for (many, (kind, (_, path))) in
            at_once.iter().flat_map(|many| PATHS.iter().enumerate().map(move |path| (many, path)))
        {
            let before = (cpu_ms(), database_ms());
            let seen = client.order(path, *many, time);
            let after = (cpu_ms(), database_ms());
            let cell = cells.entry((kind, *many)).or_default();
            let per_request = |ms: f64| ms * 1000.0 / seen.count.max(1.0);
            cell.rate.0.push(seen.count / seen.seconds);
            cell.p50.0.push(seen.p50_ms);
            cell.p99.0.push(seen.p99_ms);
            cell.worst.0.push(seen.worst_ms);
            cell.server_us.0.push(per_request(after.0 - before.0));
            cell.database_us.0.push(per_request(after.1 - before.1));
            cell.client_us.0.push(per_request(seen.cpu_ms));
            cell.errors += seen.errors;
        }
    }
    drop(client);
    door.close();
    assert!(world.verify().is_sound());
    report(database, &cells);
}

fn report(database: Database, cells: &BTreeMap<(usize, usize), Cell>) {
    println!("\n{database:?}");
    let heads = [
        "what x at once",
        "per second",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "server us",
        "client us",
        "database us",
        "errors",
    ];
    let mut table = Table::new(&heads);
    for ((kind, many), cell) in cells {
        table.row([
            format!("{} x {many}", PATHS[*kind].0),
            cell.rate.show(),
            number(cell.p50.median()),
            number(cell.p99.median()),
            number(cell.worst.median()),
            number(cell.server_us.median()),
            number(cell.client_us.median()),
            number(cell.database_us.median()),
            cell.errors.to_string(),
        ]);
    }
    table.print();
    let (Some(audited), Some(bare)) = (cells.get(&(0, 16)), cells.get(&(1, 16))) else { return };
    let must = if database == Database::Sqlite { 0.30 } else { 0.20 };
    let what = "audited page by 16, ratio to the page without database and ledger";
    at_least(what, must, &audited.rate.against(&bare.rate));
}
