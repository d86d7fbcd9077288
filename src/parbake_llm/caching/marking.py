"""The planned use of a prompt cache: mark a prefix if its expected reuse is worth more than its write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from parbake_llm.caching.asked import Asked
from parbake_llm.caching.best_marks import chosen_marks
from parbake_llm.caching.held import HeldPrefixes, Lapsing, Mark
from parbake_llm.caching.policies_of_caching import CachingPolicy
from parbake_llm.caching.pricing import CachePrices
from parbake_llm.caching.reuse import FIRST_RETURN, Kinds, ReturnRates, Survival, Wait
from parbake_llm.caching.strategy_names import PLANNED
from parbake_llm.caching.worth import Worth, held_on, rewritten_later, worth

_LAST_BLOCKS = 6
"""Blocks before the end of a prompt that are told apart; those before them are alike."""
_SIZES_A_DOUBLING = 3
"""Classes of a prompt's length, in each doubling of its blocks."""
_SIGHTINGS = (1, 2, 3, 5, 9)
"""Numbers of sightings at which the next class begins."""


class _Seen(NamedTuple):
    """A prefix's sightings, the time of the last, and its wait for the next."""

    times: int
    at: float
    wait: Wait


class Planned(CachingPolicy):
    """Marks and warms by the expected worth of each prefix, which is learnt from the requests so far.

    The features of a prefix are the number of its sightings, the blocks between it and the end of the prompt, and the
    length of the prompt.
    """

    name = PLANNED

    def __init__(self, prices: CachePrices, *, warms: bool = True) -> None:
        """Plan at some prices; ``warms`` allows warm-up requests."""
        self._prices, self._warms = prices, warms
        self._rates = ReturnRates()
        self._seen: dict[int, _Seen] = {}
        self._worths: dict[Kinds, Worth] = {}
        self._gains: dict[tuple[Kinds, float], float] = {}
        self._asked: Asked | None = None
        self._kinds: list[Kinds] = []

    def marks(self, request: Asked, read: int) -> Sequence[Mark]:
        kinds = self._classify(request)
        if request.tokens < self._prices.minimum or read == len(request.blocks):
            return ()
        return chosen_marks(request, kinds, self._worth, read=read, prices=self._prices)

    def keep(self, lapsing: Lapsing, held: HeldPrefixes) -> int:
        """See :meth:`CachingPolicy.keep`. Everything before the prefix is read as well, and has to be worth it."""
        if lapsing.hour or not self._warms:
            return 0
        self._advance(lapsing.at)
        request, blocks = lapsing.request, lapsing.request.blocks
        longer = (at for at in range(lapsing.depth, 0, -1) if held.until(blocks[at - 1]) > lapsing.at)
        alive = next(longer, 0)
        gain, best, found = 0.0, 0.0, 0
        for depth in range(alive + 1, lapsing.depth + 1):
            tokens = request.until(depth) - request.until(depth - 1)
            gain += tokens * self._warm_gain(blocks[depth - 1], lapsing.at)
            cost = self._prices.read * request.until(depth) + self._prices.warm_up
            if gain - cost > best and held.until(blocks[depth - 1]) == lapsing.at:
                best, found = gain - cost, depth
        return found

    def saw(self, request: Asked) -> None:
        kinds = self._classify(request)
        lengths: dict[Kinds, int] = {}
        for at, kind in enumerate(kinds):
            lengths[kind] = lengths.get(kind, 0) + request.until(at + 1) - request.until(at)
        waits = {kind: self._rates.began(kind, tokens) for kind, tokens in lengths.items()}
        for at, (block, kind) in enumerate(zip(request.blocks, kinds, strict=True)):
            before = self._seen.get(block)
            if before is not None:
                self._rates.returned(before.wait, request.until(at + 1) - request.until(at))
            self._seen[block] = _Seen(1 + (before.times if before else 0), request.at, waits[kind])

    def chance(self, block: int) -> float:
        """The expected chance that a prefix that was just seen is asked for again within minutes."""
        return self._rates.survival(self._seen[block].wait.kinds).within(0.0, 300.0)

    def _advance(self, now: float) -> None:
        if self._rates.advance(now):
            self._worths.clear()
            self._gains.clear()

    def _classify(self, request: Asked) -> list[Kinds]:
        """The kind of each block's prefix, once this request has been seen."""
        if self._asked is not request:
            self._advance(request.at)
            length = len(request.blocks)
            size = int(_SIZES_A_DOUBLING * math.log2(length)) if length else 0
            self._asked, self._kinds = request, [
                self._kind(block, length - 1 - at, size) for at, block in enumerate(request.blocks)
            ]  # fmt: skip
        return self._kinds

    def _kind(self, block: int, behind: int, size: int) -> Kinds:
        before = self._seen.get(block)
        count = sum(least <= before.times for least in _SIGHTINGS) if before else 0
        end = min(_LAST_BLOCKS, behind)
        return (count, end, size), (count, end), (count, -1 - min(1, end))

    def _worth(self, kinds: Kinds) -> Worth:
        found = self._worths.get(kinds)
        if found is None:
            found = self._worths[kinds] = worth(self._curves(kinds), self._prices, warms=self._warms)
        return found

    def _curves(self, kinds: Kinds) -> list[Survival]:
        """The curves of a kind after this sighting and after each further one."""
        first = kinds[0][0]
        return [
            self._rates.survival(tuple((count, *kind[1:]) for kind in kinds))
            for count in range(first, len(FIRST_RETURN))
        ]

    def _warm_gain(self, block: int, now: float) -> float:
        """What holding a prefix longer is worth per token, beyond writing it again at its next request."""
        _, seen, wait = self._seen[block]
        key = (wait.kinds, now - seen)
        if key not in self._gains:
            curve, following = self._rates.survival(wait.kinds), self._worth(_next(wait.kinds))
            later = rewritten_later(curve, now - seen, following, self._prices)
            self._gains[key] = held_on(curve, now - seen, following, self._prices, warms=self._warms) - later
        return self._gains[key]


def _next(kinds: Kinds) -> Kinds:
    """The kinds of the same prefix after one more sighting."""
    count = min(kinds[0][0] + 1, len(FIRST_RETURN) - 1)
    return tuple((count, *kind[1:]) for kind in kinds)
