//! Both sides of the witness protocol: what a witness answers, and what we make of an answer.

/// The log: what it asks, and what it makes of an answer.
pub mod answer;

/// The witness: cosigns what continues all that it has cosigned.
pub mod cosigner;
