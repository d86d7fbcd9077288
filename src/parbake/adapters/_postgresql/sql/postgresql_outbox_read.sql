-- One poll of the outbox: the present snapshot, how much of the server's log is written and on disk, whether unread rows
-- were deleted, the last report of this store, the state of each captured table, and a page of unread rows.
SELECT
  pg_current_snapshot()::TEXT,
  (pg_current_wal_insert_lsn() - '0/0')::BIGINT,
  (pg_current_wal_flush_lsn() - '0/0')::BIGINT,
  EXISTS (
    SELECT FROM OWN.parbake_outbox_gone
    WHERE NOT pg_visible_in_snapshot(xid, %(seen)s::PG_SNAPSHOT) AND (
      upto IS NULL OR pg_snapshot_xmax(upto) > pg_snapshot_xmax(%(seen)s::PG_SNAPSHOT) OR EXISTS (
        SELECT FROM pg_snapshot_xip(%(seen)s::PG_SNAPSHOT) AS running(xid)
        WHERE pg_visible_in_snapshot(running.xid, upto)
      )
    )
  ),
  (SELECT number FROM OWN.parbake_reader WHERE store = %(reader)s),
  (
    SELECT json_agg(json_build_array(relation, families, coalesce(problem, ''), state, tags))::TEXT
    FROM OWN.parbake_capture_states()
  ),
  (
    -- A page is bounded by its bytes, too: an event with a longer tag raises its family. A time that is none is now.
    SELECT json_agg(json_build_array(
      position,
      xid::TEXT::BIGINT,
      CASE WHEN octet_length(id) <= 1024 THEN id ELSE '' END,
      CASE WHEN octet_length(subject) <= 4096 THEN subject ELSE split_part(left(subject, 200), '/', 1) END,
      CASE WHEN octet_length(subject) <= 4096 THEN left(type, 200) ELSE 'capture.bulk' END,
      CASE WHEN time BETWEEN 0 AND 1e12 THEN time ELSE extract(epoch FROM clock_timestamp())::DOUBLE PRECISION END
    ))::TEXT FROM (
      SELECT * FROM (
        SELECT * FROM OWN.parbake_outbox WHERE xid = ANY(ARRAY(SELECT pg_snapshot_xip(%(seen)s::PG_SNAPSHOT)))
        UNION ALL
        SELECT * FROM OWN.parbake_outbox WHERE xid >= pg_snapshot_xmax(%(seen)s::PG_SNAPSHOT)
      ) AS unread
      WHERE (xid, position) > (%(xid)s::TEXT::XID8, %(position)s::BIGINT)
        AND pg_visible_in_snapshot(xid, coalesce(%(upto)s::PG_SNAPSHOT, pg_current_snapshot()))
      ORDER BY xid, position LIMIT %(limit)s::BIGINT
    ) AS page
  )
