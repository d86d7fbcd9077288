"""Turns parameters into arguments: opens views, provides resources, resolves models and other tasks' values.

Views are opened in threads, because a database that hangs must not hold the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from parbake.errors import DeclarationError
from parbake.ports.sources import Log, Source, Topic
from parbake.process.threads import Pool, in_thread, later_in_thread
from parbake.protocol.acks import Acks
from parbake.protocol.control import Control
from parbake.protocol.recording import Recording
from parbake.serving import request as scope
from parbake.tasks.roles import Role
from parbake.tasks.served import Served
from parbake.tasks.task_types import Parameter, Task


@dataclass(frozen=True, slots=True)
class Context:
    """The context in which a computation was requested.

    ``also_fenced`` are the families its consumers fence; ``pointers`` the unpromoted generations of the run it is part
    of (task ref -> generation); ``acks`` the acknowledgements that the caller has received; ``tolerated_s`` the longest
    silence of a source, in seconds, that all its consumers tolerate. ``is_without_store`` says that the store was away
    when somebody who asks for it began, and ``has_turn`` that the computation which asks may load its sources.
    """

    also_fenced: frozenset[str] = frozenset()
    pointers: Mapping[str, int] = field(default_factory=dict)
    lane: str = "realtime"
    acks: Acks = field(default_factory=dict)
    tolerated_s: float = float("inf")
    is_without_store: bool = False
    has_turn: bool = False

    @property
    def may_do_without_store(self) -> bool:
        """Whether values may be computed without the store: for a request, but not for what is kept."""
        return self.lane == "realtime" and not self.pointers


NO_CONTEXT = Context()


class Reading(NamedTuple):
    """The surroundings of a computation's reads: where they are recorded, the control record, and the context."""

    recording: Recording
    control: Control
    context: Context


def asked_within(request: scope.Request | None) -> Context:
    """The context of the computations that a request causes."""
    return NO_CONTEXT if request is None or not request.acks else Context(acks=request.acks)


class TaskReader:
    """Reads another artifact for a running task; see :class:`parbake.tasks.served.Reader`."""

    def __init__(self, get: Callable[[Any], Awaitable[Served[Any]]], loop: asyncio.AbstractEventLoop) -> None:
        """``get`` resolves a key through the fence and notes it in the consumer's recording."""
        self._get = get
        self._loop = loop

    async def get(self, key: Any, /) -> Served[Any]:
        """Read one key on the event loop."""
        return await self._get(key)

    def read(self, key: Any, /) -> Served[Any]:
        """Read one key from a worker thread."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            raise RuntimeError("read() would block the event loop; use 'await reader.get(key)' in an async task")
        return asyncio.run_coroutine_threadsafe(self._call(key), self._loop).result()

    async def _call(self, key: Any) -> Served[Any]:
        return await self._get(key)


class Binder:
    """Binds parameters for one app: its sources and resources, checked once at load."""

    def __init__(
        self, sources: Sequence[Source], resources: Mapping[Any, Any], events: Sequence[Log | Topic] = ()
    ) -> None:
        """Bind to ``sources`` and ``resources`` (by type); ``events`` are polled like sources, but have no views."""
        self.sources = tuple(sources)
        self.heard = (*self.sources, *events)
        self.resources = dict(resources)
        self._building = threading.RLock()

    def check(self, task: Task) -> None:
        """Raise :class:`DeclarationError` when a source view or resource that a task names is not provided."""
        for parameter in task.of(Role.SOURCE):
            if not any(source.provides(parameter.type) for source in self.sources):
                raise DeclarationError(
                    f"{task.name}({parameter.name}): no source provides the view {_name(parameter.type)}; pass one in "
                    "App(sources=...)",
                    field=parameter.name,
                )
        for parameter in task.of(Role.RESOURCE):
            if parameter.type not in self.resources:
                raise DeclarationError(
                    f"{task.name}({parameter.name}): no resource of type {_name(parameter.type)}; pass one in "
                    "App(resources=...)",
                    field=parameter.name,
                )

    def built(self, kind: Any) -> Any:
        """The resource of a type, built now if it is a :class:`Lazy` one; ``None`` if there is none. Blocking."""
        return self._built(kind) if kind in self.resources else None

    def found(self, kind: Any) -> Any:
        """The resource of a type; ``None`` if there is none, or if it is a :class:`Lazy` one that was not built yet."""
        found = self.resources.get(kind)
        return None if isinstance(found, Lazy) else found

    def resource(self, parameter: Parameter) -> Any:
        """A resource; a :class:`Lazy` one is built at first use."""
        found = self.resources[parameter.type]
        return self._built(parameter.type) if isinstance(found, Lazy) else found

    def build(self) -> None:
        """Build every :class:`Lazy` resource that was not used yet; blocking."""
        for kind in self.resources:
            self._built(kind)

    def _built(self, kind: Any) -> Any:
        with self._building:  # a thread that builds ahead and a task that needs it may both get here
            found = self.resources[kind]
            if isinstance(found, Lazy):
                found = self.resources[kind] = found.build()
            return found

    def sources_of(self, task: Task) -> frozenset[str]:
        """The names of the sources that a task reads, itself or through the tasks that it may read."""
        own = {self._source_of(parameter).name for parameter in task.of(Role.SOURCE)}
        return frozenset(own).union(*map(self.sources_of, task.may_read))

    def pool_of(self, task: Task) -> Pool:
        """The threads that a task is called in: those of its height, and of the sources that it reads."""
        read = {self._source_of(parameter).name for parameter in task.of(Role.SOURCE)}
        return f"{task.height}-{' '.join(sorted(read))}" if read else task.height

    def open_views(self, task: Task, recording: Recording, stack: ExitStack) -> dict[str, Any]:
        """Open the source views of a task, which may block as long as a database hangs.

        Args:
            task: The task.
            recording: Where the views record what is read through them.
            stack: Closes the views.

        Returns:
            The views by the names of the parameters that take them.
        """
        return {
            parameter.name: stack.enter_context(self._source_of(parameter).open(parameter.type, recording))
            for parameter in task.of(Role.SOURCE)
        }

    def call(self, task: Task, recording: Recording, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """Call a task's ``def`` function in this thread; its views stay open exactly as long as the call.

        Args:
            task: The task.
            recording: Where the views record what is read through them.
            arguments: The arguments by position.
            named: The other arguments by name, without the views.
        """
        with ExitStack() as stack:
            return task.fn(*arguments, **named, **self.open_views(task, recording, stack))

    @contextlib.asynccontextmanager
    async def opened_aside(self, task: Task, recording: Recording) -> AsyncIterator[Mapping[str, Any]]:
        """Open the views of an ``async def`` task in a thread, and close them there afterwards.

        Only the end after an error waits for the closing, which tells what was wrong with the source. Otherwise a
        cancelled computation would last as long as its database hangs.
        """
        pool, stack = self.pool_of(task), ExitStack()
        opened = asyncio.ensure_future(in_thread(pool, self.open_views, task, recording, stack))
        try:
            yield await asyncio.shield(opened)
        except Exception as error:
            await in_thread(pool, stack.__exit__, type(error), error, error.__traceback__)
            raise
        finally:
            opened.add_done_callback(lambda _: later_in_thread(pool, stack.close))  # closes nothing twice

    def _source_of(self, parameter: Parameter) -> Source:
        return next(source for source in self.sources if source.provides(parameter.type))


@dataclass(frozen=True, slots=True)
class Lazy:
    """A resource that is built when a task first needs it."""

    build: Callable[[], Any]


def _name(kind: Any) -> str:
    return getattr(kind, "__qualname__", str(kind))
