//! The audit ledger: entries, their one order, and the receipts that let plaintext be opened.
//!
//! A `Draft` becomes a `Prepared` outside the lock, gets its index inside the one transaction of
//! `Shelf::append`, and comes back as a `Receipt` once that transaction is durable. Nothing is
//! released before. The byte formats are normative: `docs/ledger-format.md`.

use std::error::Error;

use crate::id::{ContactNo, ContactRef};
use crate::merkle::Hash;
use crate::merkle::tile::Tile;
use crate::merkle::tree::Frontier;

mod canonical;

mod kind;

mod alarm;

/// One contact below an entry.
pub mod item;

/// All items of an entry as one run of bytes.
pub mod items;

/// What happened, as canonical bytes.
pub mod entry;

/// An entry as columns.
pub mod projection;

/// How a batch of admitted entries changes the tree.
pub mod growth;

/// Proof that an entry is durable: the key to plaintext.
pub mod receipt;

/// Which keys sign, as the entries tell it.
pub mod log_key;

/// Checkpoints and receipts of what is committed.
pub mod notary;

mod signers;

/// What is published next, and when.
pub mod publishing;

/// The one thread that orders all entries.
pub mod sequencer;

/// Proofs and tiles from stored rows, for any index and size.
pub mod prove;

/// What others kept of this log, held against it.
pub mod sighting;

/// Tiles, bundles and proofs by the names that clients send.
pub mod serve;

/// Both sides of the witness protocol.
pub mod witness;

/// A published log, read as an archive.
pub mod published;

/// What a `prune` entry says.
pub mod pruning;

/// An answer with the proof of every entry in it, as one file.
pub mod bundle;

/// Re-hash everything and say what is wrong, where.
pub mod verify;

/// A ledger in memory, with faults on demand.
pub mod memory;

pub use alarm::Alarm;
pub use entry::{Entry, Facts, Kind};
pub use item::Item;
pub use notary::{Notary, NotaryError};
pub use projection::Projection;
pub use receipt::Receipt;
pub use sequencer::{Sequencer, SequencerError};
pub use signers::Signers;

/// An entry to append, with the change of state that it records.
pub struct Draft<E> {
    /// What is to be recorded.
    pub entry: Entry,
    /// Key of the entry's `resp`, kept until erasure and given to the partner.
    pub response_salt: Option<[u8; 16]>,
    /// Size of the ledger in the snapshot from which this was decided. The draft is refused as
    /// stale if a restricting entry landed at or after it.
    pub decided_at: Option<u64>,
    /// The change of state that commits together with the entry, or not at all.
    pub effect: Option<E>,
}

impl<E> Draft<E> {
    /// A draft that depends on no snapshot and changes nothing but the ledger.
    pub fn new(entry: Entry) -> Self {
        Self { entry, response_salt: None, decided_at: None, effect: None }
    }
}

/// The answer to one draft that was not appended. Other drafts of the batch are untouched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What may be released was narrowed after the decision: read and decide again.
    #[error("decided on a state of the ledger that has been narrowed since")]
    Stale,
    /// The effect contradicts the present state.
    #[error("contradicts the present state: {0}")]
    Conflict(String),
    /// The effect can never be carried out.
    #[error("cannot be carried out: {0}")]
    Invalid(String),
}

/// A source of an error, kept for the log.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a shelf could not work.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// Try again: locked, disk full, read-only, connection lost. After a lost connection a batch
    /// may have been committed all the same; whoever tries again must be idempotent.
    #[error("the ledger's store is busy")]
    Busy(#[source] Cause),
    /// An I/O error or contradictory data. Nothing may be written any more: after one failed
    /// flush the next commit can succeed as if nothing had happened.
    #[error("the ledger's store is broken")]
    Broken(#[source] Cause),
}

/// The head row: all that is needed to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// The right edge of the tree; knows size and root.
    pub frontier: Frontier,
    /// Index of the newest restricting entry.
    pub last_restricting: Option<u64>,
    /// Number of declared breaks (`restore` entries).
    pub epoch: u32,
    /// Raised by each change of a partner, certificate, grant, policy or key: who signs may have
    /// changed. 0 where no registry stands beside the log.
    pub registry_version: i64,
}

impl Head {
    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }
}

/// Whom an item speaks of: becomes a row of `disclosed_item`, a *link* from contact to entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The contact's number; `None` if the effect of this draft creates the contact.
    pub contact_no: Option<ContactNo>,
    /// The contact's reference, by which the number is then found.
    pub contact_ref: ContactRef,
}

/// A draft hashed and laid out as rows, ready for the transaction.
pub struct Prepared<E> {
    /// The entry's bytes, for `ledger_entry`.
    pub body: Vec<u8>,
    /// Its leaf hash.
    pub leaf: Hash,
    /// The run of its items (see [`items`]), for `ledger_items`; empty, and then without a row, if
    /// it has none.
    pub items: Vec<u8>,
    /// Rows for `disclosed_item`; the position of each is its place here.
    pub owners: Vec<Owner>,
    /// Row for `ledger_projection`.
    pub projection: Projection,
    /// As in `Draft`.
    pub decided_at: Option<u64>,
    /// As in `Draft`; the shelf takes it and runs it in a savepoint of its own.
    pub effect: Option<E>,
}

impl<E> From<Draft<E>> for Prepared<E> {
    fn from(draft: Draft<E>) -> Self {
        Self::of(&draft.entry, draft.response_salt, draft.decided_at, draft.effect)
    }
}

impl<E> Prepared<E> {
    /// Lays an entry out as rows.
    fn of(
        entry: &Entry,
        response_salt: Option<[u8; 16]>,
        decided_at: Option<u64>,
        effect: Option<E>,
    ) -> Self {
        let owner =
            |item: &Item| Owner { contact_no: item.contact_no, contact_ref: item.contact_ref };
        Self {
            body: entry.bytes().to_vec(),
            leaf: entry.leaf(),
            items: entry.item_run().to_vec(),
            owners: entry.items().iter().map(owner).collect(),
            projection: Projection {
                response_salt,
                item_hashes: entry.item_hashes().to_vec(),
                ..Projection::of(entry.facts())
            },
            decided_at,
            effect,
        }
    }
}

/// What one transaction did.
#[derive(Debug)]
pub struct Appended {
    /// The head that was locked.
    pub before: Head,
    /// The head that was committed.
    pub after: Head,
    /// For each draft of the batch, in its order: the index it got, or why it was refused.
    pub outcomes: Vec<Result<u64, Refused>>,
}

/// Read access to the rows that make the tree.
pub trait Archive {
    /// The head as committed.
    fn head(&mut self) -> Result<Head, ShelfError>;

    /// The bodies of the entries `from..until`, in order; fewer if they do not exist.
    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError>;

    /// Full tile `n` of a level, from its stored hashes.
    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError>;

    /// The stored roots of the full tiles `from..until` of a level, in order; fewer if they do
    /// not exist.
    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError>;

    /// The index below which bodies, and the rows that hang on them, were pruned: a multiple of
    /// 256. Hash tiles always reach back to the first entry.
    fn min_index(&mut self) -> Result<u64, ShelfError> {
        Ok(0)
    }
}

/// Where the ledger is kept, seen by its only writer.
pub trait Shelf: Archive + Send + 'static {
    /// A change of state that commits together with an entry.
    type Effect: Send + 'static;

    /// Appends a batch in one transaction that holds the head's lock (`growth::Batch` says how).
    /// When this returns `Ok`, every entry that got an index survives the loss of power.
    fn append(&mut self, batch: Vec<Prepared<Self::Effect>>) -> Result<Appended, ShelfError>;
}

/// One stored row of `ledger_items`: the items of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredItems {
    /// Index of the entry.
    pub index: u64,
    /// The run of its items.
    pub run: Vec<u8>,
}

/// Key of a row of `disclosed_item`, in the order of that table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The contact that the row says received.
    pub contact_no: ContactNo,
    /// Index of the entry.
    pub index: u64,
    /// Place of the item on the page, from 0.
    pub position: u32,
}

/// What is known today of the contact that a link names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkedTo {
    /// It stands in the ledger under this reference.
    Contact(ContactRef),
    /// It was erased, and its reference with it; its links go when every recall is answered.
    Erased,
    /// There never was a contact of this number.
    Nobody,
}

/// One stored row of `disclosed_item`.
pub type StoredLink = (Link, LinkedTo);

/// One stored row of `ledger_projection`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProjection {
    /// Index of the entry.
    pub index: u64,
    /// The columns; `None` if one of them cannot be read at all, or if the row is not found under
    /// what they say.
    pub projection: Option<Projection>,
    /// By how many microseconds the time lies before the newest time of the entries in front of
    /// this one; `None` where it does not.
    pub late: Option<i64>,
}

/// Read access to the rows that hang on the entries.
pub trait Records: Archive {
    /// The items of the entries `from..until`, ordered by index.
    fn items(&mut self, from: u64, until: u64) -> Result<Vec<StoredItems>, ShelfError>;

    /// The projections of the entries `from..until`, ordered by index.
    fn projections(&mut self, from: u64, until: u64) -> Result<Vec<StoredProjection>, ShelfError>;

    /// The next links to entries from `from` on, in the order of their keys, at most `limit`;
    /// from the first if `after` is `None`.
    fn links(
        &mut self,
        from: u64,
        after: Option<Link>,
        limit: u32,
    ) -> Result<Vec<StoredLink>, ShelfError>;

    /// All links to the entries `from..until`, in any order. The table is ordered by contact, so
    /// this reads the whole of it.
    fn links_to(&mut self, from: u64, until: u64) -> Result<Vec<StoredLink>, ShelfError>;

    /// Level and number of stored tiles that a tree of so many entries does not have, the first few:
    /// one would stand in the way when that tile becomes full.
    fn surplus_tiles(&mut self, size: u64) -> Result<Vec<(u8, u64)>, ShelfError>;

    /// The newest time of all entries as the head has it, in microseconds.
    fn newest_time(&mut self) -> Result<i64, ShelfError>;

    /// Whether a contact that is not erased stands under this reference.
    fn is_known(&mut self, reference: ContactRef) -> Result<bool, ShelfError>;
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::panic,
    reason = "tests fail loudly"
)]
mod tests;
