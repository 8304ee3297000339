//! Brings a database to the schema of this program; refuses one it does not know.

use diesel::connection::SimpleConnection as _;
use diesel::migration::{MigrationSource, MigrationVersion};
use diesel::sql_types::Text;
use diesel::{RunQueryDsl as _, backend::Backend};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::{self, AnyConnection, Use};
use super::error::StoreError;
use super::own_thread;
use super::statement::fixed;
use super::url::Url;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Held on `PostgreSQL` while migrating, so that two replicas never migrate at once. The number
/// is "fgmigrat" in ASCII.
const LOCK: &str = "SELECT pg_catalog.pg_advisory_lock(7379545310213169524)";
const UNLOCK: &str = "SELECT pg_catalog.pg_advisory_unlock(7379545310213169524)";

/// How the schema of a database stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration of this program ran, and no other.
    Current,
    /// These migrations have not run yet; all of them on an empty database.
    Behind(Vec<String>),
    /// A migration ran that this program does not know: a newer program made it.
    Unknown(String),
}

/// Runs the migrations that have not run yet, each in a transaction of its own, and gives their
/// names. Makes the file of a `SQLite` database.
///
/// # Errors
/// `Schema` when a newer program migrated this database.
pub fn migrate(url: &Url) -> Result<Vec<String>, StoreError> {
    own_thread(|| {
        let mut connection = connection::open(url, Use::Create)?;
        match &mut connection {
            AnyConnection::Sqlite(connection) => run(connection, SQLITE),
            AnyConnection::Postgres(connection) => {
                connection.batch_execute("SET lock_timeout = 0")?;
                connection.batch_execute(LOCK)?;
                let outcome = run(connection, POSTGRES);
                connection.batch_execute(UNLOCK)?;
                outcome
            }
        }
    })
}

/// Undoes the newest migration and gives its name; `None` on an empty database.
///
/// # Errors
/// `Schema` when a newer program migrated this database.
pub fn revert(url: &Url) -> Result<Option<String>, StoreError> {
    own_thread(|| {
        let mut connection = connection::open(url, Use::Write)?;
        match &mut connection {
            AnyConnection::Sqlite(connection) => undo(connection, SQLITE),
            AnyConnection::Postgres(connection) => {
                connection.batch_execute("SET lock_timeout = 0")?;
                connection.batch_execute(LOCK)?;
                let outcome = undo(connection, POSTGRES);
                connection.batch_execute(UNLOCK)?;
                outcome
            }
        }
    })
}

/// Compares a database with this program and changes nothing.
pub fn schema_state(url: &Url) -> Result<SchemaState, StoreError> {
    own_thread(|| read_state(&mut connection::open(url, Use::Write)?))
}

fn read_state(connection: &mut AnyConnection) -> Result<SchemaState, StoreError> {
    let table = match connection {
        AnyConnection::Sqlite(_) => {
            "SELECT name FROM sqlite_schema WHERE name = '__diesel_schema_migrations'"
        }
        AnyConnection::Postgres(_) => {
            "SELECT relname::text FROM pg_catalog.pg_class WHERE relkind = 'r' \
             AND relname = '__diesel_schema_migrations' AND pg_table_is_visible(oid)"
        }
    };
    let made: Vec<String> = fixed::<Text>(table).load(connection)?;
    let ran: Vec<String> = if made.is_empty() {
        Vec::new()
    } else {
        fixed::<Text>("SELECT version FROM __diesel_schema_migrations ORDER BY version")
            .load(connection)?
    };
    let known = match connection {
        AnyConnection::Sqlite(_) => names::<diesel::sqlite::Sqlite>(&SQLITE)?,
        AnyConnection::Postgres(_) => names::<diesel::pg::Pg>(&POSTGRES)?,
    };
    if let Some(other) = ran.iter().find(|one| !known.iter().any(|(version, _)| version == *one)) {
        return Ok(SchemaState::Unknown(other.clone()));
    }
    let missing = known.into_iter().filter(|(version, _)| !ran.contains(version));
    let missing: Vec<String> = missing.map(|(_, name)| name).collect();
    Ok(if missing.is_empty() { SchemaState::Current } else { SchemaState::Behind(missing) })
}

/// Refuses a schema that is missing, older or newer.
pub(super) fn demand_current(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match read_state(connection)? {
        SchemaState::Current => Ok(()),
        SchemaState::Behind(missing) => Err(StoreError::Schema(format!(
            "the database lacks {} migrations, first {}; run `fieldgate database migrate`",
            missing.len(),
            missing.first().map_or("", String::as_str)
        ))),
        SchemaState::Unknown(version) => Err(unknown(&version)),
    }
}

fn unknown(version: &str) -> StoreError {
    StoreError::Schema(format!(
        "the database has migration {version}, which this program does not know; \
         use the newer fieldgate that made it"
    ))
}

/// Version and name of every embedded migration, in order.
fn names<B: Backend>(source: &EmbeddedMigrations) -> Result<Vec<(String, String)>, StoreError> {
    let migrations = MigrationSource::<B>::migrations(source).map_err(StoreError::Broken)?;
    let mut names: Vec<(String, String)> = migrations
        .iter()
        .map(|one| (one.name().version().to_string(), one.name().to_string()))
        .collect();
    names.sort();
    Ok(names)
}

fn known<B: Backend>(
    connection: &mut impl MigrationHarness<B>,
    source: &EmbeddedMigrations,
) -> Result<(), StoreError> {
    let known = names::<B>(source)?;
    let ran = connection.applied_migrations().map_err(StoreError::Broken)?;
    let mut ran = ran.iter().map(MigrationVersion::to_string);
    let strange = ran.find(|version| !known.iter().any(|(one, _)| one == version));
    strange.map_or(Ok(()), |version| Err(unknown(&version)))
}

fn run<B: Backend>(
    connection: &mut impl MigrationHarness<B>,
    source: EmbeddedMigrations,
) -> Result<Vec<String>, StoreError> {
    known(connection, &source)?;
    let pending = connection.pending_migrations(source).map_err(StoreError::Broken)?;
    let mut names = Vec::with_capacity(pending.len());
    for migration in pending {
        connection.run_migration(&migration).map_err(StoreError::Broken)?;
        names.push(migration.name().to_string());
    }
    Ok(names)
}

fn undo<B: Backend>(
    connection: &mut impl MigrationHarness<B>,
    source: EmbeddedMigrations,
) -> Result<Option<String>, StoreError> {
    known(connection, &source)?;
    if connection.applied_migrations().map_err(StoreError::Broken)?.is_empty() {
        return Ok(None);
    }
    let version = connection.revert_last_migration(source).map_err(StoreError::Broken)?;
    Ok(Some(version.to_string()))
}
