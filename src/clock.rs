//! The only place that asks the time; everywhere else a `Moment` is passed in.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;

/// A point of time: microseconds since 1970 in UTC. Sorts and hashes alike on both databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub i64);

/// One second in the unit of `Moment`.
pub const SECOND: i64 = 1_000_000;

/// One day in the unit of `Moment`: 24 × 60 × 60 seconds.
pub const DAY: i64 = 86_400 * SECOND;

/// A text is not an RFC 3339 point of time between the years -9999 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-11-24T09:30:00Z")]
pub struct BadMoment;

impl Moment {
    /// This moment and `micros` microseconds; stays at the ends of the range.
    #[must_use]
    pub fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The first moment of its day in UTC.
    #[must_use]
    pub fn day_start(self) -> Self {
        Self(self.0.div_euclid(DAY).saturating_mul(DAY))
    }

    /// Whole seconds since 1970, as tokens and certificates count.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(SECOND)
    }

    /// From whole seconds since 1970.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(SECOND))
    }

    /// RFC 3339 in UTC with milliseconds, as entries and answers write it.
    pub fn rfc3339(self) -> String {
        Timestamp::from_microsecond(self.0.div_euclid(1000).saturating_mul(1000))
            .map_or_else(|_| "9999-12-31T23:59:59.999Z".to_owned(), |at| format!("{at:.3}"))
    }

    /// The day alone, `YYYY-MM-DD` in UTC: what a partner may know of a date.
    pub fn day(self) -> String {
        self.rfc3339().chars().take(10).collect()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl FromStr for Moment {
    type Err = BadMoment;

    /// Reads RFC 3339 with any offset, or a day `YYYY-MM-DD` as its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, BadMoment> {
        if text.len() > 40 {
            return Err(BadMoment);
        }
        let full = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let at: Timestamp = full.parse().map_err(|_| BadMoment)?;
        Ok(Self(at.as_microsecond()))
    }
}

/// Where time comes from: the machine, or a hand that tests move.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until a test sets it.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn fixed(at: Moment) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.0)))
    }

    /// The present moment.
    #[allow(clippy::disallowed_methods, reason = "this is the only place that asks the time")]
    pub fn now(&self) -> Moment {
        match self {
            Self::System => Moment(Timestamp::now().as_microsecond()),
            Self::Fixed(hand) => Moment(hand.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock on; the machine's clock ignores it.
    pub fn advance(&self, micros: i64) {
        if let Self::Fixed(hand) = self {
            hand.fetch_add(micros, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_with_milliseconds_and_read_with_any_offset() {
        let moment: Moment = "2026-11-24T10:30:00.123+01:00".parse().unwrap();
        assert_eq!(moment.rfc3339(), "2026-11-24T09:30:00.123Z");
        assert_eq!("2026-11-24".parse::<Moment>().unwrap().rfc3339(), "2026-11-24T00:00:00.000Z");
        assert_eq!(moment.day(), "2026-11-24");
        assert!("yesterday".parse::<Moment>().is_err());
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(Moment(5));
        assert_eq!(clock.now(), Moment(5));
        clock.advance(SECOND);
        assert_eq!(clock.now(), Moment(5 + SECOND));
    }
}
