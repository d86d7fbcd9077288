"""The parts of a prompt that every provider's protocol needs in the same form: tool calls, and where a prefix ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from parbake.errors import FailureKind, ProviderError
from parbake_llm.ports.prompts import CONVERSATION, TOOLS, TTL_S, Prompt, ToolCall, Ttl
from parbake_llm.writing.placement import CacheRules


def rounds(prompt: Prompt) -> Iterator[tuple[str, list[tuple[ToolCall, str]]]]:
    """Yield each round of tool calls: what the model said, and its calls with their results.

    Raises :class:`ProviderError` if a round has not one result for each call.
    """
    for at, exchange in enumerate(prompt.exchanges, start=1):
        if len(exchange.calls) != len(exchange.results) or not exchange.calls:
            found = f"{len(exchange.calls)} calls and {len(exchange.results)} results"
            message = f"round {at} of the tool calls has {found}; give one result for each call"
            raise ProviderError(message, field="exchanges", kind=FailureKind.REJECTED)
        yield exchange.text, list(zip(exchange.calls, exchange.results, strict=True))


def marks(prompt: Prompt, rules: CacheRules) -> Mapping[str, Ttl]:
    """Where a cached prefix ends: for each such part, how long it is to live, as far as the provider can.

    A breakpoint after a part that is empty marks nothing, since there is nothing to send. One after a part that does
    not exist raises :class:`ProviderError`.

    Args:
        prompt: The prompt, with its breakpoints placed.
        rules: How the provider caches.
    """
    if rules.mechanism != "breakpoints":
        return {}
    known = {TOOLS, CONVERSATION, *(block.name for block in prompt.blocks)}
    found: dict[str, Ttl] = {}
    for one in prompt.breakpoints or ():
        if one.after not in known:
            message = f"a breakpoint stands after {one.after!r}, but no block has that name"
            raise ProviderError(message, field="breakpoints", kind=FailureKind.REJECTED)
        found[one.after] = fitting(one.ttl, rules.ttls)
    return found


def fitting(ttl: Ttl, offered: tuple[Ttl, ...]) -> Ttl:
    """The shortest time to live that a provider offers and that is long enough, or else its longest."""
    longest = ttl
    for one, seconds in TTL_S.items():  # shortest first
        if one in offered:
            longest = one
            if seconds >= TTL_S[ttl]:
                return one
    return longest
