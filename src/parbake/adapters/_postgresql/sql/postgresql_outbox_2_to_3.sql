-- From version 2 of the outbox to version 3, before the statements of version 3. Readers of version 2 find their table
-- unlike theirs from then on, and trust nothing that the source fences.
UPDATE parbake_format SET version = 3 WHERE part = 'outbox' AND version = 2;
DROP FUNCTION IF EXISTS parbake_report(TEXT, BIGINT, PG_SNAPSHOT, TEXT, INTERVAL, BOOLEAN);
ALTER TABLE parbake_reader RENAME reader TO store;
ALTER TABLE parbake_reader RENAME serial TO number;
ALTER TABLE parbake_reader ADD writer XID8 NOT NULL DEFAULT '0';
ALTER TABLE parbake_reader ALTER writer DROP DEFAULT;
ALTER TABLE parbake_reader ADD is_retired BOOLEAN NOT NULL DEFAULT false;
CREATE TABLE IF NOT EXISTS parbake_setting(name TEXT PRIMARY KEY, value INTERVAL NOT NULL);
INSERT INTO parbake_setting
SELECT 'max_silence', greatest(INTERVAL '2 min', 1.1 * max(silence) + INTERVAL '10 s') FROM parbake_reader
ON CONFLICT (name) DO NOTHING;
