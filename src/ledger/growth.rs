//! How a batch changes the tree: who is admitted, which index it gets, which tiles become full.
//!
//! Pure. The shelf calls it inside its transaction: `begin` with the locked head; for each draft
//! `admit`, then the effect, then `accept`; at the end `finish`, whose tiles and head it writes.

use crate::merkle::Hash;
use crate::merkle::tile::{Tile, WIDTH, hashes_at, partial_width};
use crate::merkle::tree::Frontier;

use super::{Head, Kind, Prepared, Refused};

/// A batch in the making, under the lock of the head.
#[derive(Debug, Clone)]
pub struct Batch {
    before: Head,
    last_restricting: Option<u64>,
    epoch: u32,
    leaves: Vec<Hash>,
}

/// What a batch did to the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The head to write.
    pub after: Head,
    /// The tiles that became full, lower levels first.
    pub tiles: Vec<Tile>,
}

/// Why a batch cannot be finished; the transaction must be rolled back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrowthError<E> {
    /// The unfinished tile could not be read.
    #[error("the right edge of the tree could not be read")]
    Edge(#[source] E),
    /// The rows of the unfinished tile do not lead to the frontier in the head.
    #[error("tile {n} of level {level} contradicts the head")]
    Contradiction {
        /// Level of the unfinished tile.
        level: u8,
        /// Its number.
        n: u64,
    },
}

impl Batch {
    /// Begins on the head that was read under its lock.
    pub fn begin(head: Head) -> Self {
        let (last_restricting, epoch) = (head.last_restricting, head.epoch);
        Self { before: head, last_restricting, epoch, leaves: Vec::new() }
    }

    /// The index that the next accepted entry gets.
    pub fn next_index(&self) -> u64 {
        u64::try_from(self.leaves.len()).map_or(u64::MAX, |n| self.before.size().saturating_add(n))
    }

    /// Checks a draft before its effect is run.
    ///
    /// # Errors
    /// `Stale` if an entry that narrows releases stands at or after the snapshot in which the
    /// draft was decided, be it in the ledger or earlier in this batch.
    pub fn admit<E>(&self, draft: &Prepared<E>) -> Result<u64, Refused> {
        match (draft.decided_at, self.last_restricting) {
            (Some(seen), Some(newest)) if newest >= seen => Err(Refused::Stale),
            _ => Ok(self.next_index()),
        }
    }

    /// Takes a draft whose effect succeeded. Returns its index.
    pub fn accept<E>(&mut self, draft: &Prepared<E>) -> u64 {
        let index = self.next_index();
        if draft.projection.restricting {
            self.last_restricting = Some(index);
        }
        if draft.projection.kind == Kind::Restore {
            self.epoch = self.epoch.saturating_add(1);
        }
        self.leaves.push(draft.leaf);
        index
    }

    /// Computes the new head and the tiles that became full.
    ///
    /// `edge(level, n)` gives the hashes that the unfinished tile `n` of a level had before this
    /// batch: at level 0 the leaf hashes of the bodies from 256 · n up to the old size, above it
    /// the stored roots of the full tiles one level down, from 256 · n. It is asked only when
    /// that tile becomes full, once in 256 entries.
    ///
    /// # Errors
    /// The edge could not be read, or contradicts the head: then the store is broken.
    pub fn finish<E>(
        self,
        mut edge: impl FnMut(u8, u64) -> Result<Vec<Hash>, E>,
    ) -> Result<Growth, GrowthError<E>> {
        let mut frontier = self.before.frontier.clone();
        self.leaves.iter().for_each(|leaf| frontier.push(*leaf));
        let mut tiles = Vec::new();
        let mut fresh = self.leaves;
        let mut level = 0;
        while becomes_full(&self.before.frontier, &frontier, level) {
            let full = fill(&self.before.frontier, level, fresh, &mut edge)?;
            fresh = full.iter().map(Tile::root).collect();
            tiles.extend(full);
            level += 1;
        }
        let (last_restricting, epoch) = (self.last_restricting, self.epoch);
        let registry_version = self.before.registry_version;
        Ok(Growth { after: Head { frontier, last_restricting, epoch, registry_version }, tiles })
    }
}

fn becomes_full(old: &Frontier, new: &Frontier, level: u8) -> bool {
    hashes_at(level + 1, new.size()) > hashes_at(level + 1, old.size())
}

/// The tiles of one level that become full when `fresh` is added to the level.
fn fill<E>(
    old: &Frontier,
    level: u8,
    fresh: Vec<Hash>,
    edge: &mut impl FnMut(u8, u64) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Tile>, GrowthError<E>> {
    let n = hashes_at(level + 1, old.size());
    let contradiction = || GrowthError::Contradiction { level, n };
    let width = partial_width(level, old.size());
    let mut run =
        if width == 0 { Vec::new() } else { edge(level, n).map_err(GrowthError::Edge)? };
    if !is_edge_of(old, level, width, &run) {
        return Err(contradiction());
    }
    run.extend(fresh);
    let full = (n..).zip(run.chunks_exact(usize::from(WIDTH)));
    full.map(|(n, hashes)| Tile::new(level, n, hashes.to_vec()).map_err(|_| contradiction()))
        .collect()
}

/// Whether hashes of an unfinished tile fold to the peaks that the frontier has for its level.
pub(super) fn is_edge_of(frontier: &Frontier, level: u8, width: u16, hashes: &[Hash]) -> bool {
    let folded: Frontier = hashes.iter().copied().collect();
    folded.size() == u64::from(width)
        && (0..8).all(|bit| folded.peak(bit) == frontier.peak(level.saturating_mul(8) + bit))
}
