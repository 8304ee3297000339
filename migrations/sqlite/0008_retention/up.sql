-- Retention: rows of entries below the ledger's minimum index may go, and it only rises.

-- Erasure and pruning delete answers by their entry.
CREATE INDEX idempotency_idx ON idempotency (idx);
-- Erased contacts are few, and asked for as such.
CREATE INDEX contact_erased ON contact (no) WHERE state = 'erased';

DROP TRIGGER ledger_entry_stays;
CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry
WHEN OLD.idx >= coalesce((SELECT min_index FROM ledger_log WHERE id = 1), 0)
BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only'); END;
DROP TRIGGER ledger_items_stay;
CREATE TRIGGER ledger_items_stay BEFORE DELETE ON ledger_items
WHEN OLD.idx >= coalesce((SELECT min_index FROM ledger_log WHERE id = 1), 0)
BEGIN SELECT RAISE(ABORT, 'ledger_items is append-only'); END;
DROP TRIGGER ledger_projection_stays;
CREATE TRIGGER ledger_projection_stays BEFORE DELETE ON ledger_projection
WHEN OLD.idx >= coalesce((SELECT min_index FROM ledger_log WHERE id = 1), 0)
BEGIN SELECT RAISE(ABORT, 'ledger_projection is append-only'); END;

CREATE TRIGGER ledger_log_stays BEFORE DELETE ON ledger_log
BEGIN SELECT RAISE(ABORT, 'ledger_log stays'); END;
-- Whole tiles of 256 entries, and never beyond what there is.
CREATE TRIGGER ledger_log_rises BEFORE UPDATE OF min_index ON ledger_log
WHEN NEW.min_index < OLD.min_index OR NEW.min_index % 256 <> 0
    OR NEW.min_index > (SELECT size FROM ledger_head WHERE id = 1)
BEGIN SELECT RAISE(ABORT, 'min_index only rises, by whole tiles'); END;
