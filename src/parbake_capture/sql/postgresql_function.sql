
-- Raises the tags of the rows that a statement has changed. What stands in angle brackets was filled in. It runs with its
-- owner's rights: every name is spelled with its schema, operators too, and what is not is looked up in pg_catalog alone.
#variable_conflict use_column
DECLARE
  tags pg_catalog.TEXT[];
BEGIN
  IF TG_LEVEL OPERATOR(pg_catalog.=) 'ROW' THEN  -- once in a transaction
    IF coalesce(pg_catalog.current_setting('parbake.' OPERATOR(pg_catalog.||) TG_NAME, true), '') OPERATOR(pg_catalog.=) TG_RELID::pg_catalog.TEXT THEN
      RETURN NULL;
    END IF;
    PERFORM pg_catalog.set_config('parbake.' OPERATOR(pg_catalog.||) TG_NAME, TG_RELID::pg_catalog.TEXT, true);
    IF EXISTS (  -- a session that plays the replica fires the triggers of statements; what is hidden is taken as replicated
      SELECT FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS own
      WHERE NOT pg_catalog.starts_with(own.backend_type, 'logical replication')
    ) THEN
      RETURN NULL;
    END IF;
  ELSIF TG_OP OPERATOR(pg_catalog.<>) 'TRUNCATE' THEN
    BEGIN
      IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        SELECT pg_catalog.array_agg(tag) INTO tags FROM (SELECT DISTINCT <tag> AS tag FROM new_rows AS r LIMIT <most>) AS told;
      ELSIF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN
        SELECT pg_catalog.array_agg(tag) INTO tags FROM (SELECT DISTINCT <tag> AS tag FROM old_rows AS r LIMIT <most>) AS told;
      ELSE
        SELECT pg_catalog.array_agg(tag) INTO tags FROM (
          SELECT DISTINCT <tag> AS tag FROM (
            SELECT <columns> FROM old_rows UNION ALL SELECT <columns> FROM new_rows
          ) AS r LIMIT <most>
        ) AS told;
      END IF;
      IF tags IS NULL THEN
        RETURN NULL;
      END IF;
    EXCEPTION WHEN OTHERS THEN  -- such as a column that was renamed: the writer must not fail
      tags := NULL;
    END;
  END IF;
  IF tags IS NULL OR pg_catalog.cardinality(tags) OPERATOR(pg_catalog.>=) <most> THEN
    tags := <families>;
  END IF;
  INSERT INTO <schema>.parbake_outbox(subject, type)
  SELECT tag, CASE WHEN pg_catalog.strpos(tag, '/') OPERATOR(pg_catalog.>) 0 THEN 'capture.changed' ELSE 'capture.bulk' END
  FROM pg_catalog.unnest(tags) AS tag;
  RETURN NULL;
END
