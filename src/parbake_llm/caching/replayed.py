"""Replay a trace under a caching policy, and count what each request costs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from parbake_llm.caching.asked import Asked, PromptTrace
from parbake_llm.caching.held import HeldPrefixes, Mark
from parbake_llm.caching.policies_of_caching import CachingPolicy
from parbake_llm.caching.pricing import CachePrices
from parbake_planner.intervals import Floats


@dataclass(slots=True)
class Replayed:
    """What a trace cost under a policy, by request: costs are in uncached input tokens, counts in tokens.

    Attributes:
        name: The policy.
        cost: The cost of each request, with the warm-ups between it and the request before.
        read: Tokens read.
        written: Tokens written.
        wasted: Tokens written with this request and never read.
        warm_ups: The number of warm-up requests before this one.
    """

    name: str
    cost: Floats
    read: Floats
    written: Floats
    wasted: Floats
    warm_ups: Floats


@dataclass(slots=True)
class _Run:
    prices: CachePrices
    held: HeldPrefixes
    made: Replayed
    unread: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The tokens of a written block that nobody has read yet, and the request that wrote them."""

    def warm_until(self, now: float, policy: CachingPolicy, at: int) -> None:
        """Let entries lapse, or warm them.

        Args:
            now: The time until which entries lapse.
            policy: Decides what is warmed.
            at: The position of the request to which warm-ups are charged.
        """
        while (lapsing := self.held.lapsing(now)) is not None:
            depth = policy.keep(lapsing, self.held)
            if depth < lapsing.depth:
                self.held.forget(lapsing.request.blocks[lapsing.depth - 1])
            if not depth:
                continue
            self.held.read(lapsing.request, depth, lapsing.at)
            self.made.cost[at] += self.prices.read * lapsing.request.until(depth) + self.prices.warm_up
            self.made.warm_ups[at] += 1

    def send(self, at: int, request: Asked, policy: CachingPolicy) -> None:
        """Send a request, and note its cost.

        Args:
            at: The position of the request.
            request: The request.
            policy: Decides what is marked.
        """
        depth = self.held.readable(request, request.at, policy.lookback)
        marks = [mark for mark in policy.marks(request, depth) if request.until(mark.depth) >= self.prices.minimum]
        self.held.read(request, depth, request.at)
        self.held.write(request, marks, request.at)
        cost = request.tokens - self.prices.saving * request.until(depth) + self._written(at, request, depth, marks)
        self.made.cost[at] += cost
        self.made.read[at] = request.until(depth)
        for block in request.blocks[:depth]:
            self.unread.pop(block, None)

    def _written(self, at: int, request: Asked, depth: int, marks: list[Mark]) -> float:
        """Note what is written, and return its extra cost."""
        found, before = 0.0, depth
        for mark in marks:
            tokens = request.until(mark.depth) - request.until(before)
            found += tokens * self.prices.extra(hour=mark.hour)
            self.made.written[at] += tokens
            for number in range(before, mark.depth):
                self.unread[request.blocks[number]] = request.until(number + 1) - request.until(number), at
            before = mark.depth
        return found


def replay(trace: PromptTrace, policy: CachingPolicy, prices: CachePrices) -> Replayed:
    """Send every request of a trace as a policy decides.

    What a request reads has a breakpoint of its own, which asks for the time to live of the mark behind it; it does not
    change how long the entry lives.

    Args:
        trace: The trace.
        policy: The policy, which has seen nothing yet.
        prices: The prices.
    """
    count = len(trace.requests)
    made = Replayed(policy.name, *(np.zeros(count) for _ in range(5)))
    run = _Run(prices, HeldPrefixes(minimum=prices.minimum), made)
    for at, request in enumerate(trace.requests):
        run.warm_until(request.at, policy, at)
        run.send(at, request, policy)
        policy.saw(request)
    for tokens, at in run.unread.values():
        made.wasted[at] += tokens
    return made
