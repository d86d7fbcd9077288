"""What a task's function gets instead of its generator: one that notes each prompt, or one that knows the answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import msgspec

from parbake.ports.usage import Usage
from parbake.protocol.record import Stamp
from parbake.protocol.recording import Recording
from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Prompt
from parbake_llm.ports.provider_jobs import BatchAnswer, BatchProvider, BatchRequest


class PromptIds:
    """Gives each prompt of one call the id under which it is submitted and its answer is found.

    The id is a digest of the task, the provider's model, the call's key if it has a single one, and the request. The
    same request is another one when the same call sends it again.
    """

    def __init__(self, scope: bytes) -> None:
        """Begin a call; ``scope`` is what :func:`scope_of` returns."""
        self._scope = scope
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


def scope_of(ref: str, provider: BatchProvider, key: bytes) -> bytes:
    """What the ids of a call's prompts depend on besides the prompts.

    Args:
        ref: The task's ref.
        provider: Who is asked.
        key: The bytes of the call's key; empty for a call with many keys, whose company may change.
    """
    return digest_of(ref.encode(), provider.name.encode(), provider.model.encode(), key)


def digest_of(*parts: bytes) -> bytes:
    """Sixteen bytes that differ for different sequences of parts (BLAKE2b, RFC 7693)."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


class PromptRecorder:
    """Stands for the generator while prompts are collected. A request is noted, and gets no reply."""

    def __init__(self, name: str, ids: PromptIds, note: Callable[[BatchRequest], None]) -> None:
        """Begin a call.

        Args:
            name: The generator's name.
            ids: Makes the ids of this call.
            note: Called with each request.
        """
        self.name = name
        self._ids, self._note = ids, note
        self.asked = 0
        self.has_asked = asyncio.Event()

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
        self.has_asked.set()
        await asyncio.Event().wait()
        yield Delta()  # never reached; it makes this a generator


@dataclass(frozen=True)
class GivenAnswer:
    """An answer of a job, and what was true when its prompt was made.

    Attributes:
        answer: The answer.
        stamp: The stamp that was read before the first input of the prompt.
        written_at: The time then, in epoch seconds.
    """

    answer: BatchAnswer
    stamp: Stamp
    written_at: float


class GivenAnswers:
    """The answers of a run's jobs by the ids of their requests. The tokens of each are reported once."""

    def __init__(self, provider: BatchProvider, found: Mapping[str, GivenAnswer], *, is_booked: bool = False) -> None:
        """Keep the answers.

        Args:
            provider: Who gave them.
            found: The answers, without requests that have none.
            is_booked: Whether their tokens were reported before.
        """
        self.provider = provider
        self._found = dict(found)
        self._reported = set(found) if is_booked else set[str]()

    def __len__(self) -> int:
        """How many answers there are."""
        return len(self._found)

    def get(self, custom_id: str) -> GivenAnswer | None:
        """The answer to a request; ``None`` if there is none."""
        return self._found.get(custom_id)

    def is_reported(self, custom_id: str) -> bool:
        """Whether the tokens of an answer were reported before, so that they are not booked again."""
        return custom_id in self._reported

    def usage(self, custom_id: str) -> Usage:
        """Report the tokens of an answer."""
        self._reported.add(custom_id)
        return self._found[custom_id].answer.usage


class AnswerReader:
    """A generator that replays one answer of a job. It has the name by which the provider's tokens are priced."""

    def __init__(self, provider: BatchProvider, given: GivenAnswer, usage: Callable[[], Usage] = Usage) -> None:
        """Replay an answer.

        Args:
            provider: Who gave it.
            given: The answer.
            usage: Reports the tokens; called for the last piece.
        """
        self.name, self.model = provider.name, provider.model
        self._given, self._usage = given, usage

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """See :class:`parbake_llm.ports.generator.Generator`."""
        del prompt, max_tokens, timeout_s
        answer = self._given.answer
        text = [Delta(answer.text)] if answer.text or not answer.calls else []
        *pieces, last = [*text, *(Delta(call=call) for call in answer.calls)]
        for piece in pieces:
            yield piece
        yield msgspec.structs.replace(last, usage=self._usage())


class AnsweredCall:
    """One call of a task's function that is computed from answers.

    Attributes:
        written_at: When the oldest prompt was made whose answer was used, in epoch seconds; infinite if none was.
        is_stopped: Set once a request has no answer and there is no time to ask.
        has_asked: Whether the generator was asked directly.
    """

    def __init__(self, ids: PromptIds, given: GivenAnswers, may_ask: Callable[[], bool]) -> None:
        """Begin a call.

        Args:
            ids: Makes the ids of this call.
            given: The answers.
            may_ask: Whether there is time to ask directly.
        """
        self.ids, self.given, self.may_ask = ids, given, may_ask
        self.written_at = float("inf")
        self.is_stopped = asyncio.Event()
        self.has_asked = False
        self._recording: Recording | None = None

    def begin(self, recording: Recording) -> None:
        """Learn where the call's reads are recorded."""
        self._recording = recording

    def bind(self, given: GivenAnswer) -> None:
        """Let the value count as made when the prompt was made. A change since then outdates it."""
        self.written_at = min(self.written_at, given.written_at)
        if self._recording is not None:
            self._recording.stamp = min(self._recording.stamp, given.stamp)


class Answerer:
    """Stands for the generator once answers are there. What has no answer is asked directly, or stops the call."""

    def __init__(self, direct: Generator, call: AnsweredCall, booked: Callable[[Generator], Generator]) -> None:
        """Answer the requests of a call.

        Args:
            direct: The task's own generator.
            call: The call.
            booked: Wraps a generator, so that its tokens are booked at the batch price.
        """
        self.name = direct.name
        self._direct, self._call, self._booked = direct, call, booked

    async def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """See :class:`parbake_llm.ports.generator.Generator`."""
        call = self._call
        custom_id = call.ids.of(prompt, max_tokens)
        given = call.given.get(custom_id)
        if given is None and not call.may_ask():
            call.is_stopped.set()
            await asyncio.Event().wait()  # until the call is cancelled
        if given is None:
            call.has_asked = True
            source, sent = self._direct, prompt
        else:
            call.bind(given)
            provider = call.given.provider
            if call.given.is_reported(custom_id):
                source = AnswerReader(provider, given)
            else:
                source = self._booked(AnswerReader(provider, given, partial(call.given.usage, custom_id)))
            sent = msgspec.structs.replace(prompt, prefix="")  # all its tokens have the batch price, the prefix's too
        async for delta in source.stream(sent, max_tokens=max_tokens, timeout_s=timeout_s):
            yield delta


def requests_digest(requests: Sequence[BatchRequest]) -> bytes:
    """Sixteen bytes that identify the requests of a job, in any order."""
    return digest_of(*sorted(request.custom_id.encode() for request in requests))
