"""What is deleted from the outbox of a PostgreSQL database because every store has applied it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

_DELETE_RETIRED = "DELETE FROM OWN.parbake_reader WHERE is_retired AND heard < now() - INTERVAL '1 year'"


def delete_applied(execute: Callable[..., psycopg.Cursor[Any]], forget: str) -> int:
    """Retire the stores that were forgotten, and delete the rows that every other store has applied; returns how many.

    Args:
        execute: Executes a statement with its values; ``OWN`` stands for the schema of the outbox.
        forget: After how long a store that reports nothing is retired, as an interval of PostgreSQL.
    """
    execute(
        "UPDATE OWN.parbake_reader SET is_retired = true, writer = pg_current_xact_id() "
        "WHERE NOT is_retired AND heard < now() - greatest(%s::INTERVAL, silence)",
        forget,
    )
    execute(_DELETE_RETIRED)
    # All that is visible in each snapshot: below the lowest upper bound, without what some store saw running.
    # After a crash, ids that a snapshot shows may be given again: such reports say nothing of what came since.
    found = execute(
        "SELECT min(pg_snapshot_xmax(seen)::TEXT::NUMERIC)::TEXT, "
        "array_to_string(ARRAY(SELECT DISTINCT running FROM OWN.parbake_reader, pg_snapshot_xip(seen) AS running "
        "WHERE NOT is_retired ORDER BY running), ',') "
        "FROM OWN.parbake_reader WHERE NOT is_retired HAVING bool_and(run = OWN.parbake_run())"
    ).fetchone()
    if found is None or found[0] is None:
        return 0
    upper, running = int(found[0]), [number for number in found[1].split(",") if number and int(number) < int(found[0])]
    upto = f"{running[0] if running else upper}:{upper}:{','.join(running)}"
    execute("SELECT set_config('parbake.pruned', %s, true)", upto)
    deleted = execute(
        "DELETE FROM OWN.parbake_outbox WHERE pg_visible_in_snapshot(xid, %s::PG_SNAPSHOT)", upto
    ).rowcount
    if deleted:  # this deletion was noted, and its note tells a store that comes back of the earlier ones, too
        execute(
            "DELETE FROM OWN.parbake_outbox_gone WHERE xid <> pg_current_xact_id() "
            "AND pg_visible_in_snapshot(xid, %s::PG_SNAPSHOT)",
            upto,
        )
    return deleted
