//! Looks at the registry each second: a partner suspended elsewhere is stopped here within one.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::flows::{Gateway, Registry};

/// How often the registry's version is read: one row, one statement.
const EVERY: Duration = Duration::from_secs(1);

/// Runs for ever. `seen` gets the registry and the moment *before* it was read, once a second;
/// it is not called while the database does not answer, so that what rests on it goes stale.
pub async fn run(gateway: Gateway, seen: impl Fn(Arc<Registry>, Moment)) {
    let mut failing = false;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let at = gateway.now();
        match gateway.registry_now().await {
            Ok(registry) => {
                if failing {
                    tracing::info!("the registry answers again");
                }
                failing = false;
                seen(registry, at);
            }
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "the registry does not answer");
                }
                failing = true;
            }
        }
    }
}
