//! A whole database as rows of bytes, and its file as it lies on the disk.

use diesel::connection::SimpleConnection as _;
use diesel::deserialize::QueryableByName;
use diesel::sql_types::{Integer, Text};
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection, sql_query};

use super::postgres;

/// One row of one table. Numbers are their digits, NULL is nothing.
pub struct Row {
    pub table: String,
    pub columns: Vec<String>,
    pub cells: Vec<Vec<u8>>,
}

impl Row {
    /// The cell of a column, where the table has it.
    pub fn cell(&self, column: &str) -> Option<&Vec<u8>> {
        self.columns.iter().position(|one| one == column).and_then(|at| self.cells.get(at))
    }
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    text: String,
}

#[derive(QueryableByName)]
struct Busy {
    #[diesel(sql_type = Integer)]
    busy: i32,
}

/// Every row of every table.
pub fn dump(url: &str) -> Vec<Row> {
    match url.strip_prefix("sqlite://") {
        Some(file) => dump_sqlite(file),
        None => dump_postgres(url),
    }
}

fn dump_sqlite(file: &str) -> Vec<Row> {
    let mut connection = SqliteConnection::establish(file).unwrap();
    let mut lines = |sql: &str| -> Vec<String> {
        let lines: Vec<Line> = sql_query(sql).load(&mut connection).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    };
    let mut rows = Vec::new();
    for table in lines("SELECT name AS text FROM sqlite_schema WHERE type = 'table'") {
        let names = format!("SELECT name AS text FROM pragma_table_info('{table}')");
        let columns = lines(&names);
        let hexes: Vec<_> = columns.iter().map(|one| format!("hex(\"{one}\")")).collect();
        let all = format!("SELECT {} AS text FROM \"{table}\"", hexes.join(" || ' ' || "));
        for line in lines(&all) {
            let cells = line.split(' ').map(unhex).collect();
            rows.push(Row { table: table.clone(), columns: columns.clone(), cells });
        }
    }
    rows
}

/// Reads `pg_dump`: `COPY public.table (columns) FROM stdin;`, lines of tabs, `\.`.
fn dump_postgres(url: &str) -> Vec<Row> {
    let database = url.rsplit('/').next().unwrap();
    let text = postgres::server().unwrap().dump(database);
    let mut rows = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("COPY public.") else { continue };
        let (table, rest) = head.split_once(" (").unwrap();
        let (names, _) = rest.split_once(')').unwrap();
        let columns: Vec<String> = names.split(", ").map(|one| one.replace('"', "")).collect();
        for line in lines.by_ref().take_while(|line| *line != "\\.") {
            let cell = |text: &str| match text.strip_prefix("\\\\x") {
                Some(hex) => unhex(hex),
                None if text == "\\N" => Vec::new(),
                None => text.as_bytes().to_vec(),
            };
            let cells = line.split('\t').map(cell).collect();
            rows.push(Row { table: table.to_owned(), columns: columns.clone(), cells });
        }
    }
    rows
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect()
}

/// What is left of deleted rows between the rows of a `SQLite` file.
pub mod residue {
    use std::time::Instant;

    use super::super::World;
    use super::super::process::PATIENCE;
    use super::*;
    use fieldgate::id::ContactNo;
    use fieldgate::store::contact_rows;
    use fieldgate::store::{StoreError, audit_rows};

    /// Bytes of a contact that must not survive it: items with their salts, the wrapped key.
    pub fn secrets_of(world: &World, no: ContactNo) -> Vec<Vec<u8>> {
        let read = world.store.read_blocking(move |tx| {
            let contact = contact_rows::load_contact(tx, no)?.unwrap();
            let items = audit_rows::list_disclosures(tx, no)?.into_iter().map(|one| one.item);
            Ok::<_, StoreError>(items.chain([contact.key.bytes]).collect::<Vec<_>>())
        });
        let secrets = read.unwrap();
        if let Some(file) = emptied(world) {
            for secret in &secrets {
                assert!(has(&file, secret), "the search finds what is there");
            }
        }
        secrets
    }

    /// Asserts that the file holds none of these bytes any more, in a row or beside it.
    /// `PostgreSQL` gives up old versions of rows when it vacuums; that is documented.
    pub fn gone_from_the_file(world: &World, secrets: &[Vec<u8>]) {
        if let Some(file) = emptied(world) {
            for (place, secret) in secrets.iter().enumerate() {
                assert!(!has(&file, secret), "secret {place} is still in the file");
            }
        }
    }

    /// The bytes of the database file, once the write-ahead log is copied back and emptied.
    fn emptied(world: &World) -> Option<Vec<u8>> {
        let file = world.url.strip_prefix("sqlite://")?;
        let mut connection = SqliteConnection::establish(file).unwrap();
        connection.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
        let begun = Instant::now();
        loop {
            let done: Busy =
                sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(&mut connection).unwrap();
            if done.busy == 0 {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "somebody reads for ever");
        }
        assert_eq!(std::fs::metadata(format!("{file}-wal")).map_or(0, |log| log.len()), 0);
        Some(std::fs::read(file).unwrap())
    }

    fn has(file: &[u8], bytes: &[u8]) -> bool {
        let first = bytes[0];
        file.iter()
            .enumerate()
            .filter(|(_, byte)| **byte == first)
            .any(|(at, _)| file[at..].starts_with(bytes))
    }
}
