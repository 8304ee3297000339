-- The ledger: what is written once and never changed.

CREATE TABLE ledger_log (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL,
    log_key_ids TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    min_index INTEGER NOT NULL,
    format_version INTEGER NOT NULL
) STRICT;

-- The only lock. last_restricting: index of the newest entry that narrowed what may be released,
-- -1 before the first. registry_version: raised by each change of a partner, certificate, grant,
-- policy or key.
CREATE TABLE ledger_head (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    size INTEGER NOT NULL CHECK (size >= 0),
    frontier BLOB NOT NULL,
    last_restricting INTEGER NOT NULL CHECK (last_restricting < size),
    registry_version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
INSERT INTO ledger_head (id, size, frontier, last_restricting, registry_version, epoch, updated_at)
VALUES (1, 0, x'', -1, 0, 0, 0);

CREATE TABLE ledger_entry (
    idx INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

-- Full tiles only. root stands before hashes, so a level above is read as a range of roots.
CREATE TABLE ledger_tile (
    level INTEGER NOT NULL,
    n INTEGER NOT NULL,
    root BLOB NOT NULL CHECK (length(root) = 32),
    hashes BLOB NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, n)
) STRICT;

-- The items of an entry in page order, each with its length in two bytes in front; 0 once erased.
CREATE TABLE ledger_items (
    idx INTEGER NOT NULL PRIMARY KEY,
    items BLOB NOT NULL
) STRICT;

-- Who received whose data. In the order of intake numbers: pages are released in that order.
CREATE TABLE disclosed_item (
    contact_no INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    PRIMARY KEY (contact_no, idx, pos)
) STRICT, WITHOUT ROWID;

-- What an entry says, in columns: rebuildable from the bodies, except salt and item hashes.
CREATE TABLE ledger_projection (
    idx INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    partner TEXT,
    purpose TEXT,
    op TEXT NOT NULL,
    at INTEGER NOT NULL,
    decision TEXT,
    reason TEXT,
    certificate BLOB,
    policy INTEGER,
    fields INTEGER,
    restricting INTEGER NOT NULL CHECK (restricting IN (0, 1)),
    response_salt BLOB,
    item_hashes BLOB
) STRICT;
CREATE INDEX ledger_projection_partner ON ledger_projection (partner, idx);

CREATE TABLE ledger_checkpoint (
    size INTEGER NOT NULL PRIMARY KEY,
    note TEXT NOT NULL,
    published_at INTEGER
) STRICT;

-- The full SHA-256 of a partner and its Idempotency-Key: a shorter one could collide.
CREATE TABLE idempotency (
    key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    idx INTEGER NOT NULL,
    body_hash BLOB NOT NULL CHECK (length(body_hash) = 32),
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER ledger_entry_keeps BEFORE UPDATE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only'); END;
CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only'); END;
CREATE TRIGGER ledger_tile_keeps BEFORE UPDATE ON ledger_tile
BEGIN SELECT RAISE(ABORT, 'ledger_tile is append-only'); END;
CREATE TRIGGER ledger_tile_stays BEFORE DELETE ON ledger_tile
BEGIN SELECT RAISE(ABORT, 'ledger_tile is append-only'); END;
CREATE TRIGGER disclosed_item_keeps BEFORE UPDATE ON disclosed_item
BEGIN SELECT RAISE(ABORT, 'disclosed_item is append-only'); END;
CREATE TRIGGER ledger_items_stay BEFORE DELETE ON ledger_items
BEGIN SELECT RAISE(ABORT, 'ledger_items is append-only'); END;
-- An update may do one thing: cut one item out. There must be a place where the old run has an
-- item as long as the run became shorter, the new run an empty one, and all before and behind it
-- is the same. Items are ASCII, so zeros are lengths. json_each counts the places.
CREATE TRIGGER ledger_items_keep BEFORE UPDATE ON ledger_items
WHEN NEW.idx <> OLD.idx OR length(NEW.items) >= length(OLD.items) OR NOT EXISTS (
    SELECT 1
    FROM json_each('[0' || replace(hex(zeroblob(max(0, length(NEW.items) - 2))), '00', ',0') || ']')
    WHERE substr(NEW.items, key + 1, 2) = x'0000'
        AND substr(OLD.items, key + 1, 2)
            = unhex(printf('%04X', length(OLD.items) - length(NEW.items)))
        AND substr(NEW.items, 1, key) = substr(OLD.items, 1, key)
        AND substr(NEW.items, key + 3)
            = substr(OLD.items, key + 3 + length(OLD.items) - length(NEW.items))
)
BEGIN SELECT RAISE(ABORT, 'ledger_items is append-only'); END;
CREATE TRIGGER ledger_head_stays BEFORE DELETE ON ledger_head
BEGIN SELECT RAISE(ABORT, 'ledger_head stays'); END;
CREATE TRIGGER ledger_projection_stays BEFORE DELETE ON ledger_projection
BEGIN SELECT RAISE(ABORT, 'ledger_projection is append-only'); END;
-- Only the salt may go, at erasure.
CREATE TRIGGER ledger_projection_keeps BEFORE UPDATE OF idx, kind, partner, purpose, op, at,
    decision, reason, certificate, policy, fields, restricting, item_hashes ON ledger_projection
BEGIN SELECT RAISE(ABORT, 'ledger_projection is append-only'); END;
CREATE TRIGGER ledger_projection_salt BEFORE UPDATE OF response_salt ON ledger_projection
WHEN NEW.response_salt IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'ledger_projection is append-only'); END;
