DROP INDEX ledger_checkpoint_quorum;
ALTER TABLE ledger_checkpoint DROP COLUMN quorum_met;
