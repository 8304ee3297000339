//! `SQLite` sessions: write-ahead log, every commit flushed, checkpoints on our own schedule.

use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Text};
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};

use super::Use;
use crate::store::error::StoreError;
use crate::store::statement::fixed;

/// `wal_autocheckpoint = 0`: a thread of its own copies the log back, so that no commit pays
/// for it (performance.md §3). The busy time-out matches `PostgreSQL`'s `lock_timeout`.
const SESSION: &str = "PRAGMA busy_timeout = 250; \
     PRAGMA synchronous = FULL; \
     PRAGMA foreign_keys = ON; \
     PRAGMA wal_autocheckpoint = 0; \
     PRAGMA cache_size = -16384; \
     PRAGMA temp_store = MEMORY; \
     PRAGMA secure_delete = ON; \
     PRAGMA trusted_schema = OFF";

/// Opens a file; only `Create` makes it.
pub(super) fn open(path: &Path, purpose: Use) -> Result<SqliteConnection, StoreError> {
    if purpose != Use::Create && !path.is_file() {
        return Err(StoreError::Schema(format!(
            "there is no database at {}; run `fieldgate database migrate` to make it",
            path.display()
        )));
    }
    let name = path.to_str().ok_or_else(|| {
        StoreError::Schema("the path of the database is not readable text".to_owned())
    })?;
    // A leading "./" keeps a relative name from being read as a URI or a special name.
    let name = if path.is_absolute() { name.to_owned() } else { format!("./{name}") };
    let mut connection = SqliteConnection::establish(&name)
        .map_err(|error| StoreError::Busy(format!("{}: {error}", path.display())))?;
    connection.batch_execute(SESSION)?;
    if purpose == Use::Create {
        connection.batch_execute("PRAGMA journal_mode = WAL")?;
    }
    if purpose == Use::Read {
        connection.batch_execute("PRAGMA query_only = ON")?;
    }
    Ok(connection)
}

/// `journal_mode = wal`, `synchronous` FULL or EXTRA, foreign keys enforced; else refused.
pub(super) fn assert_durable(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mode: String = fixed::<Text>("PRAGMA journal_mode").get_result(connection)?;
    if mode != "wal" {
        return Err(StoreError::NotDurable(format!("SQLite runs with journal_mode = {mode}")));
    }
    let synchronous: i64 = fixed::<BigInt>("PRAGMA synchronous").get_result(connection)?;
    if synchronous < 2 {
        return Err(StoreError::NotDurable(format!(
            "SQLite runs with synchronous = {synchronous}; it must be 2 (FULL)"
        )));
    }
    let foreign_keys: i64 = fixed::<BigInt>("PRAGMA foreign_keys").get_result(connection)?;
    if foreign_keys != 1 {
        return Err(StoreError::NotDurable("SQLite does not enforce foreign keys".to_owned()));
    }
    Ok(())
}

/// How much of the write-ahead log is copied back, and who is held up by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Checkpoint {
    /// What can be copied without disturbing anybody.
    Passive,
    /// All of it, and the log is emptied, if nobody is in the way at this moment.
    Empty,
    /// The same, waiting for readers; writers wait meanwhile.
    Force,
}

/// Copies the write-ahead log back into the file.
pub(in crate::store) fn checkpoint(
    connection: &mut SqliteConnection,
    how: Checkpoint,
) -> Result<(), StoreError> {
    let (patience, sql) = match how {
        Checkpoint::Passive => ("PRAGMA busy_timeout = 0", "PRAGMA wal_checkpoint(PASSIVE)"),
        Checkpoint::Empty => ("PRAGMA busy_timeout = 0", "PRAGMA wal_checkpoint(TRUNCATE)"),
        Checkpoint::Force => ("PRAGMA busy_timeout = 250", "PRAGMA wal_checkpoint(TRUNCATE)"),
    };
    connection.batch_execute(patience)?;
    let _: (i64, i64, i64) = fixed::<(BigInt, BigInt, BigInt)>(sql).get_result(connection)?;
    Ok(())
}
