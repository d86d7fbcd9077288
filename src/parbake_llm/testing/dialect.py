"""What a protocol must be able to say, so that the box can speak it and break off in the middle."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from parbake_llm.testing.prefixes import BoxCache, CacheUsage, Refusal
from parbake_llm.testing.script import DialectName, ScriptedReply
from parbake_llm.testing.tokens import counted

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_WORD = re.compile(r"\S+\s*|\s+")


class WireDialect(ABC):
    """A protocol. The document of a request is checked as far as the generators could get it wrong."""

    name: ClassVar[DialectName]
    content_type: ClassVar[str] = "text/event-stream"

    @abstractmethod
    def key(self, headers: Mapping[str, str]) -> str:
        """The key in a request's headers; empty if there is none."""

    @abstractmethod
    def usage(self, body: Mapping[str, Any], model: str, cache: BoxCache, minimum: int) -> CacheUsage:
        """Check a request and look up its prefix.

        Args:
            body: The document that was sent.
            model: The model's name.
            cache: The cache to read and write.
            minimum: The least tokens of a prefix that is cached.

        Raises:
            Refusal: The request is wrong.
        """

    @abstractmethod
    def refusal(self, status: int, message: str) -> tuple[bytes, dict[str, str]]:
        """The document of an error's answer, and its headers."""

    @abstractmethod
    def opening(self, reply: ScriptedReply, usage: CacheUsage, model: str) -> Iterable[bytes]:
        """The frames before the text.

        Args:
            reply: The reply.
            usage: The tokens of the prompt.
            model: The model's name.
        """

    @abstractmethod
    def text(self, piece: str) -> bytes:
        """The frame of a piece of text."""

    @abstractmethod
    def closing(self, reply: ScriptedReply, usage: CacheUsage) -> Iterable[bytes]:
        """The frames after the text: tool calls, why the reply ended, and the tokens."""

    @abstractmethod
    def malformed(self) -> bytes:
        """A frame that cannot be read."""

    @abstractmethod
    def error(self) -> bytes:
        """The frame of an error in the middle of a reply."""


def words(text: str) -> list[str]:
    """The pieces in which a text is streamed: its words, each with the space after it."""
    return _WORD.findall(text)


def halves(text: str) -> Iterator[str]:
    """A text in two pieces, such as arguments that are streamed; nothing for an empty text."""
    middle = (len(text) + 1) // 2
    yield from filter(None, (text[:middle], text[middle:]))


def output_tokens(reply: ScriptedReply) -> int:
    """The tokens of a reply: its text, its calls, and its reasoning."""
    return counted(reply.text) + sum(counted(call.name + call.arguments) for call in reply.calls) + reply.reasoning


def check_schema(name: Any, schema: Any) -> None:
    """Raise :class:`Refusal` unless a tool has a plain name and its schema is that of an object."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Refusal(400, "a tool's name must have 1 to 64 letters, digits, underscores or hyphens")
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise Refusal(400, f"the schema of the tool {name} must be that of an object")


def check_results(called: list[str], answered: list[str]) -> None:
    """Raise :class:`Refusal` unless every tool call has one result right after it."""
    if sorted(called) != sorted(answered):
        raise Refusal(400, "each tool call needs one result in the message after it")


def check_calls(messages: Iterable[tuple[list[str], list[str]]]) -> None:
    """Raise :class:`Refusal` unless the message after tool calls has their results.

    Args:
        messages: The ids that each message has results of, and those of the calls in it.
    """
    called: list[str] = []
    for answered, calls in [*messages, ([], [])]:
        check_results(called, answered)
        called = calls


def require(body: Mapping[str, Any], name: str, kind: type) -> Any:
    """A member of the document; raises :class:`Refusal` if it is missing, empty or of another type.

    Args:
        body: The document.
        name: The member.
        kind: The type that it must have.
    """
    found = body.get(name)
    if not isinstance(found, kind) or not found:
        raise Refusal(400, f"{name}: a value of type {kind.__name__} is required")
    return found


def dumped(document: Any) -> str:
    """A document as JSON that is the same for equal documents."""
    return json.dumps(document, sort_keys=True)
