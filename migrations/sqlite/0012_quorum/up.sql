-- Which checkpoints met the policy's quorum when a line came in: the newest of them is served
-- however many were published since that too few have cosigned.

ALTER TABLE ledger_checkpoint ADD COLUMN quorum_met INTEGER NOT NULL DEFAULT 0 CHECK (quorum_met IN (0, 1));
CREATE INDEX ledger_checkpoint_quorum ON ledger_checkpoint (size) WHERE quorum_met;
