DROP TRIGGER ledger_log_rises ON ledger_log;
DROP TRIGGER ledger_log_stays ON ledger_log;
DROP TRIGGER ledger_projection_stays ON ledger_projection;
CREATE TRIGGER ledger_projection_stays BEFORE DELETE ON ledger_projection
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
DROP TRIGGER ledger_items_stay ON ledger_items;
CREATE TRIGGER ledger_items_stay BEFORE DELETE ON ledger_items
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
DROP TRIGGER ledger_entry_goes ON ledger_entry;
DROP TRIGGER ledger_entry_keeps ON ledger_entry;
CREATE TRIGGER ledger_entry_keeps BEFORE UPDATE OR DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
DROP FUNCTION ledger_log_rises;
DROP FUNCTION ledger_row_stays;
DROP INDEX contact_erased;
DROP INDEX idempotency_idx;
