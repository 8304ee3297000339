//! One type for a connection to either database, so that a query is written once.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::pedantic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::large_enum_variant,
    reason = "what the derive writes is not ours to format"
)]

use super::postgres::PgConnection;
use diesel::SqliteConnection;

/// A connection to `SQLite` or `PostgreSQL`.
#[derive(diesel::MultiConnection)]
pub(in crate::store) enum AnyConnection {
    /// An embedded file.
    Sqlite(SqliteConnection),
    /// A server.
    Postgres(PgConnection),
}
