-- When each anchor and witness last vouched for the ledger: a restart does not make them younger.

CREATE TABLE ledger_outsider (
    name TEXT NOT NULL PRIMARY KEY,
    vouched_at BIGINT NOT NULL
);
