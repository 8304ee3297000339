//! What wakes by itself: loops that poll, publish and tidy.

/// Keeps what contradicts the ledger as files.
pub mod alarm_watch;

/// Keeps checkpoints outside the database, and looks at what is kept there.
pub mod anchor;

/// A folder in a bucket of an S3-compatible store.
pub mod bucket;

/// Notes recalls that nobody answered in time.
pub mod chaser;

/// The client for whatever answers over HTTP.
mod http;

/// Publishes checkpoints.
pub mod publisher;

/// Looks at the registry each second and hands on what it finds.
pub mod registry_watch;

/// Timestamps of a stranger (RFC 3161).
pub mod timestamp;

/// Asks a witness to cosign.
pub mod witness;
