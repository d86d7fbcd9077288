-- The outbox of a PostgreSQL source, version 2. The statements may run again.
-- Nothing here takes a lock that another writer waits for, and nothing orders the writers: see postgresql.py.

DO $guard$
DECLARE
  own NAME := current_schema();
  other NAME;
BEGIN
  SELECT relnamespace::REGNAMESPACE INTO other FROM pg_catalog.pg_class WHERE oid = to_regclass('parbake_outbox');
  IF other <> own THEN
    RAISE EXCEPTION 'the schema % has an outbox, which a second one in the schema % would hide', other, own
      USING HINT = 'let the search_path begin with the schema that has the outbox, or leave that schema out of it';
  END IF;
  IF other IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_attribute WHERE attrelid = to_regclass('parbake_outbox') AND attname = 'xid'
  ) THEN
    RAISE EXCEPTION 'the outbox is of version 1' USING HINT = 'bring it to version 2 with "parbake migrate"';
  END IF;
  IF to_regclass('parbake_format') IS NOT NULL THEN
    IF EXISTS (SELECT FROM parbake_format WHERE part = 'outbox' AND version > 2) THEN
      RAISE EXCEPTION 'the outbox is of a version after 2' USING HINT = 'use the version of parbake that has made it';
    END IF;
  END IF;
END
$guard$;

CREATE TABLE IF NOT EXISTS parbake_format(
  part TEXT PRIMARY KEY,
  version INT NOT NULL
);
INSERT INTO parbake_format VALUES ('outbox', 2) ON CONFLICT (part) DO NOTHING;

-- The events. The reader finds a row by its transaction, so a writer never chooses xid or position.
CREATE TABLE IF NOT EXISTS parbake_outbox(
  position BIGINT GENERATED ALWAYS AS IDENTITY,
  xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
  id TEXT,
  subject TEXT NOT NULL,
  type TEXT NOT NULL,
  time DOUBLE PRECISION NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
  PRIMARY KEY (xid, position) -- a sequence that a restored dump has left behind gives positions again, and that is no harm
);

CREATE OR REPLACE FUNCTION parbake_outbox_stamp() RETURNS trigger LANGUAGE plpgsql AS $stamp$
BEGIN
  NEW.xid := pg_catalog.pg_current_xact_id();
  RETURN NEW;
END
$stamp$;
CREATE OR REPLACE TRIGGER parbake_outbox_stamp BEFORE INSERT ON parbake_outbox
  FOR EACH ROW WHEN (NEW.xid <> pg_current_xact_id()) EXECUTE FUNCTION parbake_outbox_stamp();

-- What was deleted: the rows of each transaction that is visible in "upto"; all rows where it is null.
CREATE TABLE IF NOT EXISTS parbake_outbox_gone(
  xid XID8 NOT NULL DEFAULT pg_current_xact_id(),
  upto PG_SNAPSHOT
);
CREATE INDEX IF NOT EXISTS parbake_outbox_gone_xid ON parbake_outbox_gone(xid);

CREATE OR REPLACE FUNCTION parbake_outbox_note_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $note$
DECLARE
  pruned PG_SNAPSHOT := nullif(current_setting('parbake.pruned', true), '')::PG_SNAPSHOT;
  last NUMERIC;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO parbake_outbox_gone(upto) VALUES (NULL);
    RETURN NULL;
  END IF;
  SELECT max(xid::TEXT::NUMERIC) INTO last FROM gone;
  IF last IS NULL THEN
    RETURN NULL;
  END IF;
  IF pruned IS NULL OR EXISTS (SELECT FROM gone WHERE NOT pg_visible_in_snapshot(xid, pruned)) THEN
    pruned := format('%1$s:%1$s:', last + 1)::PG_SNAPSHOT;
  END IF;
  INSERT INTO parbake_outbox_gone(upto) VALUES (pruned);
  RETURN NULL;
END
$note$;
CREATE OR REPLACE TRIGGER parbake_outbox_deleted AFTER DELETE ON parbake_outbox
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION parbake_outbox_note_gone();
CREATE OR REPLACE TRIGGER parbake_outbox_truncated AFTER TRUNCATE ON parbake_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION parbake_outbox_note_gone();
ALTER TABLE parbake_outbox ENABLE ALWAYS TRIGGER parbake_outbox_stamp, ENABLE ALWAYS TRIGGER parbake_outbox_deleted,
  ENABLE ALWAYS TRIGGER parbake_outbox_truncated;

-- Changes with each start of the server and with each crash, after which statistics begin anew. A crash gives ids of
-- transactions again whose end was not on disk, so that a snapshot says nothing about a later run.
CREATE OR REPLACE FUNCTION parbake_run() RETURNS TEXT LANGUAGE sql STABLE AS $run$
  SELECT concat(pg_postmaster_start_time(), (SELECT stats_reset FROM pg_catalog.pg_stat_wal))
$run$;

-- How far each store has read. Stores report here, so that parbake_wait() and a restored copy can be judged.
CREATE TABLE IF NOT EXISTS parbake_reader(
  reader TEXT PRIMARY KEY,
  serial BIGINT NOT NULL,
  seen PG_SNAPSHOT NOT NULL,
  run TEXT NOT NULL,
  heard TIMESTAMPTZ NOT NULL,
  silence INTERVAL NOT NULL
);

-- Which tables raise which tags by themselves ("parbake capture"); several apps may name one table.
CREATE TABLE IF NOT EXISTS parbake_capture(
  relation TEXT NOT NULL,
  app TEXT NOT NULL,
  tags TEXT[] NOT NULL,
  checksum TEXT NOT NULL,
  PRIMARY KEY (relation, app)
);

-- The state of each captured table, and of the outbox, on which all families depend: everything that could change rows,
-- or what is told of them, without a trigger. "problem" says what keeps a change from being told now; "state" changes
-- whenever something may have kept one before.
DROP FUNCTION IF EXISTS parbake_capture_states();
CREATE FUNCTION parbake_capture_states()
RETURNS TABLE(relation TEXT, families TEXT[], problem TEXT, state TEXT, tags TEXT[]) LANGUAGE plpgsql STABLE AS $state$
BEGIN
  RETURN QUERY WITH RECURSIVE captured AS (
    SELECT
      c.relation, max(c.checksum) AS checksum,
      array_agg(DISTINCT split_part(tag, '/', 1) ORDER BY split_part(tag, '/', 1)) AS families,
      array_agg(DISTINCT tag) AS tags
    FROM parbake_capture c, unnest(c.tags) AS tag GROUP BY c.relation
  ), tree(root, oid, is_leaving) AS (
    SELECT c.relation, to_regclass(c.relation)::OID, false FROM captured c WHERE to_regclass(c.relation) IS NOT NULL
    UNION
    SELECT root, inhrelid, inhdetachpending FROM pg_catalog.pg_inherits JOIN tree ON inhparent = tree.oid
  ), triggers AS (
    SELECT
      t.tgrelid,
      string_agg(concat_ws(',', t.oid, t.tgname, t.tgenabled, t.xmin, p.oid, p.xmin), ' ' ORDER BY t.tgname) AS shape,
      array_agg(md5(concat(p.prosrc, p.proconfig))) FILTER (WHERE t.tgenabled = 'A' AND p.prosecdef) AS checksums
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid IN (SELECT oid FROM tree) AND t.tgname LIKE 'parbake\_capture\_%'
    GROUP BY t.tgrelid
  ), columns AS (
    SELECT attrelid, string_agg(concat_ws(',', attnum, attname, atttypid, xmin, CASE WHEN atttypid >= 16384 THEN (
      SELECT string_agg(concat(e.oid, e.xmin), ' ' ORDER BY e.oid) FROM pg_catalog.pg_enum e WHERE e.enumtypid = atttypid
    ) END), ' ' ORDER BY attnum) AS shape
    FROM pg_catalog.pg_attribute WHERE attrelid IN (SELECT oid FROM tree) AND attnum > 0
    GROUP BY attrelid
  )
  SELECT
    captured.relation,
    captured.families,
    CASE WHEN count(c.oid) = 0 THEN format('the captured table %s does not exist', captured.relation) ELSE min(CASE
      WHEN c.relkind = 'f' THEN format('%s is a foreign table, whose changes no trigger sees', c.oid::REGCLASS)
      WHEN s.srrelid IS NOT NULL THEN format('%s is filled by a subscription, which fires no trigger', c.oid::REGCLASS)
      WHEN coalesce(cardinality(array_positions(triggers.checksums, captured.checksum)), 0) <> 4
      THEN format('the triggers of %s are missing, disabled or altered', c.oid::REGCLASS)
    END) END,
    concat(
      CASE WHEN bool_or(c.relpersistence = 'u') THEN 'unlogged ' END,
      md5(string_agg(concat_ws('|', c.oid, c.relkind, is_leaving, triggers.shape, columns.shape), ';' ORDER BY c.oid))
    ),
    captured.tags
  FROM captured
  LEFT JOIN tree ON tree.root = captured.relation
  LEFT JOIN pg_catalog.pg_class c ON c.oid = tree.oid
  LEFT JOIN triggers ON triggers.tgrelid = c.oid
  LEFT JOIN columns ON columns.attrelid = c.oid
  LEFT JOIN pg_catalog.pg_subscription_rel s ON s.srrelid = c.oid
  GROUP BY captured.relation, captured.families, captured.tags
  UNION ALL
  SELECT
    'parbake_outbox',
    (SELECT array_agg(DISTINCT family) FROM captured, unnest(captured.families) AS family),
    CASE
      WHEN c.relrowsecurity THEN 'row security may hide rows of parbake_outbox'
      WHEN own.rules > 0 THEN 'a rule may keep rows out of parbake_outbox'
      WHEN own.whole <> 3 THEN 'the triggers of parbake_outbox are missing or disabled'
    END,
    md5(concat_ws('|', c.oid, c.relrowsecurity, own.rules, own.shape)),
    '{}'
  FROM pg_catalog.pg_class c, LATERAL (
    SELECT
      count(*) FILTER (WHERE t.tgenabled = 'A') AS whole,
      string_agg(concat_ws(',', t.oid, t.tgenabled, t.xmin), ' ' ORDER BY t.tgname) AS shape,
      (SELECT count(*) FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid) AS rules
    FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'parbake\_outbox\_%'
  ) AS own
  WHERE c.oid = to_regclass('parbake_outbox') AND EXISTS (SELECT FROM captured);
END
$state$;

-- A store reports how far it has read, and gets a number that rises. If "is_lasting", the report survives a crash.
CREATE OR REPLACE FUNCTION parbake_report(
  reader TEXT, serial BIGINT, seen PG_SNAPSHOT, run TEXT, silence INTERVAL, is_lasting BOOLEAN
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER AS $report$
BEGIN
  PERFORM set_config('synchronous_commit', CASE WHEN is_lasting THEN 'on' ELSE 'off' END, true);
  INSERT INTO parbake_reader AS known VALUES (reader, serial + 1, seen, run, clock_timestamp(), silence)
  ON CONFLICT ON CONSTRAINT parbake_reader_pkey DO UPDATE
    SET serial = greatest(known.serial, parbake_report.serial) + 1, seen = excluded.seen, run = excluded.run,
      heard = excluded.heard, silence = excluded.silence
  RETURNING known.serial INTO serial;
  RETURN serial;
END
$report$;

-- Wait until every store has applied a transaction that has ended; false if one has not within the time.
-- A store that was silent for longer than its own limit does not trust what it holds, so nobody waits for it.
CREATE OR REPLACE FUNCTION parbake_wait(ticket XID8, patience INTERVAL DEFAULT '10 s') RETURNS BOOLEAN
LANGUAGE plpgsql SECURITY DEFINER AS $wait$
DECLARE
  until TIMESTAMPTZ := clock_timestamp() + patience;
  now_run TEXT := parbake_run();
BEGIN
  IF ticket IS NULL THEN
    RAISE EXCEPTION 'parbake_wait() needs the id of a transaction, and was given NULL';
  END IF;
  IF ticket = pg_current_xact_id_if_assigned() THEN
    RAISE EXCEPTION 'parbake_wait(%) waits for its own transaction', ticket
      USING HINT = 'commit first, and call it in the next transaction';
  END IF;
  LOOP
    IF NOT EXISTS (
      SELECT FROM parbake_reader r
      WHERE r.heard + r.silence > clock_timestamp() AND NOT (r.run = now_run AND pg_visible_in_snapshot(ticket, r.seen))
    ) THEN
      RETURN true;
    END IF;
    IF clock_timestamp() > until THEN
      RETURN false;
    END IF;
    PERFORM pg_sleep(0.002);
  END LOOP;
END
$wait$;

-- What runs with its owner's rights finds tables in one schema only.
DO $pin$
DECLARE
  name TEXT;
BEGIN
  FOREACH name IN ARRAY ARRAY[
    'parbake_outbox_note_gone()', 'parbake_report(TEXT, BIGINT, PG_SNAPSHOT, TEXT, INTERVAL, BOOLEAN)',
    'parbake_wait(XID8, INTERVAL)'
  ] LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
  END LOOP;
END
$pin$;
