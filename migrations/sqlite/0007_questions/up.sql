-- Small numbers for what an auditor asks by, so that one narrow index answers every question.

-- What an entry says besides who, whom and when. '' and 0 where it says nothing.
CREATE TABLE ledger_shape (
    id INTEGER NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    op TEXT NOT NULL,
    purpose TEXT NOT NULL,
    reason TEXT NOT NULL,
    policy INTEGER NOT NULL,
    fields INTEGER NOT NULL,
    UNIQUE (kind, op, purpose, reason, policy, fields)
) STRICT;

-- Which partner an entry names, with which certificate. Empty where it names none.
CREATE TABLE ledger_asker (
    id INTEGER NOT NULL PRIMARY KEY,
    partner TEXT NOT NULL,
    certificate BLOB NOT NULL,
    UNIQUE (partner, certificate)
) STRICT;

-- late: by how many microseconds the entry's time lies before the newest time of the entries in
-- front of it; NULL when it does not. So at + late never falls, and times are found by halving.
ALTER TABLE ledger_projection ADD COLUMN asker INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger_projection ADD COLUMN shape INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger_projection ADD COLUMN late INTEGER;

INSERT INTO ledger_shape (id, kind, op, purpose, reason, policy, fields)
SELECT row_number() OVER (ORDER BY min(idx)), kind, op, coalesce(purpose, ''),
    coalesce(reason, ''), coalesce(policy, 0), coalesce(fields, 0)
FROM ledger_projection
GROUP BY kind, op, coalesce(purpose, ''), coalesce(reason, ''), coalesce(policy, 0),
    coalesce(fields, 0);
INSERT INTO ledger_asker (id, partner, certificate)
SELECT row_number() OVER (ORDER BY min(idx)), coalesce(partner, ''), coalesce(certificate, x'')
FROM ledger_projection GROUP BY coalesce(partner, ''), coalesce(certificate, x'');
UPDATE ledger_projection SET
    shape = (SELECT id FROM ledger_shape s WHERE s.kind = ledger_projection.kind
        AND s.op = ledger_projection.op AND s.purpose = coalesce(ledger_projection.purpose, '')
        AND s.reason = coalesce(ledger_projection.reason, '')
        AND s.policy = coalesce(ledger_projection.policy, 0)
        AND s.fields = coalesce(ledger_projection.fields, 0)),
    asker = (SELECT id FROM ledger_asker a
        WHERE a.partner = coalesce(ledger_projection.partner, '')
        AND a.certificate = coalesce(ledger_projection.certificate, x''));
UPDATE ledger_projection SET late = nullif(behind.late, 0)
FROM (SELECT idx, max(at) OVER (ORDER BY idx) - at AS late FROM ledger_projection) AS behind
WHERE behind.idx = ledger_projection.idx;

-- The newest time of all entries: the program before this one kept that of the last batch.
UPDATE ledger_head SET updated_at =
    coalesce((SELECT max(at) FROM ledger_projection), updated_at);

-- The rows are kept in the order of idx, which therefore ends every index by itself.
DROP INDEX ledger_projection_partner;
CREATE INDEX ledger_projection_asker ON ledger_projection (asker, shape);
CREATE INDEX ledger_projection_shape ON ledger_projection (shape);
-- Clocks that were set back by more than a minute: next to none.
CREATE INDEX ledger_projection_late ON ledger_projection (late) WHERE late > 60000000;

CREATE TRIGGER ledger_shape_keeps BEFORE UPDATE ON ledger_shape
BEGIN SELECT RAISE(ABORT, 'ledger_shape is append-only'); END;
CREATE TRIGGER ledger_shape_stays BEFORE DELETE ON ledger_shape
BEGIN SELECT RAISE(ABORT, 'ledger_shape is append-only'); END;
CREATE TRIGGER ledger_asker_keeps BEFORE UPDATE ON ledger_asker
BEGIN SELECT RAISE(ABORT, 'ledger_asker is append-only'); END;
CREATE TRIGGER ledger_asker_stays BEFORE DELETE ON ledger_asker
BEGIN SELECT RAISE(ABORT, 'ledger_asker is append-only'); END;
CREATE TRIGGER ledger_projection_numbers BEFORE UPDATE OF asker, shape, late ON ledger_projection
BEGIN SELECT RAISE(ABORT, 'ledger_projection is append-only'); END;
