//! Tracks merged over a connection: a piece of each at a time, all pieces in one round trip.

use diesel::RunQueryDsl as _;
use diesel::sql_types::{Array, BigInt, Bool, Integer};

use super::connection::AnyConnection;
use super::error::StoreError;
use super::statement::fixed;
use super::track_rows::{Run, SHARE_MAX, Track, by_asker};
use super::track_texts::{OF_ASKERS, OF_SHAPES};
use super::tx::ReadTx;

/// Tracks of the first round, if no more begin where the page does: to look at another one costs
/// about a tenth of a round trip.
const NEAREST: usize = 16;

/// A row of a track.
struct Row {
    index: i64,
    /// Whether its time is one that is asked for.
    fits: bool,
}

/// A track and the part of it that was not read yet.
type Open = (Track, Run);

impl Run {
    /// The first indices of several tracks together.
    ///
    /// Each is read a little at a time, and no further than to what may still come onto the page:
    /// together they are read about as far as the page is long, however many they are. Those that
    /// begin nearest come first, and often fill the page before the others begin. The pieces
    /// grow, for times that do not fit: behind a clock that was set back there can be many.
    pub(super) fn merge_in_rounds(
        self,
        tx: &mut ReadTx,
        tracks: &[Track],
    ) -> Result<Vec<i64>, StoreError> {
        let (mut found, mut bound) = (Vec::new(), self);
        let mut open: Vec<_> = tracks.iter().map(|track| (*track, self.on(track))).collect();
        open.retain(|(_, run)| !run.is_empty());
        let mut later = self.split_later(&mut open);
        let mut least = 0_i64;
        while !open.is_empty() {
            let share = self.share(open.len()).max(least);
            let pieces = Self { limit: share, ..self }.read_pieces(tx, &open, bound)?;
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
            least = if later.is_empty() { share.saturating_mul(2).min(SHARE_MAX) } else { 0 };
            rest.append(&mut later);
            rest.retain(|(_, run)| !run.within(bound).is_empty());
            open = rest;
        }
        Ok(found)
    }

    /// The part of a track that lies in this run.
    fn on(self, track: &Track) -> Self {
        match track.first {
            Some(first) if self.newest_first => {
                Self { high: self.high.min(first.saturating_add(1)), ..self }
            }
            Some(first) => Self { low: self.low.max(first.saturating_sub(1)), ..self },
            None => self,
        }
    }

    /// Takes away the tracks that can wait: all but the nearest, and those that begin where this
    /// run does.
    fn split_later(self, open: &mut Vec<Open>) -> Vec<Open> {
        let begin =
            |run: &Self| if self.newest_first { run.high.saturating_neg() } else { run.low };
        open.sort_by_key(|(_, run)| begin(run));
        let nearest = open.partition_point(|(_, run)| (run.low, run.high) == (self.low, self.high));
        open.split_off(nearest.max(NEAREST).min(open.len()))
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
        open: &[Open],
        bound: Self,
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        let AnyConnection::Postgres(connection) = tx.statement() else { return Ok(Vec::new()) };
        let tracks: Vec<Track> = open.iter().map(|(track, _)| *track).collect();
        let beyond = |(_, run): &Open| if self.newest_first { run.high } else { run.low };
        let text = self.text(if by_asker(&tracks) { OF_ASKERS } else { OF_SHAPES });
        let rows: Vec<(i64, i64, bool)> = fixed::<(BigInt, BigInt, Bool)>(text)
            .bind::<Array<Integer>, _>(tracks.iter().map(|track| track.asker).collect::<Vec<_>>())
            .bind::<Array<Integer>, _>(tracks.iter().map(|track| track.shape).collect::<Vec<_>>())
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
}
