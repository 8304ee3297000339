-- Partners, their certificates and grants; policy versions.

CREATE TABLE partner (
    id TEXT NOT NULL PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    legal_name TEXT NOT NULL,
    country TEXT NOT NULL,
    contract_ref TEXT NOT NULL,
    contract_version TEXT NOT NULL,
    privacy_contact TEXT NOT NULL,
    recall_days INTEGER NOT NULL,
    requests_per_minute BIGINT NOT NULL,
    applied_by TEXT NOT NULL,
    approved_by TEXT,
    tokens_not_before BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE certificate (
    thumbprint BYTEA NOT NULL PRIMARY KEY CHECK (length(thumbprint) = 32),
    partner_id TEXT NOT NULL REFERENCES partner (id),
    source TEXT NOT NULL CHECK (source IN ('issued', 'pinned')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'active', 'revoked')),
    serial TEXT NOT NULL,
    key_hash BYTEA NOT NULL CHECK (length(key_hash) = 32),
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    der BYTEA NOT NULL,
    bound_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_reason TEXT
);
CREATE INDEX certificate_partner ON certificate (partner_id);
CREATE INDEX certificate_key ON certificate (key_hash);

-- fields and collection_points are bit masks; territory is '*' or country codes with commas.
CREATE TABLE partner_grant (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    purpose TEXT NOT NULL,
    fields BIGINT NOT NULL,
    territory TEXT NOT NULL,
    collection_points SMALLINT NOT NULL,
    from_at BIGINT NOT NULL,
    until_at BIGINT
);
CREATE INDEX partner_grant_partner ON partner_grant (partner_id, purpose);

-- A draft while published_at is NULL.
CREATE TABLE policy (
    version INTEGER NOT NULL PRIMARY KEY CHECK (version > 0),
    effective_at BIGINT NOT NULL,
    published_at BIGINT
);

-- partner_kinds is a bit mask.
CREATE TABLE policy_purpose (
    version INTEGER NOT NULL REFERENCES policy (version),
    purpose TEXT NOT NULL,
    fields BIGINT NOT NULL,
    partner_kinds SMALLINT NOT NULL,
    PRIMARY KEY (version, purpose)
);

CREATE TABLE policy_text (
    version INTEGER NOT NULL REFERENCES policy (version),
    language TEXT NOT NULL,
    text TEXT NOT NULL,
    wording_hash BYTEA NOT NULL CHECK (length(wording_hash) = 32),
    PRIMARY KEY (version, language)
);
