-- Schema 2: fewer rows and indexes for each run, because they are what a run costs.

-- What one write adds to a run's history is one row: the entries' heads, and their data one after
-- the other. An entry of schema 1 becomes a row by itself.
CREATE TABLE history (
	run       INTEGER NOT NULL REFERENCES runs (n),
	first     INTEGER NOT NULL CHECK (first > 0), -- seq of the first entry
	heads     TEXT NOT NULL, -- JSON: [[bytes of path, of kind, attempt, at, bytes of data], …]
	names     TEXT NOT NULL, -- paths and kinds, one after the other
	data      BLOB,
	data_blob INTEGER REFERENCES blobs (n),
	PRIMARY KEY (run, first),
	CHECK (data IS NULL OR data_blob IS NULL)
) STRICT, WITHOUT ROWID;
INSERT INTO history (run, first, heads, names, data, data_blob)
	SELECT e.run, e.seq,
		json_array(json_array(length(CAST(e.path AS BLOB)), length(CAST(e.kind AS BLOB)), e.attempt, e.at,
			coalesce(length(e.data), length(b.content), 0))),
		e.path || e.kind, e.data, e.data_blob
	FROM entries e LEFT JOIN blobs b ON b.n = e.data_blob ORDER BY e.run, e.seq;
DROP TABLE entries;
CREATE INDEX history_blob ON history (data_blob) WHERE data_blob IS NOT NULL;

-- History is never rewritten.
CREATE TRIGGER history_append_only BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history is never changed'); END;

-- Runs are counted by the writer, once for each commit instead of once for each run.
DROP TRIGGER runs_counted;
DROP TRIGGER runs_recounted;
DROP TRIGGER runs_uncounted;

-- Most runs are ready for a moment and then succeeded for ever: that should not cost entries in
-- indexes that nobody looks for them in. Those that succeeded are most of runs_created.
DROP INDEX runs_state;
DROP INDEX runs_ready;
DROP INDEX runs_wake;
CREATE INDEX runs_state ON runs (state, created, n) WHERE state NOT IN ('ready', 'succeeded');
CREATE INDEX runs_ready ON runs (blocked) WHERE state = 'ready';
CREATE INDEX runs_wake  ON runs (blocked, wake) WHERE state = 'waiting';
