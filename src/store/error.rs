//! What can go wrong with a database, sorted by what the caller can do about it.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What a read or a start of the store can end in.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Try again later: locked, full, read-only, or the connection was lost.
    #[error("the database is busy or out of reach: {0}")]
    Busy(String),
    /// The database must not be used any more: an I/O error or a corrupt file.
    #[error("the database is broken")]
    Broken(#[source] Cause),
    /// The schema is missing, older or newer than this program.
    #[error("{0}")]
    Schema(String),
    /// The database would lose acknowledged commits in a power cut.
    #[error("the database is not durable: {0}")]
    NotDurable(String),
    /// A row breaks a constraint: it exists already, or what it names does not.
    #[error("the row contradicts what is stored: {0}")]
    Conflict(String),
    /// A row does not read as what this program wrote.
    #[error("a stored row does not make sense: {0}")]
    Row(String),
}

/// What a change that rides along with an entry can end in.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The change contradicts the present state; only its own draft is refused.
    #[error("{0}")]
    Conflict(String),
    /// The change can never succeed; only its own draft is refused.
    #[error("{0}")]
    Invalid(String),
    /// The database failed; the whole batch is given up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Texts by which the databases say that trying again may help.
const BUSY: [&str; 18] = [
    "database is locked",
    "database table is locked",
    "database or disk is full",
    "readonly database",
    "unable to open database file",
    "lock timeout",
    "canceling statement",
    "out of memory",
    "deadlock detected",
    "terminating connection",
    "the database system is",
    "too many clients",
    "too many connections",
    "No space left on device",
    "read-only transaction",
    "idle-in-transaction",
    "connection closed",
    "error communicating with the server",
];

impl From<Diesel> for StoreError {
    fn from(error: Diesel) -> Self {
        match &error {
            Diesel::DatabaseError(kind, info) => {
                let message = info.message().to_owned();
                match kind {
                    DatabaseErrorKind::SerializationFailure
                    | DatabaseErrorKind::ReadOnlyTransaction
                    | DatabaseErrorKind::ClosedConnection
                    | DatabaseErrorKind::UnableToSendCommand => Self::Busy(message),
                    DatabaseErrorKind::UniqueViolation
                    | DatabaseErrorKind::ForeignKeyViolation
                    | DatabaseErrorKind::NotNullViolation
                    | DatabaseErrorKind::CheckViolation
                    | DatabaseErrorKind::RestrictViolation
                    | DatabaseErrorKind::ExclusionViolation => Self::Conflict(message),
                    _ if BUSY.iter().any(|text| message.contains(text)) => Self::Busy(message),
                    _ => Self::Broken(Box::new(error)),
                }
            }
            Diesel::NotFound => Self::Row("a row is missing".to_owned()),
            Diesel::DeserializationError(cause) => Self::Row(cause.to_string()),
            Diesel::BrokenTransactionManager => Self::Busy("the connection was lost".to_owned()),
            _ => Self::Broken(Box::new(error)),
        }
    }
}

/// A stored value that this program did not write, named by its column.
pub(super) fn read<T>(value: Option<T>, column: &'static str) -> Result<T, StoreError> {
    value.ok_or_else(|| StoreError::Row(column.to_owned()))
}

impl From<Diesel> for EffectError {
    fn from(error: Diesel) -> Self {
        Self::from_store(StoreError::from(error))
    }
}

impl EffectError {
    /// A conflict of rows refuses one draft; every other failure ends the batch.
    pub(super) fn from_store(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(what) => Self::Conflict(what),
            other => Self::Store(other),
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests fail loudly")]
mod tests {
    use super::*;

    fn of(message: &str) -> StoreError {
        Diesel::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned())).into()
    }

    #[test]
    fn what_may_pass_is_busy_and_what_may_not_is_broken() {
        for message in [
            "database is locked",
            "database or disk is full",
            "attempt to write a readonly database",
            "canceling statement due to lock timeout",
            "terminating connection due to administrator command",
            "could not extend file \"base/5/1\": No space left on device",
        ] {
            assert!(matches!(of(message), StoreError::Busy(_)), "{message}");
        }
        for message in
            ["disk I/O error", "database disk image is malformed", "file is not a database"]
        {
            assert!(matches!(of(message), StoreError::Broken(_)), "{message}");
        }
    }
}
