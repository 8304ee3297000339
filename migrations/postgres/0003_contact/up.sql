-- Contacts: personal data stands in sealed_field alone.

-- no: number in the order of intake, never reused. ref: the random reference in the ledger.
-- At erasure data_key becomes empty, blind_index NULL, and ref a fresh random value.
CREATE TABLE contact (
    no BIGINT NOT NULL PRIMARY KEY,
    ref BYTEA NOT NULL UNIQUE CHECK (length(ref) = 16),
    blind_index BYTEA UNIQUE CHECK (length(blind_index) = 32),
    state TEXT NOT NULL CHECK (state IN ('active', 'restricted', 'withdrawn', 'erased')),
    country TEXT NOT NULL,
    collection_points SMALLINT NOT NULL,
    fields BIGINT NOT NULL,
    policy_version INTEGER NOT NULL,
    data_key BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE sealed_field (
    contact_no BIGINT NOT NULL,
    field SMALLINT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL,
    PRIMARY KEY (contact_no, field)
);

CREATE TABLE origin (
    contact_no BIGINT NOT NULL,
    point TEXT NOT NULL,
    at BIGINT NOT NULL,
    policy_version INTEGER NOT NULL,
    wording_hash BYTEA NOT NULL CHECK (length(wording_hash) = 32),
    PRIMARY KEY (contact_no, point, at)
);

-- Every yes and no; partner_id is '' for all partners.
CREATE TABLE choice (
    contact_no BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    given BOOLEAN NOT NULL,
    origin TEXT NOT NULL,
    policy_version INTEGER NOT NULL,
    PRIMARY KEY (contact_no, purpose, partner_id, at)
);

-- The newest of them: what is in force.
CREATE TABLE choice_now (
    contact_no BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    partner_id TEXT NOT NULL,
    given BOOLEAN NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (contact_no, purpose, partner_id)
);

-- Addresses that must not come back by import or restore; purpose is '' for everything.
CREATE TABLE suppression (
    blind_index BYTEA NOT NULL CHECK (length(blind_index) = 32),
    purpose TEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (blind_index, purpose)
);
