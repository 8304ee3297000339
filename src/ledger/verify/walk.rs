//! The way through the ledger in strides: while one is hashed, the next is read.

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use crate::merkle::tile::WIDTH;

use super::super::{Archive, ShelfError};
use super::tree::{Climb, Leaves};
use super::{Finding, Plan, Progress, Report};

/// Entries that are read at once: 16 tiles. Some 2 MB, and 40 MB where each has a page of 100 items;
/// one stride per core is in memory, and the bodies of one more.
pub(super) const STRIDE: u64 = 16 * 256;

/// Reads the ledger in strides; every stride goes through the tree and then through `also`.
pub(super) fn walk<A: Archive>(
    archive: &mut A,
    plan: &Plan,
    progress: impl FnMut(Progress),
    also: impl FnMut(&mut A, u64, Vec<Vec<u8>>, &mut Report) -> Result<(), ShelfError>,
) -> Result<Report, ShelfError> {
    let head = archive.head()?;
    let pruned = plan.from.max(archive.min_index()?);
    let pruned = (pruned - pruned % u64::from(WIDTH)).min(head.size());
    let (climb, report) = (Climb::default(), Report::of(&head));
    let mut walk = Walk { climb, report, progress, also };
    for stride in strides(0, pruned) {
        walk.climb.stored(archive, stride, &mut walk.report)?;
        walk.tell(stride);
    }
    if !walk.read(archive, pruned, head.size())? {
        // Nothing at all where entries should be: the head counts what is not there.
        walk.report.add(Finding::Head("size"));
        return Ok(walk.report);
    }
    let Walk { climb, mut report, .. } = walk;
    if !archive.bodies(head.size(), head.size().saturating_add(1))?.is_empty() {
        report.add(Finding::Head("size"));
    }
    climb.compare(&head.frontier, &mut report);
    Ok(report)
}

/// From which index to which.
type Stride = (u64, u64);

/// How far a walk is, and who hears of it.
struct Walk<P, S> {
    climb: Climb,
    report: Report,
    progress: P,
    also: S,
}

impl<P: FnMut(Progress), S> Walk<P, S> {
    /// Reads the entries `from..until`; `false` where a whole stride of them is missing.
    fn read<A: Archive>(
        &mut self,
        archive: &mut A,
        from: u64,
        until: u64,
    ) -> Result<bool, ShelfError>
    where
        S: FnMut(&mut A, u64, Vec<Vec<u8>>, &mut Report) -> Result<(), ShelfError>,
    {
        thread::scope(|scope| {
            let mut before = None;
            for stride in strides(from, until) {
                let bodies = archive.bodies(stride.0, stride.1)?;
                let is_missing = bodies.is_empty();
                let hashing = (!is_missing).then(|| scope.spawn(move || Leaves::of(bodies)));
                let next = hashing.map(|hashing| (stride, hashing));
                if let Some((stride, hashing)) = std::mem::replace(&mut before, next) {
                    self.settle(archive, stride, hashing)?;
                }
                if is_missing {
                    return Ok(false);
                }
            }
            if let Some((stride, hashing)) = before {
                self.settle(archive, stride, hashing)?;
            }
            Ok(true)
        })
    }

    /// Waits for the hashes of a stride and compares what hangs on them.
    fn settle<A: Archive>(
        &mut self,
        archive: &mut A,
        stride: Stride,
        hashing: ScopedJoinHandle<'_, Leaves>,
    ) -> Result<(), ShelfError>
    where
        S: FnMut(&mut A, u64, Vec<Vec<u8>>, &mut Report) -> Result<(), ShelfError>,
    {
        let leaves = hashing.join().unwrap_or_else(|panic| resume_unwind(panic));
        let bodies = self.climb.leaves(archive, stride, leaves, &mut self.report)?;
        (self.also)(archive, stride.0, bodies, &mut self.report)?;
        self.report.entries += stride.1 - stride.0;
        self.tell(stride);
        Ok(())
    }

    fn tell(&mut self, (_, done): Stride) {
        (self.progress)(Progress { done, sound: self.report.is_sound() });
    }
}

/// A range in strides.
fn strides(from: u64, until: u64) -> impl Iterator<Item = Stride> {
    let next = move |from: &u64| Some(from.saturating_add(STRIDE)).filter(|next| *next < until);
    let begins = std::iter::successors(Some(from).filter(|from| *from < until), next);
    begins.map(move |from| (from, from.saturating_add(STRIDE).min(until)))
}
