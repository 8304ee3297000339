-- What witnesses answered to published checkpoints: their lines, verified before they are kept.

CREATE TABLE ledger_cosignature (
    size INTEGER NOT NULL,
    witness TEXT NOT NULL,
    line TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (size, witness)
) STRICT, WITHOUT ROWID;
