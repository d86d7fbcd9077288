"""One request to a hosted model: a deadline for all of it, at most one retry, and a typed error for every failure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake_llm.generators._hosted.clients.failures import RETRYABLE, FailureCause
from parbake_llm.generators._hosted.clients.keys import masked
from parbake_llm.generators._hosted.endpoint import C, Endpoint
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import Prompt
from parbake_llm.writing.placement import placed

_log = logging.getLogger("parbake_llm.generators")
_URL = re.compile(r"\"?https?://[^\s\"]+\"?")
_RETRY_S = (0.05, 0.25)
"""The seconds before a retry if the provider does not say how long to wait: drawn between these two."""
_LEAST_S = 0.2
"""A retry is made only if so many seconds remain for it."""
UNWRITABLE = (AttributeError, LookupError, TypeError, ValueError)
"""What is raised for a prompt that cannot be written as a request; no fault of the provider."""
_LONGEST_TOKEN = 32
"""A reply may have so many characters for each token that was asked for, and never needs more."""
_SLACK = 1000
"""So many characters more are allowed in every reply."""


class Attempt:
    """One attempt of a request: how long it may take, and how far it got."""

    def __init__(self, seconds: float) -> None:
        """Begin now, for some seconds."""
        self._end = time.monotonic() + seconds
        self.is_open = False
        """Whether the response has begun."""

    def left(self) -> float:
        """The seconds that remain; never less than 0."""
        return max(0.0, self._end - time.monotonic())


class Hosted(Endpoint[C]):
    """A generator for a model that a provider hosts. Subclasses speak the provider's protocol.

    Attributes:
        calls_tools: Whether it can call the tools of a prompt.
    """

    calls_tools = True

    def stream(self, prompt: Prompt, *, max_tokens: int, timeout_s: float) -> AsyncIterator[Delta]:
        """Stream a reply: text, complete tool calls, and with the last piece the usage as the provider reports it.

        The time begins with this call. A failure is retried at most once, before the first piece and within the time.

        Args:
            prompt: What the model is sent.
            max_tokens: The greatest length of the reply.
            timeout_s: The time for the whole request, in seconds.

        Raises:
            ProviderError: The provider rejected the request, failed, ended early, or sent malformed output.
            MissingDependency: The client is not installed.
        """
        return self._within(prompt, max_tokens, Attempt(timeout_s), timeout_s)

    @abstractmethod
    def _attempt(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        """Ask once."""

    async def _within(
        self, prompt: Prompt, max_tokens: int, attempt: Attempt, timeout_s: float
    ) -> AsyncGenerator[Delta, None]:
        may_retry = True
        while True:
            try:
                async with contextlib.aclosing(self._checked(prompt, max_tokens, attempt)) as pieces:
                    async for delta in pieces:
                        may_retry = False
                        yield delta
            except MissingDependency:
                raise
            except Exception as error:  # noqa: BLE001  # raised below, without the original, which may contain the key
                cause = self._why(error, attempt)
                failed = self._error(error, cause, timeout_s)
            else:
                return
            if not may_retry or not await _waited(cause, attempt):
                break
            attempt.is_open = may_retry = False
        raise failed

    async def _checked(self, prompt: Prompt, max_tokens: int, attempt: Attempt) -> AsyncGenerator[Delta, None]:
        """The pieces of one attempt, each in time, until they are far too many."""
        longest, length = max_tokens * _LONGEST_TOKEN + _SLACK, 0
        async with contextlib.aclosing(self._attempt(placed(prompt, self.rules), max_tokens, attempt)) as pieces:
            while (delta := await _next(pieces, attempt.left())) is not None:
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

    def _error(self, error: Exception, cause: FailureCause, timeout_s: float) -> ProviderError:
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
            what = f"did not finish within {timeout_s:.3g} s"
        elif cause.kind is FailureKind.AUTH:
            what, field = f"rejected {self._client.keys}", self._client.keys.partition(" ")[0]
        elif cause.kind in {FailureKind.CUT, FailureKind.MALFORMED}:
            what = f"sent a reply that cannot be read: {said}"
        return ProviderError(f"the provider {what}", field=field, kind=cause.kind)

    def _endless(self, max_tokens: int) -> ProviderError:
        message = f"the provider wrote far more than the {max_tokens} tokens that were asked for"
        return ProviderError(message, field=self.name, kind=FailureKind.TOO_LONG)


async def _next(pieces: AsyncIterator[Delta], seconds: float) -> Delta | None:
    """The next piece, or ``None`` after the last. Only the wait for it is limited, not what the caller does between."""
    async with asyncio.timeout(seconds):
        return await anext(pieces, None)


async def _waited(cause: FailureCause, attempt: Attempt) -> bool:
    """Wait until a retry makes sense; ``False`` at once if it never does within the time that remains."""
    pause = random.uniform(*_RETRY_S) if cause.retry_after_s is None else cause.retry_after_s  # noqa: S311 - spreads the retries of many callers; no secret
    if cause.kind not in RETRYABLE or pause + _LEAST_S > attempt.left():
        return False
    await asyncio.sleep(pause)
    return True
