"""What the box is asked, and what it is told to answer."""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from parbake_llm.ports.prompts import ToolCall
from parbake_llm.testing.prefixes import CacheUsage

DialectName = Literal["openai", "anthropic", "bedrock"]
_FLAKY = re.compile(r"flaky-(\d+)")


class ProviderFault(StrEnum):
    """What can go wrong. A model with such a name has the fault in every request."""

    DOWN = "down"
    """The connection is closed without a response."""
    RATE_LIMITED = "429"
    OVERLOADED = "529"
    BROKEN = "500"
    """An answer with an error's status; 529 is Anthropic's, the other dialects say 503 instead."""
    SLOW = "slow"
    """Nothing is sent for ``ProviderBox.slow_s`` seconds, or until the box is closed."""
    CUT = "cut"
    """The connection ends in the middle of the reply."""
    MALFORMED = "broken-json"
    """The reply breaks off into an event that cannot be read."""
    ERROR_EVENT = "error-event"
    """The reply breaks off with an error of the provider."""
    ENDLESS = "endless"
    """The reply does not end."""


@dataclass(frozen=True)
class ScriptedReply:
    """One reply of the box.

    Attributes:
        text: What it says.
        calls: The tools that it calls after that.
        fault: What goes wrong; a fault in the middle of a reply happens halfway through its text.
        reasoning: How many of its tokens are reported as reasoning.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    fault: ProviderFault | None = None
    reasoning: int = 0


@dataclass(frozen=True)
class BoxRequest:
    """One request that the box received.

    Attributes:
        dialect: The protocol.
        model: The model's name.
        body: The document that was sent.
        headers: The headers in lower case, without those that hold a key.
        usage: The tokens of the prompt; ``None`` if the request was refused.
        status: The HTTP status of the answer; 0 if there was none.
    """

    dialect: DialectName
    model: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    usage: CacheUsage | None = None
    status: int = 200


Answer = Callable[[BoxRequest], str | ScriptedReply]
"""Chooses the reply to a request."""


def _said_last(request: BoxRequest) -> str | ScriptedReply:
    """The default reply: two sentences, the same for every request."""
    return f"This is the reply of {request.model}. It has two sentences."


class Script:
    """The replies in order, and how often a flaky model has failed. Safe for many threads."""

    def __init__(self) -> None:
        """Begin without replies."""
        self._next: deque[ScriptedReply] = deque()
        self._answer: Answer = _said_last
        self._failures: dict[tuple[DialectName, str], int] = {}
        self._lock = threading.Lock()

    def add(self, reply: str | ScriptedReply | Answer) -> None:
        """Add a reply that is given once, or replace the function that answers when none is left."""
        with self._lock:
            if isinstance(reply, str | ScriptedReply):
                self._next.append(_reply(reply))
            else:
                self._answer = reply

    def reply(self, request: BoxRequest) -> ScriptedReply:
        """Choose the reply to a request that was accepted."""
        fault = self._fault(request)
        with self._lock:
            is_kept = fault is not None and fault is not ProviderFault.ENDLESS
            found = None if is_kept or not self._next else self._next.popleft()
            answer = self._answer
        found = found or _reply(answer(request))
        return ScriptedReply(found.text, found.calls, fault or found.fault, found.reasoning)

    def _fault(self, request: BoxRequest) -> ProviderFault | None:
        if match := _FLAKY.fullmatch(request.model):
            with self._lock:
                made = self._failures.get((request.dialect, request.model), 0)
                self._failures[request.dialect, request.model] = made + 1
            return ProviderFault.OVERLOADED if made < int(match[1]) else None
        return ProviderFault(request.model) if request.model in list(ProviderFault) else None


def _reply(said: str | ScriptedReply) -> ScriptedReply:
    return ScriptedReply(said) if isinstance(said, str) else said
