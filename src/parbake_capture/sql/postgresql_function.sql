-- The function that all triggers of one captured table call. What stands in < > is filled in.
CREATE OR REPLACE FUNCTION <function>() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, <schema>, pg_temp <settings> AS $parbake$
DECLARE
  tags TEXT[];
BEGIN
  IF TG_OP <> 'TRUNCATE' THEN
    BEGIN
      IF TG_OP = 'INSERT' THEN
        SELECT array_agg(tag) INTO tags FROM (SELECT DISTINCT <tag> AS tag FROM new_rows AS r LIMIT <most>) AS told;
      ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(tag) INTO tags FROM (SELECT DISTINCT <tag> AS tag FROM old_rows AS r LIMIT <most>) AS told;
      ELSE
        SELECT array_agg(tag) INTO tags FROM (
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
  IF tags IS NULL OR cardinality(tags) >= <most> THEN
    tags := <families>;
  END IF;
  INSERT INTO parbake_outbox(subject, type)
  SELECT tag, CASE WHEN strpos(tag, '/') > 0 THEN 'capture.changed' ELSE 'capture.bulk' END FROM unnest(tags) AS tag;
  RETURN NULL;
END
$parbake$
