//! Publishes a checkpoint each second if the ledger grew, else once a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Moment, SECOND};
use crate::flows::{Error, Gateway, checkpoints};

/// How often it is looked whether something is due: one row of the head, one of the last note.
const EVERY: Duration = Duration::from_secs(1);

/// For so long it is told that the clock was turned back: the publication that notices it is
/// itself the measure of the next one.
const TOLD_FOR: i64 = 900 * SECOND;

/// What the publisher tells the rest of the house.
#[derive(Clone)]
pub struct Publishing {
    published: Arc<watch::Sender<(u64, u64)>>,
    turned_back_at: Arc<AtomicI64>,
}

impl Publishing {
    /// Nothing has been published yet.
    pub fn new() -> Self {
        let turned_back_at = Arc::new(AtomicI64::new(i64::MIN));
        Self { published: Arc::new(watch::Sender::new((0, 0))), turned_back_at }
    }

    /// Changes with each new size, whichever replica published it, and with each heartbeat of this
    /// one: whoever beats asks the witnesses.
    pub fn subscribe(&self) -> watch::Receiver<(u64, u64)> {
        self.published.subscribe()
    }

    /// Whether the clock was turned back behind what was published, in the last quarter of an hour.
    pub fn was_clock_turned_back(&self, now: Moment) -> bool {
        now.0.saturating_sub(self.turned_back_at.load(Ordering::Acquire)) < TOLD_FOR
    }

    /// Takes in one turn.
    fn see(&self, turn: checkpoints::Turn, now: Moment) {
        if turn.clock_behind {
            if !self.was_clock_turned_back(now) {
                tracing::warn!(
                    "the clock was turned back; the order of entries does not depend on it"
                );
            }
            self.turned_back_at.store(now.0, Ordering::Release);
        }
        self.published.send_if_modified(|(size, beats)| {
            let news = turn.published || turn.size != *size;
            *size = turn.size;
            *beats = beats.wrapping_add(u64::from(news));
            news
        });
    }
}

impl Default for Publishing {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs until an alarm stops the ledger. A database that does not answer is asked again.
pub async fn run(gateway: Gateway, publishing: Publishing) {
    let mut failing = false;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match checkpoints::publish(&gateway).await {
            Ok(turn) => {
                if failing {
                    tracing::info!("checkpoints are published again");
                }
                failing = false;
                publishing.see(turn, gateway.now());
            }
            Err(Error::Stopped(_)) => return,
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "no checkpoint can be published");
                }
                failing = true;
            }
        }
    }
}
