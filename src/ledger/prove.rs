//! Proofs and tiles from stored rows, for any index and any size the ledger has had.

use std::collections::HashMap;

use crate::merkle::Hash;
use crate::merkle::proof::{self, HashSource};
use crate::merkle::tile::{BadTile, TilePath, WIDTH, encode_bundle, hashes_at, partial_width};
use crate::merkle::tree::{Frontier, root_of};

use super::growth::is_edge_of;
use super::{Archive, Head, ShelfError};

/// Why a proof or tile cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The index or size lies beyond the ledger.
    #[error("the position lies beyond the ledger")]
    Beyond,
    /// The bodies asked for went under a retention rule; every hash of them is still there.
    #[error("entries below {min_index} were removed under the retention rule")]
    Pruned {
        /// Entries from here on have their bodies.
        min_index: u64,
    },
    /// The rows it needs are not there: the ledger is damaged.
    #[error("rows of the ledger are missing at tile {n} of level {level}")]
    Missing {
        /// Level of the tile.
        level: u8,
        /// Its number.
        n: u64,
    },
    /// The store could not be read.
    #[error("the ledger could not be read")]
    Shelf(#[from] ShelfError),
}

/// The path of the entry at `index` in the tree of `size` entries.
///
/// # Errors
/// The position lies beyond the ledger, or rows are missing.
pub fn prove_inclusion<A: Archive>(
    archive: &mut A,
    index: u64,
    size: u64,
) -> Result<Vec<Hash>, ProveError> {
    let head = archive.head()?;
    if index >= size || size > head.size() {
        return Err(ProveError::Beyond);
    }
    proof::inclusion(&mut Stored::below(archive, head, size), index, size)
}

/// The path from the tree of `old` entries to that of `new`.
///
/// # Errors
/// The sizes are out of order or beyond the ledger, or rows are missing.
pub fn prove_consistency<A: Archive>(
    archive: &mut A,
    old: u64,
    new: u64,
) -> Result<Vec<Hash>, ProveError> {
    let head = archive.head()?;
    if old > new || new > head.size() {
        return Err(ProveError::Beyond);
    }
    proof::consistency(&mut Stored::below(archive, head, new), old, new)
}

/// The root that the ledger had at `size`, from the rows below the head alone: what the head says
/// is compared with it.
///
/// # Errors
/// The size is beyond the ledger, or rows are missing.
pub fn root_at<A: Archive>(archive: &mut A, size: u64) -> Result<Hash, ProveError> {
    if size > archive.head()?.size() {
        return Err(ProveError::Beyond);
    }
    proof::root(&mut Stored::new(archive, size), size)
}

/// The bytes that are served under a tile path: hashes, or a bundle of entries. Call it within
/// one read transaction.
///
/// # Errors
/// The tile lies beyond the ledger, its bundle was pruned, or rows are missing.
pub fn serve<A: Archive>(archive: &mut A, path: TilePath) -> Result<Vec<u8>, ProveError> {
    if !path.exists_in(archive.head()?.size()) {
        return Err(ProveError::Beyond);
    }
    let missing = |level| ProveError::Missing { level, n: path.n };
    if let Some(level) = path.level {
        return Ok(Hash::join(&read_hashes(archive, level, path.n, path.width)?));
    }
    let from = path.n * u64::from(WIDTH);
    let min_index = archive.min_index()?;
    if from < min_index {
        return Err(ProveError::Pruned { min_index });
    }
    let bodies = archive.bodies(from, from + u64::from(path.width))?;
    let bundle = if bodies.len() == usize::from(path.width) {
        encode_bundle(&bodies)
    } else {
        Err(BadTile::Width)
    };
    bundle.map_err(|_| missing(0))
}

/// The first `width` hashes of a tile: from its row if it is full, else from the rows below it.
fn read_hashes<A: Archive>(
    archive: &mut A,
    level: u8,
    n: u64,
    width: u16,
) -> Result<Vec<Hash>, ProveError> {
    let wanted = usize::from(width);
    let mut hashes = match archive.tile(level, n)? {
        Some(tile) => tile.hashes().to_vec(),
        None => edge(archive, level, n, width)?,
    };
    hashes.truncate(wanted);
    if hashes.len() == wanted { Ok(hashes) } else { Err(ProveError::Missing { level, n }) }
}

/// The hashes of an unfinished tile from the rows below: bodies at level 0, else roots of full
/// tiles one level down. Also what `growth::Batch::finish` asks for.
///
/// # Errors
/// The store could not be read.
pub(super) fn edge<A: Archive + ?Sized>(
    archive: &mut A,
    level: u8,
    n: u64,
    width: u16,
) -> Result<Vec<Hash>, ShelfError> {
    let from = n.saturating_mul(u64::from(WIDTH));
    let until = from.saturating_add(u64::from(width));
    match level.checked_sub(1) {
        None => Ok(archive.bodies(from, until)?.iter().map(|body| Hash::leaf(body)).collect()),
        Some(below) => archive.tile_roots(below, from, until),
    }
}

/// What start-up re-hashes: the unfinished tile of every level against the head, and the newest
/// full tile of every level against its root. `false` if they contradict each other.
///
/// # Errors
/// The store could not be read.
pub fn is_tail_sound<A: Archive>(archive: &mut A) -> Result<bool, ShelfError> {
    let head = archive.head()?;
    let size = head.size();
    for level in (0..8).take_while(|level| hashes_at(*level, size) > 0) {
        let full = hashes_at(level + 1, size);
        let width = partial_width(level, size);
        let hashes = edge(archive, level, full, width)?;
        if !is_edge_of(&head.frontier, level, width, &hashes) {
            return Ok(false);
        }
        if let Some(newest) = full.checked_sub(1) {
            let tile = archive.tile(level, newest)?.map(|tile| tile.root());
            let root = archive.tile_roots(level, newest, full)?.first().copied();
            let below = edge(archive, level, newest, WIDTH)?;
            if tile.is_none() || tile != root || root != Some(root_of(&below)) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Nodes of the stored tree at one size; each tile is read once.
struct Stored<'a, A> {
    archive: &'a mut A,
    size: u64,
    /// The right edge, where it is that of the head: its nodes need no bodies to be hashed.
    edge: Frontier,
    tiles: HashMap<(u8, u64), Vec<Hash>>,
}

impl<'a, A: Archive> Stored<'a, A> {
    fn new(archive: &'a mut A, size: u64) -> Self {
        Self { archive, size, edge: Frontier::new(), tiles: HashMap::new() }
    }

    /// The same, with what the head knows.
    fn below(archive: &'a mut A, head: Head, size: u64) -> Self {
        let edge = if head.size() == size { head.frontier } else { Frontier::new() };
        Self { edge, ..Self::new(archive, size) }
    }

    /// A node of the right edge.
    fn peak(&self, level: u8, index: u64) -> Option<Hash> {
        let last = self.edge.size().checked_shr(u32::from(level))?.checked_sub(1)?;
        self.edge.peak(level).filter(|_| index == last)
    }

    fn hashes(&mut self, level: u8, n: u64) -> Result<&[Hash], ProveError> {
        let full = hashes_at(level + 1, self.size) > n;
        let width = if full { WIDTH } else { partial_width(level, self.size) };
        let hashes = match self.tiles.remove(&(level, n)) {
            Some(hashes) => hashes,
            None => read_hashes(self.archive, level, n, width)?,
        };
        Ok(self.tiles.entry((level, n)).or_insert(hashes))
    }
}

impl<A: Archive> HashSource for Stored<'_, A> {
    type Error = ProveError;

    /// A node of 2^level leaves is folded from 2^(level mod 8) hashes of one tile.
    fn hash(&mut self, level: u8, index: u64) -> Result<Hash, ProveError> {
        if let Some(peak) = self.peak(level, index) {
            return Ok(peak);
        }
        let (tile_level, fold) = (level / 8, level % 8);
        let first = index << fold;
        let n = first / u64::from(WIDTH);
        let missing = ProveError::Missing { level: tile_level, n };
        let from = usize::try_from(first % u64::from(WIDTH)).unwrap_or(usize::MAX);
        let hashes = self.hashes(tile_level, n)?;
        hashes.get(from..from + (1 << fold)).map(root_of).ok_or(missing)
    }
}

/// The path of an item to the root in its entry (`docs/ledger-format.md` section 4), from the
/// leaf hashes of all items of the entry; `None` when there is no such place.
pub fn inner_path(hashes: &[Hash], position: u32) -> Option<Vec<Hash>> {
    let size = u64::try_from(hashes.len()).ok().filter(|size| u64::from(position) < *size)?;
    proof::inclusion(&mut { hashes }, u64::from(position), size).ok()
}
