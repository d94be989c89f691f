-- Schema 4. What most playbooks decide about an event is not stored but follows from two things that
-- are: what their conditions begin with, once for each text, and what the event holds of it.

-- The screens of versions of playbooks. The content is '' for sets from before this schema.
CREATE TABLE screens (
	n       INTEGER PRIMARY KEY,
	version INTEGER NOT NULL REFERENCES versions (n),
	content TEXT NOT NULL, -- JSON
	UNIQUE (version, content)
) STRICT;

-- NULL for events from before this schema: a decision without a row is then "skipped, no_trigger".
ALTER TABLE events ADD COLUMN facts BLOB; -- JSON

-- The members of a set are numbers of screens now, so that a set of ten thousand is not written out
-- again for each edit of one.
INSERT OR IGNORE INTO versions (playbook, digest)
	SELECT DISTINCT json_extract(m.value, '$.name'), json_extract(m.value, '$.digest')
	FROM sets, json_each(sets.members) m ORDER BY sets.n, m.key;
INSERT INTO screens (version, content)
	SELECT DISTINCT v.n, ''
	FROM sets, json_each(sets.members) m
		JOIN versions v ON v.playbook = json_extract(m.value, '$.name') AND v.digest = json_extract(m.value, '$.digest')
	ORDER BY v.n;
UPDATE sets SET members = (
	SELECT json_group_array(s.n ORDER BY m.key)
	FROM json_each(sets.members) m
		JOIN versions v ON v.playbook = json_extract(m.value, '$.name') AND v.digest = json_extract(m.value, '$.digest')
		JOIN screens s ON s.version = v.n AND s.content = '');
