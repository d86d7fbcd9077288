"""What the proxy needs to know of a protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from parbake.ports.usage import Usage
from parbake_proxy.wire.events import Event

Document = dict[str, Any]


class NoQuestion(Exception):
    """A request that is passed on without the cache. Its text is the reason code."""


class Question(msgspec.Struct, frozen=True):
    """What a request asks.

    Attributes:
        text: The question: the text of the last message.
        context: Everything else that shapes the answer.
        model: The model's name.
    """

    text: str
    context: Any
    model: str


class Dialect(Protocol):
    """A protocol of a provider."""

    @property
    def provider(self) -> str:
        """The provider's name, as in a price book."""
        ...

    @property
    def path(self) -> str:
        """The path of its requests."""
        ...

    def question(self, body: Document) -> Question:
        """Read the question of a request; raises :class:`NoQuestion` for one that cannot be answered from a cache."""
        ...

    def is_complete(self, answer: Document) -> bool:
        """Whether a whole answer may be stored: it ended by itself, and consists of text only."""
        ...

    def whole(self, events: Sequence[Event]) -> Document | None:
        """Make a whole answer of a stream's events; ``None`` if it cannot be given again."""
        ...

    def again(self, answer: Document, now: float) -> Document:
        """Return a stored answer as a new one: with an id and a time of its own.

        Args:
            answer: The stored answer.
            now: Seconds since the epoch.
        """
        ...

    def pieces(self, answer: Document, body: Document) -> Iterable[bytes]:
        """Give a whole answer as the events of a stream.

        Args:
            answer: The answer.
            body: The request, which says what its stream contains.
        """
        ...

    def text(self, answer: Document) -> str:
        """The text of a whole answer."""
        ...

    def usage(self, answer: Mapping[str, Any]) -> Usage:
        """The tokens of an answer, as far as it reports them."""
        ...


def only_text(message: Document) -> tuple[str, list[Document]]:
    """The text of a message that consists of one text, and all that stands beside it, in the message or in its part.

    Raises:
        NoQuestion: The message does not consist of one text.
    """
    content, beside_text = message.get("content"), Document()
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        part = content[0]
        content = part.get("text") if part.get("type") == "text" else None
        beside_text = _without(part, "type", "text")
    if not isinstance(content, str):
        raise NoQuestion("not_a_text")
    return content, [_without(message, "role", "content"), beside_text]


def _without(document: Document, *names: str) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def last_of(body: Document) -> tuple[Document, list[Any]]:
    """The last message of a request, which a user has sent, and the earlier ones; raises :class:`NoQuestion`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise NoQuestion("no_messages")
    last: Document = messages[-1]
    if last.get("role") != "user":
        raise NoQuestion("not_of_a_user")  # the result of a tool, or an answer to be continued
    return last, messages[:-1]


def counted(usage: Any, name: str) -> int | None:
    """A number of tokens in a report; ``None`` if it does not say one."""
    found = usage.get(name) if isinstance(usage, dict) else None
    return found if isinstance(found, int) else None
