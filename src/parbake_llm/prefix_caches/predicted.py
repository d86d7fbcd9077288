"""What a prefix cache is asked and what is expected of it, as data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from parbake_llm.ports.prompts import Prediction, Ttl

T_contra = TypeVar("T_contra", contravariant=True)


class Piece(msgspec.Struct, frozen=True):
    """A part of a prompt that is equal to another or not, never half of it.

    Attributes:
        digest: The hash of its text. Equal digests mean equal texts.
        tokens: Its length.
        name: The name of the part that it belongs to, for people.
        ttl: How long the prefix that ends with it is asked to live; ``None`` if no breakpoint stands after it.
        volatile: Whether it is expected to differ in each request, such as the question. It never explains a miss.
    """

    digest: str
    tokens: int
    name: str = ""
    ttl: Ttl | None = None
    volatile: bool = False


class PrefixCache(Protocol[T_contra]):
    """Predicts what a provider's prefix cache reads of a prompt. It has no clock and does no I/O.

    A prompt is a sequence of :class:`Piece`, or of token ids for an engine of one's own. An implementation is not
    thread-safe.
    """

    def predict(self, session: str, prompt: Sequence[T_contra], *, now: float) -> Prediction:
        """Predict what is read and written if a prompt is sent now; changes nothing.

        Args:
            session: The conversation, whose earlier prompts explain a miss; empty if there is none.
            prompt: The prompt.
            now: The time, in seconds; never earlier than in the call before.
        """
        ...

    def sent(self, session: str, prompt: Sequence[T_contra], *, now: float, reply: Sequence[T_contra] = ()) -> None:
        """Note that a prompt was sent, and what the cache holds since then.

        Args:
            session: The conversation; empty if there is none.
            prompt: The prompt.
            now: The time, in seconds; never earlier than in the call before.
            reply: What the model wrote, where the cache holds that too.
        """
        ...
