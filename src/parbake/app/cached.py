"""The shortest way in: a function whose values are cached under the fence, without an app of one's own."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from parbake.app.application import App
from parbake.ports.event_log import Ack
from parbake.stores.memory import MemoryStore
from parbake.tasks.registry import Registry
from parbake.tasks.served import Served
from parbake.tasks.task_types import Artifact
from parbake.values.duration import Duration

K = TypeVar("K")
R = TypeVar("R")


class CachedFunction(Generic[K, R]):
    """A function whose values are served from a store in memory, as long as they are fresh.

    Attributes:
        task: The artifact that it declares.
    """

    def __init__(self, fn: Callable[[K], R], task: Artifact[Any, Any]) -> None:
        """Wrap a function that was declared as ``task``."""
        self.task = task
        self.__wrapped__ = fn
        self.__doc__, self.__name__ = fn.__doc__, getattr(fn, "__name__", "")
        self._is_async = inspect.iscoroutinefunction(fn)

    def __call__(self, key: K, /) -> R:
        """Return the value of a key: a stored one if it may be served, otherwise a new one.

        For an ``async def`` this returns a coroutine.
        """
        found: Any = _value(self.task, key) if self._is_async else self.serve(key).value
        return found  # type: ignore[no-any-return]  # the function's own type

    def serve(self, key: K) -> Served[Any]:
        """Serve a key with its verdict, for synchronous code."""
        return _process.app().sync.serve(self.task, key)

    def touch(self, *tags: str) -> Ack:
        """Raise tags after a change. Once this has returned, no value from before it is served any more.

        It is synchronous, also if the function is an ``async def``.

        Args:
            tags: Tags of families that cached functions of this process name, such as ``rate/USD``.
        """
        app = _process.app()
        return app.sync.run(app.touch(*tags))


async def _value(task: Artifact[Any, Any], key: Any) -> Any:
    return (await _process.app().serve(task, key)).value


class _Process:
    """The registry, the store and the app that the cached functions of this process share."""

    def __init__(self) -> None:
        self.tasks = Registry(replace=True)
        self._store = MemoryStore()
        self._lock = threading.Lock()
        self._app: App | None = None

    def declare(self, fn: Callable[..., Any], name: str, ttl: Duration, tags: Sequence[str]) -> Artifact[Any, Any]:
        """Declare a function. The next call opens another app, over the same store unless ``name`` stood for another.

        Values are stored under the name, and a function must not serve what the one that it replaces has stored.

        Args:
            fn: The function.
            name: The name of its task.
            ttl: The greatest age at which a value is served.
            tags: What fences a value.
        """
        with self._lock:
            if any(task.name == name for task in self.tasks):
                self._store = MemoryStore()
            self._app = None
            return self.tasks.cached(ttl=ttl, tags=tags, name=name)(fn)

    def app(self) -> App:
        """Return the app."""
        with self._lock:
            if self._app is None:
                self._app = App(self.tasks, store=self._store)
            return self._app


_process = _Process()


def cached(*, ttl: Duration, tags: Sequence[str] = ()) -> Callable[[Callable[[K], R]], CachedFunction[K, R]]:
    """Cache a function of one key under the fence, in memory.

    Two fields of a contract are not stated here, and have defaults: a value that may not be served is computed again
    (``fallback_if_stale``), and nobody is alerted (``owner``). ``parbake tasks`` lists them, and ``App(strict=True)``
    refuses them. Declare the function in a registry of your own (:meth:`parbake.Registry.artifact`) for a store that
    survives the process, for batch runs and for an owner.

    Args:
        ttl: The greatest age at which a value is served.
        tags: What fences a value: tag families, or templates over the key such as ``policy/{topic}``.
    """

    def declare(fn: Callable[[K], R]) -> CachedFunction[K, R]:
        name = f"{fn.__module__}.{getattr(fn, '__qualname__', '')}"  # several modules may have a function of one name
        return CachedFunction(fn, _process.declare(fn, name, ttl, tags))

    return declare
