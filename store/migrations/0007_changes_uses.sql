-- Schema 7.

-- What a version of an object changed, in the fields that change triggers watched: kept with the event,
-- so that deciding again needs no earlier version. NULL: nothing.
ALTER TABLE events ADD COLUMN changes BLOB; -- JSON

-- What the limits of playbooks count: starts of runs (the action is '') and beginnings of actions. A row
-- stays while any limit may count it, whatever becomes of the run.
CREATE TABLE uses (
	n        INTEGER PRIMARY KEY,
	tenant   TEXT NOT NULL,
	playbook TEXT NOT NULL, -- whose limit it is
	action   TEXT NOT NULL,
	mode     TEXT NOT NULL CHECK (mode = 'live' OR mode = 'shadow'),
	run      TEXT NOT NULL, -- the ID: the run may have been pruned
	at       INTEGER NOT NULL
) STRICT;
CREATE INDEX uses_count ON uses (playbook, action, tenant, mode, at);
CREATE INDEX uses_at    ON uses (at);
