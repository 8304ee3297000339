//! The transport of the partner door: who may shake hands, and which connections live on.
//!
//! Nothing here resumes a session. rustls verifies no certificate on resumption, so a revoked
//! partner could come back on an old ticket (measured; `docs/threats.md`).

/// The server's TLS settings, built from scratch for each door.
pub mod settings;

/// From the registry to what is trusted.
pub mod registry;

/// What is trusted now, swapped as one piece.
pub mod trust;

/// Judges a client certificate during the handshake.
pub mod verifier;

/// What a request may know of its connection.
pub mod connection;

/// Live sockets by certificate, so that a revocation can cut them.
pub mod live;

/// How many may shake hands at once, and how many connections one address may hold.
pub mod seats;

/// One handshake: deadline, outcome, reason of a failure.
pub mod handshake;

/// Accepts connections and hands them to the HTTP service.
pub mod door;
