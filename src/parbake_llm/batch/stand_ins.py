"""Computers that run a task's function with another generator: first to collect its prompts, then to store its values.

Only the run's own task is computed here. Its inputs are read, and computed if necessary, as always.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from parbake.errors import ComputeFailed
from parbake.protocol.recording import Recording
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computed, Computer
from parbake.tasks.task_types import Task
from parbake.values.redaction import one_line
from parbake_llm.batch.asking import AnsweredCall, Answerer, GivenAnswers, PromptIds, PromptRecorder, scope_of
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.provider_jobs import BatchProvider, BatchRequest

DIRECT = "direct"
"""The lane in which tokens are booked that a run through a batch interface has bought at the standard price."""
QUIET_S = 2.0
"""A call of fewer prompts than keys counts as collected if it sent none for so many seconds, as it may read inputs."""
TURNS = 3
"""How often other tasks of the loop go first once a call has sent a prompt for each key: some may send more."""
_log = logging.getLogger("parbake.batch")
T = TypeVar("T")


class PromptCollector:
    """Runs a task's function until it has sent its prompts. Nothing that it returns is kept."""

    def __init__(self, computer: Computer, provider: BatchProvider, note: Callable[[BatchRequest], None]) -> None:
        """Collect prompts.

        Args:
            computer: The app's computer.
            provider: Who will be asked.
            note: Called with each request.
        """
        self._computer, self._provider, self._note = computer, provider, note

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
        recorder = PromptRecorder(self._provider.name, ids, self._note)
        work = self._computer.choosing(_Recorded(recorder)).compute(bound, keys, context)
        await _until(work, _sent_all(recorder, len(keys)))
        if recorder.asked < len(keys):
            _log.info(
                "%s: a call of %d keys sent %d prompts; what it asks later is asked directly, or left to requests",
                bound.name, len(keys), recorder.asked,
            )  # fmt: skip


class AnsweredComputer:
    """Computes values from the answers of jobs. Each is bound by the stamp that was read before its prompt was made."""

    def __init__(self, computer: Computer, given: GivenAnswers, may_ask: Callable[[], bool]) -> None:
        """Compute from answers.

        Args:
            computer: The app's computer.
            given: The answers; with none at all, everything is asked directly.
            may_ask: Whether there is time to ask directly.
        """
        self._computer = computer
        self._given, self._may_ask = given, may_ask if len(given) else _always

    async def compute(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        """Compute some keys like the app's computer. A key is left out if an answer is missing and there is no time.

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

    async def _answered(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed] | None:
        """Make one call; ``None`` if it lacks an answer."""
        ids = PromptIds(scope_of(bound.ref, self._given.provider, _single_key(bound, keys)))
        call = AnsweredCall(ids, self._given, self._may_ask)
        work = self._computer.choosing(_Answered(self._computer, call)).compute(bound, keys, context)
        try:
            found = await _until(work, call.is_stopped.wait())
        except ComputeFailed as error:
            if not call.has_asked or not len(self._given):
                raise
            _log.warning("%s: %d keys are left to requests: %s", bound.name, len(keys), one_line(error))
            return None
        return None if found is None else [_dated(computed, call.written_at) for computed in found]


class _Recorded:
    """Hands out a generator that notes prompts."""

    kind = Generator

    def __init__(self, recorder: PromptRecorder) -> None:
        self._recorder = recorder

    def given(self, found: Generator, task: Task, context: Context) -> Generator:
        """See :class:`parbake.serving.compute.ResourceChoice`."""
        del found, task, context
        return self._recorder

    def begun(self, recording: Recording) -> None:
        """Nothing that is read here is kept."""


class _Answered:
    """Hands out a generator that knows the answers. The stamp becomes older with each answer that is used."""

    kind = Generator

    def __init__(self, computer: Computer, call: AnsweredCall) -> None:
        self._computer, self._call = computer, call

    def given(self, found: Generator, task: Task, context: Context) -> Generator:
        """See :class:`parbake.serving.compute.ResourceChoice`."""

        def booked(generator: Generator, lane: str = context.lane) -> Generator:
            wrapped: Generator = self._computer.wrapped(Generator, generator, task, lane)
            return wrapped

        return Answerer(booked(found, DIRECT), self._call, booked)

    def begun(self, recording: Recording) -> None:
        self._call.begin(recording)


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
