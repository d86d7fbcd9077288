"""Computers that run a task's function with another generator: first to collect its prompts, then to store its values.

Only the run's own task is computed here. Its inputs are read, and computed if necessary, as always.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import msgspec

from parbake.declare.tasks import Parameter, Task
from parbake.errors import ComputeFailed
from parbake.fence.trace import Trace
from parbake.lanes.batch.jobs.asking import AnsweredCall, Answerer, GivenAnswers, PromptIds, PromptRecorder, scope_of
from parbake.ports.batches.provider_jobs import BatchProvider, BatchRequest
from parbake.ports.models import Generator
from parbake.serving.bind import Context, Reading
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computed, Computer
from parbake.values.redaction import one_line

DIRECT = "direct"
"""The lane in which tokens are booked that a run through a batch interface has bought at the standard price."""
QUIET_S = 0.2
"""A call of fewer prompts than keys counts as collected if it sent no prompt for so many seconds."""
TURNS = 3
"""How often other tasks of the loop go first once a call has sent a prompt for each key: some may send more."""
_log = logging.getLogger("parbake.batch")
T = TypeVar("T")


class _StandIn(Computer):
    """A computer that is the same as another one, except for the generator that functions get."""

    def __init__(self, base: Computer) -> None:  # no initialisation of its own: it shares the parts of the other
        """Share the parts of another computer."""
        vars(self).update(vars(base))


class PromptCollector(_StandIn):
    """Runs a task's function until it has sent its prompts. Nothing that it returns is kept."""

    def __init__(self, base: Computer, provider: BatchProvider, note: Callable[[BatchRequest], None]) -> None:
        """Collect prompts.

        Args:
            base: The app's computer.
            provider: Who will be asked.
            note: Called with each request.
        """
        super().__init__(base)
        self._provider, self._note = provider, note
        self._recorder: PromptRecorder | None = None

    async def collect(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> None:
        """Call a task's function for some keys, until it waits for answers or has returned.

        Args:
            bound: The task.
            keys: The keys of one call.
            context: What the call is made within.

        Raises:
            ComputeFailed: The function failed before it had sent its prompts.
        """
        ids = PromptIds(scope_of(bound.ref, self._provider, _single_key(bound, keys)))
        self._recorder = recorder = PromptRecorder(self._provider.name, ids, self._note)
        await _until(super().compute(bound, keys, context), _sent_all(recorder, len(keys)))

    def _metered(self, found: Any, parameter: Parameter, task: Task, context: Context) -> Any:
        return self._recorder if parameter.type is Generator else super()._metered(found, parameter, task, context)


class AnsweredComputer(_StandIn):
    """Computes values from the answers of jobs. Each is bound by the stamp that was read before its prompt was made."""

    def __init__(self, base: Computer, given: GivenAnswers, may_ask: Callable[[], bool]) -> None:
        """Compute from answers.

        Args:
            base: The app's computer.
            given: The answers; with none at all, everything is asked directly.
            may_ask: Whether there is time to ask directly.
        """
        super().__init__(base)
        self._given, self._may_ask = given, may_ask if len(given) else _always
        self._call: AnsweredCall | None = None

    async def compute(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        """Compute some keys as the base does. A key is left out if an answer is missing and cannot be had in time.

        Args:
            bound: The task.
            keys: The keys of one call.
            context: What the call is made within.

        Raises:
            ComputeFailed: The function failed, although it had all its answers.
        """
        found = await self._answered(bound, keys, context)
        if found is None and bound.batched and len(keys) > 1:  # one missing answer need not cost the others' values
            each = [await self._answered(bound, [key], context) for key in keys]
            return [computed for one in each for computed in one or ()]
        return found or []

    async def begin(self, context: Context, trace: Trace | None = None) -> Reading:
        """Read the stamp, which becomes older with each answer that is used; see the base.

        Args:
            context: What the computation was asked within.
            trace: Records its queries.
        """
        reading = await super().begin(context, trace)
        if self._call is not None:
            self._call.begin(reading.recording)
        return reading

    async def _answered(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed] | None:
        """Make one call; ``None`` if it lacks an answer."""
        ids = PromptIds(scope_of(bound.ref, self._given.provider, _single_key(bound, keys)))
        self._call = call = AnsweredCall(ids, self._given, self._may_ask)
        try:
            found = await _until(super().compute(bound, keys, context), call.is_stopped.wait())
        except ComputeFailed as error:
            if not call.has_asked or not len(self._given):
                raise
            _log.warning("%s: %d keys are left to requests: %s", bound.name, len(keys), one_line(error))
            return None
        return None if found is None else [_dated(computed, call.written_at) for computed in found]

    def _metered(self, found: Any, parameter: Parameter, task: Task, context: Context) -> Any:
        if parameter.type is not Generator or self._call is None:
            return super()._metered(found, parameter, task, context)
        direct = super()._metered(found, parameter, task, replace(context, lane=DIRECT))
        booked = partial(super()._metered, parameter=parameter, task=task, context=context)
        return Answerer(direct, self._call, booked)


def _always() -> bool:
    return True


def _dated(computed: Computed, written_at: float) -> Computed:
    """The same result, as old as the oldest prompt whose answer it was made from."""
    record = computed.record
    if written_at >= record.computed_at:
        return computed
    return msgspec.structs.replace(computed, record=msgspec.structs.replace(record, computed_at=written_at))


def _single_key(bound: BoundTask, keys: Sequence[Any]) -> bytes:
    return b"" if bound.batched else bound.keys.encode(keys[0])


async def _sent_all(recorder: PromptRecorder, enough: int) -> None:
    """Return once a call has sent as many prompts as it has keys, or no further one for a while."""
    await recorder.has_asked.wait()
    while recorder.asked < enough:
        before = recorder.asked
        await asyncio.sleep(QUIET_S)
        if recorder.asked == before:
            return
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _until(work: Coroutine[Any, Any, T], stop: Coroutine[Any, Any, Any]) -> T | None:
    """Return the result of ``work``, or ``None`` and cancel it if ``stop`` ends first."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop)
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
