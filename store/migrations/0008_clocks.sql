-- Schema 8: the clocks of sla triggers.
CREATE TABLE clocks (
	n        INTEGER PRIMARY KEY,
	object   TEXT NOT NULL CHECK (object <> ''),
	tenant   TEXT NOT NULL,
	playbook TEXT NOT NULL CHECK (playbook <> ''),
	revision INTEGER NOT NULL CHECK (revision > 0),
	state    TEXT NOT NULL CHECK (state = 'running' OR state = 'paused' OR state = 'stopped'),
	seen     INTEGER NOT NULL,
	due      INTEGER, -- when its next stage comes
	breach   INTEGER, -- when its target is used up
	content  TEXT NOT NULL, -- JSON: all of it
	UNIQUE (object, tenant, playbook)
) STRICT;
CREATE INDEX clocks_due  ON clocks (tenant, playbook, due, object) WHERE due IS NOT NULL;
CREATE INDEX clocks_open ON clocks (state, breach) WHERE state <> 'stopped';
CREATE INDEX clocks_seen ON clocks (seen);

-- What an event of a clock says besides its object, as JSON; NULL for all others.
ALTER TABLE events ADD COLUMN sla TEXT;
