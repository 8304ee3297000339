//! Publishes a checkpoint each second if the ledger grew, else once a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::flows::{Error, Gateway, checkpoints};

/// How often it is looked whether something is due: one row of the head, one of the last note.
const EVERY: Duration = Duration::from_secs(1);

/// What the publisher tells the rest of the house.
#[derive(Clone)]
pub struct Publishing {
    published: Arc<watch::Sender<(u64, u64)>>,
    clock_behind: Arc<AtomicBool>,
}

impl Publishing {
    /// Nothing has been published yet.
    pub fn new() -> Self {
        Self { published: Arc::new(watch::Sender::new((0, 0))), clock_behind: Arc::default() }
    }

    /// Changes with each publication and each heartbeat, whichever replica made them.
    pub fn subscribe(&self) -> watch::Receiver<(u64, u64)> {
        self.published.subscribe()
    }

    /// Whether the clock was turned back behind what was published.
    pub fn is_clock_behind(&self) -> bool {
        self.clock_behind.load(Ordering::Acquire)
    }

    /// Takes in one turn.
    fn see(&self, turn: checkpoints::Turn) {
        let was = self.clock_behind.swap(turn.clock_behind, Ordering::AcqRel);
        if turn.clock_behind && !was {
            tracing::warn!("the clock was turned back; the order of entries does not depend on it");
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
                publishing.see(turn);
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
