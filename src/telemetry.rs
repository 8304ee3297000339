//! Tracing set-up: one JSON line per record on standard error, and the names of its fields.
//!
//! Messages read alone; what can be searched is a field: `request`, `partner`, `route`, `status`,
//! `code`, `index`, `size`, `reason`. Never a person's value, a token, a key or a query string.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// One JSON object per line, for machines.
    Json,
    /// Plain lines, for people.
    Plain,
}

/// Starts logging to standard error. `filter` is in the language of `RUST_LOG`
/// (`fieldgate=debug,warn`); what it cannot read falls back to `warn`. A second call does nothing.
pub fn start(form: LogForm, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let started = match form {
        LogForm::Json => registry.with(layer.json().flatten_event(true)).try_init(),
        LogForm::Plain => registry.with(layer).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
