-- Retention: rows of entries below the ledger's minimum index may go, and it only rises.

-- Erasure and pruning delete answers by their entry.
CREATE INDEX idempotency_idx ON idempotency (idx);
-- Erased contacts are few, and asked for as such.
CREATE INDEX contact_erased ON contact (no) WHERE state = 'erased';

CREATE FUNCTION ledger_row_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.idx < (SELECT min_index FROM ledger_log WHERE id = 1) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END;
$$;

-- Whole tiles of 256 entries, and never beyond what there is.
CREATE FUNCTION ledger_log_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.min_index >= OLD.min_index AND NEW.min_index % 256 = 0
        AND NEW.min_index <= (SELECT size FROM ledger_head WHERE id = 1) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'min_index only rises, by whole tiles' USING ERRCODE = 'restrict_violation';
END;
$$;

DROP TRIGGER ledger_entry_keeps ON ledger_entry;
CREATE TRIGGER ledger_entry_keeps BEFORE UPDATE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_entry_goes BEFORE DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_row_stays();
DROP TRIGGER ledger_items_stay ON ledger_items;
CREATE TRIGGER ledger_items_stay BEFORE DELETE ON ledger_items
    FOR EACH ROW EXECUTE FUNCTION ledger_row_stays();
DROP TRIGGER ledger_projection_stays ON ledger_projection;
CREATE TRIGGER ledger_projection_stays BEFORE DELETE ON ledger_projection
    FOR EACH ROW EXECUTE FUNCTION ledger_row_stays();

CREATE TRIGGER ledger_log_stays BEFORE DELETE ON ledger_log
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
CREATE TRIGGER ledger_log_rises BEFORE UPDATE OF min_index ON ledger_log
    FOR EACH ROW EXECUTE FUNCTION ledger_log_rises();
