-- What witnesses answered to published checkpoints: their lines, verified before they are kept.

CREATE TABLE ledger_cosignature (
    size BIGINT NOT NULL,
    witness TEXT NOT NULL,
    line TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (size, witness)
);
