-- Schema 5: the runs that wait for people's answers are found without a look at those that wait for
-- anything else.
CREATE INDEX runs_asking ON runs (created, n) WHERE ended IS NULL AND message GLOB 'asks *';
