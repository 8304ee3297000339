//! The doors through which partners, people, staff and operators come in.

/// The transport: handshakes, trust, live connections.
pub mod tls;

/// Sizes, rates, deadlines.
pub mod limits;

/// Every failure as a problem; alone knows status codes.
pub mod problem;

/// What the doors count.
pub mod metrics;
