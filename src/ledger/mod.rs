//! The audit ledger: what an entry says, who appends it, what a receipt proves.
