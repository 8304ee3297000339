-- The ledger: what is written once and never changed.

CREATE TABLE ledger_log (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL,
    log_key_ids TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    min_index BIGINT NOT NULL,
    format_version INTEGER NOT NULL
);

-- The only lock. last_restricting: index of the newest entry that narrowed what may be released,
-- -1 before the first. registry_version: raised by each change of a partner, certificate, grant,
-- policy or key.
CREATE TABLE ledger_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    size BIGINT NOT NULL CHECK (size >= 0),
    frontier BYTEA NOT NULL,
    last_restricting BIGINT NOT NULL CHECK (last_restricting < size),
    registry_version BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
INSERT INTO ledger_head (id, size, frontier, last_restricting, registry_version, epoch, updated_at)
VALUES (1, 0, '', -1, 0, 0, 0);

-- Entries and what hangs on them stand in partitions by index: ledger_partitions_ahead makes them.
CREATE TABLE ledger_entry (
    idx BIGINT NOT NULL PRIMARY KEY,
    body BYTEA NOT NULL
) PARTITION BY RANGE (idx);

-- Full tiles only. root stands before hashes, so a level above is read as a range of roots.
CREATE TABLE ledger_tile (
    level SMALLINT NOT NULL,
    n BIGINT NOT NULL,
    root BYTEA NOT NULL CHECK (length(root) = 32),
    hashes BYTEA NOT NULL CHECK (length(hashes) = 8192),
    PRIMARY KEY (level, n)
);

-- The items of an entry in page order, each with its length in two bytes in front; 0 once erased.
CREATE TABLE ledger_items (
    idx BIGINT NOT NULL PRIMARY KEY,
    items BYTEA NOT NULL
) PARTITION BY RANGE (idx);

-- Who received whose data. In the order of intake numbers: pages are released in that order.
CREATE TABLE disclosed_item (
    contact_no BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    pos INTEGER NOT NULL,
    PRIMARY KEY (contact_no, idx, pos)
) PARTITION BY RANGE (idx);

-- What an entry says, in columns: rebuildable from the bodies, except salt and item hashes.
CREATE TABLE ledger_projection (
    idx BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    partner TEXT,
    purpose TEXT,
    op TEXT NOT NULL,
    at BIGINT NOT NULL,
    decision TEXT,
    reason TEXT,
    certificate BYTEA,
    policy INTEGER,
    fields BIGINT,
    restricting BOOLEAN NOT NULL,
    response_salt BYTEA,
    item_hashes BYTEA
) PARTITION BY RANGE (idx);
CREATE INDEX ledger_projection_partner ON ledger_projection (partner, idx);

CREATE TABLE ledger_checkpoint (
    size BIGINT NOT NULL PRIMARY KEY,
    note TEXT NOT NULL,
    published_at BIGINT
);

-- The full SHA-256 of a partner and its Idempotency-Key: a shorter one could collide.
CREATE TABLE idempotency (
    key BYTEA NOT NULL PRIMARY KEY CHECK (length(key) = 32),
    idx BIGINT NOT NULL,
    body_hash BYTEA NOT NULL CHECK (length(body_hash) = 32),
    at BIGINT NOT NULL
);

CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$;

-- Only the salt may go, at erasure.
CREATE FUNCTION ledger_projection_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.response_salt IS NULL
        AND to_jsonb(NEW) - 'response_salt' = to_jsonb(OLD) - 'response_salt' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'ledger_projection is append-only' USING ERRCODE = 'restrict_violation';
END;
$$;

-- An update may do one thing: cut one item out. The walk stops at the first item that changed:
-- there the new run must have an empty item, and all behind it must be the same.
CREATE FUNCTION ledger_items_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    place INTEGER := 0;
    size INTEGER;
    lost INTEGER := length(OLD.items) - length(NEW.items);
BEGIN
    WHILE NEW.idx = OLD.idx AND lost > 0 AND place + 2 <= length(NEW.items) LOOP
        size := get_byte(OLD.items, place) * 256 + get_byte(OLD.items, place + 1);
        IF substr(NEW.items, place + 1, size + 2) = substr(OLD.items, place + 1, size + 2) THEN
            place := place + size + 2;
        ELSIF size = lost AND substr(NEW.items, place + 1, 2) = '\x0000'
            AND substr(NEW.items, place + 3) = substr(OLD.items, place + 3 + size) THEN
            RETURN NEW;
        ELSE
            EXIT;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'ledger_items is append-only' USING ERRCODE = 'restrict_violation';
END;
$$;

CREATE TRIGGER ledger_entry_keeps BEFORE UPDATE OR DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_entry_stays BEFORE TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_tile_keeps BEFORE UPDATE OR DELETE ON ledger_tile
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_tile_stays BEFORE TRUNCATE ON ledger_tile
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_items_keep BEFORE UPDATE ON ledger_items
    FOR EACH ROW EXECUTE FUNCTION ledger_items_keep();
CREATE TRIGGER ledger_items_stay BEFORE DELETE ON ledger_items
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_items_whole BEFORE TRUNCATE ON ledger_items
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER disclosed_item_keeps BEFORE UPDATE ON disclosed_item
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER disclosed_item_stays BEFORE TRUNCATE ON disclosed_item
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_head_stays BEFORE DELETE ON ledger_head
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_projection_keeps BEFORE UPDATE ON ledger_projection
    FOR EACH ROW EXECUTE FUNCTION ledger_projection_keeps();
CREATE TRIGGER ledger_projection_stays BEFORE DELETE ON ledger_projection
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_projection_whole BEFORE TRUNCATE ON ledger_projection
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();

-- Makes partitions until two whole ones stand ahead of the head. Gives the size of the ledger at
-- which it must be asked again. The writer asks, whose role owns no table, hence SECURITY DEFINER.
-- ATTACH takes SHARE UPDATE EXCLUSIVE: nobody who reads or appends waits. Row triggers come with
-- ATTACH, a trigger of TRUNCATE does not. A test sets fieldgate.partition_rows on its database;
-- elsewhere a partition is 2^24 = 256 * 65,536 entries, so that pruning can drop it whole.
CREATE FUNCTION ledger_partitions_ahead() RETURNS BIGINT LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    span BIGINT :=
        coalesce(nullif(current_setting('fieldgate.partition_rows', TRUE), ''), '16777216');
    bound BIGINT;
    parent TEXT;
    part TEXT;
BEGIN
    IF span < 1024 OR span % 256 <> 0 THEN
        RAISE EXCEPTION 'fieldgate.partition_rows must be a multiple of 256 from 1024 on';
    END IF;
    -- One replica at a time; what another made is seen by the next statement.
    PERFORM pg_advisory_xact_lock(7308895158987653);
    SELECT coalesce(max(substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''(\d+)''\)')::BIGINT), 0)
        INTO bound FROM pg_class
        WHERE oid IN (SELECT inhrelid FROM pg_inherits
                      WHERE inhparent = 'public.ledger_entry'::regclass);
    WHILE bound < (SELECT size FROM ledger_head WHERE id = 1) + 2 * span LOOP
        FOREACH parent IN ARRAY
            ARRAY['ledger_entry', 'ledger_items', 'ledger_projection', 'disclosed_item'] LOOP
            part := parent || '_' || bound;
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
            EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT '
                'EXECUTE FUNCTION ledger_is_append_only()', parent || '_part_stays', part);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                parent, part, bound, bound + span);
        END LOOP;
        bound := bound + span;
    END LOOP;
    RETURN bound - span;
END;
$$;
SELECT ledger_partitions_ahead();
