"""The seam: a plugin adds a product to an app, such as costs, plans or prompts.

A plugin holds settings only. When an app opens, each plugin is given the parts of the app and returns its state, which
``app.plugins[Kind]`` then gives to users.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from parbake.errors import BadInput, DeclarationError
from parbake.lanes.batch.choosing import RefreshPolicy
from parbake.lanes.batch.runs import State
from parbake.lanes.worker.freshness import FreshnessRow, SourceRow
from parbake.lanes.worker.readiness import Ready
from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.event_log import Ack
from parbake.ports.messages import Route
from parbake.ports.observers import Observers
from parbake.ports.offers import PersonalData, Port
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.protocol.control import Quarantine
from parbake.serving.bind import Binder
from parbake.serving.bonds import Bonds
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Wrap
from parbake.tasks.registry import Registry
from parbake.tasks.task_types import Artifact, Stored

T = TypeVar("T")
O_co = TypeVar("O_co", covariant=True)


class Plugin(Generic[O_co]):
    """Adds something to an app: ``App(plugins=[...])``. Subclass it, and override what you need.

    One instance may serve several apps. The child of a fork opens the plugins again.
    """

    def check(self, tasks: Registry) -> None:
        """Check the settings against the declared tasks, before anything is opened.

        Args:
            tasks: The app's tasks.

        Raises:
            DeclarationError: The plugin and the tasks do not fit.
        """

    def open(self, parts: Parts) -> O_co:
        """Open the plugin's state, once per app and process, in the order of ``App(plugins=...)``; by default ``None``.

        Args:
            parts: The parts of the app. What is to be closed again is appended to ``parts.on.close`` at once, so that
                a plugin that fails later leaves nothing open.

        Returns:
            The state, which ``app.plugins[Kind]`` gives.
        """
        del parts
        return cast("O_co", None)

    def routes(self, app: Any) -> Sequence[Route]:
        """The routes that a server of the app has besides its own; called before anything is opened.

        Args:
            app: The :class:`parbake.App`.
        """
        del app
        return ()


class Parts:
    """What a plugin works with. All of it is public: a plugin needs nothing else of an app."""

    def __init__(
        self,
        tasks: Mapping[str, BoundTask],
        known: Collection[str],
        *,
        store: Store,
        clock: Clock,
        counters: Counters,
        core: Core,
        binder: Binder,
    ) -> None:
        """Offer the parts of an app that is being opened.

        Args:
            tasks: The stored tasks, compiled, by name.
            known: The tag families that the app knows.
            store: The store.
            clock: The source of wall time.
            counters: The app's counters.
            core: What the core can do once the app is open.
            binder: Builds resources.
        """
        self.tasks = tasks
        """The stored tasks, compiled, by name."""
        self.known = frozenset(known)
        """The tag families that tasks, sources and ``open=`` declare."""
        self.store, self.clock, self.counters = store, clock, counters
        self.core = core
        """What the core can do for a plugin once the app is open."""
        self.on = Observers()
        """What the plugin hears."""
        self.keeps_s = 0.0
        """The greatest age, in seconds, of records that plugins keep in the store: the sweep leaves them that long."""
        self.personal: list[PersonalData] = []
        """The places that keep something about people, in the order of their erasure: sources of truth first."""
        self._binder = binder
        self._offers: dict[str, Any] = {}
        self._lacked: set[str] = set()
        self._wraps: dict[Any, list[Wrap]] = {}

    def resource(self, kind: Any, *, build: bool = True) -> Any:
        """Return the app's resource of a type, or ``None``.

        Args:
            kind: The type by which tasks ask for the resource.
            build: Whether to build a lazy one now, which may take long and blocks; otherwise one that was not built yet
                counts as missing.
        """
        return self._binder.built(kind) if build else self._binder.found(kind)

    def wrap(self, kind: Any, wrap: Wrap) -> None:
        """Wrap a resource each time that a task's function is given it.

        Args:
            kind: The type by which tasks ask for the resource; ``object`` for every resource.
            wrap: Called with the resource, the task and the lane; returns what the function gets.
        """
        self._wraps.setdefault(kind, []).append(wrap)

    def offer(self, port: Port[T], thing: T) -> None:
        """Offer a part to the core and to the plugins that open later; raises :class:`BadInput` if it is taken."""
        if port.name in self._offers:
            raise BadInput(f"plugins: two of them offer {port.name!r}; leave one of them out", field="plugins")
        if port.name in self._lacked:
            raise BadInput(
                f"plugins: one of them reads {port.name!r}, which one behind it offers; put that one first",
                field="plugins",
            )
        self._offers[port.name] = thing

    def found(self, port: Port[T]) -> T | None:
        """Return what an earlier plugin offers under a port; ``None`` if none does."""
        if port.name not in self._offers:
            self._lacked.add(port.name)
        return cast("T | None", self._offers.get(port.name))


@dataclass(frozen=True)
class Core:
    """What the core does for plugins. It may be used once the app is open, not within ``open``.

    Attributes:
        send: Sends an alert to every sink; never raises an error of a sink.
        touch: Raises tags, as :meth:`parbake.App.touch` does.
        stored: Iterates over the keys and values of a task that may be served now.
        listed: Counts the different keys that a task's ``keys=`` lists now; ``None`` for a task without ``keys=``.
        quarantined: Returns the quarantines, by the name of the task.
        freshness: Reports the ages of each task's values, from at most so many of its keys.
        sources: Reports when each source was last read to its end.
        runs: Returns the record of a task's last runs, without the finished partitions of one under way.
        ready: Says what degrades the servers of the store.
        bonds: Returns what binds values outside the store's tasks, such as those of a cache.
        bound: Returns a compiled task; raises :class:`parbake.errors.UnknownTask` if the app does not have it.
        is_throttled: Whether batch work gives way to requests.
    """

    send: Callable[[Alert], Awaitable[None]]
    touch: Callable[[Sequence[str]], Awaitable[Ack]]
    stored: Callable[[BoundTask], AsyncIterator[tuple[Any, Any]]]
    listed: Callable[[BoundTask], Awaitable[int | None]]
    quarantined: Callable[[], Awaitable[Mapping[str, Quarantine]]]
    freshness: Callable[[int], Awaitable[list[FreshnessRow]]]
    sources: Callable[[], Awaitable[list[SourceRow]]]
    runs: Callable[[BoundTask], Awaitable[State]]
    ready: Callable[[], Awaitable[Ready]]
    bonds: Callable[[], Bonds]
    bound: Callable[[Stored], BoundTask]
    is_throttled: bool


class Plugins(Mapping[type[Plugin[Any]], Any]):
    """The plugins of an app, by class; the first look opens the app.

    ``app.plugins[Ledger]`` is what the ledger's ``open`` returned. A class without a plugin in the app raises
    :class:`parbake.errors.DeclarationError`, and :meth:`get` returns ``None``.
    """

    def __init__(self, plugins: Sequence[Plugin[Any]], opened: Callable[[], Mapping[type[Plugin[Any]], Any]]) -> None:
        """Know the plugins; ``opened`` returns their states, by class."""
        self._plugins = {type(plugin): plugin for plugin in plugins}
        self._opened = opened

    def __getitem__(self, kind: type[Plugin[T]]) -> T:
        """Return the state of a plugin."""
        if kind not in self._plugins:
            name = getattr(kind, "__name__", repr(kind))
            package = getattr(kind, "__module__", "").partition(".")[0]
            shown = name if package in ("", "__main__", "builtins") else f"{package}.{name}"
            raise DeclarationError(f"the app has no plugin {name}: App(plugins=[{shown}(...)])", field="plugins")
        return cast("T", self._opened()[kind])

    def __iter__(self) -> Any:
        """Iterate over the classes of the plugins."""
        return iter(self._plugins)

    def __len__(self) -> int:
        """Count the plugins."""
        return len(self._plugins)

    def get(self, kind: Any, default: Any = None) -> Any:
        """Return the state of a plugin, or ``default`` without one."""
        return self[kind] if kind in self._plugins else default

    def settings(self, kind: type[T]) -> T | None:
        """Return the plugin itself, with its settings, without opening the app; ``None`` without one."""
        return cast("T | None", self._plugins.get(cast("Any", kind)))


def opened(plugin: Plugin[T], parts: Parts) -> T:
    """Open a plugin. What it raises gets a note with its name.

    Raises:
        DeclarationError: Its ``open`` is async.
    """
    try:
        state = plugin.open(parts)
    except Exception as error:
        error.add_note(f"while the plugin {type(plugin).__name__} was opened")
        raise
    if inspect.iscoroutine(state):
        state.close()
        raise DeclarationError(f"{type(plugin).__name__}.open must be a plain function", field="plugins")
    return state


def close_all(on: Observers) -> None:
    """Call what plugins have appended to ``on.close``, the last one first, and each even if another one fails."""
    with ExitStack() as stack:
        for close in on.close:
            stack.callback(close)
    on.close.clear()


def wraps_of(parts: Parts) -> Mapping[Any, Sequence[Wrap]]:
    """Return the wrappers of resources that plugins have added, by the type of the resource."""
    return parts._wraps  # noqa: SLF001  # it is not for plugins, so it has no public name


def policies_of(parts: Parts) -> dict[str, RefreshPolicy]:
    """Return who chooses the keys of each task whose schedule leaves that open.

    Raises:
        DeclarationError: A task needs a plugin that the app does not have; it would silently compute nothing ahead.
    """
    found: dict[str, RefreshPolicy] = {}
    for bound in parts.tasks.values():
        choice = bound.task.schedule.choice if bound.task.schedule else None
        if choice is not None:
            found[bound.name] = _needed(parts, choice.port, f"{bound.name}: its refresh= ({choice.label!r})")
        kind = bound.task.kind if isinstance(bound.task, Artifact) else None
        if kind is not None and kind.needs is not None:
            _needed(parts, kind.needs, f"{bound.name} is a {kind.label}, which")
    return found


def _needed(parts: Parts, port: Port[T], what: str) -> T:
    found = parts.found(port)
    if found is None:
        raise DeclarationError(f"{what} needs a plugin: App(plugins=[{port.offered_by}])", field="plugins")
    return found
