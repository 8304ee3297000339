//! A ledger in memory that keeps every promise of a shelf but durability, and fails on demand.
//!
//! Tests of every room above stand on it; so does anyone who wants to try the sequencer.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{ContactNo, ContactRef};
use crate::merkle::Hash;
use crate::merkle::tile::{Tile, WIDTH, hashes_at};
use crate::merkle::tree::Frontier;

use super::growth::Batch;
use super::prove::edge;
use super::{
    Appended, Archive, Head, Link, LinkedTo, Prepared, Projection, Records, Refused, Shelf,
    ShelfError, StoredItems, StoredLink, StoredProjection,
};

/// An effect in memory: any closure.
pub type MemoryEffect = Box<dyn FnOnce() -> Result<(), Refused> + Send>;

/// A step of a transaction at which a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Taking the lock and reading the head.
    Begin,
    /// Writing entries, items and projections.
    Entries,
    /// Writing full tiles.
    Tiles,
    /// Writing the head.
    Head,
    /// Before the commit: nothing persists.
    Commit,
    /// After the commit: everything persists, the answer is lost.
    Committed,
}

impl Step {
    /// All steps in order.
    pub const ALL: [Self; 6] =
        [Self::Begin, Self::Entries, Self::Tiles, Self::Head, Self::Commit, Self::Committed];
}

/// How a fault shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `ShelfError::Busy`
    Busy,
    /// `ShelfError::Broken`
    Broken,
}

/// Rows as a database would hold them, open to inspection and to damage.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// `ledger_head.size`
    pub size: u64,
    /// `ledger_head.frontier`
    pub frontier: Vec<u8>,
    /// `ledger_head.last_restricting`
    pub last_restricting: Option<u64>,
    /// `ledger_log.min_index`
    pub min_index: u64,
    /// `ledger_head.epoch`
    pub epoch: u32,
    /// `ledger_entry.body` by index.
    pub bodies: BTreeMap<u64, Vec<u8>>,
    /// `ledger_tile` by level and number: root, then hashes.
    pub tiles: BTreeMap<(u8, u64), (Vec<u8>, Vec<u8>)>,
    /// `ledger_items.items` by index.
    pub items: BTreeMap<u64, Vec<u8>>,
    /// `disclosed_item`.
    pub links: BTreeSet<Link>,
    /// `ledger_projection` by index.
    pub projections: BTreeMap<u64, Projection>,
    /// `ledger_projection.late` by index, where it is not NULL.
    pub late: BTreeMap<u64, i64>,
    /// `ledger_head.updated_at`
    pub newest: i64,
    /// The references of contacts; `None` once erased.
    pub contacts: BTreeMap<ContactNo, Option<ContactRef>>,
}

#[derive(Debug, Default)]
struct State {
    rows: Rows,
    fault: Option<(Step, Fault)>,
}

/// A ledger in memory. Clones share the same rows.
#[derive(Debug, Clone, Default)]
pub struct MemoryShelf(Arc<Mutex<State>>);

impl MemoryShelf {
    /// An empty ledger.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the next append fail at this step.
    pub fn fail_next(&self, step: Step, fault: Fault) {
        self.lock().fault = Some((step, fault));
    }

    /// A copy of all rows.
    pub fn rows(&self) -> Rows {
        self.lock().rows.clone()
    }

    /// Changes rows behind the ledger's back.
    pub fn tamper(&self, change: impl FnOnce(&mut Rows)) {
        change(&mut self.lock().rows);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn strike(&mut self, step: Step) -> Result<(), ShelfError> {
        match self.fault.take_if(|(at, _)| *at == step) {
            None => Ok(()),
            Some((_, Fault::Busy)) => Err(ShelfError::Busy(format!("{step:?}").into())),
            Some((_, Fault::Broken)) => Err(ShelfError::Broken(format!("{step:?}").into())),
        }
    }
}

impl Rows {
    fn insert(&mut self, index: u64, draft: Prepared<MemoryEffect>) {
        self.bodies.insert(index, draft.body);
        for (position, owner) in (0..).zip(draft.owners) {
            if let Some(contact_no) = owner.contact_no {
                self.contacts.insert(contact_no, Some(owner.contact_ref));
                self.links.insert(Link { contact_no, index, position });
            }
        }
        if !draft.items.is_empty() {
            self.items.insert(index, draft.items);
        }
        let at = draft.projection.at.0;
        if at < self.newest {
            self.late.insert(index, self.newest.saturating_sub(at));
        }
        self.newest = self.newest.max(at);
        self.projections.insert(index, draft.projection);
    }

    fn owner(&self, number: ContactNo) -> LinkedTo {
        match self.contacts.get(&number) {
            Some(Some(reference)) => LinkedTo::Contact(*reference),
            Some(None) => LinkedTo::Erased,
            None => LinkedTo::Nobody,
        }
    }

    fn write_head(&mut self, head: &Head) {
        self.size = head.size();
        self.frontier = head.frontier.to_bytes();
        self.last_restricting = head.last_restricting;
        self.epoch = head.epoch;
    }
}

impl Shelf for MemoryShelf {
    type Effect = MemoryEffect;

    fn append(&mut self, batch: Vec<Prepared<MemoryEffect>>) -> Result<Appended, ShelfError> {
        let mut state = self.lock();
        state.strike(Step::Begin)?;
        // The transaction: work on a copy, put it in place at the end.
        let mut rows = state.rows.clone();
        let before = rows.head()?;
        let mut growing = Batch::begin(before.clone());
        let mut outcomes = Vec::with_capacity(batch.len());
        for mut draft in batch {
            let effect = draft.effect.take();
            let admitted = growing.admit(&draft);
            let done = admitted.and_then(|_| effect.map_or(Ok(()), |effect| effect()));
            outcomes.push(done.map(|()| {
                let index = growing.accept(&draft);
                rows.insert(index, draft);
                index
            }));
        }
        state.strike(Step::Entries)?;
        let growth = growing.finish(|level, n| {
            let width = u16::try_from(hashes_at(level, before.size()) - n * u64::from(WIDTH));
            edge(&mut rows, level, n, width.unwrap_or(WIDTH))
        });
        let growth = growth.map_err(|error| ShelfError::Broken(error.to_string().into()))?;
        for tile in &growth.tiles {
            let row = (tile.root().0.to_vec(), tile.to_bytes());
            rows.tiles.insert((tile.level(), tile.n()), row);
        }
        state.strike(Step::Tiles)?;
        rows.write_head(&growth.after);
        state.strike(Step::Head)?;
        state.strike(Step::Commit)?;
        state.rows = rows;
        state.strike(Step::Committed)?;
        Ok(Appended { before, after: growth.after, outcomes })
    }
}

impl Archive for Rows {
    fn head(&mut self) -> Result<Head, ShelfError> {
        let frontier = Frontier::from_bytes(self.size, &self.frontier)
            .map_err(|error| ShelfError::Broken(error.into()))?;
        let (last_restricting, epoch) = (self.last_restricting, self.epoch);
        Ok(Head { frontier, last_restricting, epoch, ..Head::default() })
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        // A gap ends the answer, as in a database.
        let run = self.bodies.range(from..until).zip(from..).take_while(|((at, _), n)| *at == n);
        Ok(run.map(|((_, body), _)| body.clone()).collect())
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        let Some((_, hashes)) = self.tiles.get(&(level, n)) else { return Ok(None) };
        Tile::from_bytes(level, n, hashes)
            .map(Some)
            .map_err(|error| ShelfError::Broken(error.into()))
    }

    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        let rows = self.tiles.range((level, from)..(level, until));
        let roots: Option<Vec<Hash>> = rows.map(|(_, (root, _))| Hash::from_slice(root)).collect();
        roots.ok_or_else(|| ShelfError::Broken("a root is not 32 bytes long".into()))
    }

    fn min_index(&mut self) -> Result<u64, ShelfError> {
        Ok(self.min_index)
    }
}

impl Records for Rows {
    fn items(&mut self, from: u64, until: u64) -> Result<Vec<StoredItems>, ShelfError> {
        let rows = self.items.range(from..until);
        Ok(rows.map(|(index, run)| StoredItems { index: *index, run: run.clone() }).collect())
    }

    fn links(
        &mut self,
        from: u64,
        after: Option<Link>,
        limit: u32,
    ) -> Result<Vec<StoredLink>, ShelfError> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.links.range((begin, Bound::Unbounded));
        let rows = rows
            .filter(|link| link.index >= from)
            .take(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(rows.map(|link| (*link, self.owner(link.contact_no))).collect())
    }

    fn links_to(&mut self, from: u64, until: u64) -> Result<Vec<StoredLink>, ShelfError> {
        let rows = self.links.iter().filter(|link| (from..until).contains(&link.index));
        Ok(rows.map(|link| (*link, self.owner(link.contact_no))).collect())
    }

    fn surplus_tiles(&mut self, size: u64) -> Result<Vec<(u8, u64)>, ShelfError> {
        let full = |level: &u8| hashes_at(*level, size) / u64::from(WIDTH);
        Ok(self.tiles.keys().filter(|(level, n)| *n >= full(level)).copied().collect())
    }

    fn newest_time(&mut self) -> Result<i64, ShelfError> {
        Ok(self.newest)
    }

    fn is_known(&mut self, reference: ContactRef) -> Result<bool, ShelfError> {
        Ok(self.contacts.values().any(|known| *known == Some(reference)))
    }

    fn projections(&mut self, from: u64, until: u64) -> Result<Vec<StoredProjection>, ShelfError> {
        let rows = self.projections.range(from..until);
        let row = |(index, projection): (&u64, &Projection)| StoredProjection {
            index: *index,
            projection: Some(projection.clone()),
            late: self.late.get(index).copied(),
        };
        Ok(rows.map(row).collect())
    }
}

impl Archive for MemoryShelf {
    fn head(&mut self) -> Result<Head, ShelfError> {
        self.lock().rows.head()
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        self.lock().rows.bodies(from, until)
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        self.lock().rows.tile(level, n)
    }

    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        self.lock().rows.tile_roots(level, from, until)
    }

    fn min_index(&mut self) -> Result<u64, ShelfError> {
        self.lock().rows.min_index()
    }
}

impl Records for MemoryShelf {
    fn items(&mut self, from: u64, until: u64) -> Result<Vec<StoredItems>, ShelfError> {
        self.lock().rows.items(from, until)
    }

    fn links(
        &mut self,
        from: u64,
        after: Option<Link>,
        limit: u32,
    ) -> Result<Vec<StoredLink>, ShelfError> {
        self.lock().rows.links(from, after, limit)
    }

    fn links_to(&mut self, from: u64, until: u64) -> Result<Vec<StoredLink>, ShelfError> {
        self.lock().rows.links_to(from, until)
    }

    fn surplus_tiles(&mut self, size: u64) -> Result<Vec<(u8, u64)>, ShelfError> {
        self.lock().rows.surplus_tiles(size)
    }

    fn newest_time(&mut self) -> Result<i64, ShelfError> {
        self.lock().rows.newest_time()
    }

    fn is_known(&mut self, reference: ContactRef) -> Result<bool, ShelfError> {
        self.lock().rows.is_known(reference)
    }

    fn projections(&mut self, from: u64, until: u64) -> Result<Vec<StoredProjection>, ShelfError> {
        self.lock().rows.projections(from, until)
    }
}
