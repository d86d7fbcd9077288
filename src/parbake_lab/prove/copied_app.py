"""The app that is proved: over copies of its databases, with a store of its own, at a time that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import parbake as pb
from parbake.adapters import open_events
from parbake.adapters.postgresql import PostgresqlSource
from parbake.adapters.sqlite import SqliteSource
from parbake.app.plugin import Parts, Plugin
from parbake.app.settings import Settings
from parbake.errors import BadInput
from parbake.protocol.table_names import table_name
from parbake.tasks.task_types import Artifact
from parbake.testing import FakeClock
from parbake_capture.tables import Captured
from parbake_lab.prove.copies import Copy
from parbake_lab.prove.reads import CopySource, Read
from parbake_lab.prove.sqlite_copy import SqliteCopy


class _StandIn(Plugin[None]):
    """Stands in for the plugins of an app, of which its tasks need that they are there."""

    def open(self, parts: Parts) -> None:
        tasks = [bound.task for bound in parts.tasks.values()]
        choices = [task.schedule.choice for task in tasks if task.schedule]
        kinds = [task.kind for task in tasks if isinstance(task, Artifact)]
        for port in {*(one.port for one in choices if one), *(one.needs for one in kinds if one and one.needs)}:
            parts.offer(port, self)


def copied(settings: Settings, tables: Sequence[Captured], given: str, stack: ExitStack) -> list[Copy]:
    """A copy of each source's database.

    Args:
        settings: The settings of the app.
        tables: Further tables to capture on the copies.
        given: The address of a copy of the one PostgreSQL source; empty to make one.
        stack: Closes the copies.

    Raises:
        BadInput: A source cannot be copied; or no source has a table.
        SourceError: A database cannot be copied.
    """
    found: list[Copy] = []
    servers = sum(isinstance(source, PostgresqlSource) for source in settings.sources)
    if given and servers != 1:
        raise BadInput(f"--copy: it stands for one PostgreSQL source, and the app has {servers}; omit it", field="copy")
    for source in settings.sources:
        if isinstance(source, SqliteSource):
            found.append(SqliteCopy(source, tables))
        elif isinstance(source, PostgresqlSource):
            from parbake_lab.prove.postgresql_copy import PostgresqlCopy

            found.append(PostgresqlCopy(source, tables, given))
        else:
            kind = type(source).__name__
            raise BadInput(f"APP: the source {source.name!r} is a {kind}, which cannot be copied", field="APP")
        stack.callback(found[-1].close)
    known = {name for copy in found for name in copy.tables}
    for table in tables:
        if table_name(table.relation).lower() not in known:
            raise BadInput(f"--table {table.relation}: no source has such a table", field="table")
    return found


def app_over(settings: Settings, copies: Sequence[Copy], reads: list[Read], now: float) -> pb.App:
    """The app over the copies, with a store of its own, at a time that stands still.

    Args:
        settings: The settings of the app.
        copies: The copies of its sources, in their order.
        reads: Where each query is noted.
        now: The time, in epoch seconds.
    """
    sources = [CopySource(source, copy, reads) for source, copy in zip(settings.sources, copies, strict=True)]
    heard = [open_events(one) if isinstance(one, str) else one for one in settings.events]
    return pb.App(
        settings.tasks,
        sources=sources,
        resources=settings.resources,
        plugins=[_StandIn()],
        open=[*settings.open, *(name for one in heard for name in one.families)],
        clock=FakeClock(now),
        off=settings.off,
        worker="none",
        batch=pb.Batch(throttle=None),
    )
