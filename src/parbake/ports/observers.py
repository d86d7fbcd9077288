"""What plugins hear from a running app. Each list is filled while the app opens, and is fixed from then on."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from parbake.errors import DeclarationError
from parbake.protocol.cause import Reason

_log = logging.getLogger("parbake.plugins")

Progress = Callable[[str, int, int], None]
"""Called with the name of the work, the amount done, and the total."""


class Hears(Protocol):
    """Four of the callbacks of :class:`Observers`. They run on the hot path, so they should only count."""

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Hear of the end of a read.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            verdict: ``fresh``, ``degraded``, ``stale``, ``missing`` or ``unknown``.
            lane: The lane that made the value: ``batch``, ``event`` or ``realtime``.
            seconds: How long the read took.
        """
        ...

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str, cpu_s: float) -> None:
        """Hear of the end of a computation, on request or after an event.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            lane: The lane that it ran in.
            seconds: How long it took.
            outcome: ``stored``, ``rejected`` or ``failed``.
            cpu_s: Its CPU seconds.
        """
        ...

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """Hear of a read that found no value that the contract allows.

        Args:
            task: The task's name.
            key: The key's bytes in the store.
            verdict: ``stale``, ``missing`` or ``unknown``.
            reason: Why, with a cause for programs.
        """
        ...

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Hear that tags were raised and acknowledged.

        Args:
            tags: The tags.
            duplicates: How many of the events the store had already applied.
            seconds: How long the commit took.
        """
        ...


@dataclass(frozen=True)
class Observers:
    """Lists of callbacks. A plugin appends to them in its ``open``; one that nobody appends to costs nothing.

    Attributes:
        served: Called after each read; see :class:`Hears` for this and the next three.
        computed: Called after each computation on request or after an event.
        missed: Called for each read that found no servable value.
        event: Called after each acknowledged event.
        live: Called for each computation of a live task or a refine, with the task, its seconds and its CPU seconds.
        paced: Called for each second with requests: whether a batch run was active, and their p95 in seconds.
        ran: Called with each promoted run (:class:`parbake.lanes.batch.lane.Run`).
        flush: Called in a thread when this process may end soon: what is buffered has to be written.
        close: Called in a thread when the app closes, the last one first.
        server: Coroutine functions that run as long as a server serves; each has to handle its own errors.
        worker: Coroutine functions that run as long as a worker works; each has to handle its own errors.
        lacking: Called for readiness: what a server needs before it takes requests, as sentences.
        metrics: Called for each scrape; returns metrics as the package ``prometheus_client`` has them.
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

    def check(self) -> None:
        """Raise :class:`DeclarationError` for a coroutine function where a plain one is called: it would not run."""
        for name in self.__dataclass_fields__.keys() - {"server", "worker"}:
            for hear in getattr(self, name):
                if inspect.iscoroutinefunction(hear):
                    getattr(self, name).remove(hear)  # it must not be called when the opening is undone
                    told = getattr(hear, "__qualname__", hear)
                    raise DeclarationError(f"on.{name}: {told} is async; append a plain function", field="plugins")

    def hear(self, hook: Any) -> None:
        """Append those methods of an object that have the names of :class:`Hears`."""
        for name in ("served", "computed", "missed", "event"):
            if callable(method := getattr(hook, name, None)):
                getattr(self, name).append(method)


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
        except Exception:  # noqa: BLE001  # whatever a plugin raises, the request goes on
            _log.exception("an observer failed: %s", getattr(hear, "__qualname__", hear))
