-- From version 1 of the outbox to version 2. Writers wait while this runs; readers of version 1 find their table unlike
-- theirs from then on, and trust nothing that the source fences.
LOCK TABLE parbake_outbox IN ACCESS EXCLUSIVE MODE;
DROP TRIGGER IF EXISTS parbake_outbox_place ON parbake_outbox;
DROP FUNCTION IF EXISTS parbake_outbox_place();
DROP TRIGGER IF EXISTS parbake_outbox_deleted ON parbake_outbox;
DROP TRIGGER IF EXISTS parbake_outbox_truncated ON parbake_outbox;
DROP TABLE IF EXISTS parbake_outbox_gone;
DROP SEQUENCE IF EXISTS parbake_outbox_position;
ALTER TABLE parbake_outbox DROP CONSTRAINT IF EXISTS parbake_outbox_id_key;
ALTER TABLE parbake_outbox ALTER id DROP NOT NULL;
ALTER TABLE parbake_outbox ALTER time SET DEFAULT extract(epoch FROM pg_catalog.clock_timestamp());
ALTER TABLE parbake_outbox ADD xid pg_catalog.XID8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id();
ALTER TABLE parbake_outbox DROP CONSTRAINT parbake_outbox_pkey;
ALTER TABLE parbake_outbox ADD PRIMARY KEY (xid, position);
ALTER TABLE parbake_outbox ALTER position ADD GENERATED ALWAYS AS IDENTITY;
SELECT pg_catalog.setval(
  pg_catalog.pg_get_serial_sequence('parbake_outbox', 'position'),
  (SELECT pg_catalog.max(position) OPERATOR(pg_catalog.+) 1 FROM parbake_outbox), false
) WHERE EXISTS (SELECT FROM parbake_outbox);
