//! What the doors count for operators. Labels are closed lists: never a name, id or address.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::tls::handshake::Outcome;

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters of the doors, and whatever other rooms register with them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    handshakes: Family<Labels<2>, Counter>,
    connections: Family<Labels<1>, Gauge>,
    answers: Family<Labels<2>, Counter>,
    refusals: Family<Labels<1>, Counter>,
    seconds: Family<Labels<1>, Histogram>,
    anchors: Family<Labels<2>, Counter>,
    anchored: Family<Labels<1>, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Upper bounds of answer times in seconds.
const SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    /// A registry with the doors' own metrics in it.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("fieldgate"),
            handshakes: Family::default(),
            connections: Family::default(),
            answers: Family::default(),
            refusals: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            anchors: Family::default(),
            anchored: Family::default(),
        };
        metrics.register("tls_handshakes", "Handshakes by outcome", metrics.handshakes.clone());
        metrics.register("connections_open", "Open connections", metrics.connections.clone());
        metrics.register("answers", "Answers by status class", metrics.answers.clone());
        metrics.register("refusals", "Refused requests by code", metrics.refusals.clone());
        metrics.register("answer_seconds", "Time to an answer's head", metrics.seconds.clone());
        metrics.register("anchor_rounds", "Looks at anchors by outcome", metrics.anchors.clone());
        metrics.register(
            "anchor_success_seconds",
            "When an anchor of this kind last agreed, seconds since 1970",
            metrics.anchored.clone(),
        );
        metrics
    }

    /// Adds a metric of another room; before the doors open. The name gets the prefix
    /// `fieldgate_`, a counter the suffix `_total`.
    pub fn register(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.registry.register(name, help, metric);
    }

    /// Counts a handshake.
    pub fn handshake(&self, door: &'static str, outcome: Outcome) {
        self.handshakes.get_or_create(&[("door", door), ("outcome", outcome.code())]).inc();
    }

    /// How many handshakes of a door ended so.
    pub fn handshakes(&self, door: &'static str, outcome: Outcome) -> u64 {
        self.handshakes.get_or_create(&[("door", door), ("outcome", outcome.code())]).get()
    }

    /// Counts a connection for as long as the guard lives.
    pub fn open_connection(self: &Arc<Self>, door: &'static str) -> OpenConnection {
        self.connections.get_or_create(&[("door", door)]).inc();
        OpenConnection { metrics: Arc::clone(self), door }
    }

    /// Counts an answer by the class of its status (`2xx`) and its time in seconds.
    pub fn answer(&self, door: &'static str, class: &'static str, seconds: f64) {
        self.answers.get_or_create(&[("door", door), ("status", class)]).inc();
        self.seconds.get_or_create(&[("door", door)]).observe(seconds);
    }

    /// Counts a problem by its code.
    pub fn refusal(&self, code: &'static str) {
        self.refusals.get_or_create(&[("code", code)]).inc();
    }

    /// Counts a look at an anchor. `agreed_at`: seconds since 1970, where it fits the ledger.
    pub fn anchor(&self, kind: &'static str, outcome: &'static str, agreed_at: Option<i64>) {
        self.anchors.get_or_create(&[("kind", kind), ("outcome", outcome)]).inc();
        if let Some(at) = agreed_at {
            self.anchored.get_or_create(&[("kind", kind)]).set(at);
        }
    }

    /// Everything as `OpenMetrics` text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// One open connection in the gauge.
#[derive(Debug)]
pub struct OpenConnection {
    metrics: Arc<Metrics>,
    door: &'static str,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.metrics.connections.get_or_create(&[("door", self.door)]).dec();
    }
}
