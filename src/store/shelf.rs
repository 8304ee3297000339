//! The one write transaction of the product: entries, what they change, tiles, head.

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Binary};

use super::connection::{self, Use};
use super::dialect::{self, HeadRow, LinkInsert, ProjectionInsert};
use super::effect::Effect;
use super::error::{EffectError, StoreError};
use super::ledger_rows::{self, head_of, nonsense, read_bodies, read_roots, signed};
use super::own_thread;
use super::statement::fixed;
use super::tx::WriteTx;
use super::url::Url;
use crate::id::ContactNo;
use crate::ledger::growth::{Batch, GrowthError};
use crate::ledger::{Appended, Archive, Head, Owner, Prepared, Refused, Shelf, ShelfError};
use crate::merkle::Hash;
use crate::merkle::tile::{Tile, WIDTH};

/// The ledger's shelf: one write connection, opened when first needed and again when lost.
pub struct SqlShelf {
    url: Url,
    tx: Option<WriteTx>,
    /// Size of the ledger after our last append, and the size at which room must be made again.
    size: i64,
    room: i64,
}

impl SqlShelf {
    pub(super) fn new(url: Url) -> Self {
        Self { url, tx: None, size: 0, room: 0 }
    }

    /// Runs `work` on the write connection. What fails half-way is rolled back; a connection
    /// that cannot even do that is dropped, and the next call opens another.
    fn with<T: Send>(
        &mut self,
        work: impl FnOnce(&mut WriteTx) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        if tokio::runtime::Handle::try_current().is_ok() {
            // The start of a server asks for the head on an async thread.
            return own_thread(|| self.with_here(work));
        }
        self.with_here(work)
    }

    fn with_here<T>(
        &mut self,
        work: impl FnOnce(&mut WriteTx) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let tx = match self.tx.take() {
            Some(tx) => self.tx.insert(tx),
            None => self.tx.insert(WriteTx::new(connection::open(&self.url, Use::Write)?)),
        };
        tx.restart_count();
        let outcome = work(tx);
        if outcome.is_err() {
            tx.forget_numbers();
            if !is_idle(tx) {
                self.tx = None;
            }
        }
        outcome
    }

    /// Begins the write transaction; a connection that died while idle is opened anew, once:
    /// nothing was asked of it yet.
    fn begin(&mut self) -> Result<HeadRow, StoreError> {
        let stale = self.tx.is_some();
        match self.with(|tx| dialect::begin_locked(tx.border())) {
            Err(StoreError::Busy(_)) if stale && self.tx.is_none() => {
                self.with(|tx| dialect::begin_locked(tx.border()))
            }
            outcome => outcome,
        }
    }
}

/// Ends whatever transaction is open; `false` when the connection is lost.
fn is_idle(tx: &mut WriteTx) -> bool {
    // SQLite has rolled back by itself after some errors and then refuses; that is idle too.
    let rolled_back = tx.border().batch_execute("ROLLBACK").is_ok();
    rolled_back || tx.border().batch_execute("SELECT 1").is_ok()
}

impl Archive for SqlShelf {
    fn head(&mut self) -> Result<Head, ShelfError> {
        Ok(head_of(self.with(|tx| dialect::read_head(tx.statement()))?)?)
    }

    fn bodies(&mut self, from: u64, until: u64) -> Result<Vec<Vec<u8>>, ShelfError> {
        Ok(self.with(|tx| read_bodies(tx, from, until))?)
    }

    fn tile(&mut self, level: u8, n: u64) -> Result<Option<Tile>, ShelfError> {
        self.with(|tx| Ok(Archive::tile(&mut **tx, level, n)))?
    }

    fn tile_roots(&mut self, level: u8, from: u64, until: u64) -> Result<Vec<Hash>, ShelfError> {
        Ok(self.with(|tx| read_roots(tx, level, from, until))?)
    }

    fn min_index(&mut self) -> Result<u64, ShelfError> {
        Ok(self.with(|tx| ledger_rows::min_index(tx))?)
    }
}

impl Shelf for SqlShelf {
    type Effect = Effect;

    fn append(&mut self, batch: Vec<Prepared<Effect>>) -> Result<Appended, ShelfError> {
        if self.size >= self.room {
            // A transaction of its own, before the head is locked.
            self.room = self.with(|tx| dialect::make_room(tx.border()))?;
        }
        let locked = self.begin()?;
        let appended = self.with(|tx| {
            let appended = write(tx, locked, batch)?;
            let end = if appended.after == appended.before { "ROLLBACK" } else { "COMMIT" };
            tx.border().batch_execute(end)?;
            Ok(appended)
        })?;
        self.size = signed(appended.after.size());
        Ok(appended)
    }
}

/// Everything between the lock and the commit (ledger.md §13).
fn write(
    tx: &mut WriteTx,
    locked: HeadRow,
    drafts: Vec<Prepared<Effect>>,
) -> Result<Appended, StoreError> {
    let mut pending = Pending { newest: locked.4, ..Pending::default() };
    let before = head_of(locked)?;
    let size = before.size();
    let mut batch = Batch::begin(before.clone());
    let mut outcomes = Vec::with_capacity(drafts.len());
    for mut draft in drafts {
        let outcome = match batch.admit(&draft) {
            Ok(index) => take(tx, &mut pending, index, &mut draft)?,
            Err(refused) => Err(refused),
        };
        outcomes.push(outcome.map(|()| {
            let index = batch.accept(&draft);
            pending.push(signed(index), draft);
            index
        }));
    }
    pending.flush(tx)?;
    if batch.next_index() == size {
        return Ok(Appended { before: before.clone(), after: before, outcomes });
    }
    let growth =
        batch.finish(|level, n| edge(tx, size, level, n)).map_err(|error| match error {
            GrowthError::Edge(error) => error,
            contradiction @ GrowthError::Contradiction { .. } => {
                StoreError::Broken(contradiction.to_string().into())
            }
        })?;
    for tile in &growth.tiles {
        dialect::insert_tile(tx.statement(), tile)?;
    }
    // Effects may have raised it.
    let registry_version = move_head(tx, size, &growth.after, pending.newest)?;
    let after = Head { registry_version, ..growth.after };
    Ok(Appended { before, after, outcomes })
}

/// The rows of accepted drafts, written together.
#[derive(Default)]
struct Pending {
    entries: Vec<(i64, Vec<u8>)>,
    items: Vec<(i64, Vec<u8>)>,
    links: Vec<LinkInsert>,
    projections: Vec<ProjectionInsert>,
    /// The newest time of all entries so far.
    newest: i64,
}

impl Pending {
    fn push(&mut self, index: i64, draft: Prepared<Effect>) {
        let late = self.newest.saturating_sub(draft.projection.at.0);
        self.newest = self.newest.max(draft.projection.at.0);
        self.entries.push((index, draft.body));
        self.projections.push(ProjectionInsert {
            index,
            projection: draft.projection,
            numbers: (0, 0),
            late: Some(late).filter(|late| *late > 0),
        });
        if !draft.items.is_empty() {
            self.items.push((index, draft.items));
        }
        for (position, owner) in (0..).zip(draft.owners) {
            if let Some(contact) = owner.contact_no {
                self.links.push(LinkInsert { contact_no: contact.0, index, position });
            }
        }
    }

    fn flush(&mut self, tx: &mut WriteTx) -> Result<(), StoreError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        dialect::insert_entries(tx.statement(), &self.entries)?;
        for row in &mut self.projections {
            row.numbers = tx.number(&row.projection)?;
        }
        dialect::insert_projections(tx.statement(), &self.projections)?;
        if !self.items.is_empty() {
            dialect::insert_items(tx.statement(), &self.items)?;
            dialect::insert_links(tx.statement(), &self.links)?;
        }
        self.entries.clear();
        self.projections.clear();
        self.items.clear();
        self.links.clear();
        Ok(())
    }
}

/// Runs a draft's effect in its savepoint and finds the contacts of its items.
fn take(
    tx: &mut WriteTx,
    pending: &mut Pending,
    index: u64,
    draft: &mut Prepared<Effect>,
) -> Result<Result<(), Refused>, StoreError> {
    let Some(effect) = draft.effect.take() else {
        return find_contacts(tx, &mut draft.owners);
    };
    if draft.projection.restricting {
        // An erasure cuts items: those of earlier drafts must be there to be cut.
        pending.flush(tx)?;
    }
    tx.set_index(index);
    tx.border().batch_execute("SAVEPOINT effect")?;
    let outcome = match effect.run(tx) {
        Ok(()) => find_contacts(tx, &mut draft.owners)?,
        Err(EffectError::Conflict(what) | EffectError::Store(StoreError::Conflict(what))) => {
            Err(Refused::Conflict(what))
        }
        Err(EffectError::Invalid(what) | EffectError::Store(StoreError::Row(what))) => {
            Err(Refused::Invalid(what))
        }
        Err(EffectError::Store(error)) => return Err(error),
    };
    let end = match outcome {
        Ok(()) => "RELEASE SAVEPOINT effect",
        Err(_) => "ROLLBACK TO SAVEPOINT effect; RELEASE SAVEPOINT effect",
    };
    tx.border().batch_execute(end)?;
    Ok(outcome)
}

/// Fills in the numbers of contacts that the draft's own effect created.
fn find_contacts(
    tx: &mut WriteTx,
    owners: &mut [Owner],
) -> Result<Result<(), Refused>, StoreError> {
    for owner in owners.iter_mut().filter(|owner| owner.contact_no.is_none()) {
        let found: Vec<i64> = fixed::<BigInt>("SELECT no FROM contact WHERE ref = $1")
            .bind::<Binary, _>(owner.contact_ref.0.as_slice())
            .load(tx.statement())?;
        match found.first() {
            Some(no) => owner.contact_no = Some(ContactNo(*no)),
            None => return Ok(Err(Refused::Invalid("an item names no contact".to_owned()))),
        }
    }
    Ok(Ok(()))
}

/// The hashes of an unfinished tile before the batch: leaf hashes of bodies, or roots below.
fn edge(tx: &mut WriteTx, size: u64, level: u8, n: u64) -> Result<Vec<Hash>, StoreError> {
    let from = n.saturating_mul(u64::from(WIDTH));
    match level.checked_sub(1) {
        None => {
            let bodies = read_bodies(tx, from, size)?;
            Ok(bodies.iter().map(|body| Hash::leaf(body)).collect())
        }
        Some(below) => {
            // Tiles of this batch are written after the walk, so all that is there is older.
            read_roots(tx, below, from, from.saturating_add(u64::from(WIDTH)))
        }
    }
}

/// Writes the new head where the old one still stands. Gives the registry version beside it.
fn move_head(tx: &mut WriteTx, size: u64, after: &Head, at: i64) -> Result<i64, StoreError> {
    let moved: Vec<i64> = fixed::<BigInt>(
        "UPDATE ledger_head SET size = $1, frontier = $2, last_restricting = $3, epoch = $4, \
         updated_at = $5 WHERE id = 1 AND size = $6 RETURNING registry_version",
    )
    .bind::<BigInt, _>(signed(after.size()))
    .bind::<Binary, _>(after.frontier.to_bytes())
    .bind::<BigInt, _>(after.last_restricting.map_or(-1, signed))
    .bind::<BigInt, _>(i64::from(after.epoch))
    .bind::<BigInt, _>(at)
    .bind::<BigInt, _>(signed(size))
    .load(tx.statement())?;
    moved.first().copied().ok_or_else(|| nonsense("the head moved under its lock"))
}
