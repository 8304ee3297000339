//! Who outside the database vouches for the ledger, and when each of them last did.
//!
//! Anchors and witnesses register here under their names. While a far one is expected (another
//! machine, another company), the file beside the settings does not count: it would vouch for a
//! ledger that nobody else has seen for days.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::{Moment, SECOND};
use crate::store::{EvidenceTx, outsider_rows};

use super::Gateway;

/// After so long without a success an outsider is shown as amber, in seconds.
pub const AMBER_S: u32 = 900;

/// So seldom is it kept that somebody vouched: after a restart silence may count that much longer.
const KEEP_EVERY: i64 = 30 * SECOND;

/// How far away somebody is who vouches for the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// On this machine: the anchor file.
    Near,
    /// Elsewhere: a bucket, a repository, a witness.
    Far,
}

/// One outsider and how it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outsider {
    /// Its name, such as `file` or `s3:evidence`.
    pub name: String,
    /// How far away it is.
    pub reach: Reach,
    /// When it last vouched; at first the moment from which it was expected to.
    pub vouched_at: Moment,
    /// Attempts that failed since this process began.
    pub failures: u64,
    /// Why the last attempt failed; `None` after a success.
    pub trouble: Option<String>,
    /// The moment that the store has.
    kept_at: Moment,
}

impl Outsider {
    /// Whole seconds since it last vouched.
    pub fn silent_s(&self, now: Moment) -> i64 {
        now.0.saturating_sub(self.vouched_at.0).max(0) / SECOND
    }
}

#[derive(Debug, Default)]
struct State {
    outsiders: BTreeMap<String, Outsider>,
    acceptable_s: u32,
    contradiction: Option<String>,
}

/// The list of outsiders; one per process.
#[derive(Debug, Default)]
pub struct Outside(Mutex<State>);

impl Outside {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how many seconds releases go on while nobody vouches; 0 means for ever.
    pub fn accept_silence_of(&self, seconds: u32) {
        self.state().acceptable_s = seconds;
    }

    /// This outsider is expected to vouch, as it did at a moment.
    pub fn expect(&self, name: &str, reach: Reach, vouched_at: Moment) {
        let name = name.to_owned();
        let (failures, trouble, kept_at) = (0, None, vouched_at);
        let fresh = Outsider { name: name.clone(), reach, vouched_at, failures, trouble, kept_at };
        self.state().outsiders.entry(name).or_insert(fresh);
    }

    /// It has the newest checkpoint, or an older one that fits. Whether that is to be kept.
    pub fn vouched(&self, name: &str, now: Moment) -> bool {
        let mut state = self.state();
        let Some(one) = state.outsiders.get_mut(name) else { return false };
        one.vouched_at = now;
        one.trouble = None;
        let due = now.0.saturating_sub(one.kept_at.0) >= KEEP_EVERY;
        if due {
            one.kept_at = now;
        }
        due
    }

    /// It could not be reached, or could not keep the checkpoint.
    pub fn failed(&self, name: &str, why: &str) {
        if let Some(one) = self.state().outsiders.get_mut(name) {
            one.failures = one.failures.saturating_add(1);
            one.trouble = Some(why.to_owned());
        }
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<Outsider> {
        self.state().outsiders.values().cloned().collect()
    }

    /// Whether nobody who counts has vouched for longer than is acceptable.
    pub fn is_silent_too_long(&self, now: Moment) -> bool {
        let state = self.state();
        let far = state.outsiders.values().any(|one| one.reach == Reach::Far);
        let counted = state.outsiders.values().filter(|one| !far || one.reach == Reach::Far);
        let newest = counted.map(|one| one.silent_s(now)).min();
        let acceptable = i64::from(state.acceptable_s);
        acceptable > 0 && newest.is_some_and(|silent| silent > acceptable)
    }

    /// Keeps the note that contradicts the ledger, as evidence. The first one stands.
    pub fn contradict(&self, note: &str) {
        self.state().contradiction.get_or_insert_with(|| note.to_owned());
    }

    /// The note that contradicts the ledger.
    pub fn contradiction(&self) -> Option<String> {
        self.state().contradiction.clone()
    }
}

/// From now on this outsider is expected to vouch. Silence before this process began counts: who
/// could not be reached for a day is not given another one by a restart. Where the store does not
/// say, nobody vouched so far.
pub async fn expect(gateway: &Gateway, name: &str, reach: Reach) {
    let (now, wanted) = (gateway.now(), name.to_owned());
    let kept = gateway.store.keep(move |tx: &mut EvidenceTx| {
        let before = outsider_rows::find_outsider(tx, &wanted)?;
        if before.is_none() {
            outsider_rows::keep_outsider(tx, &wanted, now)?;
        }
        Ok(before.unwrap_or(now))
    });
    let vouched_at = kept.await.unwrap_or_else(|error| {
        tracing::warn!(outsider = name, %error, "it is not known when it last vouched");
        Moment(0)
    });
    gateway.outside.expect(name, reach, vouched_at.min(now));
}

/// An outsider has the newest checkpoint, or an older one that fits.
pub async fn vouched(gateway: &Gateway, name: &str) {
    let (now, wanted) = (gateway.now(), name.to_owned());
    if gateway.outside.vouched(name, now) {
        let keep = move |tx: &mut EvidenceTx| outsider_rows::keep_outsider(tx, &wanted, now);
        if let Err(error) = gateway.store.keep(keep).await {
            tracing::warn!(outsider = name, %error, "that it vouched could not be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment::from_seconds(seconds)
    }

    #[test]
    fn releases_go_on_for_as_long_as_is_acceptable_and_no_longer() {
        let outside = Outside::default();
        outside.accept_silence_of(100);
        assert!(!outside.is_silent_too_long(at(1_000)), "nobody is expected to vouch");
        outside.expect("file", Reach::Near, at(1_000));
        assert!(!outside.is_silent_too_long(at(1_100)));
        assert!(outside.is_silent_too_long(at(1_101)));
        outside.vouched("file", at(1_101));
        assert!(!outside.is_silent_too_long(at(1_201)));
        outside.accept_silence_of(0);
        assert!(!outside.is_silent_too_long(at(9_000)), "0 switches the limit off");
    }

    #[test]
    fn the_near_file_does_not_count_while_somebody_far_is_expected() {
        let outside = Outside::default();
        outside.accept_silence_of(100);
        outside.expect("file", Reach::Near, at(0));
        outside.expect("w1", Reach::Far, at(0));
        outside.expect("w2", Reach::Far, at(0));
        outside.vouched("file", at(200));
        assert!(outside.is_silent_too_long(at(200)));
        outside.vouched("w2", at(200));
        assert!(!outside.is_silent_too_long(at(300)), "one far voice is enough");
    }

    #[test]
    fn failures_are_counted_and_a_success_ends_the_trouble() {
        let outside = Outside::default();
        outside.expect("git", Reach::Far, at(0));
        outside.failed("git", "no such repository");
        outside.failed("git", "no such repository");
        outside.failed("unknown", "nobody asked for it");
        let [one] = outside.list().try_into().unwrap();
        assert_eq!((one.failures, one.trouble.as_deref()), (2, Some("no such repository")));
        outside.vouched("git", at(7));
        let [one] = outside.list().try_into().unwrap();
        assert_eq!((one.failures, one.trouble.as_deref(), one.silent_s(at(9))), (2, None, 2));
    }
}
