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
    requests_per_minute INTEGER NOT NULL,
    applied_by TEXT NOT NULL,
    approved_by TEXT,
    tokens_not_before INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE certificate (
    thumbprint BLOB NOT NULL PRIMARY KEY CHECK (length(thumbprint) = 32),
    partner_id TEXT NOT NULL REFERENCES partner (id),
    source TEXT NOT NULL CHECK (source IN ('issued', 'pinned')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'active', 'revoked')),
    serial TEXT NOT NULL,
    key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),
    not_before INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    der BLOB NOT NULL,
    bound_at INTEGER NOT NULL,
    revoked_at INTEGER,
    revoked_reason TEXT
) STRICT;
CREATE INDEX certificate_partner ON certificate (partner_id);
CREATE INDEX certificate_key ON certificate (key_hash);

-- fields and collection_points are bit masks; territory is '*' or country codes with commas.
CREATE TABLE partner_grant (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    purpose TEXT NOT NULL,
    fields INTEGER NOT NULL,
    territory TEXT NOT NULL,
    collection_points INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    until_at INTEGER
) STRICT;
CREATE INDEX partner_grant_partner ON partner_grant (partner_id, purpose);

-- A draft while published_at is NULL.
CREATE TABLE policy (
    version INTEGER NOT NULL PRIMARY KEY CHECK (version > 0),
    effective_at INTEGER NOT NULL,
    published_at INTEGER
) STRICT;

-- partner_kinds is a bit mask.
CREATE TABLE policy_purpose (
    version INTEGER NOT NULL REFERENCES policy (version),
    purpose TEXT NOT NULL,
    fields INTEGER NOT NULL,
    partner_kinds INTEGER NOT NULL,
    PRIMARY KEY (version, purpose)
) STRICT;

CREATE TABLE policy_text (
    version INTEGER NOT NULL REFERENCES policy (version),
    language TEXT NOT NULL,
    text TEXT NOT NULL,
    wording_hash BLOB NOT NULL CHECK (length(wording_hash) = 32),
    PRIMARY KEY (version, language)
) STRICT;
