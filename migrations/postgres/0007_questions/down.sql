DROP INDEX ledger_projection_late;
DROP INDEX ledger_projection_shape;
DROP INDEX ledger_projection_asker;
ALTER TABLE ledger_projection DROP COLUMN late;
ALTER TABLE ledger_projection DROP COLUMN shape;
ALTER TABLE ledger_projection DROP COLUMN asker;
CREATE INDEX ledger_projection_partner ON ledger_projection (partner, idx);
DROP TABLE ledger_asker;
DROP TABLE ledger_shape;
