//! Proof that an entry is durable. `vault::open` asks for one; only the sequencer makes them.

use std::sync::{Arc, OnceLock};

use crate::domain::field::FieldSet;
use crate::id::ContactRef;
use crate::merkle::Hash;
use crate::merkle::note::Note;
use crate::merkle::tlog_proof::TlogProof;

use super::entry::Entry;

/// An entry is in the ledger, and survives the loss of power.
///
/// Nobody outside the ledger can make one, so nobody can open a field without an entry:
///
/// ```compile_fail,E0451
/// use fieldgate::ledger::Receipt;
/// fn forge(real: Receipt) -> Receipt {
///     Receipt { index: 0, ..real }
/// }
/// ```
///
/// The same with what a receipt does offer compiles:
///
/// ```
/// use fieldgate::ledger::Receipt;
/// fn read(real: Receipt) -> (u64, Receipt) {
///     (real.index(), real)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Receipt {
    index: u64,
    size: u64,
    root: Hash,
    entry: Arc<Entry>,
    path: Vec<Hash>,
    checkpoint: Arc<Note>,
    /// What the entry says was opened, by contact; put in order when first asked.
    covered: Arc<OnceLock<Vec<(ContactRef, FieldSet)>>>,
}

/// What the sequencer knows of one commit, shared by its receipts.
pub(super) struct Commit {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) checkpoint: Arc<Note>,
}

impl Receipt {
    /// Called by the sequencer alone, after the commit is durable and the proof has verified.
    pub(super) fn issue(index: u64, entry: Arc<Entry>, path: Vec<Hash>, commit: &Commit) -> Self {
        let checkpoint = Arc::clone(&commit.checkpoint);
        let (size, root, covered) = (commit.size, commit.root, Arc::default());
        Self { index, size, root, entry, path, checkpoint, covered }
    }

    /// Index of the entry.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Size of the tree that the checkpoint signs.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Root of that tree.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The entry itself.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The entry's bytes as stored and hashed.
    pub fn entry_bytes(&self) -> &[u8] {
        self.entry.bytes()
    }

    /// The checkpoint of the commit, signed by the log.
    pub fn checkpoint(&self) -> &Note {
        &self.checkpoint
    }

    /// The whole proof as text (`c2sp.org/tlog-proof`), the entry in its `extra` line.
    pub fn proof(&self) -> TlogProof {
        TlogProof {
            extra: Some(self.entry_bytes().to_vec()),
            index: self.index,
            path: self.path.clone(),
            checkpoint: Note::clone(&self.checkpoint),
        }
    }

    /// Whether the entry records that these fields of this contact are being opened.
    pub fn covers(&self, contact: ContactRef, fields: FieldSet) -> bool {
        let covered = self.covered.get_or_init(|| {
            let items = self.entry.items().iter();
            let mut covered: Vec<_> = items.map(|item| (item.contact_ref, item.fields)).collect();
            covered.sort_unstable_by_key(|(named, _)| *named);
            covered
        });
        let from = covered.partition_point(|(named, _)| *named < contact);
        let rest = covered.iter().skip(from);
        rest.take_while(|(named, _)| *named == contact).any(|(_, named)| fields.within(*named))
    }
}
