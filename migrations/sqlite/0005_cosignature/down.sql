DROP TABLE ledger_cosignature;
