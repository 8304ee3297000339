//! Read and write transactions on either database; the only room that knows SQL.
//!
//! `Store::read` runs a closure inside one snapshot on a reader thread. There is one way to
//! write: an entry of the ledger, whose `Effect` commits with it or not at all (`SqlShelf`).
//! The row functions stand in the `*_rows` files; what the two databases say differently stands
//! in `dialect`. `Store::keep` writes evidence that is no state: published checkpoints and their
//! cosignatures.

mod checkpointer;
mod connection;
mod dialect;
mod dictionary;
mod effect;
mod error;
mod evidence;
mod migrate;
mod numbers;
mod pool;
mod record_rows;
mod schema;
mod shelf;
mod statement;
mod told;
mod track_rounds;
mod track_rows;
mod track_texts;
mod tx;
mod url;
mod witness_store;

/// Who received whose data; what happened.
pub mod audit_rows;

/// Checkpoints as published.
pub mod checkpoint_rows;

/// A person's yes and no.
pub mod choice_rows;

/// Contacts and their sealed fields.
pub mod contact_rows;

/// Erasure, and keys wrapped anew.
pub mod erasure_rows;

/// Answers to idempotency keys.
pub mod idempotency_rows;

/// The key ring.
pub mod key_rows;

/// The ledger's own rows.
pub mod ledger_rows;

/// Who outside vouched for the ledger, and when.
pub mod outsider_rows;

/// Partners, certificates, grants.
pub mod partner_rows;

/// Policy versions.
pub mod policy_rows;

/// Entries below the minimum index.
pub mod prune_rows;

/// What is demanded back from partners.
pub mod recall_rows;

/// The hot path of a release.
pub mod release_rows;

/// Entries by what they say.
pub mod search_rows;

/// What witnesses cosigned.
pub mod witness_rows;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

pub use effect::Effect;
pub use error::{EffectError, StoreError};
pub use evidence::EvidenceTx;
pub use migrate::{SchemaState, migrate, revert, schema_state};
pub use prune_rows::Sweeper;
pub use shelf::SqlShelf;
pub use tx::{ReadTx, WriteTx};
pub use url::{BadUrl, Url};
pub use witness_store::WitnessStore;

use checkpointer::Checkpointer;
use connection::Use;
use evidence::Evidence;
use pool::Pool;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// Reader threads, each with a connection: 2 to 4 per core for `SQLite`, 4 to 8 in all for
    /// `PostgreSQL`.
    pub readers: usize,
    /// Whether a missing database is made and migrated; otherwise it is refused.
    pub create: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { readers: 4, create: false }
    }
}

/// An open database. Clones share the readers.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    url: Url,
    pool: Pool,
    evidence: Evidence,
    _checkpointer: Option<Checkpointer>,
}

impl Store {
    /// Opens a database whose durability and schema are asserted.
    ///
    /// # Errors
    /// `Busy` out of reach; `Schema` missing, older or newer; `NotDurable` it could lose commits.
    pub fn open(url: &Url, options: OpenOptions) -> Result<Self, StoreError> {
        if options.create {
            migrate(url)?;
        }
        own_thread(|| migrate::demand_current(&mut connection::open(url, Use::Write)?))?;
        let pool = Pool::start(url, options.readers)?;
        let evidence = Evidence::start(url)?;
        let checkpointer = Checkpointer::start(url)?;
        let inner = Inner { url: url.clone(), pool, evidence, _checkpointer: checkpointer };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the database is.
    pub fn url(&self) -> &Url {
        &self.inner.url
    }

    /// How many statements the readers ran so far: the work per request is counted in tests.
    pub fn statements(&self) -> u64 {
        self.inner.pool.statements()
    }

    /// The writer's side, for the sequencer: a connection of its own, opened when first used.
    pub fn shelf(&self) -> SqlShelf {
        SqlShelf::new(self.inner.url.clone())
    }

    /// What deletes pruned rows; a connection of its own, opened when first used.
    pub fn sweeper(&self) -> Sweeper {
        Sweeper::new(self.inner.url.clone())
    }

    /// Runs `read` on a reader thread inside one snapshot: everything it sees is of one moment.
    ///
    /// # Errors
    /// What `read` answers; `Busy` when the queue is full or the connection is lost.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut ReadTx) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (send, receive) = tokio::sync::oneshot::channel();
        self.inner.pool.submit(read, move |answer| drop(send.send(answer)))?;
        receive.await.unwrap_or_else(|_| Err(abandoned()))
    }

    /// The same for a thread that may block: commands, not doors.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn read_blocking<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut ReadTx) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (send, receive) = sync_channel(1);
        self.inner.pool.submit(read, move |answer| drop(send.send(answer)))?;
        receive.recv().unwrap_or_else(|_| Err(abandoned()))
    }

    /// Writes evidence: what changes no state and is no entry, durable when this returns. The
    /// replicas take turns.
    ///
    /// # Errors
    /// What `write` answers; `Busy` when the queue is full or the connection is lost.
    pub async fn keep<T, F>(&self, write: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut EvidenceTx) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (send, receive) = tokio::sync::oneshot::channel();
        self.inner.evidence.submit(write, move |answer| drop(send.send(answer)))?;
        receive.await.unwrap_or_else(|_| Err(abandoned()))
    }
}

fn abandoned() -> StoreError {
    StoreError::Busy("the read was abandoned".to_owned())
}

/// Runs `work` on a thread of its own: connections to `PostgreSQL` block on a runtime of their
/// own, which must not happen on a thread that serves another.
fn own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
