//! The rows that hang on the entries: projections, item hashes, items, the head's other columns.

use std::collections::VecDeque;
use std::thread::{self, Scope, ScopedJoinHandle};

use crate::merkle::Hash;
use crate::merkle::tree::root_of;

use super::super::entry::{Kind, ReadEntry};
use super::super::items;
use super::super::log_key::KeyChange;
use super::super::pruning::min_index_of;
use super::super::{Head, Records, ShelfError, StoredProjection};
use super::links::{Key, Sums, Tally};
use super::{Finding, Report};

/// What the head must say, as far as the entries that were read can tell.
#[derive(Default)]
pub(super) struct Seen {
    last_restricting: Option<u64>,
    restores: u32,
    /// The highest border that a `prune` entry names.
    pruned: u64,
    /// The newest time so far, in microseconds.
    newest: Option<i64>,
}

impl Seen {
    fn take(&mut self, index: u64, look: &Look) {
        if look.restricting {
            self.last_restricting = Some(index);
        }
        if look.is_restore {
            self.restores = self.restores.saturating_add(1);
        }
        self.pruned = self.pruned.max(look.pruned);
    }

    /// Whether `late` says by how much a time lies before the newest one in front of it. The first
    /// entry of a walk that begins further on is believed: what stands before it is not read.
    fn is_late(&mut self, index: u64, at: i64, late: Option<i64>) -> bool {
        let believed = if index == 0 { at } else { at.saturating_add(late.unwrap_or(0)) };
        let newest = self.newest.unwrap_or(believed);
        self.newest = Some(newest.max(at));
        late == Some(newest.saturating_sub(at)).filter(|behind| *behind > 0)
    }

    /// Compares the head's columns with what the entries say, as far as they were looked at:
    /// `from` an index on, of a ledger that was pruned below `min_index`.
    pub(super) fn compare(
        &self,
        (head, newest): (&Head, i64),
        from: u64,
        min_index: u64,
        report: &mut Report,
    ) {
        let within = |index: &u64| *index >= from;
        if head.last_restricting.filter(within) != self.last_restricting.filter(within) {
            report.add(Finding::Head("last_restricting"));
        }
        if head.epoch < self.restores || (from == 0 && head.epoch != self.restores) {
            report.add(Finding::Head("epoch"));
        }
        // How far later entries are late is told by it. A walk that read nothing cannot tell.
        if self.newest.is_some_and(|seen| seen != newest) {
            report.add(Finding::Head("updated_at"));
        }
        // Each `prune` entry stands above what it took away, so the newest one is always there.
        if from == min_index && min_index != self.pruned {
            report.add(Finding::Head("min_index"));
        }
    }
}

/// Checks the rows that hang on the entries: while one stretch is looked at on the other cores,
/// the next is read.
pub(super) struct Desk<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    looking: VecDeque<(u64, ScopedJoinHandle<'scope, Vec<Look>>)>,
    seen: Seen,
    tally: Tally,
}

impl<'scope, 'env> Desk<'scope, 'env> {
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, tally: Tally) -> Self {
        Self { scope, looking: VecDeque::new(), seen: Seen::default(), tally }
    }

    /// Reads the rows of the entries whose bodies begin at `from`, and has them looked at.
    pub(super) fn take<R: Records>(
        &mut self,
        records: &mut R,
        from: u64,
        bodies: Vec<Vec<u8>>,
        report: &mut Report,
    ) -> Result<(), ShelfError> {
        let until = from.saturating_add(u64::try_from(bodies.len()).unwrap_or(u64::MAX));
        let mut projections = records.projections(from, until)?.into_iter().peekable();
        let mut runs = records.items(from, until)?.into_iter().peekable();
        let rows = (from..until).zip(bodies).map(|(index, body)| Rows {
            index,
            body,
            projection: projections.next_if(|stored| stored.index == index),
            run: runs.next_if(|stored| stored.index == index).map(|stored| stored.run),
        });
        let rows: Vec<Rows> = rows.collect();
        let key = self.tally.key().clone();
        let look = move || rows.iter().map(|rows| rows.look(&key)).collect();
        self.looking.push_back((from, self.scope.spawn(look)));
        let others = thread::available_parallelism().map_or(1, usize::from).saturating_sub(1);
        while self.looking.len() > others.max(1) {
            self.settle_oldest(report);
        }
        Ok(())
    }

    /// Waits for all that is being looked at. Gives what the entries say about head and links.
    pub(super) fn finish(mut self, report: &mut Report) -> (Seen, Tally) {
        while !self.looking.is_empty() {
            self.settle_oldest(report);
        }
        (self.seen, self.tally)
    }

    fn settle_oldest(&mut self, report: &mut Report) {
        let Some((from, thread)) = self.looking.pop_front() else { return };
        let looks = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        for (index, mut look) in (from..).zip(looks) {
            self.seen.take(index, &look);
            report.hear(index, look.key.take());
            self.tally.add(index, look.sums);
            // An altered entry is named already; that its projection differs is no second finding.
            let altered =
                !look.findings.is_empty() && report.findings.contains(&Finding::Entry(index));
            // Where the two tell different times, the one that was not altered counts.
            let told = look.stored.map(|(at, _)| at);
            let at = if altered { told.or(look.at) } else { look.at.or(told) };
            let late = look.stored.and_then(|(_, late)| late);
            if !at.is_none_or(|at| self.seen.is_late(index, at, late)) {
                look.findings.push(Finding::Projection(index));
            }
            for finding in look.findings {
                if !altered || finding != Finding::Projection(index) {
                    report.add(finding);
                }
            }
        }
    }
}

/// Names rows that hang on entries which the head does not count.
pub(super) fn check_beyond<R: Records>(
    records: &mut R,
    size: u64,
    report: &mut Report,
) -> Result<(), ShelfError> {
    for stored in records.projections(size, u64::MAX)? {
        report.add(Finding::Projection(stored.index));
    }
    for stored in records.items(size, u64::MAX)? {
        report.add(Finding::Items(stored.index));
    }
    for (level, n) in records.surplus_tiles(size)? {
        report.add(Finding::SurplusTile { level, n });
    }
    Ok(())
}

/// One entry and all that hangs on it.
struct Rows {
    index: u64,
    body: Vec<u8>,
    projection: Option<StoredProjection>,
    run: Option<Vec<u8>>,
}

/// What one entry and its rows show.
#[derive(Default)]
struct Look {
    restricting: bool,
    is_restore: bool,
    pruned: u64,
    key: Option<KeyChange>,
    /// When the entry says it was written.
    at: Option<i64>,
    /// When its row says so, and `late`.
    stored: Option<(i64, Option<i64>)>,
    sums: Sums,
    findings: Vec<Finding>,
}

impl Rows {
    fn look(&self, key: &Key) -> Look {
        let mut look = Look::default();
        if let Some(run) = &self.run {
            look.sums = key.of_run(self.index, run);
        }
        let projection = self.projection.as_ref();
        let columns = projection.and_then(|stored| stored.projection.as_ref());
        look.stored = columns.map(|columns| columns.at.0).zip(projection.map(|row| row.late));
        let Ok(entry) = ReadEntry::parse(&self.body) else {
            look.findings.push(Finding::Entry(self.index));
            return look;
        };
        look.at = Some(entry.facts.at.0);
        look.restricting = entry.facts.restricting;
        look.is_restore = entry.facts.kind == Kind::Restore;
        look.pruned = min_index_of(&entry.facts).unwrap_or_default();
        look.key = KeyChange::of(&entry.facts);
        let Some(stored) = columns else {
            look.findings.push(Finding::Projection(self.index));
            return look;
        };
        if !stored.says(&entry.facts) {
            look.findings.push(Finding::Projection(self.index));
        }
        let hashes = &stored.item_hashes;
        let sound = entry.items.map_or(hashes.is_empty(), |tree| {
            u32::try_from(hashes.len()) == Ok(tree.count) && root_of(hashes) == tree.root
        });
        if sound {
            self.look_at_items(hashes, &mut look.findings);
        } else {
            look.findings.push(Finding::ItemHashes(self.index));
        }
        look
    }

    /// Compares each item that is not erased with its hash.
    fn look_at_items(&self, hashes: &[Hash], findings: &mut Vec<Finding>) {
        let index = self.index;
        let items = match &self.run {
            None => Some(Vec::new()),
            Some(run) => items::read(run).filter(|items| !items.is_empty()),
        };
        match items {
            Some(items) if items.len() == hashes.len() => {
                for (position, (item, hash)) in (0..).zip(items.into_iter().zip(hashes)) {
                    if !item.is_empty() && Hash::leaf(item) != *hash {
                        findings.push(Finding::Item { index, position });
                    }
                }
            }
            _ => findings.push(Finding::Items(index)),
        }
    }
}
