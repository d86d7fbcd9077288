"""The provider in a box: its addresses, its clock, its replies, and the requests that it received."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from types import TracebackType
from typing import ClassVar, Self

from parbake.ports.clock import Clock
from parbake.testing.clocks import FakeClock
from parbake_llm.testing.dialect import WireDialect
from parbake_llm.testing.prefixes import BoxCache, CacheUsage, Refusal
from parbake_llm.testing.script import Answer, BoxRequest, Script, ScriptedReply
from parbake_llm.testing.server import BoxHandler, serving

KEY = "box-key-0123456789"


class ProviderBox:
    """A local server with the protocols of three providers. Use it as a context manager.

    Attributes:
        key: The key that it accepts; with Bedrock, the id of the access key.
        requests: The requests in the order in which they arrived.
        minimum: The least tokens of a prefix that is cached; a token is four characters.
        retry_after_s: What refusals ask to wait, in seconds; ``None`` if they do not ask.
        slow_s: How long the fault ``slow`` sends nothing, in seconds.
        clock: The clock of the caches.
    """

    handler: ClassVar[type[BoxHandler]] = BoxHandler

    def __init__(self, *, key: str = KEY, minimum: int = 1024, clock: Clock | None = None) -> None:
        """Create the box; it serves once it is entered.

        Args:
            key: The key that it accepts.
            minimum: The least tokens of a prefix that is cached.
            clock: The clock of the caches, if not one of its own that :meth:`advance` moves.
        """
        self.key, self.minimum = key, minimum
        self.retry_after_s: float | None = None
        self.slow_s = 60.0
        self.requests: list[BoxRequest] = []
        self.has_closed = threading.Event()
        self.clock: Clock = clock or FakeClock()
        self._cache = BoxCache(self.clock.now)
        self._script = Script()
        self._open = ExitStack()
        self._port = 0

    def __enter__(self) -> Self:
        """Start to serve."""
        self._port = self._open.enter_context(serving(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and end every reply."""
        self._open.close()

    @property
    def openai_url(self) -> str:
        """The base URL for clients of OpenAI."""
        return f"{self.root}/openai/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL for clients of Anthropic."""
        return f"{self.root}/anthropic"

    @property
    def bedrock_url(self) -> str:
        """The endpoint's URL for clients of Bedrock and its runtime."""
        return f"{self.root}/bedrock"

    def reply(self, *replies: str | ScriptedReply | Answer) -> None:
        """Say what to reply: texts and scripted replies are given once and in order, a function whenever none is left.

        The function gets each request, from many threads at once. A fault of the model's name keeps the replies.
        """
        for each in replies:
            self._script.add(each)

    def advance(self, seconds: float) -> None:
        """Let time pass for the caches. Raises :class:`RuntimeError` if the box has a clock of yours."""
        if not isinstance(self.clock, FakeClock):
            raise RuntimeError("this box has another clock: advance that one")  # noqa: TRY004 - no argument is wrong
        self.clock.advance(seconds)

    def evict(self) -> None:
        """Forget every cached prefix."""
        self._cache.clear()

    def accept(self, dialect: WireDialect, request: BoxRequest) -> tuple[ScriptedReply, CacheUsage]:
        """Check a request and choose the reply; called by the server.

        Args:
            dialect: The protocol.
            request: The request.

        Raises:
            Refusal: The request is wrong.
        """
        if not request.model:
            raise Refusal(400, "model: a name is required")
        usage = dialect.usage(request.body, request.model, self._cache, self.minimum)
        return self._script.reply(request), usage

    @property
    def root(self) -> str:
        """The address of the server. Raises :class:`RuntimeError` while it does not serve."""
        if not self._port:
            raise RuntimeError("the box serves only as a context manager: with ProviderBox() as box: ...")
        return f"http://127.0.0.1:{self._port}"
