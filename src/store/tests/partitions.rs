//! Partitions of the ledger on `PostgreSQL`: made ahead, guarded, in nobody's way.

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Text};

use super::ledger::{append, draft, entry, facts, item};
use super::*;
use crate::ledger::verify::{Plan, everything};
use crate::ledger::{Draft, Kind};
use crate::store::connection::{self, Use};
use crate::store::statement::fixed;

/// A migrated database whose partitions hold 1,024 entries.
fn small() -> Option<(Url, Store)> {
    let server = postgres::server()?;
    let address = server.empty();
    let name = address.rsplit_once('/').unwrap().1;
    server.sql(&format!("ALTER DATABASE {name} SET fieldgate.partition_rows = 1024"));
    let url = Url::parse(&address).unwrap();
    migrate(&url).unwrap();
    let store = Store::open(&url, OpenOptions { readers: 1, create: false }).unwrap();
    Some((url, store))
}

fn partitions(store: &Store) -> Vec<String> {
    let names = "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r' \
         ORDER BY substring(relname::text FROM '[0-9]+$')::bigint, 1";
    store.read_blocking(move |tx| Ok(fixed::<Text>(names).load(tx.statement())?)).unwrap()
}

fn grow(shelf: &mut SqlShelf, batches: usize) {
    for number in 0..batches {
        let mut drafts: Vec<_> = (0..400).map(|_| draft(Kind::AuditQuery)).collect();
        let items = vec![item(Some(1), 1), item(Some(2), 2)];
        drafts[number] = Draft::new(entry(facts(Kind::Intake), items));
        append(shelf, drafts);
    }
}

#[test]
fn partitions_are_made_ahead_and_hold_a_sound_ledger() {
    let Some((_, store)) = small() else { return };
    let of = |bound: &str| {
        ["disclosed_item", "ledger_entry", "ledger_items", "ledger_projection"]
            .map(|parent| format!("{parent}_{bound}"))
    };
    let first = [of("0"), of("1024")].concat();
    assert_eq!(partitions(&store), first);
    let mut shelf = store.shelf();
    // Two shelves take turns, as two gateways do, over the borders of three partitions.
    let mut other = store.shelf();
    for _ in 0..3 {
        grow(&mut shelf, 1);
        grow(&mut other, 2);
    }
    assert!(
        partitions(&store).starts_with(&[first, of("2048").to_vec(), of("3072").to_vec()].concat())
    );
    let spread = "SELECT count(*) FROM ledger_entry_1024";
    let held: i64 = store
        .read_blocking(move |tx| Ok(fixed::<BigInt>(spread).get_result(tx.statement())?))
        .unwrap();
    assert_eq!(held, 1024);
    let walk = |tx: &mut ReadTx| Ok(everything(tx, &Plan::default(), |_| ()).unwrap());
    let report = store.read_blocking(walk).unwrap();
    assert_eq!(report.entries, 3600);
    // The contacts are invented, so their links lead from nobody; nothing else is wrong.
    let unknown = |finding: &_| matches!(finding, crate::ledger::verify::Finding::Link(_));
    assert!(report.findings.iter().all(unknown), "{:?}", report.findings);
    assert_eq!(report.findings.len(), 18);
}

#[test]
fn a_partition_is_guarded_like_its_table() {
    let Some((url, store)) = small() else { return };
    grow(&mut store.shelf(), 1);
    let mut connection = connection::open(&url, Use::Write).unwrap();
    for forbidden in [
        "UPDATE ledger_entry_0 SET body = body",
        "DELETE FROM ledger_entry_0",
        "TRUNCATE ledger_entry_0",
        "UPDATE ledger_items_0 SET items = items",
        "DELETE FROM ledger_items_0",
        "TRUNCATE ledger_items_0",
        "UPDATE disclosed_item_0 SET pos = 4",
        "TRUNCATE disclosed_item_0",
        "UPDATE ledger_projection_0 SET op = 'x'",
        "DELETE FROM ledger_projection_0",
        "TRUNCATE ledger_projection_0",
    ] {
        assert!(connection.batch_execute(forbidden).is_err(), "{forbidden}");
    }
}

#[test]
fn a_new_partition_waits_for_nobody_who_reads_or_appends() {
    let Some((url, store)) = small() else { return };
    let mut holder = connection::open(&url, Use::Write).unwrap();
    let busy = "BEGIN; SELECT count(*) FROM ledger_entry; LOCK TABLE ledger_entry, ledger_items, \
         ledger_projection, disclosed_item IN ROW EXCLUSIVE MODE";
    holder.batch_execute(busy).unwrap();
    // The lock of the head is not held, so appends go on over the border of a partition.
    grow(&mut store.shelf(), 4);
    assert!(partitions(&store).len() > 8);
    holder.batch_execute("ROLLBACK").unwrap();
}
