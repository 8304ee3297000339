-- Contacts: personal data stands in sealed_field alone.

-- no: number in the order of intake, never reused. ref: the random reference in the ledger.
-- At erasure data_key becomes empty, blind_index NULL, and ref a fresh random value.
CREATE TABLE contact (
    no INTEGER NOT NULL PRIMARY KEY,
    ref BLOB NOT NULL UNIQUE CHECK (length(ref) = 16),
    blind_index BLOB UNIQUE CHECK (length(blind_index) = 32),
    state TEXT NOT NULL CHECK (state IN ('active', 'restricted', 'withdrawn', 'erased')),
    country TEXT NOT NULL,
    collection_points INTEGER NOT NULL,
    fields INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    data_key BLOB NOT NULL,
    key_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sealed_field (
    contact_no INTEGER NOT NULL,
    field INTEGER NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (contact_no, field)
) STRICT, WITHOUT ROWID;

CREATE TABLE origin (
    contact_no INTEGER NOT NULL,
    point TEXT NOT NULL,
    at INTEGER NOT NULL,
    policy_version INTEGER NOT NULL,
    wording_hash BLOB NOT NULL CHECK (length(wording_hash) = 32),
    PRIMARY KEY (contact_no, point, at)
) STRICT, WITHOUT ROWID;

-- Every yes and no; partner_id is '' for all partners.
CREATE TABLE choice (
    contact_no INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    given INTEGER NOT NULL CHECK (given IN (0, 1)),
    origin TEXT NOT NULL,
    policy_version INTEGER NOT NULL,
    PRIMARY KEY (contact_no, purpose, partner_id, at)
) STRICT, WITHOUT ROWID;

-- The newest of them: what is in force.
CREATE TABLE choice_now (
    contact_no INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    given INTEGER NOT NULL CHECK (given IN (0, 1)),
    at INTEGER NOT NULL,
    PRIMARY KEY (contact_no, purpose, partner_id)
) STRICT, WITHOUT ROWID;

-- Addresses that must not come back by import or restore; purpose is '' for everything.
CREATE TABLE suppression (
    blind_index BLOB NOT NULL CHECK (length(blind_index) = 32),
    purpose TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (blind_index, purpose)
) STRICT, WITHOUT ROWID;
