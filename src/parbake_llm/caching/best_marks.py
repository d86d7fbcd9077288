"""Where to mark a prompt: at most so many breakpoints, longer times to live before shorter ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from parbake_llm.caching.asked import Asked
from parbake_llm.caching.held import Mark
from parbake_llm.caching.pricing import MOST_MARKS, CachePrices
from parbake_llm.caching.worth import Worth

V = TypeVar("V")


class Candidate(NamedTuple):
    """A depth that may be marked.

    Attributes:
        depth: The blocks before the breakpoint.
        tokens: The tokens before it.
        minutes: The worth per token of all that ends here, if it is held for minutes, beyond not holding it.
        hour: The same for an hour.
    """

    depth: int
    tokens: int
    minutes: float
    hour: float


def changes(blocks: Sequence[object], read: int) -> list[int]:
    """The depths behind what is read at which the next block is of another kind, and the end of the prompt.

    Args:
        blocks: The kind of each block.
        read: How many blocks are read from the cache.
    """
    length = len(blocks)
    return [at for at in range(read + 1, length + 1) if at == length or blocks[at] != blocks[at - 1]]


def chosen_marks(
    request: Asked, values: Sequence[V], worth: Callable[[V], Worth], *, read: int, prices: CachePrices
) -> tuple[Mark, ...]:
    """Choose the breakpoints of a request by what holding its prefixes is worth.

    Args:
        request: The request.
        values: What the worth of the prefix that ends with each block depends on, shape (blocks,).
        worth: The worth of a prefix, by its value.
        read: How many blocks are read from the cache.
        prices: The prices.
    """
    found = [
        Candidate(depth, request.until(depth), one.minutes - one.none, one.hour - one.none)
        for depth in changes(values, read)
        for one in (worth(values[depth - 1]),)
    ]
    is_offered = prices.write_hour is not None
    return best_marks(found, read=request.until(read), most=MOST_MARKS - (read > 0), prices=prices, hour=is_offered)


class _Chosen(NamedTuple):
    gain: float
    marks: tuple[Mark, ...]


def best_marks(
    candidates: Sequence[Candidate], *, read: int, most: int, prices: CachePrices, hour: bool
) -> tuple[Mark, ...]:
    """Choose the breakpoints with the greatest expected gain; none if no choice pays.

    What stands between two breakpoints is read only with the second, so all of it has the worth of the second.

    Args:
        candidates: The depths that may be marked, shallowest first.
        read: The tokens that are read from the cache, before all candidates.
        most: How many breakpoints may be set.
        prices: The prices.
        hour: Whether a prefix may be held for an hour.
    """
    # The best way to end at a candidate with so many marks, the last of which is for an hour (True) or minutes.
    ends: dict[tuple[int, int, bool], _Chosen] = {(read, 0, True): _Chosen(0.0, ())}
    best = _Chosen(0.0, ())
    for one in candidates:
        found: dict[tuple[int, int, bool], _Chosen] = {}
        for (tokens, used, is_hour), before in ends.items():
            if used == most:
                continue
            for longer in (True, False) if hour and is_hour else (False,):
                gain = before.gain + (one.tokens - tokens) * _gain(one, prices, hour=longer)
                key = (one.tokens, used + 1, longer)
                if key not in found or gain > found[key].gain:
                    found[key] = _Chosen(gain, (*before.marks, Mark(one.depth, longer)))
        ends.update(found)
        best = max(best, *found.values(), key=lambda chosen: chosen.gain) if found else best
    return best.marks


def _gain(one: Candidate, prices: CachePrices, *, hour: bool) -> float:
    return (one.hour if hour else one.minutes) - prices.extra(hour=hour)
