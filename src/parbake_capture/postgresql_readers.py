"""The stores that read the outbox of a PostgreSQL database: who may report, which do, and which are retired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from parbake.errors import BadInput
from parbake_capture.postgresql_quoting import literal
from parbake_capture.tables import Reader

_TABLES = ("parbake_outbox", "parbake_outbox_gone", "parbake_reader", "parbake_capture")
"""What a reader selects from."""
_FUNCTIONS = (
    "parbake_report(pg_catalog.TEXT, BIGINT, pg_catalog.PG_SNAPSHOT, pg_catalog.TEXT, INTERVAL, BOOLEAN)",
    "parbake_leave(pg_catalog.TEXT)",
)
_READERS = """
SELECT store, extract(epoch FROM clock_timestamp() - heard)::FLOAT, CASE
  WHEN is_retired THEN 'retired'
  WHEN heard + silence > clock_timestamp() THEN 'waited for'
  ELSE 'silent, trusts nothing'
END FROM OWN.parbake_reader ORDER BY heard DESC
"""
Query = Callable[..., list[Any]]
"""Executes a query with its values, and returns the rows."""


def granted(query: Query, schema: str, roles: Sequence[str]) -> list[str]:
    """The statements that let roles read the outbox and report; none for what they may already.

    Args:
        query: Executes a query.
        schema: The quoted schema of the outbox.
        roles: The roles.

    Raises:
        BadInput: There is no such role.
    """
    found: list[str] = []
    for role in roles:
        rows = query("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = %s", role)
        if not rows:
            raise BadInput(f"--reader {role}: there is no such role", field="--reader")
        ((quoted,),) = rows
        found.append(f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
        found.append(f"GRANT SELECT ON {', '.join(f'{schema}.{table}' for table in _TABLES)} TO {quoted}")
        found += [f"GRANT EXECUTE ON FUNCTION {schema}.{function} TO {quoted}" for function in _FUNCTIONS]
    return found


def silence_allowed(schema: str, limit_s: float) -> list[str]:
    """The statements that set for how long a store may trust itself without a report.

    Args:
        schema: The quoted schema of the outbox.
        limit_s: The limit, in seconds.
    """
    value = f"pg_catalog.make_interval(secs => {limit_s:f})"
    return [f"UPDATE {schema}.parbake_setting SET value = {value} WHERE name OPERATOR(pg_catalog.=) 'max_silence'"]


def listed(query: Query) -> list[Reader]:
    """The stores that report, the one that was heard last first.

    Args:
        query: Executes a query.
    """
    return [Reader(*row) for row in query(_READERS)]


def retired(query: Query, schema: str, store: str) -> list[str]:
    """The statements after which nobody waits for a store.

    Args:
        query: Executes a query.
        schema: The quoted schema of the outbox.
        store: The name under which it reported.

    Raises:
        BadInput: There is no such store, or it may still trust what it holds.
    """
    trusted = query(
        "SELECT extract(epoch FROM heard + silence - clock_timestamp())::FLOAT FROM OWN.parbake_reader "
        "WHERE store = %s",
        store,
    )
    if not trusted:
        raise BadInput(f"{store!r}: no store has reported under this name", field="STORE")
    ((left_s,),) = trusted
    if left_s > 0:
        raise BadInput(
            f"{store!r} may trust what it holds for another {left_s:.0f} s: stop its servers, and try again then",
            field="STORE",
        )
    statement = (
        f"UPDATE {schema}.parbake_reader SET is_retired = true, writer = pg_catalog.pg_current_xact_id() "
        f"WHERE store OPERATOR(pg_catalog.=) {literal(store)} "
        "AND heard OPERATOR(pg_catalog.+) silence OPERATOR(pg_catalog.<) pg_catalog.clock_timestamp()"
    )
    return [statement]
