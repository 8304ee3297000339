//! The tree again from the bottom: each level is computed from the one below and compared.

use std::thread;

use crate::merkle::Hash;
use crate::merkle::tile::WIDTH;
use crate::merkle::tree::{Frontier, root_of};

use super::super::{Archive, ShelfError};
use super::{Finding, Report};

/// Below this many pieces of work a second thread costs more than it saves.
const PARALLEL_MIN: usize = 64;

/// Per level: how many full tiles have been passed on, and the hashes of the unfinished one.
#[derive(Default)]
pub(super) struct Climb {
    levels: Vec<Level>,
}

#[derive(Default)]
struct Level {
    full: u64,
    pending: Vec<Hash>,
}

/// The hashes over a stretch of bodies that begins a tile: all that can be computed before the
/// stretch in front of it is known.
pub(super) struct Leaves {
    bodies: Vec<Vec<u8>>,
    hashes: Vec<Hash>,
    /// Those of the full tiles.
    roots: Vec<Hash>,
}

impl Leaves {
    /// Hashes the bodies on all cores.
    pub(super) fn of(bodies: Vec<Vec<u8>>) -> Self {
        let hashes = on_all_cores(&bodies, |body| Hash::leaf(body));
        let roots = hashes.chunks_exact(usize::from(WIDTH)).map(root_of).collect();
        Self { bodies, hashes, roots }
    }
}

impl Climb {
    /// Takes what the bodies of `from..until` give (`from` begins a tile) and compares all tiles
    /// above. Gives the bodies back.
    pub(super) fn leaves<A: Archive>(
        &mut self,
        archive: &mut A,
        (from, until): (u64, u64),
        leaves: Leaves,
        report: &mut Report,
    ) -> Result<Vec<Vec<u8>>, ShelfError> {
        let Leaves { bodies, mut hashes, roots } = leaves;
        for missing in from.saturating_add(count(&hashes))..until {
            report.add(Finding::Entry(missing));
            hashes.push(Hash::of_nothing());
        }
        self.add(archive, 0, (hashes, roots), report)?;
        Ok(bodies)
    }

    /// Takes the leaf hashes of pruned entries from their tiles.
    pub(super) fn stored<A: Archive>(
        &mut self,
        archive: &mut A,
        (from, until): (u64, u64),
        report: &mut Report,
    ) -> Result<(), ShelfError> {
        let width = u64::from(WIDTH);
        for n in from / width..until / width {
            let tile = archive.tile(0, n)?.filter(crate::merkle::tile::Tile::is_full);
            let hashes = tile.map(|tile| tile.hashes().to_vec());
            let nothing = || vec![Hash::of_nothing(); usize::from(WIDTH)];
            self.add(archive, 0, (hashes.unwrap_or_else(nothing), Vec::new()), report)?;
        }
        Ok(())
    }

    /// Adds hashes to a level, with the roots of the tiles that they begin with as far as those are
    /// known; every tile that becomes full is compared and passed up.
    fn add<A: Archive>(
        &mut self,
        archive: &mut A,
        level: u8,
        (hashes, known): (Vec<Hash>, Vec<Hash>),
        report: &mut Report,
    ) -> Result<(), ShelfError> {
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize_with(place + 1, Level::default);
        }
        let Some(held) = self.levels.get_mut(place) else { return Ok(()) };
        // A tile that was begun before is another one.
        let mut roots = if held.pending.is_empty() { known } else { Vec::new() };
        held.pending.extend(hashes);
        let tail = held.pending.len() - held.pending.len() % usize::from(WIDTH);
        let rest = held.pending.split_off(tail);
        let run = std::mem::replace(&mut held.pending, rest);
        let tiles: Vec<&[Hash]> = run.chunks(usize::from(WIDTH)).collect();
        let first = held.full;
        held.full += count(&tiles);
        let rest = tiles.get(roots.len()..).unwrap_or_default();
        roots.extend(on_all_cores(rest, |tile| root_of(tile)));
        let stored = archive.tile_roots(level, first, first + count(&tiles))?;
        let mut settled = Vec::with_capacity(tiles.len());
        let beside = stored.iter().copied().map(Some).chain(std::iter::repeat(None));
        for ((n, hashes), (root, beside)) in (first..).zip(tiles).zip(roots.into_iter().zip(beside))
        {
            let computed = Computed { level, n, hashes, root, beside };
            settled.push(computed.settle(archive, report)?);
        }
        if settled.is_empty() {
            return Ok(());
        }
        self.add(archive, level + 1, (settled, Vec::new()), report)
    }

    /// Compares the unfinished tiles of all levels with the head.
    pub(super) fn compare(&self, frontier: &Frontier, report: &mut Report) {
        for (level, held) in (0_u8..).zip(&self.levels) {
            let folded: Frontier = held.pending.iter().copied().collect();
            for bit in 0..8_u8 {
                if folded.peak(bit) == frontier.peak(level.saturating_mul(8).saturating_add(bit)) {
                    continue;
                }
                // Above level 0 full tiles have vouched for the entries, so the head is wrong.
                report.add(match level {
                    0 => edge(frontier.size(), bit),
                    _ => Finding::Head("frontier"),
                });
            }
        }
    }
}

/// The entries below the peak of 2^`bit` leaves.
fn edge(size: u64, bit: u8) -> Finding {
    let from = size >> bit >> 1 << bit << 1;
    Finding::Edge { from, until: from + (1 << bit) }
}

/// A tile as computed from below, with the root that is stored beside the stored tile.
struct Computed<'a> {
    level: u8,
    n: u64,
    hashes: &'a [Hash],
    root: Hash,
    beside: Option<Hash>,
}

impl Computed<'_> {
    /// Compares with the stored tile. What is below, the tile and the root beside it are three
    /// witnesses: if one stands alone it is named, and the root of the other two is passed up.
    fn settle<A: Archive>(&self, archive: &mut A, report: &mut Report) -> Result<Hash, ShelfError> {
        let (level, n) = (self.level, self.n);
        let Some(tile) = archive.tile(level, n)? else {
            report.add(Finding::Tile { level, n, place: None });
            return Ok(self.root);
        };
        let differing: Vec<u16> = (0..)
            .zip(self.hashes.iter().zip(tile.hashes()))
            .filter_map(|(place, (computed, stored))| (computed != stored).then_some(place))
            .collect();
        let Some(first) = differing.first().copied() else {
            if self.beside != Some(self.root) {
                report.add(Finding::TileRoot { level, n });
            }
            return Ok(self.root);
        };
        let altered = Finding::Tile { level, n, place: Some(first) };
        if self.beside == Some(self.root) {
            report.add(altered);
            return Ok(self.root);
        }
        for place in differing {
            report.add(self.below(place));
        }
        if self.beside != Some(tile.root()) {
            report.add(altered);
        }
        Ok(self.beside.unwrap_or(self.root))
    }

    /// What stands below one hash of this tile.
    fn below(&self, place: u16) -> Finding {
        let under = self.n * u64::from(WIDTH) + u64::from(place);
        match self.level.checked_sub(1) {
            None => Finding::Entry(under),
            Some(level) => Finding::TileRoot { level, n: under },
        }
    }
}

fn count<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// Applies `work` to all items in order, on as many threads as there are cores.
pub(super) fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 || items.len() < PARALLEL_MIN {
        return items.iter().map(work).collect();
    }
    let work = &work;
    thread::scope(|scope| {
        let shares = items.chunks(items.len().div_ceil(cores));
        let threads: Vec<_> = shares
            .map(|share| (share, scope.spawn(move || share.iter().map(work).collect::<Vec<R>>())))
            .collect();
        // A thread that could not finish had a panic; the work is then done here, in sight.
        let join = |(share, thread): (&[T], thread::ScopedJoinHandle<'_, Vec<R>>)| {
            thread.join().unwrap_or_else(|_| share.iter().map(work).collect())
        };
        threads.into_iter().flat_map(join).collect()
    })
}
