-- What is demanded back: one row per demand to one partner about one contact.

-- purpose is '' for everything. opened, last, overdue: indices of entries. Rows of a contact that
-- is forgotten go with its items.
CREATE TABLE recall (
    id TEXT NOT NULL PRIMARY KEY,
    partner_id TEXT NOT NULL REFERENCES partner (id),
    contact_no BIGINT NOT NULL,
    purpose TEXT NOT NULL,
    cause TEXT NOT NULL,
    opened BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'told', 'received', 'erased', 'not_held', 'refused')),
    ground TEXT,
    last BIGINT NOT NULL,
    overdue BIGINT,
    CHECK ((state = 'refused') = (ground IS NOT NULL))
);
CREATE INDEX recall_contact ON recall (contact_no);
-- What waits to be told or answered: short, however many were answered.
CREATE INDEX recall_waiting ON recall (partner_id, opened, id) WHERE state IN ('open', 'told', 'received');
CREATE INDEX recall_listed ON recall (opened, id) WHERE state IN ('open', 'told', 'received');
CREATE INDEX recall_due ON recall (due_at) WHERE state IN ('open', 'told', 'received') AND overdue IS NULL;
