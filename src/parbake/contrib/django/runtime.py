"""The app of this process: made of the settings at first use, with a poller that ends with the process."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from django.db import connections

from parbake.app.application import App
from parbake.app.plugin import Parts, Plugin
from parbake.contrib.django import capturing, project
from parbake.contrib.django.breaker import Breaker
from parbake.errors import ForeignSource, ParbakeError
from parbake.ports.sources import Source
from parbake.process import forks
from parbake.tasks.registry import Registry
from parbake.values.duration import seconds

_log = logging.getLogger("parbake.django")
T = TypeVar("T")
FAMILY = "django.cache"
"""The family of the tags by which caches are cleared."""


class Keeper(Plugin[Parts]):
    """Lets the cache keep records of its own in the app's store."""

    def __init__(self, keep_s: float) -> None:
        """Keep records for at most ``keep_s`` seconds."""
        self._keep_s = keep_s

    def open(self, parts: Parts) -> Parts:
        """Return the parts."""
        parts.keeps_s = self._keep_s
        return parts


class _Runtime(forks.Forkable):
    """The app, and whether this process polls."""

    def __init__(self) -> None:
        self.app: App | None = None
        self.polling: asyncio.Task[None] | None = None
        self.lock = threading.RLock()
        forks.watch(self)

    def after_fork_in_child(self) -> None:
        """Poll anew at the next use; the app itself reopens what it needs."""
        forks.abandon(self.polling)
        self.polling, self.lock = None, threading.RLock()


_runtime = _Runtime()
breaker = Breaker()
"""Whether the store can be used."""


def app() -> App:
    """Return the app of this process. The first call makes it, and polls the outboxes from then on."""
    found = _runtime.app
    if found is not None and _runtime.polling is not None:
        return found
    with _runtime.lock:
        found = _runtime.app = _runtime.app or made()
        for alias in project.aliases():
            _close_with(connections[alias].creation)
        if _runtime.polling is None:
            _runtime.polling = found.sync.run(accepting(found, lambda: _polling(found)))
            _at_the_end()
        return found


def _close_with(creation: Any) -> None:
    """Disconnect before a runner of tests makes or drops its database, which PostgreSQL refuses meanwhile."""
    for name in ("create_test_db", "destroy_test_db"):
        if name not in vars(creation):
            setattr(creation, name, functools.partial(_closed_before, getattr(creation, name)))


def _closed_before(step: Callable[..., Any], *words: Any, **named: Any) -> Any:
    close()
    return step(*words, **named)


@functools.cache
def _at_the_end() -> None:
    """Stop polling before the interpreter ends the threads that poll; ``atexit`` alone is too late for that."""
    getattr(threading, "_register_atexit", atexit.register)(close)


def made() -> App:
    """Make an app of the settings, without polling."""
    aliases = [alias for alias in project.aliases() if project.is_polled(alias)]
    silent = set(project.aliases()).difference(aliases)
    return App(
        Registry(),
        store=project.told("store"),
        sources=[_source(alias) for alias in aliases],
        open=[FAMILY, *project.told("families"), *(name for alias in silent for name in _families(alias))],
        plugins=[Keeper(seconds(project.told("keep"), field="keep"))],
        worker="none",
    )


def close() -> None:
    """Stop polling and close the app; the next use makes another one."""
    project.aliases.cache_clear()
    project.identity.cache_clear()
    breaker.worked()
    with _runtime.lock:
        found, polling = _runtime.app, _runtime.polling
        _runtime.app = _runtime.polling = None
        if found is not None:
            if polling is not None:
                found.sync.run(_ended(polling))
            found.sync.close()


def _source(alias: str) -> Source:
    """Return the database of an alias as a source of that name."""
    options: dict[str, Any] = {
        "families": _families(alias),
        "views": [],
        "name": project.source_name(alias),
        "captured": {each.name: each.table.tags for each in project.captured(alias)},
    }
    if connections[alias].vendor == "postgresql":
        from parbake.adapters.postgresql import PostgresqlSource

        return PostgresqlSource(capturing.conninfo(alias), **options)
    from parbake.adapters.sqlite import SqliteSource

    return SqliteSource(connections[alias].settings_dict["NAME"], **options)


def _families(alias: str) -> list[str]:
    """Return the families that the captured models of a database raise."""
    return list(dict.fromkeys(name for each in project.captured(alias) for name in each.table.families))


async def accepting(app: App, run: Callable[[], Awaitable[T]]) -> T:
    """Run the app. A database that was restored from a copy, or created again, is read from its beginning.

    Elsewhere somebody decides on that. Here it costs only what is cached, whose families are raised.

    Args:
        app: The app.
        run: What to run.
    """
    for _ in app.settings.sources:
        try:
            return await run()
        except ForeignSource as error:
            await _accept(app, error.field or "")
    return await run()


async def accept_others(app: App) -> None:
    """Accept a database that is replaced while the process runs; until then each poll raises its families."""
    while True:
        await asyncio.sleep(1)
        for name, trouble in list(app.engine.counters.source_troubles.items()):
            if isinstance(trouble, ForeignSource):
                with contextlib.suppress(ParbakeError):  # it is tried again
                    await _accept(app, name)


async def _accept(app: App, name: str) -> None:
    """Raise all families of a database, and read it from its beginning."""
    _log.warning("%s is another database than before: all that is cached of it is outdated", name)
    await app.ops.restart(name)


async def _polling(app: App) -> asyncio.Task[None]:
    """Begin to poll, and return once each source was looked at; raises what ends the start."""
    begun = asyncio.Event()

    async def poll() -> None:
        async with app.serving():
            begun.set()
            await accept_others(app)

    task = asyncio.create_task(poll())
    start = asyncio.create_task(begun.wait())
    await asyncio.wait([task, start], return_when=asyncio.FIRST_COMPLETED)
    start.cancel()
    if task.done():
        task.result()
    return task


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
