//! Runs of indices: the stretch of the ledger a question speaks of, and the tracks through it.

use std::collections::HashSet;

use diesel::RunQueryDsl as _;
use diesel::sql_types::{Array, BigInt, Bool, Integer};

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

/// Most rows of one track that are read at a time.
const SHARE_MAX: i64 = 65_536;

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

/// A row of a track.
struct Row {
    index: i64,
    /// Whether its time is one that is asked for.
    fits: bool,
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
        Ok(Some(run).filter(|run| !run.is_empty()))
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
    fn before(mut self, index: i64) -> Self {
        if self.newest_first {
            self.low = self.low.max(index);
        } else {
            self.high = self.high.min(index);
        }
        self
    }

    /// Whether nothing can lie in it.
    fn is_empty(self) -> bool {
        self.low.saturating_add(1) >= self.high || self.from >= self.until || self.limit < 1
    }

    fn with_limit(self, limit: i64) -> Self {
        Self { limit, ..self }
    }

    fn sort(self, found: &mut Vec<i64>) {
        if self.newest_first {
            found.sort_unstable_by(|one, other| other.cmp(one));
        } else {
            found.sort_unstable();
        }
        found.dedup();
        found.truncate(self.limit());
    }

    /// Most indices on the page.
    fn limit(self) -> usize {
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

    /// The first indices of several tracks together.
    ///
    /// Each is read a little at a time, and no further than to what may still come onto the page:
    /// together they are read about as far as the page is long, however many they are. The pieces
    /// grow, for times that do not fit: behind a clock that was set back there can be many.
    pub(super) fn merge(self, tx: &mut ReadTx, tracks: &[Track]) -> Result<Vec<i64>, StoreError> {
        let (mut found, mut bound) = (Vec::new(), self);
        let mut open: Vec<_> = tracks.iter().map(|track| (*track, self)).collect();
        let mut share = 0_i64;
        while !open.is_empty() {
            share = self.share(open.len()).max(share.saturating_mul(2).min(SHARE_MAX));
            let pieces = self.with_limit(share).read_pieces(tx, &open, bound)?;
            let mut rest = Vec::new();
            for ((track, run), piece) in open.into_iter().zip(pieces) {
                found.extend(piece.iter().filter(|row| row.fits).map(|row| row.index));
                if i64::try_from(piece.len()) == Ok(share) {
                    rest.push((track, piece.iter().fold(run, |run, row| run.beyond(row.index))));
                }
            }
            self.sort(&mut found);
            if found.len() == self.limit()
                && let Some(last) = found.last()
            {
                bound = self.before(*last);
            }
            rest.retain(|(_, run)| !run.within(bound).is_empty());
            open = rest;
        }
        Ok(found)
    }

    /// How much of each track is read at least: all together twice a page.
    fn share(self, tracks: usize) -> i64 {
        let each = self.limit().saturating_mul(2).div_ceil(tracks.max(1));
        i64::try_from(each).unwrap_or(self.limit).min(self.limit)
    }

    fn within(self, bound: Self) -> Self {
        Self { low: self.low.max(bound.low), high: self.high.min(bound.high), ..self }
    }

    /// The next rows of each track, up to the limit of this run and inside the bound.
    fn read_pieces(
        self,
        tx: &mut ReadTx,
        open: &[(Track, Self)],
        bound: Self,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        if matches!(tx.border(), AnyConnection::Sqlite(_)) {
            let piece = |(track, run): &(Track, Self)| {
                let found = run.within(bound).with_limit(self.limit).read(tx, *track)?;
                Ok(found.into_iter().map(|index| Row { index, fits: true }).collect())
            };
            return open.iter().map(piece).collect();
        }
        let AnyConnection::Postgres(connection) = tx.statement() else { return Ok(Vec::new()) };
        let number = |of: fn(&Track) -> i32| open.iter().map(|(track, _)| of(track)).collect();
        let (askers, shapes): (Vec<_>, Vec<_>) = (number(Track::asker), number(Track::shape));
        let beyond = |(_, run): &(_, Self)| if self.newest_first { run.high } else { run.low };
        let by_asker = open.iter().any(|(track, _)| matches!(track, Track::Asker(..)));
        let text = self.text(if by_asker { OF_ASKERS } else { OF_SHAPES });
        let rows: Vec<(i64, i64, bool)> = fixed::<(BigInt, BigInt, Bool)>(text)
            .bind::<Array<Integer>, _>(askers)
            .bind::<Array<Integer>, _>(shapes)
            .bind::<Array<BigInt>, _>(open.iter().map(beyond).collect::<Vec<_>>())
            .bind::<BigInt, _>(if self.newest_first { bound.low } else { bound.high })
            .bind::<BigInt, _>(self.from)
            .bind::<BigInt, _>(self.until)
            .bind::<BigInt, _>(self.limit)
            .load(connection)?;
        let mut pieces: Vec<_> = open.iter().map(|_| Vec::new()).collect();
        for (number, index, fits) in rows {
            let place = usize::try_from(number.saturating_sub(1)).ok();
            if let Some(piece) = place.and_then(|place| pieces.get_mut(place)) {
                piece.push(Row { index, fits });
            }
        }
        Ok(pieces)
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
