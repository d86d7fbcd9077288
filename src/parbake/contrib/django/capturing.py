"""Installs and checks the triggers of captured models, over Django's own settings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from parbake.contrib.django import project
from parbake.errors import ParbakeError
from parbake_capture.tables import Capture, CaptureState

APP = "django"
"""Whose tags these are, for tables that other apps capture, too."""


def conninfo(alias: str) -> str:
    """Return libpq's text for a database of the project."""
    from psycopg import conninfo as made
    from psycopg import pq

    known = {each.keyword.decode() for each in pq.Conninfo.get_defaults()}
    given = connections[alias].get_connection_params()
    return made.make_conninfo(**{name: value for name, value in given.items() if name in known})


def install(alias: str) -> list[str]:
    """Install the triggers that a database lacks, remove those that the project does not name any more.

    Returns the tables whose triggers were changed. Raises :class:`CommandError` if the database refuses.
    """
    there = set(connections[alias].introspection.table_names())
    wanted = {each.name: each.table for each in project.captured(alias) if each.name in there}
    with _opened(alias) as capture:
        known = _known(capture)
        lacking = [name for name, table in wanted.items() if not _is_whole(known.get(name), table.tags)]
        gone = [name for name in known if name not in wanted and name in there]
        statements = capture.install([wanted[name] for name in lacking], app=APP) if lacking else []
        if gone:
            statements += capture.remove([known[name].table.relation for name in gone], app=APP)
        if statements:
            capture.run(statements)
    return [*lacking, *gone]


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


def after_migrate(*, using: str, verbosity: int = 1, **_: Any) -> None:
    """Install what is missing after ``migrate``.

    Args:
        using: The database that was migrated.
        verbosity: How much ``migrate`` tells; 0 for nothing.
        _: What else the signal says.
    """
    if using not in project.aliases():
        return
    changed = install(using)
    if changed and verbosity:
        print(f"  Changes are captured: {', '.join(changed)}")  # noqa: T201  # as migrate tells of its steps


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
    return {_plain(state.table.relation): state for state in found}


def _plain(relation: str) -> str:
    """Return the name of a table without schema and quotes."""
    return relation.rpartition(".")[2].strip('"')


def _is_whole(state: CaptureState | None, tags: tuple[str, ...]) -> bool:
    return state is not None and not state.problem and state.table.tags == tags
