"""Calls of a task's function with another generator: one that notes each prompt, or one that knows the answers.

Only the run's own task is computed here. Its inputs are read, and computed if necessary, as always.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

import msgspec

from parbake.errors import ComputeFailed
from parbake.ports.usage import Usage
from parbake.protocol.record import Stamp
from parbake.protocol.recording import Recording
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import Computed, Computer
from parbake.tasks.task_types import Task
from parbake.values.redaction import one_line
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_llm.ports.provider_jobs import BatchAnswer, BatchProvider, BatchRequest

_DIRECT = "direct"
"""The lane in which tokens are booked that a run through a batch interface has bought at the standard price."""
QUIET_S = 2.0
"""A call of fewer prompts than keys counts as collected if it sent none for so many seconds, as it may read inputs."""
TURNS = 3
"""How often other tasks of the loop go first once a call has sent a prompt for each key: some may send more."""
_log = logging.getLogger("parbake.batch")
T = TypeVar("T")


def digest_of(*parts: bytes) -> bytes:
    """Sixteen bytes that differ for different sequences of parts (BLAKE2b, RFC 7693)."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


class PromptIds:
    """Gives each prompt of one call the id under which it is submitted and its answer is found.

    The id is a digest of the task, the provider's model, the call's key if it has a single one, and the request. The
    same request is another one when the same call sends it again.
    """

    def __init__(self, ref: str, provider: BatchProvider, key: bytes) -> None:
        """Begin a call.

        Args:
            ref: The task's ref.
            provider: Who is asked.
            key: The bytes of the call's key; empty for a call with many keys, whose company may change.
        """
        self._scope = digest_of(ref.encode(), provider.name.encode(), provider.model.encode(), key)
        self._times: Counter[bytes] = Counter()

    def of(self, prompt: Prompt, max_tokens: int) -> str:
        """The id of the next request; 32 hexadecimal digits.

        Args:
            prompt: The prompt.
            max_tokens: The greatest length of the reply.
        """
        sent = msgspec.msgpack.encode((prompt, max_tokens), order="deterministic")
        self._times[sent] += 1
        return digest_of(self._scope, sent, self._times[sent].to_bytes(4, "big")).hex()


@dataclass
class GivenAnswer:
    """An answer of a job, and what was true when its prompt was made.

    Attributes:
        answer: The answer.
        stamp: The stamp that was read before the first input of the prompt.
        written_at: The time then, in epoch seconds.
        is_booked: Whether its tokens were reported; they are booked only once.
    """

    answer: BatchAnswer
    stamp: Stamp
    written_at: float
    is_booked: bool = False


class AnswerReader:
    """A generator that replays one answer of a job. It has the name by which the provider's tokens are priced."""

    def __init__(self, provider: BatchProvider, given: GivenAnswer) -> None:
        """Replay an answer that a provider gave."""
        self.name, self.model = provider.name, provider.model
        self._given = given

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """See :class:`parbake_llm.ports.generator.Generator`. The tokens are reported with the last piece, once."""
        del prompt, max_tokens, timeout_s
        given, answer = self._given, self._given.answer
        text = [Delta(answer.text)] if answer.text or not answer.calls else []
        *pieces, last = [*text, *(Delta(call=call) for call in answer.calls)]
        for piece in pieces:
            yield piece
        usage, given.is_booked = Usage() if given.is_booked else answer.usage, True
        yield msgspec.structs.replace(last, usage=usage)


class CollectedCall:
    """One call of a task's function, whose prompts are noted (see :class:`parbake.serving.compute.ResourceChoice`).

    A request gets no reply, and nothing is kept.
    """

    kind = Generator

    def __init__(self, name: str, ids: PromptIds, note: Callable[[BatchRequest], None]) -> None:
        """Begin a call.

        Args:
            name: The generator's name.
            ids: Makes the ids of this call.
            note: Called with each request.
        """
        self.name = name
        self._ids, self._note = ids, note
        self.asked, self._has_asked = 0, asyncio.Event()

    def given(self, found: Generator, task: Task, context: Context) -> Generator:
        del found, task, context
        return self

    def begun(self, recording: Recording) -> None:
        """Nothing that is read here is kept."""

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Note the request, and wait until the whole call is cancelled.

        Args:
            prompt: The prompt.
            max_tokens: The greatest length of the reply.
            timeout_s: Not used: the reply comes in another run of the function.
        """
        del timeout_s
        self._note(BatchRequest(self._ids.of(prompt, max_tokens), prompt, max_tokens))
        self.asked += 1
        self._has_asked.set()
        await asyncio.Event().wait()
        yield Delta()  # never reached; it makes this a generator

    async def sent_all(self, enough: int) -> None:
        """Return once the call has sent as many prompts as it has keys, or no further one for a while."""
        await self._has_asked.wait()
        while self.asked < enough:
            before = self.asked
            await asyncio.sleep(QUIET_S)
            if self.asked == before:
                return
        for _ in range(TURNS):
            await asyncio.sleep(0)


class AnsweredCall:
    """One call of a task's function that is computed from answers. What has none is asked directly, or stops the call.

    See :class:`parbake.serving.compute.ResourceChoice`; see :class:`parbake_llm.ports.generator.Generator`.

    Attributes:
        written_at: When the oldest prompt was made whose answer was used, in epoch seconds; infinite if none was.
        is_stopped: Set once a request has no answer and there is no time to ask.
        has_asked: Whether the generator was asked directly.
    """

    kind = Generator
    name: str

    def __init__(self, answered: AnsweredComputer, ids: PromptIds) -> None:
        """Begin a call.

        Args:
            answered: Has the answers.
            ids: Makes the ids of this call.
        """
        self._of, self._ids = answered, ids
        self.written_at = float("inf")
        self.is_stopped = asyncio.Event()
        self.has_asked = False

    def given(self, found: Generator, task: Task, context: Context) -> Generator:
        self.name, self._lane = found.name, context.lane
        self._booked = partial(self._of.computer.wrapped, Generator, task=task)
        self._direct: Generator = self._booked(found, lane=_DIRECT)
        return self

    def begun(self, recording: Recording) -> None:
        """Learn where the call's reads are recorded: its stamp becomes older with each answer that is used."""
        self._recording = recording

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        answer = self._of.found.get(self._ids.of(prompt, max_tokens))
        if answer is None:
            if not self._of.may_ask():
                self.is_stopped.set()
                await asyncio.Event().wait()  # until the call is cancelled
            self.has_asked = True
            source, sent = self._direct, prompt
        else:  # the value counts as made when the prompt was made: a change since then outdates it
            self.written_at = min(self.written_at, answer.written_at)
            self._recording.stamp = min(self._recording.stamp, answer.stamp)
            source = AnswerReader(self._of.provider, answer)
            source = source if answer.is_booked else self._booked(source, lane=self._lane)
            sent = msgspec.structs.replace(prompt, prefix="")  # all its tokens have the batch price, the prefix's too
        async for delta in source.stream(sent, max_tokens=max_tokens, timeout_s=timeout_s):
            yield delta


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
        call = CollectedCall(self._provider.name, _ids(bound, self._provider, keys), self._note)
        work = self._computer.choosing(call).compute(bound, keys, context)
        await _until(work, call.sent_all(len(keys)))
        if call.asked < len(keys):
            _log.info(
                "%s: a call of %d keys sent %d prompts; what it asks later is asked directly, or left to requests",
                bound.name, len(keys), call.asked,
            )  # fmt: skip


@dataclass(frozen=True)
class AnsweredComputer:
    """Computes values from the answers of jobs. Each is bound by the stamp that was read before its prompt was made.

    Attributes:
        computer: The app's computer.
        provider: Who gave the answers.
        found: The answers by the ids of their requests; with none at all, everything is asked directly.
        has_time: Whether there is time to ask directly.
    """

    computer: Computer
    provider: BatchProvider
    found: Mapping[str, GivenAnswer]
    has_time: Callable[[], bool]

    def may_ask(self) -> bool:
        """Whether a request without an answer is asked directly."""
        return not self.found or self.has_time()

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
        call = AnsweredCall(self, _ids(bound, self.provider, keys))
        work = self.computer.choosing(call).compute(bound, keys, context)
        try:
            found = await _until(work, call.is_stopped.wait())
        except ComputeFailed as error:
            if not call.has_asked or not self.found:
                raise
            _log.warning("%s: %d keys are left to requests: %s", bound.name, len(keys), one_line(error))
            return None
        return None if found is None else [_dated(computed, call.written_at) for computed in found]


def _ids(bound: BoundTask, provider: BatchProvider, keys: Sequence[Any]) -> PromptIds:
    return PromptIds(bound.ref, provider, b"" if bound.batched else bound.keys.encode(keys[0]))


def _dated(computed: Computed, written_at: float) -> Computed:
    """The same result, as old as the oldest prompt whose answer it was made from."""
    record = computed.record
    if written_at >= record.computed_at:
        return computed
    return msgspec.structs.replace(computed, record=msgspec.structs.replace(record, computed_at=written_at))


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
