//! Fieldgate hands an approved partner the minimum contact fields its purpose permits, and
//! records every access in an append-only ledger before a byte leaves.
//!
//! This file is the map. Rooms stand in downward order: a room uses those below it, never one
//! above (`tests/tidy.rs` checks it; `docs/architecture.md` walks through it).

/// What an operator types.
pub mod cli;

/// The doors: partner, public, console, ops.
pub mod web;

/// What wakes by itself.
pub mod jobs;

/// The stories of the product, one file each.
pub mod flows;

/// Read and write transactions on `SQLite` or `PostgreSQL`.
pub mod store;

/// Sealed fields and keys; opening needs a receipt.
pub mod vault;

/// What the audit ledger promises: entries, order, receipts.
pub mod ledger;

/// Nouns and what they permit; pure rules.
pub mod domain;

/// Transparency-log mathematics over bytes.
pub mod merkle;

/// Ground: every setting, its default and meaning.
pub mod config;

/// Ground: tracing, and the field names of log lines.
pub mod telemetry;

/// Ground: the only place that asks the time.
pub mod clock;

/// Ground: values that never reach a log.
pub mod secret;

/// Ground: one type per identifier.
pub mod id;
