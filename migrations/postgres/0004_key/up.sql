-- The key ring: every key sealed by the master key, which is not here.

CREATE TABLE sealed_key (
    id TEXT NOT NULL PRIMARY KEY,
    usage TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT,
    sealed BYTEA NOT NULL
);
