DROP TABLE ledger_outsider;
