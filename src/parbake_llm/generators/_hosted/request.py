"""One request to a hosted model: limits for its time and its tries, and a typed error for every failure."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import math
import random
import re
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import nullcontext
from typing import Any, Self

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake_llm.generators._breaker import Breaker
from parbake_llm.generators._hosted.clients.failures import RETRYABLE, FailureCause
from parbake_llm.generators._hosted.clients.keys import masked
from parbake_llm.generators._hosted.endpoint import C, Endpoint
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.limits import Limits
from parbake_llm.ports.prompts import Prompt
from parbake_llm.writing.placement import CacheRules, placed

_log = logging.getLogger("parbake_llm.generators")
_URL = re.compile(r"\"?https?://[^\s\"]+\"?")
_RETRY_S = (0.05, 0.25)
"""The seconds before a retry if the provider does not say how long to wait: drawn between these two."""
_LEAST_S = 0.2
"""A retry is made only if so many seconds remain for it."""
UNWRITABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What is raised for a prompt that cannot be written as a request; no fault of the provider."""
_SPENT = 0.1
"""The share of its time that remains to a request at most if its reader leaves because that time is over."""
_LONGEST_TOKEN = 32
"""A reply may have so many characters for each token that was asked for, and never needs more."""
_SLACK = 1000
"""So many characters more are allowed in every reply."""


def _nobody() -> None:
    """Tell nobody that an answer has begun."""


class Attempt:
    """A request that is tried: how long it may take, and how far it got."""

    def __init__(self, seconds: float, first_s: float = math.inf) -> None:
        """Begin now, for some seconds, of which at most ``first_s`` may pass until the reply begins."""
        self.seconds, self.first_s = seconds, first_s
        self._end = time.monotonic() + seconds
        self._first = time.monotonic() + first_s
        self._waiting: asyncio.Timeout | None = None
        self.is_open = False
        """Whether the response has begun."""
        self.has_begun = False
        """Whether anything of a reply has arrived."""

    def left(self) -> float:
        """The seconds that remain; never less than 0."""
        return max(0.0, self._end - time.monotonic())

    def begun(self) -> None:
        """Something of the reply has arrived, so that only the limit of the whole request holds from now on."""
        if not self.has_begun:
            self.has_begun = True
            if self._waiting is not None and not self._waiting.expired():
                self._waiting.reschedule(asyncio.get_running_loop().time() + self.left())

    async def next(self, pieces: AsyncIterator[Delta]) -> Delta | None:
        """The next piece, or ``None`` after the last. Only the wait for it is limited, not what the caller does."""
        first_s = math.inf if self.has_begun else max(0.0, self._first - time.monotonic())
        async with asyncio.timeout(min(self.left(), first_s)) as self._waiting:
            return await anext(pieces, None)


class Hosted(Endpoint[C]):
    """A generator for a model that a provider hosts. Subclasses speak the provider's protocol.

    A provider that keeps failing is not asked for a while: see :class:`parbake_llm.ports.limits.Limits`.

    Attributes:
        calls_tools: Whether it can call the tools of a prompt.
        limits: What a request may take.
    """

    calls_tools = True

    def __init__(self, client: C, *, model: str, rules: CacheRules, options: Mapping[str, Any] | None) -> None:
        """Keep the settings; see :class:`Endpoint`.

        Args:
            client: The client.
            model: The model's name at the provider.
            rules: How the provider caches prefixes.
            options: Further fields of each request.
        """
        super().__init__(client, model=model, rules=rules, options=options)
        self.limits = Limits()
        self._breaker: Breaker | None = _breaker_of(self.limits)

    def limited(self, limits: Limits) -> Self:
        """The same generator with other limits, and a circuit breaker of its own."""
        return self._changed(limits=limits, _breaker=_breaker_of(limits))

    def configured(self, environment: Mapping[str, str]) -> Self:
        """Take the limits from the environment, by the name of the kind of generator, such as ``OPENAI_FIRST_S``."""
        return self.limited(Limits.from_environment(environment, self.name.upper()))

    def named(self, name: str) -> Self:
        """The same generator under another name, by which its tokens are priced apart from those of others."""
        if not isinstance(name, str) or not name.strip():
            message = f"name={name!r} must be a text that is not empty"
            raise ProviderError(message, field="name", kind=FailureKind.REJECTED)
        return self._changed(name=name)

    def unguarded(self) -> Self:
        """The same generator without its circuit breaker, for a chain, which has one for it."""
        return self._changed(_breaker=None)

    def _changed(self, **attributes: Any) -> Self:
        found = copy.copy(self)
        vars(found).update(attributes)
        return found

    def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply: text, complete tool calls, and with the last piece the usage as the provider reports it.

        The time begins with this call. A failure that is likely to pass is tried again as often as the limits say,
        before the first piece and within the time.

        Args:
            prompt: What the model is sent.
            max_tokens: The greatest length of the reply.
            timeout_s: The time for the whole request, in seconds; the limits may allow less.

        Raises:
            ProviderError: The provider rejected the request, failed, ended early, or sent malformed output; or it has
                failed too often just now, and is not asked.
            MissingDependency: The client is not installed.
        """
        return self._guarded(prompt, max_tokens, Attempt(min(timeout_s, self.limits.total_s), self.limits.first_s))

    @abstractmethod
    def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        """Ask once."""

    async def _guarded(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        """The reply, if the breaker lets the request through."""
        breaker = self._breaker
        with nullcontext(_nobody) if breaker is None else breaker.asking(self.name) as begun:
            try:
                async with contextlib.aclosing(self._within(prompt, max_tokens, attempt)) as pieces:
                    async for delta in pieces:
                        begun()
                        yield delta
            except (asyncio.CancelledError, GeneratorExit):
                # A caller whose own deadline is the same may be faster: the provider has hung all the same.
                if breaker is not None and not attempt.has_begun and attempt.left() < _SPENT * attempt.seconds:
                    breaker.failed(FailureKind.TIMEOUT)
                raise

    async def _within(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        tries = self.limits.tries
        while True:
            try:
                async with contextlib.aclosing(self._checked(prompt, max_tokens, attempt)) as pieces:
                    async for delta in pieces:
                        tries = 0
                        yield delta
            except MissingDependency:
                raise
            except Exception as error:  # noqa: BLE001  # raised below, without the original, which may contain the key
                cause = self._why(error, attempt)
                failed = self._error(error, cause, attempt)
            else:
                return
            tries -= 1
            if tries <= 0 or not await _waited(cause, attempt):
                break
            attempt.is_open = attempt.has_begun = False
        raise failed

    async def _checked(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        """The pieces of one attempt, each in time, until they are far too many."""
        longest, length = max_tokens * _LONGEST_TOKEN + _SLACK, 0
        async with contextlib.aclosing(self._attempt(placed(prompt, self.rules), max_tokens, attempt)) as pieces:
            while (delta := await attempt.next(pieces)) is not None:
                length += len(delta.text)
                if length > longest:
                    raise self._endless(max_tokens)
                yield delta
                await asyncio.sleep(0)  # pieces that arrived together would keep other requests waiting

    def _why(self, error: Exception, attempt: Attempt) -> FailureCause:
        if isinstance(error, ProviderError):
            return FailureCause(error.kind, str(error))
        if isinstance(error, TimeoutError) or attempt.left() <= 0:
            return FailureCause(FailureKind.TIMEOUT, "")
        found = self._client.cause(error, is_open=attempt.is_open)
        if found.kind is FailureKind.UNKNOWN and isinstance(error, UNWRITABLE) and not attempt.is_open:
            return FailureCause(FailureKind.REJECTED, f"the prompt cannot be written as a request: {found.said}")
        return found

    def _error(self, error: Exception, cause: FailureCause, attempt: Attempt) -> ProviderError:
        """The error to raise, without keys and addresses, because clients are shown its text."""
        said = _URL.sub("its address", masked(cause.said, self._client.secrets)) or type(error).__name__
        field, what = self.name, f"failed: {said}"
        if isinstance(error, ProviderError):
            return ProviderError(said, field=error.field, kind=cause.kind)
        if cause.kind is FailureKind.UNREACHABLE:
            where, setting = self._client.where, self._client.setting if self._client.where else ""
            what, field = f"was not reached: {said}" + (f"; check {setting}" if setting else ""), setting or self.name
            _log.warning("%s was not reached at %s: %s", self.name, where or "the provider's own address", said)
        elif cause.kind is FailureKind.TIMEOUT:
            what = f"did not finish within {attempt.seconds:.3g} s"
            if not attempt.has_begun and attempt.left() > 0:
                what = f"did not begin to reply within {attempt.first_s:.3g} s"
        elif cause.kind is FailureKind.AUTH:
            what, field = f"rejected {self._client.keys}", self._client.keys.partition(" ")[0]
        elif cause.kind in {FailureKind.CUT, FailureKind.MALFORMED}:
            what = f"sent a reply that cannot be read: {said}"
        return ProviderError(f"the provider {what}", field=field, kind=cause.kind)

    def _endless(self, max_tokens: int) -> ProviderError:
        message = f"the provider wrote far more than the {max_tokens} tokens that were asked for"
        return ProviderError(message, field=self.name, kind=FailureKind.TOO_LONG)


def _breaker_of(limits: Limits) -> Breaker:
    return Breaker(after=limits.failures, cooldown_s=limits.pause_s)


async def _waited(cause: FailureCause, attempt: Attempt) -> bool:
    """Wait until a retry makes sense; ``False`` at once if it never does within the time that remains."""
    pause = random.uniform(*_RETRY_S) if cause.retry_after_s is None else cause.retry_after_s  # noqa: S311 - spreads the retries of many callers; no secret
    if cause.kind not in RETRYABLE or pause + _LEAST_S > attempt.left():
        return False
    await asyncio.sleep(pause)
    return True
