//! Numbers of shapes and askers, and `late`: filled in by the migration, kept by every writer, and
//! named by the auditor's walk wherever one of them was altered.

use diesel::connection::SimpleConnection as _;

use super::ledger::append;
use super::search::{story, write};
use super::*;
use crate::clock::Moment;
use crate::id::PartnerId;
use crate::ledger::verify::{Finding, Plan, everything};
use crate::ledger::{Draft, Kind, Shelf as _};
use crate::store::connection::{self, Use};

/// What the walk finds, links to invented contacts left out.
fn findings(store: &Store) -> Vec<Finding> {
    let walk = |tx: &mut ReadTx| Ok(everything(tx, &Plan::default(), |_| ()).unwrap().findings);
    let mut found = store.read_blocking(walk).unwrap();
    found.retain(|finding| !matches!(finding, Finding::Link(_)));
    found
}

fn run(url: &Url, sql: &str) {
    connection::open(url, Use::Write).unwrap().batch_execute(sql).unwrap();
}

fn partners() -> Vec<PartnerId> {
    (0..12).map(|_| PartnerId::new()).collect()
}

#[test]
fn a_ledger_that_was_written_before_is_numbered_by_the_migration() {
    on_both_empty(|bed| {
        if bed.is_postgres() {
            // Two partitions hold the entries.
            let small = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET \
                 fieldgate.partition_rows = 1024', current_database()); END $$";
            run(&bed.url, small);
        }
        migrate(&bed.url).unwrap();
        let told = story(&partners());
        // Twice, so that each entry of the second half lies behind the first half in time.
        write(&bed.store(), &told);
        write(&bed.store(), &told);
        while revert(&bed.url).unwrap().unwrap() != "0007" {}
        // The program before this one kept the newest time of its last batch, whatever it was.
        run(&bed.url, "UPDATE ledger_head SET updated_at = 5");
        migrate(&bed.url).unwrap();
        let store = bed.store();
        assert_eq!(findings(&store), []);
        for forbidden in [
            "UPDATE ledger_projection SET shape = shape + 1",
            "UPDATE ledger_projection SET late = 1",
            "UPDATE ledger_shape SET op = 'x'",
            "DELETE FROM ledger_asker",
        ] {
            let mut connection = connection::open(&bed.url, Use::Write).unwrap();
            assert!(connection.batch_execute(forbidden).is_err(), "{forbidden}");
        }
        // Behind every entry there is, and the numbers go on where the migration stopped.
        let mut late = told[300].clone();
        late.facts.op = "test.new".into();
        append(&mut store.shelf(), vec![Draft::new(super::ledger::entry(late.facts, Vec::new()))]);
        assert_eq!(findings(&store), []);
        let behind = "SELECT late FROM ledger_projection WHERE idx = 1400";
        assert!(super::ledger::count(&store, behind) > 0);
    });
}

/// Removes the guards, as only the owner of the tables can.
fn unguarded(bed: &Bed) {
    let sql = if bed.is_postgres() {
        "DROP TRIGGER ledger_projection_keeps ON ledger_projection; \
         DROP TRIGGER ledger_shape_keeps ON ledger_shape; \
         DROP TRIGGER ledger_asker_keeps ON ledger_asker"
    } else {
        "DROP TRIGGER ledger_projection_numbers; DROP TRIGGER ledger_projection_keeps; \
         DROP TRIGGER ledger_shape_keeps; \
         DROP TRIGGER ledger_shape_stays; DROP TRIGGER ledger_asker_keeps; \
         DROP TRIGGER ledger_asker_stays"
    };
    run(&bed.url, sql);
}

#[test]
fn an_altered_number_is_named_by_the_index_of_its_entry() {
    on_both(|bed| {
        let store = bed.store();
        write(&store, &story(&partners()));
        unguarded(bed);
        let stumbled = "SELECT min(idx) FROM ledger_projection WHERE late > 0 AND idx > 256";
        let stumbled = super::ledger::count(&store, stumbled);
        for (index, altered, restored) in [
            (0, "shape = shape + 1", "shape = shape - 1"),
            (0, "late = 1", "late = NULL"),
            (0, "late = 0", "late = NULL"),
            (333, "shape = -shape", "shape = -shape"),
            (333, "asker = asker + 1000", "asker = asker - 1000"),
            (400, "late = late - 1", "late = late + 1"),
            (stumbled, "late = late * 1000000", "late = late / 1000000"),
            (stumbled, "late = -late", "late = -late"),
        ] {
            let set = |what: &str| {
                run(&bed.url, &format!("UPDATE ledger_projection SET {what} WHERE idx = {index}"));
            };
            set(altered);
            let index = u64::try_from(index).unwrap();
            assert_eq!(findings(&store), [Finding::Projection(index)], "{altered}");
            set(restored);
        }
        // Neighbours are each named, and nobody else.
        run(&bed.url, "UPDATE ledger_projection SET late = 7 WHERE idx BETWEEN 399 AND 401");
        assert_eq!(findings(&store), [399, 400, 401].map(Finding::Projection));
    });
}

#[test]
fn every_altered_letter_of_every_code_of_a_row_is_named() {
    on_both(|bed| {
        let store = bed.store();
        let told = story(&partners());
        write(&store, &told);
        unguarded(bed);
        let count = |sql: String| super::ledger::count(&store, Box::leak(sql.into_boxed_str()));
        let mut letters = 0;
        for column in ["kind", "partner", "purpose", "op", "decision", "reason"] {
            let longest = format!(
                "SELECT CAST(coalesce(max(length({column})), 0) AS BIGINT) FROM ledger_projection"
            );
            for letter in 0..count(longest) {
                let has = format!("length({column}) > {letter}");
                let rows = count(format!("SELECT count(*) FROM ledger_projection WHERE {has}"));
                let set = |new: &str, place: &str| {
                    run(
                        &bed.url,
                        &format!(
                            "UPDATE ledger_projection SET {column} = substr({column}, 1, {letter}) \
                             || {new} || substr({column}, {}) WHERE {has} AND {place}",
                            letter + 2
                        ),
                    );
                };
                // What was there stands aside, to be put back.
                let old = format!("substr({column}, {}, 1)", letter + 1);
                run(&bed.url, "CREATE TABLE aside (idx BIGINT NOT NULL PRIMARY KEY, was TEXT)");
                run(
                    &bed.url,
                    &format!(
                        "INSERT INTO aside SELECT idx, {old} FROM ledger_projection WHERE {has}"
                    ),
                );
                set("'~'", "TRUE");
                let named = findings(&store);
                assert_eq!(i64::try_from(named.len()).unwrap(), rows, "{column} at {letter}");
                assert!(named.iter().all(|one| matches!(one, Finding::Projection(_))), "{named:?}");
                let was = "(SELECT was FROM aside WHERE aside.idx = ledger_projection.idx)";
                set(was, "TRUE");
                run(&bed.url, "DROP TABLE aside");
                letters += rows;
            }
        }
        assert_eq!(findings(&store), []);
        assert!(letters > 10_000, "{letters}");
    });
}

#[test]
fn a_tile_too_many_and_another_newest_time_are_named() {
    on_both(|bed| {
        let store = bed.store();
        write(&store, &story(&partners()));
        unguarded(bed);
        assert_eq!(findings(&store), []);
        let mut planted = Vec::new();
        for (level, n) in [(0, 2), (0, 99), (1, 0), (7, 0)] {
            run(
                &bed.url,
                &format!(
                    "INSERT INTO ledger_tile (level, n, root, hashes) \
                     SELECT {level}, {n}, root, hashes FROM ledger_tile WHERE level = 0 AND n = 0"
                ),
            );
            planted.push(Finding::SurplusTile { level, n: u64::try_from(n).unwrap() });
            assert_eq!(findings(&store), planted);
        }
        run(&bed.url, "UPDATE ledger_head SET updated_at = updated_at + 1");
        planted.push(Finding::Head("updated_at"));
        assert_eq!(findings(&store), planted);
    });
}

#[test]
fn an_altered_or_missing_row_of_a_dictionary_names_the_entries_that_use_it() {
    on_both(|bed| {
        let store = bed.store();
        let told = story(&partners());
        write(&store, &told);
        unguarded(bed);
        let used = |by: &dyn Fn(&super::search::Told) -> bool| -> Vec<Finding> {
            let places = (0..).zip(&told).filter(|(_, one)| by(one));
            places.map(|(index, _)| Finding::Projection(index)).collect()
        };
        let rare = used(&|one| one.facts.op == "test.rare");
        assert_eq!(rare, [Finding::Projection(333)]);
        let nobody = used(&|one| one.facts.partner.is_none());
        assert!(nobody.len() > 100 && nobody.len() < 300);
        for (altered, restored, named) in [
            (
                "UPDATE ledger_shape SET op = 'test.fair' WHERE op = 'test.rare'",
                "UPDATE ledger_shape SET op = 'test.rare' WHERE op = 'test.fair'",
                &rare,
            ),
            (
                "UPDATE ledger_shape SET fields = fields + 1024 WHERE op = 'test.rare'",
                "UPDATE ledger_shape SET fields = fields - 1024 WHERE op = 'test.rare'",
                &rare,
            ),
            (
                "UPDATE ledger_asker SET id = -id WHERE partner = ''",
                "UPDATE ledger_asker SET id = -id WHERE partner = ''",
                &nobody,
            ),
            ("DELETE FROM ledger_shape WHERE op = 'test.rare'", "", &rare),
        ] {
            run(&bed.url, altered);
            assert_eq!(findings(&store), *named, "{altered}");
            run(&bed.url, restored);
        }
    });
}

#[test]
fn numbers_that_a_rollback_took_back_are_given_anew() {
    on_both(|bed| {
        let store = bed.store();
        let mut shelf = store.shelf();
        let of = |op: &'static str| {
            let facts = crate::ledger::Facts {
                op: op.into(),
                at: Moment(1_700_000_000_000_000),
                ..super::ledger::facts(Kind::StaffAct)
            };
            super::ledger::entry(facts, Vec::new())
        };
        append(&mut shelf, vec![Draft::new(of("test.first"))]);
        // The transaction fails behind its last statement: everything it wrote is taken back.
        let guard = if bed.is_postgres() {
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END; $$; \
             CREATE TRIGGER fails BEFORE UPDATE ON ledger_head \
             FOR EACH ROW EXECUTE FUNCTION fails()"
        } else {
            "CREATE TRIGGER fails BEFORE UPDATE ON ledger_head \
             BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        };
        run(&bed.url, guard);
        assert!(shelf.append(vec![Draft::new(of("test.lost")).into()]).is_err());
        let drop_guard = if bed.is_postgres() {
            "DROP TRIGGER fails ON ledger_head"
        } else {
            "DROP TRIGGER fails"
        };
        run(&bed.url, drop_guard);
        // Another writer takes the number; the first one must not use it for what it lost.
        append(&mut store.shelf(), vec![Draft::new(of("test.other"))]);
        append(&mut shelf, vec![Draft::new(of("test.lost")), Draft::new(of("test.first"))]);
        assert_eq!(findings(&store), []);
        assert_eq!(super::ledger::count(&store, "SELECT count(*) FROM ledger_shape"), 3);
    });
}
