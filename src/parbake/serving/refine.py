"""Refine and live tasks: what happens at request time, on a precomputed base or from scratch."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from parbake.declare.contract import Verdict
from parbake.declare.roles import Role
from parbake.declare.served import Served
from parbake.declare.tasks import LiveTask, Refine, Task
from parbake.errors import NotMaterialized
from parbake.fence.cause import Cause, Reason
from parbake.fence.listening import listener, listening
from parbake.fence.record import Stamp
from parbake.fence.recording import Recording
from parbake.ports.store import Store
from parbake.serving import request as scope
from parbake.serving.bind import asked_within, check_live, live_arguments
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computer
from parbake.serving.meter import metering
from parbake.serving.read import Resolver

_LATEST = Stamp((1 << 64) - 1, (1 << 64) - 1)
"""What was read of nothing yet is as new as can be."""
Used = Callable[[str, float, float], None]
"""Hears of a computation at request time: the task, its seconds, and its CPU seconds."""


class Realtime:
    """Runs the tasks that keep nothing."""

    def __init__(
        self, resolver: Resolver, store: Store, bound_tasks: Mapping[str, BoundTask], tell: Used | None = None
    ) -> None:
        """Share the resolver's computer and plans; ``tell`` hears what each computation used."""
        self._tell = tell
        self._resolver = resolver
        self._computer: Computer = resolver.computer
        self._store = store
        self._bound_tasks = bound_tasks

    async def refine(self, task: Refine[Any, Any, Any], key: Any, live: Mapping[str, Any]) -> Served[Any]:
        """Serve the base and refine it within the budget; after the budget serve the base itself, marked degraded.

        Args:
            task: The refine task.
            key: The key of its base.
            live: The live values by name, those of its live inputs included.
        """
        check_live(task, live)
        bound = self._bound_tasks[task.base.name]
        arguments = live_arguments(task, live)
        context = asked_within(scope.current())
        base = self._resolver.serve_now(bound, key, context.acks)
        if base is None:
            base = (await self._resolver.serve(bound, bound.keys.check(key), context)).served
        if not base.has_value:
            return msgspec.structs.replace(base, task=task.name)
        started = time.perf_counter()
        try:
            async with scope.Budget(task.budget_s):
                arguments.update(await self._live_inputs(task, live))
                value = await self._used(task, self._computer.run(task, (base,), context, arguments))
        except NotMaterialized as error:
            return _unrefined(task, base, Reason(Cause.INPUT_MISSING, str(error)))
        except TimeoutError:
            return _unrefined(task, base, Reason(Cause.BUDGET_EXCEEDED, f"{task.budget_s * 1000:.0f} ms"))
        took = time.perf_counter() - started
        return msgspec.structs.replace(base, task=task.name, value=value, cost_s=took)

    async def live(self, task: LiveTask[Any, Any], live: Mapping[str, Any]) -> Served[Any]:
        """Compute a live task now; within one request each is computed once."""
        check_live(task, live)
        stamp, _ = await self._store.stamp()
        started = time.perf_counter()
        async with scope.Deadline(task.name):
            value = await self._live_value(task, live)
        return _now(task, value, stamp, time.perf_counter() - started)

    async def _live_value(self, task: LiveTask[Any, Any], live: Mapping[str, Any]) -> Any:
        arguments = live_arguments(task, live)
        request = scope.current()
        if request is None:
            return await self._run(task, arguments, live)
        call = scope.LiveCall(task, tuple(sorted((name, _identity(value)) for name, value in arguments.items())))
        value, read = await request.once(call, lambda: self._heard(task, arguments, live))
        if (heard := listener()) is not None:  # also of what was computed before
            heard.join(read)
        return value

    async def _heard(
        self, task: LiveTask[Any, Any], arguments: dict[str, Any], live: Mapping[str, Any]
    ) -> tuple[Any, Recording]:
        """A live value with what it was made of."""
        read = Recording(_LATEST, origin=self._store)
        with listening(read):
            return await self._run(task, arguments, live), read

    async def _run(self, task: LiveTask[Any, Any], arguments: dict[str, Any], live: Mapping[str, Any]) -> Any:
        inputs = await self._live_inputs(task, live)
        context = asked_within(scope.current())
        return await self._used(task, self._computer.run(task, (), context, {**arguments, **inputs}))

    async def _used(self, task: Task, work: Awaitable[Any]) -> Any:
        """Tell what a computation uses, if anybody listens."""
        if self._tell is None:
            return await work
        started = time.perf_counter()
        with metering() as spent:
            try:
                return await work
            finally:
                self._tell(task.name, time.perf_counter() - started, spent.cpu_s)

    async def _live_inputs(self, task: Any, live: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the live tasks that a task names as inputs, from the same request's live values."""
        values: dict[str, Any] = {}
        for name, other in _live_tasks(task):
            values[name] = await self._live_value(other, live)
        return values


@lru_cache(1024)
def _live_tasks(task: Task) -> tuple[tuple[str, LiveTask[Any, Any]], ...]:
    """The live tasks that a task names as inputs, each with its parameter."""
    return tuple((p.name, p.task) for p in task.of(Role.INPUT) if isinstance(p.task, LiveTask))


def _identity(value: Any) -> Any:
    """What makes two live values the same within a request: equality where they hash, else the object itself."""
    try:
        hash(value)
    except TypeError:
        return ("id", id(value))
    return ("value", repr(type(value)), repr(value))


def _unrefined(task: Refine[Any, Any, Any], base: Served[Any], why: Reason) -> Served[Any]:
    """The base itself, marked degraded."""
    return msgspec.structs.replace(base, task=task.name, verdict=Verdict.DEGRADED, reason=str(why), cause=why.cause)


def _now(task: LiveTask[Any, Any], value: Any, stamp: Stamp, cost_s: float) -> Served[Any]:
    return Served(task.name, value, Verdict.FRESH, "realtime", stamp=stamp, cost_s=cost_s)
