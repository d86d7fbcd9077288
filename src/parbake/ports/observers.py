"""What plugins hear from a running app. Lists are filled while the app opens; only ``close`` grows later, too."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from parbake.errors import DeclarationError

T = TypeVar("T")
_log = logging.getLogger("parbake.plugins")

End = Callable[..., None] | None
"""What an observer of something that lasts is to be told at the end, if anything."""
Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the amount done, and the total."""


@dataclass(frozen=True)
class Observers:
    """Lists of callbacks. A plugin appends to them in its ``open``; one that nobody appends to costs nothing.

    Attributes:
        served: ``(task, key, verdict, lane, seconds)``, after each read: the task's name, the key's bytes in the
            store, the verdict, the lane that made the value (``batch``, ``event`` or ``realtime``), and how long the
            read took.
        computed: ``(task, key, lane, seconds, *, outcome, cpu_s)``, after each computation on request or after an
            event. The outcome is ``stored``, ``rejected`` (a newer value was there) or ``failed``.
        missed: ``(task, key, verdict, reason)``, for each read that found no servable value; the reason is a
            :class:`parbake.protocol.cause.Reason`.
        event: ``(tags, *, duplicates, seconds)``, after each acknowledged event: the tags that it raised, how many of
            the events were known already, and how long the commit took.
        live: Called for each computation of a live task or a refine, with the task, its seconds and its CPU seconds.
        paced: Called for each second with requests: whether a batch run was active, and their p95 in seconds.
        ran: Called with each promoted run (:class:`parbake.lanes.batch.lane.Run`).
        flush: Called in a thread when this process may end soon: what is buffered has to be written.
        close: Called in a thread when the app closes, the last one first, also what is appended later.
        server: Coroutine functions that run as long as a server serves. One that raises is logged, and has ended.
        worker: Coroutine functions that run as long as a worker works. One that raises is logged, and has ended.
        lacking: Called for readiness: what a server needs before it takes requests, as sentences.
        metrics: Called for each scrape; returns metrics as the package ``prometheus_client`` has them.
        answered: ``(served, seconds)``, after each read and each live task or refine: the
            :class:`parbake.tasks.served.Served`, and how long it took.
        request: Begins with each HTTP request, but for probes, scrapes and what an overload turns away: ``(request)``,
            the :class:`parbake.ports.messages.HttpRequest`. It ends, after the last byte, with the ``(status)`` of the
            answer; 0 if nobody was there any more to take one.
        computing: Begins with each computation on request or after an event: ``(task, lane, keys)``, with the number
            of keys. It ends with the ``(outcome)``, as ``computed`` has it, or that of a live task or a refine:
            ``returned``, ``failed`` or ``cancelled``.
        applying: Begins before changes are applied: ``(changes)``, a list of
            :class:`parbake.ports.event_log.Change`, of which any may be replaced by one with another ``trace``. It ends
            with the ``(ack)``, or ``None`` if they could not be applied.
        refreshing: Begins before values are computed that events have outdated: ``(task, events)``, with the trace of
            each event and when it was raised, in epoch seconds. Only events with a trace are told. It ends with the
            ``(outcome)``: ``fresh`` or ``failed``.
        carried: Called before a computation that others may share gets a context of its own; returns what is called in
            that context.

    What ``request``, ``computing``, ``applying`` and ``refreshing`` call returns what is called at the end, in the same
    context, or ``None``.
    """

    served: list[Callable[..., None]] = field(default_factory=list)
    computed: list[Callable[..., None]] = field(default_factory=list)
    missed: list[Callable[..., None]] = field(default_factory=list)
    event: list[Callable[..., None]] = field(default_factory=list)
    live: list[Callable[[str, float, float], None]] = field(default_factory=list)
    paced: list[Callable[[bool, float], None]] = field(default_factory=list)
    ran: list[Callable[[Any], None]] = field(default_factory=list)
    flush: list[Callable[[], Any]] = field(default_factory=list)
    close: list[Callable[[], Any]] = field(default_factory=list)
    server: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    worker: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    lacking: list[Callable[[], Iterable[str]]] = field(default_factory=list)
    metrics: list[Callable[[], Iterable[Any]]] = field(default_factory=list)
    answered: list[Callable[[Any, float], None]] = field(default_factory=list)
    request: list[Callable[[Any], End]] = field(default_factory=list)
    computing: list[Callable[[str, str, int], End]] = field(default_factory=list)
    applying: list[Callable[[list[Any]], End]] = field(default_factory=list)
    refreshing: list[Callable[[str, Sequence[tuple[str, float]]], End]] = field(default_factory=list)
    carried: list[Callable[[], Callable[[], object]]] = field(default_factory=list)

    def check(self) -> None:
        """Raise :class:`DeclarationError` for an async function that is called plainly, or the other way round."""
        for name in self.__dataclass_fields__:
            kind = "an async" if name in ("server", "worker") else "a plain"
            for hear in tuple(getattr(self, name)):
                if inspect.iscoroutinefunction(hear) != (kind == "an async"):
                    getattr(self, name).remove(hear)  # it must not be called when the opening is undone
                    raise DeclarationError(f"on.{name}: {_named(hear)} must be {kind} function", field="plugins")

    def hear(self, hook: Any) -> None:
        """Append the methods of an object that are named ``served``, ``computed``, ``missed`` or ``event``."""
        for name in ("served", "computed", "missed", "event"):
            if callable(method := getattr(hook, name, None)):
                getattr(self, name).append(method)


def _named(hear: Any) -> str:
    return str(getattr(hear, "__qualname__", hear))


def tell(observers: Iterable[Callable[..., Any]], *what: Any, **more: Any) -> None:
    """Call each observer. One that fails is logged: neither the others nor the work that is told of suffers.

    Args:
        observers: The callbacks.
        what: Their arguments by position.
        more: Their arguments by name.
    """
    for hear in observers:
        try:
            hear(*what, **more)
        except (Exception, SystemExit):  # noqa: BLE001  # whatever a plugin raises, the request goes on
            _log.exception("an observer failed: %s", _named(hear))


def gathered(observers: Iterable[Callable[[], T]]) -> list[T]:
    """Return what each observer returns, in order. One that fails is logged and left out."""
    found: list[T] = []
    tell([lambda ask=ask: found.append(ask()) for ask in observers])
    return found


def begun(observers: Sequence[Callable[..., End]], *what: Any) -> list[Callable[..., None]]:
    """Tell each observer that something begins.

    Args:
        observers: The callbacks. One that fails is logged and hears nothing of the end.
        what: Their arguments.

    Returns:
        What to call at the end, for the last observer first.
    """
    ends: list[Callable[..., None]] = []
    for begin in observers:
        try:
            end = begin(*what)
        except (Exception, SystemExit):  # noqa: BLE001  # as in tell, without its cost: each request comes here
            _log.exception("an observer failed: %s", _named(begin))
        else:
            if end is not None:
                ends.insert(0, end)
    return ends


async def attended(start: Callable[[], Awaitable[None]]) -> None:
    """Run a plugin's background work. What it raises is logged, and everything else goes on."""
    try:
        await start()
    except Exception:  # noqa: BLE001  # whatever a plugin raises, the server goes on
        _log.exception("the background work of a plugin has ended: %s", _named(start))
