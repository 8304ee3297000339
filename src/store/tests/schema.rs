//! Migrations run, unrun and run again; both databases end with the same tables.

use std::collections::BTreeMap;

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Bool, Nullable, Text};

use super::*;
use crate::store::connection::{self, AnyConnection, Use};
use crate::store::statement::fixed;

/// Everything that the schema holds, as text.
fn dump(url: &Url) -> Vec<String> {
    let mut connection = connection::open(url, Use::Write).unwrap();
    let sql = match &connection {
        AnyConnection::Sqlite(_) => {
            "SELECT coalesce(sql, name) FROM sqlite_schema WHERE name NOT LIKE '\\_\\_%' ESCAPE '\\' \
             AND tbl_name NOT LIKE '\\_\\_%' ESCAPE '\\' ORDER BY 1"
        }
        AnyConnection::Postgres(_) => {
            "SELECT text FROM (\
             SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable \
                 AS text FROM information_schema.columns WHERE table_schema = 'public' \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal \
             UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc \
                 WHERE pronamespace = 'public'::regnamespace \
             UNION ALL SELECT conrelid::regclass::text || pg_get_constraintdef(oid) \
                 FROM pg_constraint WHERE connamespace = 'public'::regnamespace\
             ) AS everything WHERE text NOT LIKE '%\\_\\_diesel%' ORDER BY 1"
        }
    };
    fixed::<Text>(sql).load(&mut connection).unwrap()
}

/// Table and column, with whether it may be NULL.
fn columns(url: &Url) -> BTreeMap<(String, String), bool> {
    let mut connection = connection::open(url, Use::Write).unwrap();
    let sql = match &connection {
        AnyConnection::Sqlite(_) => {
            "SELECT t.name, c.name, c.\"notnull\" = 0 FROM sqlite_schema t \
             JOIN pragma_table_info(t.name) c WHERE t.type = 'table'"
        }
        AnyConnection::Postgres(_) => {
            "SELECT table_name::text, column_name::text, is_nullable = 'YES' \
             FROM information_schema.columns WHERE table_schema = 'public' \
             AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)"
        }
    };
    let rows: Vec<(String, String, Option<bool>)> =
        fixed::<(Text, Text, Nullable<Bool>)>(sql).load(&mut connection).unwrap();
    rows.into_iter()
        .filter(|(table, ..)| !table.starts_with("__"))
        .map(|(table, column, null)| ((table, column), null.unwrap()))
        .collect()
}

#[test]
fn migrations_run_unrun_and_run_again_to_the_same_schema() {
    on_both_empty(|bed| {
        if !bed.is_postgres() {
            assert!(matches!(schema_state(&bed.url), Err(StoreError::Schema(_))));
        }
        let ran = migrate(&bed.url).unwrap();
        assert_eq!(
            ran,
            [
                "0001_ledger",
                "0002_registry",
                "0003_contact",
                "0004_key",
                "0005_cosignature",
                "0007_questions",
                "0008_retention",
                "0010_outsider",
                "0011_recall",
                "0012_quorum",
            ]
        );
        assert_eq!(schema_state(&bed.url).unwrap(), SchemaState::Current);
        assert_eq!(migrate(&bed.url).unwrap(), Vec::<String>::new());
        let first = dump(&bed.url);
        assert!(first.len() > 30, "{first:?}");

        for _ in &ran {
            assert!(revert(&bed.url).unwrap().is_some());
        }
        assert_eq!(revert(&bed.url).unwrap(), None);
        assert_eq!(dump(&bed.url), Vec::<String>::new());
        assert_eq!(schema_state(&bed.url).unwrap(), SchemaState::Behind(ran.clone()));
        let refused = Store::open(&bed.url, OpenOptions::default()).err().unwrap().to_string();
        assert!(refused.contains("fieldgate database migrate"), "{refused}");

        assert_eq!(migrate(&bed.url).unwrap(), ran);
        assert_eq!(dump(&bed.url), first);
    });
}

#[test]
fn both_databases_have_the_same_columns() {
    let seen = std::cell::RefCell::new(Vec::new());
    on_both(|bed| seen.borrow_mut().push(columns(&bed.url)));
    let seen = seen.into_inner();
    assert!(seen.iter().all(|one| one == &seen[0]), "{seen:#?}");
}

#[test]
fn a_migration_of_a_newer_program_is_refused() {
    on_both(|bed| {
        let mut connection = connection::open(&bed.url, Use::Write).unwrap();
        connection
            .batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')")
            .unwrap();
        assert_eq!(schema_state(&bed.url).unwrap(), SchemaState::Unknown("9999".into()));
        for refused in [
            Store::open(&bed.url, OpenOptions::default()).err().unwrap(),
            migrate(&bed.url).unwrap_err(),
        ] {
            assert!(matches!(refused, StoreError::Schema(_)), "{refused}");
        }
    });
}

#[test]
fn a_server_that_may_lose_commits_is_refused() {
    let Some(server) = postgres::server() else { return };
    let address = server.empty();
    let name = address.rsplit_once('/').unwrap().1.to_owned();
    let url = Url::parse(&address).unwrap();
    migrate(&url).unwrap();
    server.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let refused = Store::open(&url, OpenOptions::default()).err().unwrap();
    assert!(matches!(refused, StoreError::NotDurable(_)), "{refused}");
    assert!(refused.to_string().contains("synchronous_commit = off"), "{refused}");
    server.sql(&format!("ALTER DATABASE {name} SET synchronous_commit = remote_apply"));
    Store::open(&url, OpenOptions::default()).unwrap();
}
