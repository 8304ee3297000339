//! Opens connections: sets what a session needs, then asserts that it holds.

mod multi;
mod postgres;
mod sqlite;
mod tls;

use diesel::Connection as _;
use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::Text;

pub(super) use multi::{AnyConnection, MultiBackend, MultiRawValue};
pub(super) use postgres::PgConnection;
pub(super) use sqlite::{Checkpoint, checkpoint};

use super::error::StoreError;
use super::statement::fixed;
use super::url::{Target, Url};

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Snapshots only.
    Read,
    /// The write transactions.
    Write,
    /// Writing, and the database may be made if it is not there (`SQLite`).
    Create,
}

/// Opens a connection whose settings are set and asserted.
///
/// # Errors
/// `Busy` out of reach; `Schema` no such file; `NotDurable` a setting could lose commits.
pub(super) fn open(url: &Url, purpose: Use) -> Result<AnyConnection, StoreError> {
    let mut connection = match url.target() {
        Target::Sqlite(path) => AnyConnection::Sqlite(sqlite::open(path, purpose)?),
        Target::Postgres(target) => {
            let mut connection = PgConnection::open(target)?;
            connection.batch_execute(POSTGRES_SESSION)?;
            AnyConnection::Postgres(connection)
        }
    };
    // Every text of this room is fixed, so the number of prepared statements is bounded.
    connection.set_prepared_statement_cache_size(diesel::connection::CacheSize::Unbounded);
    assert_durable(&mut connection)?;
    Ok(connection)
}

/// `lock_timeout`: a waiting append gives up and says busy (ledger.md §13). The idle limit frees
/// the head lock when a replica freezes in the middle of a transaction. `jit`: a statement is
/// guessed to read thousands of times what it reads, and compiling it took 35 ms for 5 ms of work.
const POSTGRES_SESSION: &str = "SET lock_timeout = '250ms'; \
     SET idle_in_transaction_session_timeout = '10s'; \
     SET jit = off; \
     SET client_min_messages = 'warning'";

/// Refuses a database that could lose an acknowledged commit in a power cut (trust.md §1).
///
/// # Errors
/// `NotDurable` names the setting, its value and the value it needs.
pub(super) fn assert_durable(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match connection {
        AnyConnection::Sqlite(connection) => sqlite::assert_durable(connection),
        AnyConnection::Postgres(connection) => {
            let settings: Vec<(String, String)> = fixed::<(Text, Text)>(
                "SELECT name, setting FROM pg_catalog.pg_settings WHERE name IN \
                 ('fsync', 'full_page_writes', 'synchronous_commit')",
            )
            .load(connection)?;
            for name in ["fsync", "full_page_writes", "synchronous_commit"] {
                let value =
                    settings.iter().find(|(found, _)| found == name).map(|(_, value)| value);
                let durable = match value.map(String::as_str) {
                    Some("on") => true,
                    Some("remote_apply") => name == "synchronous_commit",
                    _ => false,
                };
                if !durable {
                    let value = value.map_or("unknown", String::as_str);
                    return Err(StoreError::NotDurable(format!(
                        "PostgreSQL runs with {name} = {value}; it must be on"
                    )));
                }
            }
            Ok(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_connection_that_could_lose_commits_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let url = Url::sqlite(&directory.path().join("gate.db"));
        let mut connection = open(&url, Use::Create).unwrap();
        assert_durable(&mut connection).unwrap();
        connection.batch_execute("PRAGMA synchronous = NORMAL").unwrap();
        let error = assert_durable(&mut connection).unwrap_err();
        assert!(matches!(error, StoreError::NotDurable(what) if what.contains("synchronous = 1")));
    }

    #[test]
    fn only_create_makes_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("typo.db");
        assert!(matches!(open(&Url::sqlite(&path), Use::Write), Err(StoreError::Schema(_))));
        assert!(!path.exists());
    }
}
