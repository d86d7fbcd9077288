"""The geometry of the pictures: points of SVG polygons and lines, in the units of a picture's view box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

import msgspec

_WIDTH, _HEIGHT = 240.0, 40.0
"""The view box of a band."""
PLOT_WIDTH, _PLOT_HEIGHT = 320.0, 140.0
_MOST = 2.0
"""How many SLAs a band shows; what is older is cut off at the top."""
_GAP = 3
"""A pause that is this many times as long as the usual one is a gap."""
_STEPS, _HALVINGS, _FAR = 32, 60, 20
"""Parts of a curve; how exactly it is found; and how many times the reads of now a picture shows at most."""
_MOST_POINTS = 160
"""Points of a curve that is drawn from many."""
_ROOM = 1.2
"""A plot shows this much more than the greatest of its points."""


class Band(msgspec.Struct, frozen=True):
    """The ages of a task's values against its SLA, over the last hour.

    Attributes:
        areas: Polygons between the age of half of the values and the greatest age, one for each time without a gap.
        sla_y: The height of the line that stands for the SLA.
    """

    areas: tuple[str, ...]
    sla_y: float


class Reading(msgspec.Struct, frozen=True):
    """The ages at one time, in seconds: how long ago, half of the values, the oldest; ``None`` without a value."""

    ago_s: float
    half_s: float | None
    most_s: float | None


def band(readings: Sequence[Reading], *, sla_s: float, past_s: float) -> Band:
    """Draw ages against an SLA. A time without a reading that is much longer than usual is left empty.

    Args:
        readings: The ages, the oldest first.
        sla_s: The SLA, in seconds.
        past_s: What the picture's width stands for, in seconds.
    """

    def y(age_s: float) -> float:
        return _HEIGHT * (1 - min(age_s / sla_s, _MOST) / _MOST)

    areas: list[str] = []
    for part in _without_gaps(readings):
        over = [(_x(r.ago_s, past_s), y(r.most_s or 0.0)) for r in part]
        under = [(_x(r.ago_s, past_s), y(r.half_s or 0.0)) for r in part]
        areas.append(_points([*over, *reversed(under)]))
    return Band(tuple(areas), y(sla_s))


def line(values: Sequence[tuple[float, float]], *, most: float, past_s: float) -> str:
    """Draw values over time.

    Args:
        values: Seconds before now, and the value.
        most: The value at the top.
        past_s: What the picture's width stands for, in seconds.
    """
    return _points([(_x(ago_s, past_s), _HEIGHT * (1 - min(value / most, 1.0))) for ago_s, value in values])


class Computations(msgspec.Struct, frozen=True):
    """How many of a day's reads compute, if a value is stored after each computation.

    ``capacity`` is how often all keys together can be computed in a day: ``keys x day / SLA``. Reads that hit them at
    random compute ``capacity x (1 - exp(-reads / capacity))`` times.
    """

    capacity: float

    @classmethod
    def through(cls, reads: float, computed: float) -> Computations:
        """Return the curve on which so many reads of a day compute so often; found by halving."""
        if computed >= reads:
            return cls(math.inf)
        low, high = computed, max(1.0, computed)
        while cls(high).of(reads) < computed:
            high *= 2
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if cls(middle).of(reads) < computed else (low, middle)
        return cls(high)

    def of(self, reads: float) -> float:
        """The computations of so many reads of a day."""
        if not self.capacity:
            return 0.0
        return reads if math.isinf(self.capacity) else -self.capacity * math.expm1(-reads / self.capacity)

    def reads_for(self, computed: float) -> float | None:
        """The reads of a day that compute so often; ``None`` if no number of them does."""
        if computed >= self.capacity:
            return None
        return computed if math.isinf(self.capacity) else -self.capacity * math.log1p(-computed / self.capacity)


class BreakEvenPlot(msgspec.Struct, frozen=True):
    """What a day costs by the reads of that day: computed ahead, and on request.

    Attributes:
        reads: The reads a day at the right edge.
        usd: The US dollars a day at the top.
        ahead: The line of the task computed ahead.
        asked: The line of the task computed on request.
        even_x: Where both cost the same; ``None`` if they never do.
        even_y: The height of that point.
        today_x: The reads of a day as they are now.
        ahead_y: What runs cost.
        asked_y: What the reads of now cost on request.
    """

    reads: float
    usd: float
    ahead: str
    asked: str
    even_x: float | None
    even_y: float
    today_x: float
    ahead_y: float
    asked_y: float


def break_even_plot(
    *, runs_usd: float, once_usd: float, computations: Computations, even: float | None, today: float
) -> BreakEvenPlot:
    """Draw both costs of a day by its reads.

    Args:
        runs_usd: What the runs of a day cost, in US dollars.
        once_usd: What one computation on request costs.
        computations: How many of a day's reads compute.
        even: The reads a day at which both cost the same; ``None`` if they never do.
        today: The reads of a day as they are now.
    """
    reads = max(1.0, _ROOM * today, min(_ROOM * (even or 0.0), _FAR * today))

    def asked(count: float) -> float:
        return computations.of(count) * once_usd

    top = _ROOM * max(runs_usd, asked(reads)) or 1.0

    def at(count: float, usd: float) -> tuple[float, float]:
        return PLOT_WIDTH * count / reads, _PLOT_HEIGHT * (1 - usd / top)

    is_shown = even is not None and even <= reads
    return BreakEvenPlot(
        reads=reads,
        usd=top,
        ahead=_points([at(0, runs_usd), at(reads, runs_usd)]),
        asked=_points([at(reads * n / _STEPS, asked(reads * n / _STEPS)) for n in range(_STEPS + 1)]),
        even_x=at(even, 0)[0] if even is not None and is_shown else None,
        even_y=at(0, runs_usd)[1],
        today_x=at(today, 0)[0],
        ahead_y=at(0, runs_usd)[1],
        asked_y=at(today, asked(today))[1],
    )


def _x(ago_s: float, past_s: float) -> float:
    return _WIDTH * (1 - min(ago_s, past_s) / past_s)


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _without_gaps(readings: Sequence[Reading]) -> list[list[Reading]]:
    pauses = [before.ago_s - after.ago_s for before, after in pairwise(readings)]
    gap_s = _GAP * median(pauses) if pauses else 0.0
    parts: list[list[Reading]] = []
    before: Reading | None = None
    for one in readings:
        if one.most_s is None:
            before = None
            continue
        if before is None or before.ago_s - one.ago_s > gap_s:
            parts.append([])
        parts[-1].append(one)
        before = one
    return parts


class OutlookPlot(msgspec.Struct, frozen=True):
    """Which errors a bank makes by the share of questions that it answers.

    Attributes:
        wrong: The line of the share of its answers that are wrong.
        limit: The line of the upper limit of that share.
        top: The share of wrong answers at the top.
        promised_y: The height of the promised share.
        expected_x: Where the bank works; ``None`` if it answers known wordings only.
        covered_x: The share of questions that it has answered; ``None`` if none was asked.
    """

    wrong: str
    limit: str
    top: float
    promised_y: float
    expected_x: float | None
    covered_x: float | None


def outlook_plot(
    points: Sequence[tuple[float, float, float]], *, promised: float, expected: float | None, covered: float | None
) -> OutlookPlot:
    """Draw the wrong answers of a bank by the share of questions that it answers.

    Args:
        points: The share answered, the share of these answers that is wrong, and the upper limit of that; rising.
        promised: The share of wrong answers that is allowed.
        expected: The share of questions that it should answer.
        covered: The share of questions that it has answered.
    """
    top = _MOST * promised
    some = [*points[:: max(1, len(points) // _MOST_POINTS)], *points[-1:]]

    def at(answered: float, share: float) -> tuple[float, float]:
        return PLOT_WIDTH * answered, _PLOT_HEIGHT * (1 - min(share / top, 1.0))

    return OutlookPlot(
        wrong=_points([at(answered, wrong) for answered, wrong, _ in some]),
        limit=_points([at(answered, limit) for answered, _, limit in some]),
        top=top,
        promised_y=at(0, promised)[1],
        expected_x=None if expected is None else PLOT_WIDTH * expected,
        covered_x=None if covered is None else PLOT_WIDTH * covered,
    )
