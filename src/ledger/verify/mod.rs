//! The auditor's walk: hash everything again and name exactly what is wrong.
//!
//! `tree` needs bodies, tiles and head alone, as an export offers them; `everything` also checks
//! the rows that hang on the entries. Neither believes a stored hash that it can compute.

mod checkpoints;
mod links;
mod receipts;
mod records;
mod tree;
mod walk;

use std::{fmt, thread};

use crate::merkle::key::Verifier;
use crate::merkle::note::Note;
use crate::merkle::proof::TreeHead;

use super::entry::ReadEntry;
use super::log_key::{KeyChange, KeyHistory};
use super::{Archive, Head, Link, Records, ShelfError};

use walk::{STRIDE, walk};

pub use checkpoints::{KeptLine, Witnessed, kept};
pub use receipts::{ReceiptError, VerifiedReceipt, verify_receipt};

/// Most findings that a report lists; the walk goes on and counts the rest.
pub const FINDINGS_MAX: usize = 1000;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The body of this entry is missing, altered or not in canonical form.
    Entry(u64),
    /// Entries of this range and the head contradict each other, and no full tile can say which.
    Edge {
        /// First index.
        from: u64,
        /// Index after the last.
        until: u64,
    },
    /// A stored tile differs from what the rows below it give, or is missing.
    Tile {
        /// Its level.
        level: u8,
        /// Its number.
        n: u64,
        /// Place of the first differing hash, or `None` if the row is missing.
        place: Option<u16>,
    },
    /// A tile is stored that a tree of this size does not have.
    SurplusTile {
        /// Its level.
        level: u8,
        /// Its number.
        n: u64,
    },
    /// The root stored beside a tile is not the root of the tile.
    TileRoot {
        /// Level of the tile.
        level: u8,
        /// Its number.
        n: u64,
    },
    /// A column of the head contradicts the entries.
    Head(&'static str),
    /// The projection of this entry is missing, unreadable or differs from the entry.
    Projection(u64),
    /// The item hashes of this entry do not lead to the root in the entry.
    ItemHashes(u64),
    /// The run of this entry's items is missing, or does not split into as many as it has.
    Items(u64),
    /// This item differs from its hash.
    Item {
        /// Index of the entry.
        index: u64,
        /// Place of the item.
        position: u32,
    },
    /// This row of `disclosed_item` leads to no item, or to one that speaks of another contact.
    Link(Link),
    /// No row of `disclosed_item` leads to this item: the question who has somebody's data would
    /// miss it.
    Unlinked {
        /// Index of the entry.
        index: u64,
        /// Place of the item.
        position: u32,
    },
    /// A checkpoint of this size is not signed by the log, or shows another root.
    Checkpoint(u64),
    /// A checkpoint of this size is signed by keys alone that no entry had brought in by then, or
    /// that were retired.
    LogKey(u64),
    /// The keys that sign now are not those of which the entries tell.
    Signers,
    /// What is kept as a witness's line below a published checkpoint is none.
    Cosignature {
        /// Size of the checkpoint.
        size: u64,
        /// The witness: name and id of its key, `<name>+<id>`.
        witness: String,
    },
    /// Of all published checkpoints, up to this size, none satisfies the policy.
    Unconvincing(u64),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(index) => write!(f, "entry {index} was altered or is missing"),
            Self::Edge { from, until } => {
                write!(f, "entries {from} to {} contradict the head", until.saturating_sub(1))
            }
            Self::Tile { level, n, place: None } => {
                write!(f, "tile {n} of level {level} is missing")
            }
            Self::Tile { level, n, place: Some(place) } => {
                write!(f, "tile {n} of level {level} was altered at hash {place}")
            }
            Self::SurplusTile { level, n } => {
                write!(f, "tile {n} of level {level} is stored, and the ledger has no such tile")
            }
            Self::TileRoot { level, n } => {
                write!(f, "the root of tile {n} of level {level} was altered")
            }
            Self::Head(column) => write!(f, "the head's {column} contradicts the entries"),
            Self::Projection(index) => write!(f, "the projection of entry {index} was altered"),
            Self::ItemHashes(index) => write!(f, "the item hashes of entry {index} were altered"),
            Self::Items(index) => {
                write!(f, "the items of entry {index} were altered or are missing")
            }
            Self::Item { index, position } => {
                write!(f, "item {position} of entry {index} was altered")
            }
            Self::Link(Link { contact_no, index, position }) => write!(
                f,
                "the link of contact {} to item {position} of entry {index} leads nowhere or to \
                 another contact's item",
                contact_no.0
            ),
            Self::Unlinked { index, position } => {
                write!(f, "the link to item {position} of entry {index} is missing")
            }
            Self::Checkpoint(size) => {
                write!(f, "the checkpoint of size {size} does not belong to these entries")
            }
            Self::LogKey(size) => write!(
                f,
                "the checkpoint of size {size} is signed by no key that the entries had in force"
            ),
            Self::Signers => {
                f.write_str("the keys that sign now are not those of which the entries tell")
            }
            Self::Cosignature { size, witness } => write!(
                f,
                "the line of {witness} below the checkpoint of size {size} is not its signature"
            ),
            Self::Unconvincing(size) => write!(
                f,
                "no checkpoint published up to size {size} has the signatures that the policy asks for"
            ),
        }
    }
}

/// What to check beside the rows themselves.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The log's public keys; checkpoints of other keys are findings.
    pub log: Vec<Verifier>,
    /// The keys that sign now, of a log that is read where it is written; else empty.
    pub signing: Vec<Verifier>,
    /// Checkpoints that were signed or published: their roots must be those of the ledger.
    pub checkpoints: Vec<Note>,
    /// Bodies and their rows below this index are not looked at; a multiple of 256. Below it the
    /// stored leaf hashes are taken, and checked against the root like all others. What the
    /// ledger itself says was pruned is left out in any case.
    pub from: u64,
}

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Entries that are done.
    pub done: u64,
    /// Whether nothing was found wrong so far.
    pub sound: bool,
}

/// The outcome of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Size and root of the ledger as its head has them.
    pub head: TreeHead,
    /// Bodies that were hashed.
    pub entries: u64,
    /// What is wrong; empty if all is well. At most `FINDINGS_MAX`.
    pub findings: Vec<Finding>,
    /// Findings that are not listed.
    pub more: u64,
    /// What the entries that were read say about the log's keys.
    pub keys: KeyHistory,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn of(head: &Head) -> Self {
        let tree_head = TreeHead { size: head.size(), root: head.frontier.root() };
        let (findings, keys) = (Vec::new(), KeyHistory::default());
        Self { head: tree_head, entries: 0, findings, more: 0, keys }
    }

    fn is_full(&self) -> bool {
        self.findings.len() >= FINDINGS_MAX
    }

    fn hear(&mut self, index: u64, change: Option<KeyChange>) {
        if let Some(change) = change {
            self.keys.take(index, change);
        }
    }

    fn add(&mut self, finding: Finding) {
        if self.findings.contains(&finding) {
            return;
        }
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// Checks bodies, tiles, head and checkpoints. `progress` hears how far it is.
///
/// # Errors
/// The store could not be read at all.
pub fn tree<A: Archive>(
    archive: &mut A,
    plan: &Plan,
    progress: impl FnMut(Progress),
) -> Result<Report, ShelfError> {
    let mut report = walk(archive, plan, progress, |_, _, _, _| Ok(()))?;
    checkpoints::named(archive, plan, &mut report)?;
    Ok(report)
}

/// Checks all that `tree` checks, and that every entry is one of this ledger's format: what a
/// published log offers.
///
/// # Errors
/// The place could not be read at all.
pub fn published<A: Archive>(
    archive: &mut A,
    plan: &Plan,
    progress: impl FnMut(Progress),
) -> Result<Report, ShelfError> {
    let mut report = walk(archive, plan, progress, |_, from, bodies, report| {
        let read = |body: &Vec<u8>| ReadEntry::parse(body).map(|entry| KeyChange::of(&entry.facts));
        for (index, said) in (from..).zip(tree::on_all_cores(&bodies, read)) {
            match said {
                Ok(change) => report.hear(index, change),
                Err(_) => report.add(Finding::Entry(index)),
            }
        }
        Ok(())
    })?;
    checkpoints::named(archive, plan, &mut report)?;
    Ok(report)
}

/// Checks all that `tree` checks, and items, projections and the head's other columns.
///
/// # Errors
/// The store could not be read at all.
pub fn everything<R: Records>(
    records: &mut R,
    plan: &Plan,
    progress: impl FnMut(Progress),
) -> Result<Report, ShelfError> {
    let tally = links::Tally::new(STRIDE);
    let (mut report, seen, tally) = thread::scope(|scope| {
        let mut desk = records::Desk::new(scope, tally);
        let mut report = walk(records, plan, progress, |records, from, bodies, report| {
            desk.take(records, from, bodies, report)
        })?;
        let (seen, tally) = desk.finish(&mut report);
        Ok::<_, ShelfError>((report, seen, tally))
    })?;
    checkpoints::named(records, plan, &mut report)?;
    let head = records.head()?;
    if !plan.signing.is_empty() && !report.keys.agrees(&plan.signing, head.size()) {
        report.add(Finding::Signers);
    }
    records::check_beyond(records, head.size(), &mut report)?;
    // Where every entry was left out there is nothing to hold the links against.
    if report.entries > 0 || plan.from == 0 {
        tally.settle(records, head.size(), &mut report)?;
    }
    let min_index = records.min_index()?;
    let newest = records.newest_time()?;
    seen.compare((&head, newest), plan.from.max(min_index), min_index, &mut report);
    Ok(report)
}
