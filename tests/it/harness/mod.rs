//! What every integration test stands on: an installation of its own, on either database.
#![allow(
    dead_code,
    unused_imports,
    clippy::format_push_string,
    clippy::format_collect,
    reason = "a shared fixture: every test uses a part of it"
)]

pub mod bucket;

pub mod doors;

pub mod dump;

pub mod fault;

pub mod postgres;

pub mod process;

pub mod stamps;

pub mod wire;

pub mod world;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};

pub use doors::{Badge, Doors};
pub use world::{Database, World};

/// Both databases, or `SQLite` alone (said aloud) where `PostgreSQL` is not installed.
pub fn databases() -> Vec<Database> {
    let mut found = vec![Database::Sqlite];
    if postgres::server().is_some() {
        found.push(Database::Postgres);
    }
    found
}

/// Runs a statement as somebody who owns the database; whether it was let through.
pub fn forced(url: &str, statement: &str) -> bool {
    match url.strip_prefix("sqlite://") {
        Some(file) => {
            let mut connection = SqliteConnection::establish(file).unwrap();
            connection.batch_execute("PRAGMA busy_timeout = 10000").unwrap();
            connection.batch_execute(statement).is_ok()
        }
        None => {
            let database = url.rsplit('/').next().unwrap();
            postgres::server().unwrap().permits(("fieldgate", database), statement)
        }
    }
}

/// Runs a story on a runtime of its own.
pub fn wait<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(story)
}
