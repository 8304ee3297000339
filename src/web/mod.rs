//! The doors through which partners, people, staff and operators come in.

/// The table of routes: method, path, who may enter.
pub mod routes;

/// The trait of types that are made only by passing a door.
pub mod caller;

/// The transport: handshakes, trust, live connections.
pub mod tls;

/// Sizes, rates, deadlines.
pub mod limits;

/// Every failure as a problem; alone knows status codes.
pub mod problem;

/// Where a recall stands, as answers tell it.
pub mod recalled;

/// What an answer says of the entry behind it.
pub mod recorded;

/// What the doors count.
pub mod metrics;

/// The ops door: alive, ready, metrics.
pub mod health;

/// The partner door.
pub mod partner;

/// The public door.
pub mod public;

/// The API described for programs.
pub mod openapi;

/// The door of a witness.
pub mod witness;

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "tests fail loudly"
)]
mod tests;
