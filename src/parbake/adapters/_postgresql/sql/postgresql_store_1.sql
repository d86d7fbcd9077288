-- A parbake store, format 1. Execute it with the store's schema as search_path; it may be executed again.

CREATE TABLE IF NOT EXISTS parbake_store(
  single BOOLEAN PRIMARY KEY DEFAULT true CHECK (single),
  format INTEGER NOT NULL
);
INSERT INTO parbake_store(format) VALUES (1) ON CONFLICT DO NOTHING;

-- Generations are written once and deleted together: dead rows are removed early, and freed pages are kept for the
-- next generation, because giving them back takes a lock that readers would wait for.
CREATE TABLE IF NOT EXISTS parbake_items(
  name BYTEA NOT NULL PRIMARY KEY,
  value BYTEA NOT NULL
) WITH (
  toast_tuple_target = 8160, vacuum_truncate = false,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05
);
ALTER TABLE parbake_items ALTER value SET STORAGE EXTERNAL;

-- Compare and write in one transaction: true if all was written, false if an expectation failed, NULL on another copy.
-- Item i is expected if bit 1 of kinds[i] is set (NULL: absent), and written if bit 2 is set (NULL: deleted).
-- Every item is locked before anything is changed, in the order of the names, so that commits never deadlock. An absent
-- item is locked by making it: whoever wants to make it, too, waits for this transaction.
CREATE OR REPLACE FUNCTION parbake_commit(
  copy BYTEA, names BYTEA[], kinds BYTEA, expected BYTEA[], written BYTEA[]
) RETURNS BOOLEAN LANGUAGE plpgsql AS $commit$
DECLARE
  kind INTEGER;
  held BYTEA;
  is_refused BOOLEAN := false;
  made CONSTANT INTEGER := 4;
BEGIN
  IF copy IS NOT NULL AND NOT EXISTS ( -- the last word of the copy's name is the transaction that wrote the row
    SELECT FROM parbake_items
    WHERE name = '\x00' AND value = copy AND pg_catalog.split_part(pg_catalog.convert_from(value, 'UTF8'), ' ', 7) = xmin::TEXT
  ) THEN
    RETURN NULL;
  END IF;
  <<locking>>
  FOR i IN 1 .. pg_catalog.cardinality(names) LOOP
    kind := get_byte(kinds, i - 1);
    LOOP
      IF kind = 1 THEN
        SELECT value INTO held FROM parbake_items WHERE name = names[i] FOR SHARE;
      ELSE
        SELECT value INTO held FROM parbake_items WHERE name = names[i] FOR UPDATE;
      END IF;
      is_refused := kind & 1 = 1 AND held IS DISTINCT FROM expected[i];
      EXIT locking WHEN is_refused;
      EXIT WHEN held IS NOT NULL;
      IF kind = 2 AND written[i] IS NULL THEN
        kinds := set_byte(kinds, i - 1, 0);
        EXIT;
      END IF;
      INSERT INTO parbake_items VALUES (names[i], coalesce(written[i], '')) ON CONFLICT DO NOTHING;
      IF FOUND THEN
        kinds := set_byte(kinds, i - 1, kind | made);
        EXIT;
      END IF;
    END LOOP;
  END LOOP;
  FOR i IN 1 .. pg_catalog.cardinality(names) LOOP
    kind := get_byte(kinds, i - 1);
    IF kind & made = made AND (is_refused OR written[i] IS NULL) OR kind & 2 = 2 AND NOT is_refused AND written[i] IS NULL
    THEN
      DELETE FROM parbake_items WHERE name = names[i];
    ELSIF kind & (2 | made) = 2 AND NOT is_refused THEN
      UPDATE parbake_items SET value = written[i] WHERE name = names[i];
    END IF;
  END LOOP;
  RETURN NOT is_refused;
END
$commit$;
