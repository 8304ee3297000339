//! Columns that are understood where they stand: no text is copied to be parsed and thrown away.
//!
//! What cannot be understood is `None`, not an error: whether that is a finding or a fault is for
//! the reader of the row to say.

use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::{Binary, Text};
use diesel::sqlite::{Sqlite, SqliteValue};

use super::connection::{MultiBackend, MultiRawValue};
use crate::domain::disclosure::Reason;
use crate::domain::purpose::Purpose;
use crate::id::PartnerId;
use crate::ledger::Kind;

/// What one text in a column stands for.
pub(super) trait Code: Sized {
    /// `None` if it stands for nothing.
    fn of(text: &str) -> Option<Self>;
}

impl Code for Kind {
    fn of(text: &str) -> Option<Self> {
        Self::from_code(text)
    }
}

impl Code for Purpose {
    fn of(text: &str) -> Option<Self> {
        Self::from_code(text)
    }
}

impl Code for Reason {
    fn of(text: &str) -> Option<Self> {
        Self::from_code(text)
    }
}

impl Code for PartnerId {
    fn of(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A text that stands for something.
#[derive(Debug, Clone, Copy, FromSqlRow)]
pub(super) struct Told<T>(pub(super) Option<T>);

impl<T: Code> FromSql<Text, Sqlite> for Told<T> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(T::of(value.read_text())))
    }
}

impl<T: Code> FromSql<Text, Pg> for Told<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(std::str::from_utf8(value.as_bytes()).ok().and_then(T::of)))
    }
}

impl<T: Code> FromSql<Text, MultiBackend> for Told<T> {
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Text>()
    }
}

/// So many bytes.
#[derive(Debug, Clone, Copy, FromSqlRow)]
pub(super) struct Bytes<const N: usize>(pub(super) Option<[u8; N]>);

impl<const N: usize> FromSql<Binary, Sqlite> for Bytes<N> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(value.read_blob().try_into().ok()))
    }
}

impl<const N: usize> FromSql<Binary, Pg> for Bytes<N> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(value.as_bytes().try_into().ok()))
    }
}

impl<const N: usize> FromSql<Binary, MultiBackend> for Bytes<N> {
    fn from_sql(value: MultiRawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Binary>()
    }
}
