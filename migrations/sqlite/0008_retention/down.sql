DROP TRIGGER ledger_log_rises;
DROP TRIGGER ledger_log_stays;
DROP TRIGGER ledger_projection_stays;
CREATE TRIGGER ledger_projection_stays BEFORE DELETE ON ledger_projection
BEGIN SELECT RAISE(ABORT, 'ledger_projection is append-only'); END;
DROP TRIGGER ledger_items_stay;
CREATE TRIGGER ledger_items_stay BEFORE DELETE ON ledger_items
BEGIN SELECT RAISE(ABORT, 'ledger_items is append-only'); END;
DROP TRIGGER ledger_entry_stays;
CREATE TRIGGER ledger_entry_stays BEFORE DELETE ON ledger_entry
BEGIN SELECT RAISE(ABORT, 'ledger_entry is append-only'); END;
DROP INDEX contact_erased;
DROP INDEX idempotency_idx;
