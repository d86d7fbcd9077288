"""Ways to use a provider's prompt cache that need no prediction."""

from __future__ import annotations

from collections.abc import Container, Sequence

from parbake_llm.caching.asked import Asked
from parbake_llm.caching.held import HeldPrefixes, Lapsing, Mark
from parbake_llm.caching.pricing import HOUR_TTL, LOOKBACK, MOST_MARKS
from parbake_llm.caching.strategy_names import AUTOMATIC, BY_VOLATILITY, HOUR, LAST, MINUTES, NONE, WARM


class CachingPolicy:
    """Decides about each request from the requests before it. This one sends all of them without a breakpoint."""

    name = NONE
    lookback: int | None = None
    """The blocks before the prompt's end among which an entry is found; ``None`` for all, with a breakpoint there."""

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        """Where to set breakpoints behind what is read.

        Args:
            request: The request, which is being sent.
            read: How many of its blocks are read from the cache.
        """
        del request, read
        return ()

    def keep(self, lapsing: Lapsing, held: HeldPrefixes) -> int:
        """To which depth a lapsing prefix is warmed; 0 for not at all.

        Args:
            lapsing: The prefix.
            held: What the provider holds.
        """
        del lapsing, held
        return 0

    def saw(self, request: Asked) -> None:
        """Learn that a request came, after it was decided."""


class LastBlock(CachingPolicy):
    """One breakpoint at the end of each prompt, from which the provider looks back."""

    name = LAST
    lookback = LOOKBACK

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        depth = len(request.blocks)
        return (Mark(depth),) if depth > read else ()


class Automatic(CachingPolicy):
    """What a provider without breakpoints does, at the same prices: it writes every block, and finds each."""

    name = AUTOMATIC

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        return [Mark(depth) for depth in range(read + 1, len(request.blocks) + 1)]


class AlwaysMark(CachingPolicy):
    """Every request marks its end, the block before, and where it leaves what was sent before.

    This is the rule of thumb for a shared prefix, a conversation that grows, and a last message that differs.
    """

    def __init__(self, *, hour: bool = False, warm: bool = False) -> None:
        """Mark for minutes or for an hour; ``warm`` keeps each prefix until an hour after its last request."""
        self.name = WARM if warm else HOUR if hour else MINUTES
        self._hour, self._warm = hour, warm
        self._last: dict[int, float] = {}

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        depth = len(request.blocks)
        wanted = {_seen_depth(request, self._last), depth - 1, depth}
        found = [Mark(at, self._hour) for at in sorted(wanted) if at > read]
        return found[-MOST_MARKS + (read > 0) :]

    def keep(self, lapsing: Lapsing, held: HeldPrefixes) -> int:
        del held
        seen = self._last[lapsing.request.blocks[lapsing.depth - 1]]
        return lapsing.depth if self._warm and lapsing.at - seen < HOUR_TTL else 0

    def saw(self, request: Asked) -> None:
        self._last.update(dict.fromkeys(request.blocks, request.at))


class ByVolatility(CachingPolicy):
    """What servers do without a plan: everybody's part is marked for an hour, a conversation for minutes.

    It is asked about the requests of one trace in their order.
    """

    name = BY_VOLATILITY

    def __init__(self, shared: Sequence[int], *, hour: bool) -> None:
        """Know the prompts' parts.

        Args:
            shared: For each request of the trace, how many of its blocks everybody shares.
            hour: Whether the provider offers an hour.
        """
        self._shared, self._hour, self._at = shared, hour, 0

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        shared, depth = self._shared[self._at], len(request.blocks)
        found = (Mark(shared, self._hour), Mark(depth)) if shared < depth else (Mark(depth, self._hour),)
        return [mark for mark in found if mark.depth > read]

    def saw(self, request: Asked) -> None:
        del request
        self._at += 1


def _seen_depth(request: Asked, seen: Container[int]) -> int:
    """How many blocks of a request were sent before."""
    return next((at for at, block in enumerate(request.blocks) if block not in seen), len(request.blocks))
