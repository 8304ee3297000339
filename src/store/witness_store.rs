//! The memory of a witness: one row per log in a `SQLite` file of its own.
//!
//! The whole worth of a witness is that this never goes back, so reading, judging and replacing a
//! row is one transaction, durable before anybody hears of it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Binary, Text};

use super::connection::{self, AnyConnection, Use};
use super::error::{StoreError, read};
use super::statement::fixed;
use super::url::Url;
use crate::id::Thumbprint;
use crate::ledger::witness::cosigner::Kept;
use crate::merkle::Hash;

/// The size is a decimal text: it has 64 bits, an `INTEGER` one less.
const SCHEMA: &str = "PRAGMA wal_autocheckpoint = 1000; \
     CREATE TABLE IF NOT EXISTS cosigned (\
         origin TEXT NOT NULL PRIMARY KEY, \
         origin_hash TEXT NOT NULL UNIQUE, \
         size TEXT NOT NULL, \
         root BLOB NOT NULL CHECK (length(root) = 32), \
         note TEXT NOT NULL\
     ) STRICT";

/// An open memory. Clones share the one connection.
#[derive(Clone)]
pub struct WitnessStore {
    /// `None` after a failure that leaves in doubt what is on the disk.
    connection: Arc<Mutex<Option<AnyConnection>>>,
}

impl WitnessStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// `Busy` out of reach; `NotDurable` on a file system that cannot keep a commit.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let mut connection = connection::open(&Url::sqlite(file), Use::Create)?;
        connection.batch_execute(SCHEMA)?;
        Ok(Self { connection: Arc::new(Mutex::new(Some(connection))) })
    }

    /// Replaces the memory of a log by what `judge` makes of it, in one step. A refusal of
    /// `judge` leaves it as it was. Blocks while the disk is written.
    ///
    /// # Errors
    /// `Busy`: nothing was written. `Broken`: nobody knows; nothing is cosigned any more until the
    /// process starts again.
    pub fn replace<T, R>(
        &self,
        origin: &str,
        judge: impl FnOnce(Option<Kept>) -> Result<(Kept, T), R>,
    ) -> Result<Result<T, R>, StoreError> {
        self.with(|connection| {
            connection.batch_execute("BEGIN IMMEDIATE")?;
            let judged = match judge(find(connection, origin)?) {
                Ok(judged) => judged,
                Err(refused) => {
                    connection.batch_execute("ROLLBACK")?;
                    return Ok(Err(refused));
                }
            };
            let (kept, answer) = judged;
            write(connection, origin, &kept)?;
            connection.batch_execute("COMMIT")?;
            Ok(Ok(answer))
        })
    }

    /// The newest cosigned checkpoint of the log whose origin has this SHA-256, in lower-case hex.
    ///
    /// # Errors
    /// As for [`WitnessStore::replace`].
    pub fn find_by_hash(&self, origin_hash: &str) -> Result<Option<String>, StoreError> {
        self.with(|connection| {
            let notes: Vec<String> =
                fixed::<Text>("SELECT note FROM cosigned WHERE origin_hash = $1")
                    .bind::<Text, _>(origin_hash)
                    .load(connection)?;
            Ok(notes.into_iter().next())
        })
    }

    fn with<T>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut seat = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken out, so that a panic leaves nothing half-done behind.
        let mut connection = seat.take().ok_or_else(|| {
            StoreError::Broken("the memory failed once; check the disk and start again".into())
        })?;
        let outcome = work(&mut connection);
        let sound = match &outcome {
            Ok(_) => true,
            Err(StoreError::Busy(_) | StoreError::Row(_)) => {
                // SQLite has rolled back by itself after some errors and then refuses.
                let _ = connection.batch_execute("ROLLBACK");
                connection.batch_execute("SELECT 1").is_ok()
            }
            Err(_) => false,
        };
        if sound {
            *seat = Some(connection);
        }
        outcome
    }
}

fn find(connection: &mut AnyConnection, origin: &str) -> Result<Option<Kept>, StoreError> {
    let rows: Vec<(String, Vec<u8>, String)> =
        fixed::<(Text, Binary, Text)>("SELECT size, root, note FROM cosigned WHERE origin = $1")
            .bind::<Text, _>(origin)
            .load(connection)?;
    rows.into_iter()
        .next()
        .map(|(size, root, note)| {
            let size = read(size.parse().ok(), "cosigned.size")?;
            let root = read(Hash::from_slice(&root), "cosigned.root")?;
            Ok(Kept { size, root, note })
        })
        .transpose()
}

fn write(connection: &mut AnyConnection, origin: &str, kept: &Kept) -> Result<(), StoreError> {
    fixed::<()>(
        "INSERT INTO cosigned (origin, origin_hash, size, root, note) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, \
         note = excluded.note",
    )
    .bind::<Text, _>(origin)
    .bind::<Text, _>(Thumbprint::of(origin.as_bytes()).hex())
    .bind::<Text, _>(kept.size.to_string())
    .bind::<Binary, _>(kept.root.0.as_slice())
    .bind::<Text, _>(&kept.note)
    .execute(connection)?;
    Ok(())
}
