//! Sealed fields and the keys behind them; plaintext is opened only against a receipt.

/// What the store may hold: sealed values and wrapped keys.
pub mod sealed;
