//! Runs of indices: the stretch of the ledger a question speaks of, and the tracks through it.

use std::collections::HashSet;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{BigInt, Bool, Integer, Text};

use super::connection::AnyConnection;
use super::error::StoreError;
use super::ledger_rows::{self, signed};
use super::search_rows::Page;
use super::statement::fixed;
use super::track_texts::{
    EVERY, HALVE, LATEST, MET, MET_AS_ROWS, PERSON, STEP_ASKERS, STEP_SHAPES,
};
use super::tx::ReadTx;
use crate::clock::{Moment, SECOND};
use crate::id::ContactNo;

/// How far a time may lie behind and still be found by halving alone, in microseconds; the limit
/// of the partial index `ledger_projection_late`.
const LATE: i64 = 60 * SECOND;

/// Rows of one person that are read at a time.
const PERSON_ROWS: i64 = 1_000;

/// Most rows that are read at a time, of one track or of all together.
pub(super) const SHARE_MAX: i64 = 65_536;

/// One run of an index in the order of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    /// 0 where it is that of a shape, whoever asked.
    pub(super) asker: i32,
    pub(super) shape: i32,
    /// The index that it begins with in the direction of the page, where that is known.
    pub(super) first: Option<i64>,
}

impl Track {
    /// That of a shape, whoever asked.
    pub(super) fn of_shape(shape: i32) -> Self {
        Self { asker: 0, shape, first: None }
    }
}

/// Whether tracks are those of askers: all are, or none is.
pub(super) fn by_asker(tracks: &[Track]) -> bool {
    tracks.iter().any(|track| track.asker != 0)
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

/// A stretch of entries: indices between two borders that do not belong to it, times from one
/// until another, a direction and a most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) low: i64,
    pub(super) high: i64,
    pub(super) from: i64,
    pub(super) until: i64,
    pub(super) newest_first: bool,
    pub(super) limit: i64,
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
        Ok(Some(run).filter(|run| !run.is_empty()))
    }

    /// The part behind an index.
    pub(super) fn beyond(mut self, index: i64) -> Self {
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

    /// Whether nothing can lie in it.
    pub(super) fn is_empty(self) -> bool {
        self.low.saturating_add(1) >= self.high || self.from >= self.until || self.limit < 1
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

    /// The first indices of all entries.
    pub(super) fn read_every(self, tx: &mut ReadTx) -> Result<Vec<i64>, StoreError> {
        Ok(fixed::<BigInt>(self.text(EVERY))
            .bind::<BigInt, _>(self.low)
            .bind::<BigInt, _>(self.high)
            .bind::<BigInt, _>(self.from)
            .bind::<BigInt, _>(self.until)
            .bind::<BigInt, _>(self.limit)
            .load(tx.statement())?)
    }

    /// The first indices of several tracks together.
    pub(super) fn merge(self, tx: &mut ReadTx, tracks: &[Track]) -> Result<Vec<i64>, StoreError> {
        match tx.border() {
            AnyConnection::Sqlite(_) => self.merge_in_one(tx, tracks),
            AnyConnection::Postgres(_) => self.merge_in_rounds(tx, tracks),
        }
    }

    /// `SQLite` merges by itself: it steps from entry to entry, and each step is one look into
    /// the index. Read on where times do not fit: behind a clock that was set back there can be
    /// many.
    fn merge_in_one(self, tx: &mut ReadTx, tracks: &[Track]) -> Result<Vec<i64>, StoreError> {
        if tracks.is_empty() {
            return Ok(Vec::new());
        }
        let text = self.text(if by_asker(tracks) { STEP_ASKERS } else { STEP_SHAPES });
        let list: Vec<_> =
            tracks.iter().map(|track| format!("[{},{}]", track.asker, track.shape)).collect();
        let list = format!("[{}]", list.join(","));
        let (mut found, mut rest) = (Vec::new(), self);
        loop {
            let rows: Vec<(i64, bool)> = fixed::<(BigInt, Bool)>(text)
                .bind::<BigInt, _>(rest.low)
                .bind::<BigInt, _>(rest.high)
                .bind::<Text, _>(&list)
                .bind::<BigInt, _>(rest.limit)
                .bind::<BigInt, _>(rest.from)
                .bind::<BigInt, _>(rest.until)
                .load(tx.statement())?;
            found.extend(rows.iter().filter(|(_, fits)| *fits).map(|(index, _)| *index));
            self.sort(&mut found);
            if i64::try_from(rows.len()) != Ok(rest.limit) || found.len() == self.limit() {
                return Ok(found);
            }
            rest = rows.iter().fold(rest, |rest, (index, _)| rest.beyond(*index));
            rest.limit = rest.limit.saturating_mul(2).min(SHARE_MAX);
        }
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

    pub(super) fn text(self, (newest, oldest): (&'static str, &'static str)) -> &'static str {
        if self.newest_first { newest } else { oldest }
    }
}

/// The tracks of an asker: one step of the index for each shape it ever met, whatever lies
/// between. On `PostgreSQL`, where the merge needs it, with the index each begins with.
pub(super) fn read_met(tx: &mut ReadTx, run: Run, asker: i32) -> Result<Vec<Track>, StoreError> {
    let in_one = matches!(tx.border(), AnyConnection::Sqlite(_));
    if in_one {
        let met = fixed::<Integer>(MET).bind::<Integer, _>(asker).load(tx.statement())?;
        return Ok(met.into_iter().map(|shape| Track { asker, shape, first: None }).collect());
    }
    let met: Vec<(i32, i64)> = fixed::<(Integer, BigInt)>(run.text(MET_AS_ROWS))
        .bind::<Integer, _>(asker)
        .load(tx.statement())?;
    let track = |(shape, first)| Track { asker, shape, first: Some(first) };
    Ok(met.into_iter().map(track).collect())
}

fn halve(tx: &mut ReadTx, size: i64, time: i64) -> Result<i64, StoreError> {
    let found = fixed::<BigInt>(HALVE).bind::<BigInt, _>(size).bind::<BigInt, _>(time);
    Ok(found.get_result(tx.statement())?)
}
