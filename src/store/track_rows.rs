//! Runs of indices: the stretch of the ledger a question speaks of, and the tracks through it.

use std::collections::HashSet;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{Array, BigInt, Integer};

use super::connection::AnyConnection;
use super::error::StoreError;
use super::ledger_rows::{self, signed};
use super::search_rows::Page;
use super::statement::fixed;
use super::track_texts::{
    EVERY, HALVE, LATEST, MET, MET_AS_ROWS, OF_ASKER, OF_ASKERS, OF_SHAPE, OF_SHAPES, PERSON,
};
use super::tx::ReadTx;
use crate::clock::{Moment, SECOND};
use crate::id::ContactNo;

/// How far a time may lie behind and still be found by halving alone, in microseconds; the limit
/// of the partial index `ledger_projection_late`.
const LATE: i64 = 60 * SECOND;

/// Rows of one person that are read at a time.
const PERSON_ROWS: i64 = 1_000;

/// One run of an index in the order of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Track {
    Every,
    Shape(i32),
    Asker(i32, i32),
}

impl Track {
    fn asker(&self) -> i32 {
        match self {
            Self::Asker(asker, _) => *asker,
            Self::Every | Self::Shape(_) => 0,
        }
    }

    fn shape(&self) -> i32 {
        match self {
            Self::Asker(_, shape) | Self::Shape(shape) => *shape,
            Self::Every => 0,
        }
    }
}

/// The shapes and askers that fit; `None` where every one does.
pub(super) struct Fitting {
    pub(super) shapes: Option<HashSet<i32>>,
    pub(super) askers: Option<HashSet<i32>>,
}

impl Fitting {
    fn has(&self, asker: i32, shape: i32) -> bool {
        self.shapes.as_ref().is_none_or(|shapes| shapes.contains(&shape))
            && self.askers.as_ref().is_none_or(|askers| askers.contains(&asker))
    }
}

/// How many tracks are read with one statement: in the same process a statement costs next to
/// nothing, over a connection a round trip.
pub(super) fn at_once(tx: &mut ReadTx) -> usize {
    match tx.border() {
        AnyConnection::Sqlite(_) => 1,
        AnyConnection::Postgres(_) => 32,
    }
}

/// A stretch of entries: indices between two borders that do not belong to it, times from one
/// until another, a direction and a most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    low: i64,
    high: i64,
    from: i64,
    until: i64,
    newest_first: bool,
    limit: i64,
}

impl Run {
    /// `None` when nothing can lie in it.
    pub(super) fn of(
        tx: &mut ReadTx,
        (from, until): (Option<Moment>, Option<Moment>),
        page: &Page,
    ) -> Result<Option<Self>, StoreError> {
        let mut run = Self {
            low: signed(ledger_rows::min_index(tx)?).saturating_sub(1),
            high: signed(page.horizon),
            from: from.map_or(i64::MIN, |at| at.0),
            until: until.map_or(i64::MAX, |at| at.0),
            newest_first: page.newest_first,
            limit: i64::from(page.limit),
        };
        let horizon = run.high;
        if let Some(from) = from {
            run.low = run.low.max(halve(tx, horizon, from.0)?.saturating_sub(1));
        }
        if let Some(until) = until {
            let late: i64 = fixed::<BigInt>(LATEST).get_result(tx.statement())?;
            run.high = halve(tx, horizon, until.0.saturating_add(late.max(LATE)))?;
        }
        if let Some(after) = page.after.map(signed) {
            run = run.beyond(after);
        }
        Ok(Some(run).filter(|run| run.low.saturating_add(1) < run.high && run.from < run.until))
    }

    /// The part behind an index.
    fn beyond(mut self, index: i64) -> Self {
        if self.newest_first {
            self.high = self.high.min(index);
        } else {
            self.low = self.low.max(index);
        }
        self
    }

    /// The part in front of an index: what may still displace the last of a full page.
    pub(super) fn before(mut self, index: i64) -> Self {
        if self.newest_first {
            self.low = self.low.max(index);
        } else {
            self.high = self.high.min(index);
        }
        self
    }

    pub(super) fn sort(self, found: &mut Vec<i64>) {
        if self.newest_first {
            found.sort_unstable_by(|one, other| other.cmp(one));
        } else {
            found.sort_unstable();
        }
        found.dedup();
        found.truncate(self.limit());
    }

    /// Most indices on the page.
    pub(super) fn limit(self) -> usize {
        usize::try_from(self.limit).unwrap_or(usize::MAX)
    }

    /// The first indices of one track.
    pub(super) fn read(self, tx: &mut ReadTx, track: Track) -> Result<Vec<i64>, StoreError> {
        macro_rules! stretch {
            ($text:expr) => {
                fixed::<BigInt>($text)
                    .bind::<BigInt, _>(self.low)
                    .bind::<BigInt, _>(self.high)
                    .bind::<BigInt, _>(self.from)
                    .bind::<BigInt, _>(self.until)
            };
        }
        let statement = tx.statement();
        let found = match track {
            Track::Every => {
                stretch!(self.text(EVERY)).bind::<BigInt, _>(self.limit).load(statement)?
            }
            Track::Shape(shape) => stretch!(self.text(OF_SHAPE))
                .bind::<Integer, _>(shape)
                .bind::<BigInt, _>(self.limit)
                .load(statement)?,
            Track::Asker(asker, shape) => stretch!(self.text(OF_ASKER))
                .bind::<Integer, _>(asker)
                .bind::<Integer, _>(shape)
                .bind::<BigInt, _>(self.limit)
                .load(statement)?,
        };
        Ok(found)
    }

    /// The first indices of several tracks, not yet in order: one round trip where that counts.
    pub(super) fn read_all(
        self,
        tx: &mut ReadTx,
        tracks: &[Track],
    ) -> Result<Vec<i64>, StoreError> {
        if matches!(tx.border(), AnyConnection::Sqlite(_)) {
            let each = tracks.iter().map(|track| self.read(tx, *track));
            return Ok(each.collect::<Result<Vec<_>, _>>()?.concat());
        }
        let AnyConnection::Postgres(connection) = tx.statement() else { return Ok(Vec::new()) };
        let number = |of: fn(&Track) -> i32| tracks.iter().map(of).collect::<Vec<_>>();
        let by_asker = tracks.iter().any(|track| matches!(track, Track::Asker(..)));
        let text = self.text(if by_asker { OF_ASKERS } else { OF_SHAPES });
        Ok(fixed::<BigInt>(text)
            .bind::<Array<Integer>, _>(number(Track::asker))
            .bind::<Array<Integer>, _>(number(Track::shape))
            .bind::<BigInt, _>(self.low)
            .bind::<BigInt, _>(self.high)
            .bind::<BigInt, _>(self.from)
            .bind::<BigInt, _>(self.until)
            .bind::<BigInt, _>(self.limit)
            .load(connection)?)
    }

    /// The first indices of the entries that touch a person, in order: she has thousands at most.
    pub(super) fn read_person(
        self,
        tx: &mut ReadTx,
        contact: ContactNo,
        fitting: &Fitting,
    ) -> Result<Vec<i64>, StoreError> {
        let (mut found, mut rest) = (Vec::new(), self);
        loop {
            let rows: Vec<(i64, i32, i32)> = fixed::<(BigInt, Integer, Integer)>(self.text(PERSON))
                .bind::<BigInt, _>(contact.0)
                .bind::<BigInt, _>(rest.low)
                .bind::<BigInt, _>(rest.high)
                .bind::<BigInt, _>(rest.from)
                .bind::<BigInt, _>(rest.until)
                .bind::<BigInt, _>(PERSON_ROWS)
                .load(tx.statement())?;
            let full = i64::try_from(rows.len()) == Ok(PERSON_ROWS);
            let last = rows.last().map(|(index, ..)| *index).filter(|_| full);
            let fits = rows.into_iter().filter(|(_, asker, shape)| fitting.has(*asker, *shape));
            found.extend(fits.map(|(index, ..)| index));
            self.sort(&mut found);
            match last {
                Some(last) if found.len() < self.limit() => rest = rest.beyond(last),
                _ => return Ok(found),
            }
        }
    }

    fn text(self, (newest, oldest): (&'static str, &'static str)) -> &'static str {
        if self.newest_first { newest } else { oldest }
    }
}

/// Which shapes an asker ever met: one step of the index for each, whatever lies between.
pub(super) fn read_met(tx: &mut ReadTx, asker: i32) -> Result<Vec<i32>, StoreError> {
    let text = match tx.border() {
        AnyConnection::Sqlite(_) => MET,
        AnyConnection::Postgres(_) => MET_AS_ROWS,
    };
    Ok(fixed::<Integer>(text).bind::<Integer, _>(asker).load(tx.statement())?)
}

fn halve(tx: &mut ReadTx, size: i64, time: i64) -> Result<i64, StoreError> {
    let found = fixed::<BigInt>(HALVE).bind::<BigInt, _>(size).bind::<BigInt, _>(time);
    Ok(found.get_result(tx.statement())?)
}
