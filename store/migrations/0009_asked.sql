-- Schema 9. What conditions and steps ask the world, and what asking leaves behind for later questions.

-- What a condition asked, with the answers. NULL if it asked nothing.
ALTER TABLE matches ADD COLUMN readings BLOB; -- JSON

-- That a playbook asked for a key: each event counts once. The order of n is that in which they asked.
CREATE TABLE marks (
	n        INTEGER PRIMARY KEY,
	tenant   TEXT NOT NULL,
	playbook TEXT NOT NULL,
	key      TEXT NOT NULL,
	event    TEXT NOT NULL, -- the ID: the event may have been pruned
	at       INTEGER NOT NULL,
	until    INTEGER NOT NULL, -- the end of the window
	UNIQUE (playbook, key, tenant, event)
) STRICT;
CREATE INDEX marks_at    ON marks (playbook, key, tenant, at);
CREATE INDEX marks_until ON marks (until);

-- The state of playbooks.
CREATE TABLE kept (
	tenant   TEXT NOT NULL,
	playbook TEXT NOT NULL,
	key      TEXT NOT NULL,
	value    BLOB NOT NULL, -- JSON
	expires  INTEGER NOT NULL,
	PRIMARY KEY (playbook, tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_expires ON kept (playbook, tenant, expires);
CREATE INDEX kept_all     ON kept (expires);

-- Which objects have a value in a field, and since when: for the fields of indexed only.
CREATE TABLE traits (
	trait  TEXT NOT NULL, -- a hash of tenant, kind, field and value
	object TEXT NOT NULL,
	seen   INTEGER NOT NULL, -- when it was first seen so
	PRIMARY KEY (trait, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX traits_newest ON traits (trait, seen, object);
CREATE INDEX traits_seen   ON traits (seen);

-- Who has which open object.
CREATE TABLE loads (
	tenant TEXT NOT NULL,
	object TEXT NOT NULL,
	who    TEXT NOT NULL,
	at     INTEGER NOT NULL,
	PRIMARY KEY (tenant, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX loads_who ON loads (tenant, who);
CREATE INDEX loads_at  ON loads (at);

-- The fields of which there is a complete index.
CREATE TABLE indexed (
	kind  TEXT NOT NULL,
	field TEXT NOT NULL,
	PRIMARY KEY (kind, field)
) STRICT, WITHOUT ROWID;
