"""What a generator is sent: a prompt of typed parts, in the order in which they change.

A provider's prefix cache matches from the first byte on. Each part therefore stands behind all that change less often
than itself: tools, blocks by their volatility, the conversation, and at last what exists only for this question.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import msgspec

from parbake.errors import BadInput

Volatility = Literal["rules", "policy", "shared", "user"]
"""What changes a block: a release of the program, a policy event, an event of shared data, or another user."""
VOLATILITIES: tuple[Volatility, ...] = get_args(Volatility)
Ttl = Literal["5m", "30m", "1h"]
"""How long a provider is asked to hold a prefix."""
TTL_S: dict[Ttl, float] = {"5m": 300.0, "30m": 1800.0, "1h": 3600.0}
TOOLS, CONVERSATION, QUESTION = "tools", "conversation", "question"
"""The names of the parts that are not blocks."""
RESERVED = frozenset({TOOLS, CONVERSATION, QUESTION})


class Block(msgspec.Struct, frozen=True):
    """A part of the prompt before the conversation: the same for many requests.

    ``version`` is what it was made from, such as the policy's version. It is shown to operators and never sent.
    """

    name: str
    text: str
    volatility: Volatility = "rules"
    version: str = ""


def ordered(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Sort blocks by volatility, the most stable first; blocks of the same volatility keep their order.

    Raises :class:`BadInput` for an unknown volatility.
    """
    found = tuple(blocks)
    for block in found:
        if block.volatility not in VOLATILITIES:
            raise BadInput(
                f"block {block.name!r}: volatility={block.volatility!r} must be one of {', '.join(VOLATILITIES)}",
                field="volatility",
            )
    return tuple(sorted(found, key=lambda block: VOLATILITIES.index(block.volatility)))


def everybodys(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """The blocks in front of the first one that belongs to a single user: the prefix that all users share."""
    return tuple(itertools.takewhile(lambda block: block.volatility != "user", blocks))


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call; ``parameters`` is the JSON schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


class ToolCall(msgspec.Struct, frozen=True):
    """A call that the model wants; ``arguments`` is JSON as the model wrote it, which may be malformed."""

    id: str
    name: str
    arguments: str


class Exchange(msgspec.Struct, frozen=True):
    """One round of tool calls within a request: what the model said and called, and the result of each call."""

    calls: tuple[ToolCall, ...]
    results: tuple[str, ...]
    text: str = ""


class Breakpoint(msgspec.Struct, frozen=True):
    """Where a provider is asked to end a cached prefix: after a block, after ``tools`` or after ``conversation``."""

    after: str
    ttl: Ttl = "5m"


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt in order of volatility.

    Attributes:
        tools: The functions that the model may call.
        blocks: The prefix: rules, policies, shared data, the user's profile.
        turns: The conversation so far, as (role, text), oldest first.
        evidence: What was looked up for this question.
        question: The user's message.
        exchanges: The rounds of tool calls since the question.
        breakpoints: Where a cached prefix ends; ``None`` lets the generator place them for its provider.
        prefix: The task that made the blocks, if one declared them.
        session: Names the conversation, so that it finds the cache that holds it.
    """

    tools: tuple[Tool, ...] = ()
    blocks: tuple[Block, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    evidence: tuple[str, ...] = ()
    question: str = ""
    exchanges: tuple[Exchange, ...] = ()
    breakpoints: tuple[Breakpoint, ...] | None = None
    prefix: str = ""
    session: str = ""


class MissCause(enum.StrEnum):
    """Why a request reads less from a prefix cache than it could have read."""

    COLD = "cold"
    """Nobody has sent this prefix."""
    TTL_LAPSED = "ttl_lapsed"
    """The prefix was cached, and nobody read it before its time to live ended."""
    PREFIX_CHANGED = "prefix_changed"
    """A part differs from what the same session sent last."""
    EVICTED = "evicted"
    """The prefix was cached, and the cache needed its place."""
    BELOW_MINIMUM = "below_minimum"
    """The prefix is shorter than the provider caches."""
    BEYOND_LOOKBACK = "beyond_lookback"
    """The prefix is cached, but it ends more blocks before a breakpoint than the provider looks back."""
    PROVIDER_SAYS_OTHERWISE = "provider_says_otherwise"
    """The provider reports fewer tokens than were expected."""


class Miss(msgspec.Struct, frozen=True):
    """Why and where a request leaves the cached prefix.

    Attributes:
        cause: Why.
        at: The position of the first piece, or token of a slot, that is not read.
        name: The name of that piece; empty if it has none.
    """

    cause: MissCause
    at: int = 0
    name: str = ""


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is expected to do with the tokens of one prompt; the four counts add up to the prompt.

    Attributes:
        read: Tokens read from the cache.
        write: Tokens written to a cache that lives for minutes.
        write_hour: Tokens written to a cache that lives for an hour.
        uncached: The other tokens.
        miss: Why less is read than could have been; ``None`` if everything that was cached before is read.
    """

    read: int = 0
    write: int = 0
    write_hour: int = 0
    uncached: int = 0
    miss: Miss | None = None

    @property
    def input(self) -> int:
        """The tokens of the prompt."""
        return self.read + self.write + self.write_hour + self.uncached
