//! Notes recalls whose time to answer is over.

use std::time::Duration;

use crate::flows::{Gateway, recall};

/// How often it looks: one read of a short index.
const EVERY: Duration = Duration::from_secs(60);

/// Runs for ever. Replicas may all run it: each recall is noted once.
pub async fn run(gateway: Gateway) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !gateway.is_ready() {
            continue;
        }
        match recall::note_late(&gateway).await {
            Ok(0) => {}
            Ok(noted) => tracing::warn!(noted, "recalls are overdue; `fieldgate recall list`"),
            Err(error) => tracing::warn!(%error, "overdue recalls were not noted"),
        }
    }
}
