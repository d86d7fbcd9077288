-- The outbox of a PostgreSQL source, version 3. The statements may run again, and then change nothing.
-- Nothing here takes a lock that another writer waits for, and nothing orders the writers: see postgresql.py.
--
-- Whoever may create in a schema of the search_path may make functions, operators and types there that fit better than the
-- server's own, and they would run with the rights of who executes this. So each block looks names up in the server's own
-- schema alone from its first statement to its last, and what is outside of the blocks names that schema.

DO $guard$
DECLARE
  path pg_catalog.TEXT := pg_catalog.current_setting('search_path');
  own pg_catalog.NAME := pg_catalog.current_schema();
  outbox pg_catalog.REGCLASS := pg_catalog.to_regclass('parbake_outbox');
  other pg_catalog.NAME;
  version INT;
  strangers pg_catalog.TEXT;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  -- What somebody else has made under a name of the outbox would run its triggers with the rights of who executes this.
  SELECT string_agg(format('%I of the role %I', found.name, pg_get_userbyid(found.owner)), ', ' ORDER BY found.name)
  INTO strangers
  FROM pg_namespace n, LATERAL (
    SELECT relname AS name, relowner AS owner FROM pg_class WHERE relnamespace = n.oid AND relname = ANY(
      '{parbake_format,parbake_outbox,parbake_outbox_gone,parbake_outbox_gone_xid,parbake_setting,parbake_run_start,'
      'parbake_reader,parbake_capture}'::NAME[])
    UNION ALL
    SELECT proname, proowner FROM pg_proc
    WHERE pronamespace = n.oid AND (proname ~ '^parbake_capture_[0-9a-f]{8}$' AND pronargs = 0 OR oid = ANY(ARRAY(
      SELECT to_regprocedure(format('%I.%s', own, signature))::OID FROM unnest(ARRAY[
        'parbake_outbox_stamp()', 'parbake_outbox_note_gone()', 'parbake_run()', 'parbake_capture_states()',
        'parbake_is_own(xid,xid8)', 'parbake_run_noted(text)', 'parbake_leave(text)',
        'parbake_report(text,int8,pg_snapshot,text,interval,bool)', 'parbake_wait(xid8,interval)',
        'parbake_wait(text,interval)']) AS signature)))
  ) AS found
  WHERE n.nspname = own AND found.owner <> n.nspowner AND found.owner NOT IN (
    SELECT oid FROM pg_roles WHERE rolsuper OR rolname = current_user
    UNION ALL SELECT datdba FROM pg_database WHERE datname = current_database()
  );
  IF strangers IS NOT NULL THEN
    RAISE EXCEPTION 'the schema % holds %, who is not this role, a superuser, or the owner of the database or of the schema',
      quote_ident(own), strangers USING HINT = 'its triggers, rules, policies and functions would run with the rights of '
        'this role: drop it, or let the search_path begin with another schema';
  END IF;
  SELECT n.nspname INTO other FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = outbox;
  IF other <> own THEN
    RAISE EXCEPTION 'the schema % has an outbox, which a second one in the schema % would hide',
      quote_ident(other), quote_ident(own)
      USING HINT = 'let the search_path begin with the schema that has the outbox, or leave that schema out of it';
  END IF;
  IF other IS NOT NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = outbox AND attname = 'xid') THEN
    RAISE EXCEPTION 'the outbox is of version 1' USING HINT = 'bring it to version 3 with "parbake migrate"';
  END IF;
  IF to_regclass(format('%I.parbake_format', own)) IS NOT NULL THEN
    EXECUTE format('SELECT version FROM %I.parbake_format WHERE part = ''outbox''', own) INTO version;
    IF version < 3 THEN
      RAISE EXCEPTION 'the outbox is of version 2' USING HINT = 'bring it to version 3 with "parbake migrate"';
    END IF;
    IF version > 3 THEN
      RAISE EXCEPTION 'the outbox is of a version after 3' USING HINT = 'use the version of parbake that has made it';
    END IF;
  END IF;
  PERFORM set_config('search_path', path, true);
END
$guard$;

CREATE TABLE IF NOT EXISTS parbake_format(
  part pg_catalog.TEXT PRIMARY KEY,
  version INT NOT NULL
);
INSERT INTO parbake_format VALUES ('outbox', 3) ON CONFLICT (part) DO NOTHING;

-- The events. The reader finds a row by its transaction, so a writer never chooses xid or position.
CREATE TABLE IF NOT EXISTS parbake_outbox(
  position BIGINT GENERATED ALWAYS AS IDENTITY,
  xid pg_catalog.XID8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
  id pg_catalog.TEXT,
  subject pg_catalog.TEXT NOT NULL,
  type pg_catalog.TEXT NOT NULL,
  time DOUBLE PRECISION NOT NULL DEFAULT extract(epoch FROM pg_catalog.clock_timestamp()),
  PRIMARY KEY (xid, position) -- a sequence that a restored dump has left behind gives positions again, and that is no harm
);

-- What was deleted: the rows of each transaction that is visible in "upto"; all rows where it is null.
CREATE TABLE IF NOT EXISTS parbake_outbox_gone(
  xid pg_catalog.XID8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
  upto pg_catalog.PG_SNAPSHOT
);
CREATE INDEX IF NOT EXISTS parbake_outbox_gone_xid ON parbake_outbox_gone(xid);

-- The functions and triggers that stamp rows and note what was deleted. Each is made only where it differs, because a
-- trigger or a function that is made again looks to readers as if it had been away. They run with their owner's rights.
-- So they look names up where nobody else may make any, name tables with their schema, which stands for OWN below, and
-- nobody else may put them on a table. OWN stands in no literal, and is replaced once: a schema may have any name.
DO $install$
DECLARE
  path pg_catalog.TEXT := pg_catalog.current_setting('search_path');
  own pg_catalog.NAME := pg_catalog.current_schema();
  outbox pg_catalog.TEXT := pg_catalog.format('%I.parbake_outbox', own);
  pinned pg_catalog.TEXT := 'pg_catalog, pg_temp';
  bodies pg_catalog.TEXT[][] := ARRAY[
    ARRAY['parbake_outbox_stamp', $stamp$
BEGIN
  NEW.xid := pg_catalog.pg_current_xact_id();
  RETURN NEW;
END
$stamp$],
    ARRAY['parbake_outbox_note_gone', $note$
DECLARE
  pruned PG_SNAPSHOT := nullif(current_setting('parbake.pruned', true), '')::PG_SNAPSHOT;
  last NUMERIC;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO OWN.parbake_outbox_gone(upto) VALUES (NULL);
    RETURN NULL;
  END IF;
  SELECT max(xid::TEXT::NUMERIC) INTO last FROM gone;
  IF last IS NULL THEN
    RETURN NULL;
  END IF;
  IF pruned IS NULL OR EXISTS (SELECT FROM gone WHERE NOT pg_visible_in_snapshot(xid, pruned)) THEN
    pruned := format('%1$s:%1$s:', last + 1)::PG_SNAPSHOT;
  END IF;
  INSERT INTO OWN.parbake_outbox_gone(upto) VALUES (pruned);
  RETURN NULL;
END
$note$]];
  triggers pg_catalog.TEXT[][] := ARRAY[
    ARRAY['parbake_outbox_stamp', '7',
      'BEFORE INSERT ON OWN.parbake_outbox FOR EACH ROW WHEN (NEW.xid <> pg_current_xact_id()) '
      'EXECUTE FUNCTION OWN.parbake_outbox_stamp()'],
    ARRAY['parbake_outbox_deleted', '8',
      'AFTER DELETE ON OWN.parbake_outbox REFERENCING OLD TABLE AS gone FOR EACH STATEMENT '
      'EXECUTE FUNCTION OWN.parbake_outbox_note_gone()'],
    ARRAY['parbake_outbox_truncated', '32',
      'AFTER TRUNCATE ON OWN.parbake_outbox FOR EACH STATEMENT EXECUTE FUNCTION OWN.parbake_outbox_note_gone()']];
  part pg_catalog.TEXT[];
  function pg_catalog.TEXT;
BEGIN
  PERFORM pg_catalog.set_config('search_path', pinned, true);
  FOREACH part SLICE 1 IN ARRAY bodies LOOP
    part[2] := replace(part[2], 'OWN.', format('%I.', own));
    function := format('%I.%I()', own, part[1]);
    IF NOT EXISTS (
      SELECT FROM pg_proc
      WHERE oid = to_regprocedure(function) AND prosrc = part[2] AND prosecdef
        AND proconfig = ARRAY['search_path=' || pinned]
    ) THEN
      EXECUTE format(
        'CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = %s AS %L',
        function, pinned, part[2]
      );
    END IF;
    IF has_function_privilege('public', to_regprocedure(function), 'execute') THEN
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
    END IF;
  END LOOP;
  FOREACH part SLICE 1 IN ARRAY triggers LOOP
    IF NOT EXISTS (
      SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace n ON n.oid = p.pronamespace
      WHERE t.tgrelid = to_regclass(outbox) AND t.tgname = part[1] AND t.tgenabled = 'A'
        AND t.tgtype = part[2]::INT2 AND n.nspname = own
        AND strpos(part[3], p.proname || '()') > 0
        AND (t.tgqual IS NOT NULL) = (strpos(part[3], 'WHEN (') > 0)
        AND coalesce(t.tgoldtable, '') = CASE WHEN strpos(part[3], 'AS gone') > 0 THEN 'gone' ELSE '' END
    ) THEN
      EXECUTE format('CREATE OR REPLACE TRIGGER %I %s', part[1], replace(part[3], 'OWN.', format('%I.', own)));
      EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', outbox, part[1]);
    END IF;
  END LOOP;
  PERFORM set_config('search_path', path, true);
END
$install$;

-- What the owner of the database may change: "max_silence" is the longest time for which a store may trust itself
-- without a report, and parbake_wait() waits so long after each start of the server.
CREATE TABLE IF NOT EXISTS parbake_setting(
  name pg_catalog.TEXT PRIMARY KEY,
  value INTERVAL NOT NULL
);
INSERT INTO parbake_setting VALUES ('max_silence', '2 min') ON CONFLICT (name) DO NOTHING;

-- Names the run of the server, its timeline and this copy of the database. It changes with each start and each crash,
-- after which statistics begin anew. A crash gives ids of transactions again whose end was not on disk, so that a
-- snapshot says nothing about a later run.
CREATE OR REPLACE FUNCTION parbake_run() RETURNS pg_catalog.TEXT LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $run$
  SELECT concat_ws(
    '.', extract(epoch FROM pg_postmaster_start_time()), extract(epoch FROM (SELECT stats_reset FROM pg_catalog.pg_stat_wal)),
    left(pg_walfile_name(pg_current_wal_lsn()), 8), (SELECT system_identifier FROM pg_control_system()),
    (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  )
$run$;

-- The run of the server that was noticed last, and when. "writer" is the transaction that wrote the row: a row that was
-- loaded from a dump names another one.
CREATE TABLE IF NOT EXISTS parbake_run_start(
  is_only BOOLEAN PRIMARY KEY DEFAULT true CHECK (is_only),
  run pg_catalog.TEXT NOT NULL,
  noted pg_catalog.TIMESTAMPTZ NOT NULL,
  writer pg_catalog.XID8 NOT NULL
);
INSERT INTO parbake_run_start
VALUES (true, parbake_run(), pg_catalog.clock_timestamp(), pg_catalog.pg_current_xact_id())
ON CONFLICT (is_only) DO NOTHING;

-- How far each store has read. Stores report here, so that parbake_wait() and a restored copy can be judged. "number"
-- grows with each report of a store; "writer" is as in parbake_run_start. A retired store is not waited for, and its row
-- stays, so that it is known again if it comes back.
CREATE TABLE IF NOT EXISTS parbake_reader(
  store pg_catalog.TEXT PRIMARY KEY,
  number BIGINT NOT NULL,
  seen pg_catalog.PG_SNAPSHOT NOT NULL,
  run pg_catalog.TEXT NOT NULL,
  heard pg_catalog.TIMESTAMPTZ NOT NULL,
  silence INTERVAL NOT NULL,
  writer pg_catalog.XID8 NOT NULL,
  is_retired BOOLEAN NOT NULL DEFAULT false
);

-- Which tables raise which tags by themselves ("parbake capture"); several apps may name one table.
CREATE TABLE IF NOT EXISTS parbake_capture(
  relation pg_catalog.TEXT NOT NULL,
  app pg_catalog.TEXT NOT NULL,
  tags pg_catalog.TEXT[] NOT NULL,
  checksum pg_catalog.TEXT NOT NULL,
  PRIMARY KEY (relation, app)
);

-- The state of each captured table, and of the outbox, on which all families depend, which is written as "*":
-- everything that could change rows, or what is told of them, without a trigger. "problem" says what keeps a change from
-- being told now; "state" changes whenever something may have kept one before. A statement that names a table above a
-- captured one changes its rows and fires the triggers of the table above only, so that it has triggers, too.
DO $states$
DECLARE
  path pg_catalog.TEXT := pg_catalog.current_setting('search_path');
  own pg_catalog.NAME := pg_catalog.current_schema();
  body pg_catalog.TEXT := $state$
BEGIN
  RETURN QUERY WITH RECURSIVE captured AS (
    SELECT
      c.relation, max(c.checksum) AS checksum,
      array_agg(DISTINCT split_part(tag, '/', 1) ORDER BY split_part(tag, '/', 1)) AS families,
      array_agg(DISTINCT tag) AS tags, string_agg(tag, ' ') AS listed
    FROM OWN.parbake_capture c, unnest(c.tags) AS tag GROUP BY c.relation
  ), below(root, oid, is_leaving) AS (
    SELECT c.relation, to_regclass(c.relation)::OID, false FROM captured c WHERE to_regclass(c.relation) IS NOT NULL
    UNION
    SELECT root, inhrelid, inhdetachpending FROM pg_catalog.pg_inherits JOIN below ON inhparent = below.oid
  ), above(root, oid) AS (
    SELECT c.relation, to_regclass(c.relation)::OID FROM captured c WHERE to_regclass(c.relation) IS NOT NULL
    UNION
    SELECT root, inhparent FROM pg_catalog.pg_inherits JOIN above ON inhrelid = above.oid
  ), tree AS (
    SELECT root, oid, is_leaving FROM below UNION SELECT root, oid, false FROM above
  ), triggers AS (
    SELECT
      t.tgrelid,
      string_agg(concat_ws(',', t.oid, t.tgname, t.tgenabled, t.xmin, p.oid, p.xmin), ' ' ORDER BY t.tgname) AS shape,
      array_agg(md5(concat(p.prosrc, p.proconfig))) FILTER (
        WHERE t.tgenabled = 'A' AND t.tgtype & 1 = 0 AND p.prosecdef
      ) AS checksums,
      string_agg(p.prosrc, ' ') AS sources
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE t.tgrelid IN (SELECT oid FROM tree) AND t.tgname LIKE 'parbake\_capture\_%'
    GROUP BY t.tgrelid
  ), parts(whole, oid) AS (  -- a type, and those that it is made of
    SELECT DISTINCT atttypid, atttypid FROM pg_catalog.pg_attribute
    WHERE attrelid IN (SELECT oid FROM tree) AND attnum > 0 AND atttypid >= 16384
    UNION
    SELECT parts.whole, inner_type.oid FROM parts JOIN pg_catalog.pg_type t ON t.oid = parts.oid, LATERAL (
      SELECT unnest(ARRAY[t.typbasetype, t.typelem]) AS oid
      UNION ALL SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = t.typrelid AND attnum > 0
      UNION ALL SELECT rngsubtype FROM pg_catalog.pg_range WHERE rngtypid = t.oid
    ) AS inner_type WHERE inner_type.oid >= 16384
  ), labels AS (
    SELECT parts.whole, string_agg(concat(e.oid, e.xmin), ' ' ORDER BY e.oid) AS shape
    FROM parts JOIN pg_catalog.pg_enum e ON e.enumtypid = parts.oid GROUP BY parts.whole
  ), columns AS (
    SELECT
      attrelid, string_agg(concat_ws(',', attnum, attname, atttypid, a.xmin, labels.shape), ' ' ORDER BY attnum) AS shape,
      array_agg(attname::TEXT) AS names, array_agg(coalesce(coalesce(nullif(t.typbasetype, 0), t.oid) = 'date'::REGTYPE, false)) AS are_dates
    FROM pg_catalog.pg_attribute a LEFT JOIN labels ON labels.whole = atttypid LEFT JOIN pg_catalog.pg_type t ON t.oid = atttypid
    WHERE attrelid IN (SELECT oid FROM tree) AND attnum > 0
    GROUP BY attrelid
  ), policies AS (  -- of row security, which hides rows from a reader
    SELECT polrelid, string_agg(concat_ws(',', oid, xmin), ' ' ORDER BY oid) AS shape
    FROM pg_catalog.pg_policy WHERE polrelid IN (SELECT oid FROM tree) GROUP BY polrelid
  )
  SELECT
    captured.relation,
    captured.families,
    CASE WHEN count(c.oid) = 0 THEN format('the captured table %s does not exist', captured.relation) ELSE min(CASE
      WHEN c.relkind = 'f' THEN format('%s is a foreign table, whose changes no trigger sees', c.oid::REGCLASS)
      WHEN s.srrelid IS NOT NULL THEN format('%s is filled by a subscription, which fires no trigger', c.oid::REGCLASS)
      WHEN coalesce(cardinality(array_positions(triggers.checksums, captured.checksum)), 0) <> 4
      THEN format('the triggers of %s are missing, disabled or altered', c.oid::REGCLASS)
      WHEN c.oid = to_regclass(captured.relation) AND EXISTS (
        SELECT FROM unnest(columns.names, columns.are_dates) AS own(name, is_date),
        LATERAL (SELECT '"' || replace(own.name, '"', '""') || '"' AS name) AS spelled
        WHERE (own.is_date AND strpos(captured.listed, '{' || own.name || '}') > 0)
          <> (  -- an earlier version has written it without a function
            strpos(triggers.sources, 'to_char(pg_catalog.concat(r.' || spelled.name || ')') > 0
            OR strpos(triggers.sources, 'to_char(r.' || spelled.name) > 0
          )
      ) THEN format('a column of %s has another type than when its triggers were made', c.oid::REGCLASS)
    END) END,
    concat(
      CASE WHEN bool_or(c.relpersistence = 'u') THEN 'unlogged ' END,
      md5(string_agg(concat_ws(
        '|', c.oid, c.relkind, is_leaving, triggers.shape, columns.shape, c.relrowsecurity, c.relforcerowsecurity,
        policies.shape, row_type.xmin  -- which changes with the name of the table
      ), ';' ORDER BY c.oid))
    ),
    captured.tags
  FROM captured
  LEFT JOIN tree ON tree.root = captured.relation
  LEFT JOIN pg_catalog.pg_class c ON c.oid = tree.oid
  LEFT JOIN triggers ON triggers.tgrelid = c.oid
  LEFT JOIN columns ON columns.attrelid = c.oid
  LEFT JOIN policies ON policies.polrelid = c.oid
  LEFT JOIN pg_catalog.pg_type row_type ON row_type.oid = c.reltype
  LEFT JOIN pg_catalog.pg_subscription_rel s ON s.srrelid = c.oid
  GROUP BY captured.relation, captured.families, captured.tags, captured.listed
  UNION ALL
  SELECT
    'parbake_outbox',
    '{*}',
    CASE
      WHEN c.relpersistence = 'u' THEN 'parbake_outbox is unlogged, so that a crash empties it'
      WHEN c.relrowsecurity THEN 'row security may hide rows of parbake_outbox'
      WHEN own.rules > 0 THEN 'a rule may keep rows out of parbake_outbox'
      WHEN own.whole <> 3 THEN 'the triggers of parbake_outbox are missing or disabled'
    END,
    md5(concat_ws('|', c.oid, c.relpersistence, c.relrowsecurity, own.rules, own.shape)),
    '{}'
  FROM pg_catalog.pg_class c, LATERAL (
    SELECT
      count(*) FILTER (WHERE t.tgenabled = 'A') AS whole,
      string_agg(concat_ws(',', t.oid, t.tgenabled, t.xmin, p.oid, p.xmin), ' ' ORDER BY t.tgname) AS shape,
      (SELECT count(*) FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid) AS rules
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid WHERE t.tgrelid = c.oid AND t.tgname LIKE 'parbake\_outbox\_%'
  ) AS own
  WHERE c.relname = 'parbake_outbox' AND c.relnamespace = (  -- in the schema of the table that is named here
    SELECT typnamespace FROM pg_catalog.pg_type WHERE oid = pg_typeof(NULL::OWN.parbake_capture)::OID
  );
END
$state$;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  EXECUTE format('DROP FUNCTION IF EXISTS %I.parbake_capture_states()', own);
  EXECUTE format(
    'CREATE FUNCTION %I.parbake_capture_states() '
    'RETURNS TABLE(relation TEXT, families TEXT[], problem TEXT, state TEXT, tags TEXT[]) LANGUAGE plpgsql STABLE '
    'SET search_path = pg_catalog, pg_temp AS %L',
    own, replace(body, 'OWN.', format('%I.', own))
  );
  PERFORM set_config('search_path', path, true);
END
$states$;

-- Whether a row was written by the transaction that it names, at the top level of it, and not loaded from a dump. The
-- system column has the last 32 bits only.
CREATE OR REPLACE FUNCTION parbake_is_own(row_xmin pg_catalog.XID, writer pg_catalog.XID8) RETURNS BOOLEAN
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $own$
  SELECT row_xmin::TEXT::BIGINT = writer::TEXT::NUMERIC % 4294967296
$own$;

-- The functions for readers and for those who wait. They run with their owner's rights, as those above do, and reports
-- are for readers alone: whoever may report could answer for a store that has read nothing. "parbake capture install
-- --reader ROLE" grants it.
DO $functions$
DECLARE
  path pg_catalog.TEXT := pg_catalog.current_setting('search_path');
  own pg_catalog.NAME := pg_catalog.current_schema();
  made pg_catalog.TEXT[][] := ARRAY[
    -- When the present run was noticed; NULL until that is known. Never waits for another session that notes the same.
    ARRAY['parbake_run_noted', $args$now_run TEXT$args$, 'TIMESTAMPTZ', $noted$
DECLARE
  noted_at TIMESTAMPTZ;
BEGIN
  SELECT noted INTO noted_at FROM OWN.parbake_run_start
  WHERE run = now_run AND OWN.parbake_is_own(xmin, writer) AND noted <= clock_timestamp();
  IF noted_at IS NOT NULL OR pg_is_in_recovery() OR current_setting('transaction_read_only')::BOOLEAN
    OR current_setting('transaction_isolation') <> 'read committed' THEN
    RETURN noted_at;
  END IF;
  PERFORM FROM OWN.parbake_run_start FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    UPDATE OWN.parbake_run_start SET run = now_run, noted = clock_timestamp(), writer = pg_current_xact_id()
    WHERE NOT (run = now_run AND OWN.parbake_is_own(xmin, writer) AND noted <= clock_timestamp());
  END IF;
  RETURN NULL;
END
$noted$],

    -- A store reports how far it has read; returns the highest number that was reported under its name. If "is_lasting", the
    -- report survives a crash. A store that has gone back to an earlier state reports a number that another state of it has
    -- reported with another snapshot.
    ARRAY['parbake_report', $args$store TEXT, number BIGINT, seen PG_SNAPSHOT, run TEXT, silence INTERVAL, is_lasting BOOLEAN$args$, 'BIGINT', $report$
DECLARE
  known OWN.parbake_reader;
  longest INTERVAL := (SELECT value FROM OWN.parbake_setting WHERE name = 'max_silence');
BEGIN
  IF run <> OWN.parbake_run() THEN
    RAISE EXCEPTION 'the server was started again, or its statistics were reset, since the snapshot of this report'
      USING ERRCODE = 'PB003';
  END IF;
  IF silence > longest OR longest IS NULL THEN
    RAISE EXCEPTION 'a store may trust itself for %, and this database allows %', silence, longest
      USING ERRCODE = 'PB002';
  END IF;
  PERFORM OWN.parbake_run_noted(run);
  PERFORM set_config('synchronous_commit', CASE WHEN is_lasting THEN 'on' ELSE 'off' END, true);
  INSERT INTO OWN.parbake_reader AS r VALUES (store, number, seen, run, clock_timestamp(), silence, pg_current_xact_id())
  ON CONFLICT ON CONSTRAINT parbake_reader_pkey DO UPDATE SET
    number = greatest(r.number, excluded.number),
    seen = CASE WHEN excluded.number >= r.number THEN excluded.seen ELSE r.seen END,
    run = CASE WHEN excluded.number >= r.number THEN excluded.run ELSE r.run END,
    heard = excluded.heard, silence = greatest(excluded.silence, CASE WHEN r.heard + r.silence > excluded.heard THEN r.silence END),
    writer = excluded.writer, is_retired = false
  WHERE excluded.number <> r.number OR excluded.seen::TEXT = r.seen::TEXT;
  SELECT r.* INTO known FROM OWN.parbake_reader r
  WHERE r.store = parbake_report.store AND r.writer = pg_current_xact_id();
  IF NOT FOUND THEN
    RAISE EXCEPTION 'another state of the store % has reported number %', store, number USING ERRCODE = 'PB001';
  END IF;
  IF NOT EXISTS (SELECT FROM OWN.parbake_reader r WHERE r.store = parbake_report.store AND OWN.parbake_is_own(r.xmin, r.writer)) THEN
    RAISE EXCEPTION 'a report is made in a transaction of its own, and not in a savepoint';
  END IF;
  RETURN known.number;
END
$report$],

    -- A store that nobody will read again, such as one in memory that is being closed, takes its row away.
    ARRAY['parbake_leave', $args$store TEXT$args$, 'VOID', $leave$
BEGIN
  DELETE FROM OWN.parbake_reader r WHERE r.store = parbake_leave.store;
END
$leave$],

    -- Wait until every store that may trust what it holds has applied a transaction that has ended.
    --   true   each such store has applied it. A store that was silent for longer than it may trust itself does not count.
    --   false  the time is over.
    --   NULL   no store has reported in this run of the server; whoever must not go on treats it as false.
    -- A store that reported to an earlier run, or to another copy of the database, may trust itself without being known
    -- here. So until the longest silence has passed since this run was noticed, the answer is neither true nor NULL.
    ARRAY['parbake_wait', $args$ticket XID8, patience INTERVAL DEFAULT '10 s'$args$, 'BOOLEAN', $wait$
DECLARE
  until TIMESTAMPTZ := clock_timestamp() + patience;
  now_run TEXT := OWN.parbake_run();
BEGIN
  IF ticket IS NULL THEN
    RAISE EXCEPTION 'parbake_wait() needs the id of a transaction, and was given NULL';
  END IF;
  IF ticket = pg_current_xact_id_if_assigned() THEN
    RAISE EXCEPTION 'parbake_wait(%) waits for its own transaction', ticket
      USING HINT = 'commit first, and call it in the next transaction';
  END IF;
  LOOP
    IF OWN.parbake_run_noted(now_run) + (SELECT value FROM OWN.parbake_setting WHERE name = 'max_silence') < clock_timestamp() THEN
      IF NOT EXISTS (SELECT FROM OWN.parbake_reader r WHERE r.run = now_run AND OWN.parbake_is_own(r.xmin, r.writer) AND NOT r.is_retired) THEN
        RETURN NULL;
      END IF;
      IF NOT EXISTS (
        SELECT FROM OWN.parbake_reader r
        WHERE r.heard + r.silence > clock_timestamp() AND NOT r.is_retired
          AND NOT (r.run = now_run AND OWN.parbake_is_own(r.xmin, r.writer) AND pg_visible_in_snapshot(ticket, r.seen))
      ) THEN
        RETURN true;
      END IF;
    END IF;
    IF clock_timestamp() > until THEN
      RETURN false;
    END IF;
    PERFORM pg_sleep(0.002);
  END LOOP;
END
$wait$],

    -- The same for a driver that sends the id of the transaction as a text.
    ARRAY['parbake_wait', $args$ticket TEXT, patience INTERVAL DEFAULT '10 s'$args$, 'BOOLEAN', $wait$
BEGIN
  RETURN OWN.parbake_wait(ticket::XID8, patience);
END
$wait$]];
  part pg_catalog.TEXT[];
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
  FOREACH part SLICE 1 IN ARRAY made LOOP
    EXECUTE format(
      'CREATE OR REPLACE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql SECURITY DEFINER '
      'SET search_path = pg_catalog, pg_temp AS %L',
      own, part[1], part[2], part[3], replace(part[4], 'OWN.', format('%I.', own))
    );
    IF part[1] <> 'parbake_wait' THEN
      EXECUTE format('REVOKE EXECUTE ON FUNCTION %I.%I(%s) FROM PUBLIC', own, part[1], part[2]);
    END IF;
  END LOOP;
  PERFORM set_config('search_path', path, true);
END
$functions$;
