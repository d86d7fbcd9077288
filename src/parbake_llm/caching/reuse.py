"""How likely a prefix is asked for again, learnt while the trace is read: rates by age, from the past alone.

The model is piecewise exponential: in each stretch of a prefix's age, requests for it come at a constant rate. A rate
is the number of returns divided by the time during which a return was awaited, so prefixes that still wait count too
(Holford 1976, "Life tables with concomitant information", is the source of the estimator). Rare kinds of prefixes
borrow from commoner kinds: each kind's estimate starts at that of a wider kind, with the weight of a few prefixes. The
widest kinds start at assumed rates, which are corrected by what all prefixes together have shown.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_EDGES = (0.0, 30.0, 90.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2400.0, 3000.0, 3600.0)
"""Ages between which the rate is constant, in seconds."""
_STRETCHES = len(_EDGES) - 1
_WIDTHS = tuple(end - begin for begin, end in pairwise(_EDGES))
_STRENGTH = 8.0
"""How many prefixes of its kind an estimate's starting point counts for."""
FIRST_RETURN = (0.15, 0.4, 0.5, 0.6, 0.7, 0.8)
"""The assumed chance of a return within five minutes before anything is learnt, by the sightings so far (from one)."""
_EARLY = (2.5, 1.8, 1.2, 0.7, 0.3, 0.2, 0.12, 0.08, 0.06, 0.05, 0.04)
"""The assumed rate in each stretch relative to the mean of the first five minutes: returns come early or not at all."""
_ASSUMED = tuple(tuple(-math.log(1 - chance) / _EDGES[4] * times for times in _EARLY) for chance in FIRST_RETURN)
"""The assumed rates, per second, by class of sightings and stretch of age."""
_LEAST_LOG = -600.0
"""The logarithm of the least chance that is told from zero."""
_CAUTION = 1.0
"""How many returns the assumptions count for, when returns are compared with them."""
_RENEWED = 32
"""After this many calls of :meth:`ReturnRates.advance`, the estimates are computed again."""
Kind = tuple[int, ...]
"""Features of a prefix. The first is the class of its number of sightings."""
Kinds = tuple[Kind, ...]
"""A kind and wider kinds that contain it, narrowest first."""


@dataclass(slots=True)
class _Cell:
    """Returns and awaited seconds of one kind, by stretch of age; ``open`` and ``since`` count who waits now."""

    returns: list[float] = field(default_factory=lambda: [0.0] * _STRETCHES)
    awaited: list[float] = field(default_factory=lambda: [0.0] * _STRETCHES)
    open: list[float] = field(default_factory=lambda: [0.0] * _STRETCHES)
    since: list[float] = field(default_factory=lambda: [0.0] * _STRETCHES)

    def enter(self, stretch: int, share: float, at: float) -> None:
        """Begin to wait in a stretch of age.

        Args:
            stretch: The number of the stretch.
            share: How many prefixes begin, which may be a part of one.
            at: The time.
        """
        self.open[stretch] += share
        self.since[stretch] += share * at

    def leave(self, stretch: int, share: float, began: float, now: float) -> None:
        """End a wait in a stretch of age.

        Args:
            stretch: The number of the stretch.
            share: How many prefixes end it.
            began: When they began.
            now: The time.
        """
        self.open[stretch] -= share
        self.since[stretch] -= share * began
        self.awaited[stretch] += share * (now - began)

    def exposure(self, stretch: int, now: float) -> float:
        waiting = self.open[stretch] * now - self.since[stretch]
        return max(0.0, self.awaited[stretch] + waiting)


@dataclass(slots=True)
class Wait:
    """Prefixes of one request and kind that wait for their return; ``share`` of them still do."""

    kinds: Kinds
    began: float
    tokens: float
    share: float = 1.0
    stretch: int = 0


class Survival:
    """The chance that a prefix of some kind has not been asked for again by an age."""

    __slots__ = ("_at", "_logs", "_steps")

    def __init__(self, rates: Sequence[float]) -> None:
        """Make a curve from the rate of each stretch, per second."""
        self._logs = [0.0]
        for rate, width in zip(rates, _WIDTHS, strict=True):
            self._logs.append(self._logs[-1] - rate * width)
        self._at: dict[float, float] = {}
        self._steps: tuple[float, ...] = ()

    def beyond(self, age: float) -> float:
        """The chance of no return until an age, in seconds; later than the last edge nothing returns."""
        found = self._at.get(age)
        if found is None:
            stretch = min(bisect.bisect_right(_EDGES, age) - 1, _STRETCHES - 1)
            part = min(1.0, (age - _EDGES[stretch]) / _WIDTHS[stretch])
            logs = self._logs[stretch] * (1 - part) + self._logs[stretch + 1] * part
            found = self._at[age] = math.exp(max(logs, _LEAST_LOG))
        return found

    def each_five_minutes(self, age: float, count: int) -> tuple[float, ...]:
        """The chance of no return until an age, until five minutes later, and so on."""
        if age:
            return tuple(self.beyond(age + at * _EDGES[4]) for at in range(count))
        if len(self._steps) < count:
            self._steps = tuple(self.beyond(at * _EDGES[4]) for at in range(count))
        return self._steps[:count]

    def within(self, age: float, seconds: float) -> float:
        """The chance of a return within some seconds, for a prefix that has waited to an age."""
        return 1.0 - self.beyond(age + seconds) / self.beyond(age)


class ReturnRates:
    """Estimates of :class:`Survival` that are learnt as time passes."""

    def __init__(self, *, strength: float = _STRENGTH) -> None:
        """Know nothing but the assumptions; ``strength`` prefixes of a kind weigh as much as its wider kind."""
        self._strength = strength
        self._now = 0.0
        self._calls = 0
        self._cells: dict[Kind, _Cell] = {}
        self._queues: list[deque[Wait]] = [deque() for _ in range(_STRETCHES)]
        self._curves: dict[Kinds, Survival] = {}
        self._corrected: dict[Kind, list[float]] = {}

    def advance(self, now: float) -> bool:
        """Let time pass: whoever has waited through a stretch of age moves on to the next.

        Returns:
            Whether the earlier estimates are discarded, which every :data:`RENEWED`-th call does.
        """
        self._now = max(self._now, now)  # a warm-up is decided before its prefix lapses
        self._calls += 1
        is_due = self._calls % _RENEWED == 0
        if is_due:
            self._curves.clear()
            self._corrected.clear()
        for stretch, queue in enumerate(self._queues):
            while queue and queue[0].began + _EDGES[stretch + 1] <= now:
                self._move(queue.popleft(), stretch)
        return is_due

    def began(self, kinds: Kinds, tokens: float) -> Wait:
        """Begin to await the return of prefixes, seen now; ``tokens`` is their length."""
        wait = Wait(kinds, self._now, max(tokens, 1.0))
        for kind in kinds:
            self._cells.setdefault(kind, _Cell()).enter(0, 1.0, self._now)
        self._queues[0].append(wait)
        return wait

    def returned(self, wait: Wait, tokens: float) -> None:
        """Note that some of the prefixes, of so many tokens, were asked for again now."""
        share = min(tokens / wait.tokens, wait.share)
        wait.share -= share
        if wait.stretch >= _STRETCHES:
            return
        for kind in wait.kinds:
            cell = self._cells[kind]
            cell.returns[wait.stretch] += share
            cell.leave(wait.stretch, share, wait.began + _EDGES[wait.stretch], self._now)

    def survival(self, kinds: Kinds) -> Survival:
        """The current estimate for a kind."""
        found = self._curves.get(kinds)
        if found is None:
            found = self._curves[kinds] = Survival(self._rates(kinds))
        return found

    def _rates(self, kinds: Kinds) -> list[float]:
        widest = kinds[-1]
        rates = [
            assumed * times for assumed, times in zip(_ASSUMED[widest[0]], self._corrections(widest[1:]), strict=True)
        ]
        for kind in reversed(kinds):
            cell = self._cells.get(kind)
            if cell is None:
                continue
            for at, width in enumerate(_WIDTHS):
                prior = self._strength * width
                rates[at] = (cell.returns[at] + prior * rates[at]) / (cell.exposure(at, self._now) + prior)
        return rates

    def _corrections(self, place: Kind) -> list[float]:
        """How much more often than assumed prefixes of any number of sightings have returned, by stretch."""
        found = self._corrected.get(place)
        if found is None:
            returns, assumed = [_CAUTION] * _STRETCHES, [_CAUTION] * _STRETCHES
            for count, rates in enumerate(_ASSUMED):
                cell = self._cells.get((count, *place))
                if cell is None:
                    continue
                for at, rate in enumerate(rates):
                    returns[at] += cell.returns[at]
                    assumed[at] += rate * cell.exposure(at, self._now)
            found = self._corrected[place] = [came / due for came, due in zip(returns, assumed, strict=True)]
        return found

    def _move(self, wait: Wait, stretch: int) -> None:
        wait.stretch = stretch + 1
        end = wait.began + _EDGES[stretch + 1]
        is_last = wait.stretch >= _STRETCHES or not wait.share
        for kind in wait.kinds:
            cell = self._cells[kind]
            cell.leave(stretch, wait.share, wait.began + _EDGES[stretch], end)
            if not is_last:
                cell.enter(wait.stretch, wait.share, end)
        if not is_last:
            self._queues[wait.stretch].append(wait)
        else:
            wait.stretch = _STRETCHES
