"""Installs and checks the triggers of captured models, over Django's own settings."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from django.core.management.base import CommandError
from django.db import connections

from parbake.contrib.django import project
from parbake.errors import ParbakeError
from parbake.protocol.table_names import table_name
from parbake_capture.tables import Capture, Captured, CaptureState

APP = "django"
"""Whose tags these are, for tables that other apps capture, too."""


def conninfo(alias: str) -> str:
    """Return libpq's text for a database of the project."""
    from psycopg import conninfo as made
    from psycopg import pq

    known = {each.keyword.decode() for each in pq.Conninfo.get_defaults()}
    given = connections[alias].get_connection_params()
    return made.make_conninfo(**{name: value for name, value in given.items() if name in known})


class Changes(NamedTuple):
    """The tables whose triggers were installed, and those whose triggers were removed."""

    installed: list[str]
    removed: list[str]

    def __str__(self) -> str:
        """Name them."""
        said = [f"captured: {', '.join(self.installed)}"] if self.installed else []
        return "; ".join([*said, f"not captured any more: {', '.join(self.removed)}"] if self.removed else said)


def install(alias: str, *, is_removal: bool = False, is_repair: bool = False) -> Changes:
    """Install the triggers that a database lacks, remove those that the project does not name any more.

    Args:
        alias: The database.
        is_removal: Whether to remove all triggers of the project instead.
        is_repair: Whether to set the outbox right, also if no trigger is missing.

    Raises:
        CommandError: The database refuses, or an entry names a view of the database.
    """
    there = set(connections[alias].introspection.table_names())
    wanted = {} if is_removal else _wanted(alias, there)
    with _opened(alias) as capture:
        known = _known(capture)
        lacking = [name for name, table in wanted.items() if not _is_whole(known.get(name), table.tags)]
        gone = [name for name in known if name not in wanted and name in there]
        statements = (
            capture.install([wanted[name] for name in lacking], app=APP, replaces=True)
            if lacking or (wanted and is_repair)
            else []
        )
        if gone:
            statements += capture.remove([known[name].table.relation for name in gone], app=APP)
        if statements:
            capture.run(statements)
    return Changes(lacking, gone)


def _wanted(alias: str, tables: Collection[str]) -> dict[str, Captured]:
    captured = project.captured(alias)
    views = set(connections[alias].introspection.table_names(include_views=True)).difference(tables)
    for each in captured:
        if each.name in views:
            raise CommandError(
                f"PARBAKE['capture']: {each.name} is a view of the database, which no trigger sees. Capture the models "
                "whose tables it reads, and give them the same tags."
            )
    return {each.name: each.table for each in captured if each.name in tables}


def has_triggers(alias: str) -> bool:
    """Whether anything was ever captured on a database."""
    connection = connections[alias]
    return connection.vendor in ("postgresql", "sqlite") and "parbake_capture" in connection.introspection.table_names()


def problems(alias: str) -> list[str]:
    """Say of each captured table of a database whose changes are not told what is wrong."""
    with _opened(alias) as capture:
        known = _known(capture)
    found = []
    for each in project.captured(alias):
        state = known.get(each.name)
        if not _is_whole(state, each.table.tags):
            why = state.problem if state is not None else ""
            found.append(f"{each.name}: {why or 'its triggers are not those of PARBAKE'}")
    return found


def after_migrate(*, using: str, verbosity: int = 1, stdout: Any = None, **_: Any) -> None:
    """Install what is missing after ``migrate``.

    Args:
        using: The database that was migrated.
        verbosity: How much ``migrate`` tells; 0 for nothing.
        stdout: Where it tells it.
        _: What else the signal says.
    """
    if using not in project.aliases() and not has_triggers(using):
        return
    changed = str(install(using))
    if changed and verbosity:
        print(f"  Changes of tables are {changed}", file=stdout)  # as migrate tells of its steps


@contextlib.contextmanager
def _opened(alias: str) -> Iterator[Capture]:
    connection = connections[alias]
    try:
        if connection.vendor == "postgresql":
            from parbake_capture.postgresql_triggers import PostgresqlCapture

            with contextlib.closing(PostgresqlCapture(conninfo(alias))) as capture:
                yield capture
        else:
            from parbake_capture.sqlite_triggers import SqliteCapture

            connection.ensure_connection()
            yield SqliteCapture(connection.connection)  # stays open: it is Django's
    except ParbakeError as error:
        raise CommandError(str(error)) from error


def _known(capture: Capture) -> dict[str, CaptureState]:
    """Return what this project has captured, by the plain name of the table."""
    found = [state for state in capture.states() if state.app == APP]
    return {table_name(state.table.relation): state for state in found}


def _is_whole(state: CaptureState | None, tags: tuple[str, ...]) -> bool:
    return state is not None and not state.problem and state.table.tags == tags
