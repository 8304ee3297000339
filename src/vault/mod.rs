//! Sealed fields and the keys behind them; plaintext is opened only against a receipt.
