-- Schema 1.
--
-- Moments are nanoseconds since 1970 in UTC; the smallest 64-bit integer is "no moment". "n" is
-- the order of admission. Large values (above 32 KiB) are rows of blobs. Conditions repeat what
-- the Go code checks first: they are the second assertion, not the first.

-- The sets of playbooks that were loaded when events were admitted.
CREATE TABLE sets (
	n       INTEGER PRIMARY KEY,
	digest  TEXT NOT NULL UNIQUE CHECK (digest <> ''),
	members TEXT NOT NULL -- JSON: [{"name", "digest"}]
) STRICT;

-- Versions of playbooks, so that a decision needs no more than a number.
CREATE TABLE versions (
	n        INTEGER PRIMARY KEY,
	playbook TEXT NOT NULL,
	digest   TEXT NOT NULL,
	UNIQUE (playbook, digest)
) STRICT;

-- What runs were started with: texts of playbooks and watchlists.
CREATE TABLE documents (
	n       INTEGER PRIMARY KEY,
	digest  TEXT NOT NULL UNIQUE CHECK (digest <> ''),
	content BLOB NOT NULL
) STRICT;

-- Large values. Each belongs to one row of another table.
CREATE TABLE blobs (
	n       INTEGER PRIMARY KEY,
	content BLOB NOT NULL
) STRICT;

CREATE TABLE events (
	n            INTEGER PRIMARY KEY,
	id           TEXT NOT NULL UNIQUE CHECK (id <> ''),
	tenant       TEXT NOT NULL,
	source       TEXT NOT NULL,
	kind         TEXT NOT NULL,
	object       TEXT NOT NULL,
	title        TEXT NOT NULL,
	occurred     INTEGER NOT NULL,
	seen         INTEGER NOT NULL,
	payload      BLOB,
	payload_blob INTEGER REFERENCES blobs (n),
	inputs       BLOB,
	inputs_blob  INTEGER REFERENCES blobs (n),
	set_n        INTEGER REFERENCES sets (n),
	CHECK (payload IS NULL OR payload_blob IS NULL),
	CHECK (inputs IS NULL OR inputs_blob IS NULL)
) STRICT;
CREATE INDEX events_object  ON events (object, tenant, n) WHERE object <> '';
CREATE INDEX events_source  ON events (source, seen, n);
CREATE INDEX events_seen    ON events (seen, n);
CREATE INDEX events_set     ON events (set_n);
CREATE INDEX events_payload ON events (payload_blob) WHERE payload_blob IS NOT NULL;
CREATE INDEX events_inputs  ON events (inputs_blob) WHERE inputs_blob IS NOT NULL;

-- Decisions. One without a row is "skipped, no_trigger" for every member of the event's set.
CREATE TABLE matches (
	event   INTEGER NOT NULL REFERENCES events (n),
	version INTEGER NOT NULL REFERENCES versions (n),
	verdict TEXT NOT NULL CHECK (verdict IN ('matched', 'not_matched', 'skipped')),
	reason  TEXT NOT NULL,
	detail  TEXT NOT NULL,
	run     TEXT NOT NULL, -- the ID: the run may have been pruned
	PRIMARY KEY (event, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX matches_version ON matches (version);

-- A run that has not ended is blocked while an older one with its concurrency key has not ended
-- either: so what comes next is found without looking at a queue of thousands.
CREATE TABLE runs (
	n           INTEGER PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE CHECK (id <> ''),
	playbook    TEXT NOT NULL,
	digest      TEXT NOT NULL REFERENCES documents (digest),
	semantics   INTEGER NOT NULL,
	event       INTEGER NOT NULL REFERENCES events (n),
	tenant      TEXT NOT NULL,
	object      TEXT NOT NULL,
	title       TEXT NOT NULL,
	mode        TEXT NOT NULL,
	lists       INTEGER NOT NULL, -- how many rows of run_lists
	concurrency TEXT NOT NULL,
	blocked     INTEGER NOT NULL CHECK (blocked IN (0, 1)),
	state       TEXT NOT NULL
		CHECK (state IN ('ready', 'waiting', 'parked', 'succeeded', 'failed', 'canceled')),
	message     TEXT NOT NULL,
	created     INTEGER NOT NULL,
	wake        INTEGER,
	ended       INTEGER,
	last        INTEGER NOT NULL, -- seq of the last entry
	CHECK (state <> 'waiting' OR wake IS NOT NULL),
	CHECK ((state IN ('succeeded', 'failed', 'canceled')) = (ended IS NOT NULL))
) STRICT;
CREATE INDEX runs_event    ON runs (event);
CREATE INDEX runs_digest   ON runs (digest);
CREATE INDEX runs_created  ON runs (created, n);
CREATE INDEX runs_playbook ON runs (playbook, created, n);
CREATE INDEX runs_object   ON runs (object, created, n) WHERE object <> '';
CREATE INDEX runs_state    ON runs (state, created, n);
CREATE INDEX runs_ended    ON runs (ended, n) WHERE ended IS NOT NULL;
CREATE INDEX runs_ready    ON runs (state, blocked, n) WHERE ended IS NULL;
CREATE INDEX runs_wake     ON runs (state, blocked, wake) WHERE ended IS NULL;
CREATE INDEX runs_turn     ON runs (playbook, concurrency, n) WHERE ended IS NULL AND concurrency <> '';

-- The watchlists that a run was started with.
CREATE TABLE run_lists (
	run    INTEGER NOT NULL REFERENCES runs (n),
	name   TEXT NOT NULL,
	digest TEXT NOT NULL REFERENCES documents (digest),
	PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_lists_digest ON run_lists (digest);

CREATE TABLE entries (
	n         INTEGER PRIMARY KEY,
	run       INTEGER NOT NULL REFERENCES runs (n),
	seq       INTEGER NOT NULL CHECK (seq > 0),
	path      TEXT NOT NULL,
	kind      TEXT NOT NULL,
	attempt   INTEGER NOT NULL,
	at        INTEGER NOT NULL,
	data      BLOB,
	data_blob INTEGER REFERENCES blobs (n),
	UNIQUE (run, seq),
	CHECK (data IS NULL OR data_blob IS NULL)
) STRICT;
CREATE INDEX entries_blob ON entries (data_blob) WHERE data_blob IS NOT NULL;

-- History is never rewritten.
CREATE TRIGGER entries_append_only BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;

-- What playbooks meant to write to objects.
CREATE TABLE writes (
	n        INTEGER PRIMARY KEY,
	run      INTEGER NOT NULL REFERENCES runs (n),
	tenant   TEXT NOT NULL,
	object   TEXT NOT NULL,
	playbook TEXT NOT NULL,
	path     TEXT NOT NULL,
	at       INTEGER NOT NULL,
	fields   TEXT NOT NULL, -- JSON object or null
	comment  INTEGER NOT NULL CHECK (comment IN (0, 1))
) STRICT;
CREATE INDEX writes_object ON writes (object, tenant, at, n);
CREATE INDEX writes_run    ON writes (run);

-- Dedupe keys in use. The row stays while the window lasts, whatever becomes of the run.
CREATE TABLE dedupe (
	n        INTEGER PRIMARY KEY,
	tenant   TEXT NOT NULL,
	playbook TEXT NOT NULL,
	key      TEXT NOT NULL,
	until    INTEGER NOT NULL,
	run      TEXT NOT NULL,
	UNIQUE (playbook, key, tenant)
) STRICT;
CREATE INDEX dedupe_until ON dedupe (until);

CREATE TABLE cursors (
	source   TEXT NOT NULL PRIMARY KEY,
	position TEXT NOT NULL
) STRICT;

-- How many runs are in each state: counted as they change, because counting them all takes as
-- long as there are runs.
CREATE TABLE counts (
	state TEXT NOT NULL PRIMARY KEY,
	runs  INTEGER NOT NULL CHECK (runs >= 0)
) STRICT;
INSERT INTO counts (state, runs) VALUES
	('ready', 0), ('waiting', 0), ('parked', 0), ('succeeded', 0), ('failed', 0), ('canceled', 0);
CREATE TRIGGER runs_counted AFTER INSERT ON runs
BEGIN UPDATE counts SET runs = runs + 1 WHERE state = NEW.state; END;
CREATE TRIGGER runs_recounted AFTER UPDATE OF state ON runs WHEN OLD.state <> NEW.state
BEGIN
	UPDATE counts SET runs = runs - 1 WHERE state = OLD.state;
	UPDATE counts SET runs = runs + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER runs_uncounted AFTER DELETE ON runs
BEGIN UPDATE counts SET runs = runs - 1 WHERE state = OLD.state; END;
