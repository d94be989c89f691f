-- Schema 3: who started a run by hand, so that they can't be one of those who approve what it does.
ALTER TABLE events ADD COLUMN started_by TEXT NOT NULL DEFAULT '';
