"""Refine and live tasks, which compute at request time, on a precomputed base or from scratch."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from parbake.errors import NotMaterialized
from parbake.ports.observers import Observers, begun, tell
from parbake.process.counters import Counters
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.listening import listener, listening
from parbake.protocol.recording import Recording
from parbake.protocol.verdict import Verdict
from parbake.serving import request as scope
from parbake.serving.bind import asked_within
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computer
from parbake.serving.cpu_time import Spent, metering
from parbake.serving.read import Resolver
from parbake.tasks.call_checks import check_live, live_arguments
from parbake.tasks.roles import Role
from parbake.tasks.served import Served
from parbake.tasks.task_types import LiveTask, Refine, Task

_UNMETERED: contextlib.AbstractContextManager[Spent | None] = contextlib.nullcontext()


class LiveValue(NamedTuple):
    """What a task returned, and the record of what it read."""

    value: Any
    read: Recording


class Realtime:
    """Runs the tasks whose values are not stored."""

    def __init__(
        self,
        resolver: Resolver,
        bound_tasks: Mapping[str, BoundTask],
        counters: Counters,
        on: Observers,
    ) -> None:
        """Share the resolver's computer and tasks.

        Args:
            resolver: Reads the bases of refines.
            bound_tasks: The stored tasks by name.
            counters: Count the answers and computations.
            on: Hear of each computation, and what it used.
        """
        self._hears, self._answered, self._computing = tuple(on.live), tuple(on.answered), tuple(on.computing)
        self._counters = counters
        self._resolver = resolver
        self._computer: Computer = resolver.computer
        self._bound_tasks = bound_tasks

    async def refine(self, task: Refine[Any, Any, Any], key: Any, live: Mapping[str, Any]) -> Served[Any]:
        """Serve the base, refined within the budget. If the budget ends first, serve the base itself, marked degraded.

        Args:
            task: The refine task.
            key: The key of its base.
            live: The live values by name, including those of its live inputs.
        """
        check_live(task, live)
        began = time.perf_counter()
        return self._counted(await self._refined(task, key, live), began)

    async def _refined(self, task: Refine[Any, Any, Any], key: Any, live: Mapping[str, Any]) -> Served[Any]:
        bound = self._bound_tasks[task.base.name]
        context = asked_within(scope.current())
        base = self._resolver.serve_now(bound, key, context.acks)
        if base is None:
            base = (await self._resolver.serve(bound, bound.keys.check(key), context)).served
        if not base.has_value:
            return msgspec.structs.replace(base, task=task.name)
        started = time.perf_counter()
        try:
            async with scope.Budget(task.budget_s):
                made = await self._computed(task, (base,), live)
        except NotMaterialized as error:
            return self._unrefined(task, base, Reason(Cause.INPUT_MISSING, str(error)))
        except TimeoutError:
            return self._unrefined(task, base, Reason(Cause.BUDGET_EXCEEDED, f"{task.budget_s * 1000:.0f} ms"))
        took = time.perf_counter() - started
        refined = msgspec.structs.replace(
            base, task=task.name, value=made.value, cost_s=took, lane="realtime", over=base.lane
        )
        return _in_doubt(refined, made.read.doubt)

    def _unrefined(self, task: Refine[Any, Any, Any], base: Served[Any], why: Reason) -> Served[Any]:
        """The base itself, marked degraded."""
        self._counters.missed(task.name, b"", Verdict.DEGRADED.value, why)
        return msgspec.structs.replace(base, task=task.name, verdict=Verdict.DEGRADED, reason=str(why), cause=why.cause)

    def _counted(self, served: Served[Any], began: float) -> Served[Any]:
        took = time.perf_counter() - began
        self._counters.answered(served.task, served.verdict.value, served.lane, took)
        tell(self._answered, served, took)
        return served

    async def live(self, task: LiveTask[Any, Any], live: Mapping[str, Any]) -> Served[Any]:
        """Compute a live task now; within one request it is computed once for the same live values.

        Args:
            task: The live task.
            live: The live values by name, those of its live inputs included.
        """
        check_live(task, live)
        started = time.perf_counter()
        async with scope.Deadline(task.name):
            made = await self._live_value(task, live)
        took = time.perf_counter() - started
        served = Served(task.name, made.value, Verdict.FRESH, "realtime", stamp=made.read.stamp, cost_s=took)
        return self._counted(_in_doubt(served, made.read.doubt), started)

    async def _live_value(self, task: LiveTask[Any, Any], live: Mapping[str, Any]) -> LiveValue:
        request = scope.current()
        if request is None:
            return await self._computed(task, (), live)
        call = _call(task, live)
        is_known = call in request.memo
        made = await request.once(call, lambda: self._computed(task, (), live))
        if is_known and (heard := listener()) is not None:  # otherwise it was joined as the value was computed
            heard.join(made.read)
        return made

    async def _computed(self, task: Task, base: Sequence[Any], live: Mapping[str, Any]) -> LiveValue:
        """Run a task after the live tasks that it names as inputs; a listener hears of its reads even if it fails."""
        reading = await self._computer.begin(asked_within(scope.current()))
        recording, arguments = reading.recording, live_arguments(task, live)
        try:
            if inputs := _live_tasks(task):
                with listening(recording):
                    for name, other in inputs:
                        arguments[name] = (await self._live_value(other, live)).value
            return LiveValue(await self._used(task, self._computer.invoke(task, base, reading, arguments)), recording)
        finally:
            if (heard := listener()) is not None:
                heard.join(recording)

    async def _used(self, task: Task, work: Awaitable[Any]) -> Any:
        """Count a computation, and report what it used if anybody listens."""
        ends = begun(self._computing, task.name, "realtime", 1)
        started, outcome = time.perf_counter(), "failed"
        with metering() if self._hears else _UNMETERED as spent:
            try:
                value = await work
                outcome = "returned"
            except asyncio.CancelledError:
                outcome = "cancelled"
                raise
            finally:
                took = time.perf_counter() - started
                self._counters.computed(task.name, b"", "realtime", took, outcome=outcome)
                if spent is not None:
                    tell(self._hears, task.name, took, spent.cpu_s)
                tell(ends, outcome)
        return value


@lru_cache(1024)
def _live_tasks(task: Task) -> tuple[tuple[str, LiveTask[Any, Any]], ...]:
    """The live tasks that a task names as inputs, each with its parameter."""
    return tuple((p.name, p.task) for p in task.of(Role.INPUT) if isinstance(p.task, LiveTask))


def _call(task: LiveTask[Any, Any], live: Mapping[str, Any]) -> scope.LiveCall:
    arguments = live_arguments(task, live)
    return scope.LiveCall(task, tuple(sorted((name, _identity(value)) for name, value in arguments.items())))


class _Same:
    """A value that equals only itself. It holds the value, whose address could be another one's otherwise."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        """Hold a value."""
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


def _identity(value: Any) -> Any:
    """What makes two live values the same within a request: equality where they hash, else the object itself."""
    if type(value) is str:  # most values: what follows takes longer
        return value
    try:
        hash(value)
    except TypeError:
        return _Same(value)
    return ("value", repr(type(value)), repr(value))


def _in_doubt(served: Served[Any], doubt: Reason | None) -> Served[Any]:
    """The answer, marked degraded if it was made of values whose source is silent."""
    if doubt is None:
        return served
    return msgspec.structs.replace(served, verdict=Verdict.DEGRADED, reason=str(doubt), cause=doubt.cause)
