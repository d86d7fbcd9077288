"""What a thread's open transactions mean for a cache: whether they have written, and whether they read a snapshot.

A value that is computed from rows which were not committed must not be stored. A value of a transaction that reads a
snapshot is as old as that snapshot, so that a stamp from within the transaction would be too new.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from django.db import connections

from parbake.contrib.django import project

_log = logging.getLogger("parbake.django")
_STATES = {
    "postgresql": (
        "SELECT pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL, "
        "pg_catalog.current_setting('transaction_isolation')"
    )
}
_TICKETS = {
    # A new transaction, whose id is above those that have ended.
    "postgresql": "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.TEXT",
    "sqlite": "SELECT max(position) FROM parbake_outbox",
}
_SINCE = "_parbake_changes_before"


class Situation(NamedTuple):
    """The transactions that are open here: whether one has written, and whether one reads a snapshot."""

    has_written: bool = False
    is_snapshot: bool = False


def situation(aliases: Sequence[str]) -> Situation:
    """Look at the transactions of this thread on some databases."""
    found = [_look(connections[alias]) for alias in aliases if is_open(alias) or not project.is_polled(alias)]
    return Situation(any(each.has_written for each in found), any(each.is_snapshot for each in found))


def is_open(alias: str) -> bool:
    """Whether this thread has a transaction open on a database."""
    connection = connections[alias]
    if connection.connection is None:
        return False
    return connection.in_atomic_block or not connection.autocommit or _has_begun(connection)


def _has_begun(connection: Any) -> bool:
    """Whether a transaction was begun without Django, by a statement."""
    if connection.vendor == "sqlite":
        return bool(connection.connection.in_transaction)
    return bool(int(connection.connection.info.transaction_status))  # 0 stands for none in both versions of psycopg


def ticket(aliases: Sequence[str]) -> str:
    """Return what stands for all that this thread has committed on some databases; empty if it used none of them."""
    used = [alias for alias in aliases if connections[alias].connection is not None and not is_open(alias)]
    found = [(alias, _asked(connections[alias], _TICKETS)) for alias in used if project.is_polled(alias)]
    return ",".join(
        f"{project.source_name(alias)}:{row[0]}" for alias, row in found if row is not None and row[0] is not None
    )


def watch(*, connection: Any, **_: Any) -> None:
    """Note on SQLite how much a connection had changed when a transaction began."""
    watched = connection.vendor == "sqlite" and connection.alias in project.aliases()
    if watched and _begun not in connection.execute_wrappers:
        connection.execute_wrappers.append(_begun)


def _begun(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001  # Django's
    """Pass a statement on, and note the changes before a ``BEGIN``."""
    if isinstance(sql, str) and sql.startswith("BEGIN"):
        connection = context["connection"]
        setattr(connection, _SINCE, connection.connection.total_changes)
    return execute(sql, params, many, context)


def _look(connection: Any) -> Situation:
    if connection.needs_rollback or not project.is_polled(connection.alias):
        return Situation(has_written=True)
    if connection.vendor == "sqlite":
        return Situation(connection.connection.total_changes != getattr(connection, _SINCE, None), is_snapshot=True)
    row = _asked(connection, _STATES)
    if row is None:
        return Situation(has_written=True)
    return Situation(row[0], row[1] in ("repeatable read", "serializable"))


def _asked(connection: Any, statements: Mapping[str, str]) -> Any:
    """Ask the database itself, so that a project which counts its queries does not see this one.

    Returns a row; ``None`` if the database refuses, so that no response fails because of it.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statements[connection.vendor])
        return cursor.fetchone()
    except connection.Database.Error as error:
        _log.warning("%s could not be asked: %s", connection.alias, error)
        return None
    finally:
        cursor.close()
