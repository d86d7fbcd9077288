-- From version 2 of the outbox to version 3, before the statements of version 3. Readers of version 2 find their table
-- unlike theirs from then on, and trust nothing that the source fences.
UPDATE parbake_format SET version = 3 WHERE part OPERATOR(pg_catalog.=) 'outbox' AND version OPERATOR(pg_catalog.=) 2;
DROP FUNCTION IF EXISTS parbake_report(
  pg_catalog.TEXT, BIGINT, pg_catalog.PG_SNAPSHOT, pg_catalog.TEXT, INTERVAL, BOOLEAN
);
ALTER TABLE parbake_reader RENAME reader TO store;
ALTER TABLE parbake_reader RENAME serial TO number;
ALTER TABLE parbake_reader ADD writer pg_catalog.XID8 NOT NULL DEFAULT '0';
ALTER TABLE parbake_reader ALTER writer DROP DEFAULT;
ALTER TABLE parbake_reader ADD is_retired BOOLEAN NOT NULL DEFAULT false;
CREATE TABLE IF NOT EXISTS parbake_setting(name pg_catalog.TEXT PRIMARY KEY, value INTERVAL NOT NULL);
INSERT INTO parbake_setting
SELECT 'max_silence', greatest(
  INTERVAL '2 min', pg_catalog.max(silence) OPERATOR(pg_catalog.*) 1.1 OPERATOR(pg_catalog.+) INTERVAL '10 s'
) FROM parbake_reader
ON CONFLICT (name) DO NOTHING;
