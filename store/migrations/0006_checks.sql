-- Schema 6: the same conditions, spelt so that they cost nothing. SQLite makes a table of every list behind an IN and
-- drops it again, for each row that it checks: for a run that took as long as storing it.
--
-- Nothing that is stored changes, only the declarations. SQLite has no statement for that and describes this way
-- instead (https://www.sqlite.org/lang_altertable.html#otheralter).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql,
		'CHECK (state IN (''ready'', ''waiting'', ''parked'', ''succeeded'', ''failed'', ''canceled''))',
		'CHECK (state = ''ready'' OR state = ''waiting'' OR state = ''parked'' OR state = ''succeeded'' OR state = ''failed'' OR state = ''canceled'')'),
		'CHECK ((state IN (''succeeded'', ''failed'', ''canceled'')) = (ended IS NOT NULL))',
		'CHECK ((state = ''succeeded'' OR state = ''failed'' OR state = ''canceled'') = (ended IS NOT NULL))')
	WHERE type = 'table' AND name = 'runs';
UPDATE sqlite_schema SET sql = replace(sql,
		'CHECK (verdict IN (''matched'', ''not_matched'', ''skipped''))',
		'CHECK (verdict = ''matched'' OR verdict = ''not_matched'' OR verdict = ''skipped'')')
	WHERE type = 'table' AND name = 'matches';
PRAGMA writable_schema = RESET;
