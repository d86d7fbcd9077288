"""When traffic is low: learned from the request log, or declared. Pure code: times come in as epoch seconds.

A window that is declared once does not fit every shop and every season. If there is a log, the window is learned from
it.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from parbake.errors import BadInput

HOUR, DAY = 3600, 86_400
DAYS_FOR_HOURS, DAYS_FOR_WEEKDAYS = 2, 14
"""Days of log that are needed to learn the hours of a day, and those of a week."""
SLOT_S = 300
SLOTS, MOST_SLOTS, HORIZON_S = 48, 1000, 2 * DAY
"""Candidate starts for one run and for all runs, and how far to look ahead in seconds."""
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_MONDAY = 4 * DAY
"""The epoch began on a Thursday."""


class Load(Protocol):
    """Expected real-time load."""

    def at(self, when: float) -> float:
        """Expected traffic at a time, in any unit; values are only compared."""
        ...


@dataclass(frozen=True, slots=True)
class Flat:
    """The same load at all times, used if no load is known."""

    def at(self, when: float) -> float:  # noqa: ARG002 - the same at all times
        """The constant 0."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Declared:
    """Windows of the local day for batch work, as (begin, end) in minutes after midnight."""

    windows: tuple[tuple[int, int], ...]
    zone: ZoneInfo

    def at(self, when: float) -> float:
        """Return 0 inside a window and 1 outside."""
        local = dt.datetime.fromtimestamp(when, self.zone)
        minute = local.hour * 60 + local.minute
        inside = any(b <= minute < e if b < e else minute >= b or minute < e for b, e in self.windows)
        return 0.0 if inside else 1.0


@dataclass(frozen=True, slots=True)
class Learned:
    """Requests per hour, by the hour of the day or of the week (UTC)."""

    hours: tuple[float, ...]

    def at(self, when: float) -> float:
        """The load of this hour, interpolated between the middles of two hours."""
        count = len(self.hours)
        place = ((when - _MONDAY) / HOUR - 0.5) % count
        before = int(place)
        share = place - before
        return self.hours[before % count] * (1 - share) + self.hours[(before + 1) % count] * share


def declared(windows: str | Sequence[str], zone: str) -> Declared:
    """Parse one or more windows such as ``"22:00-06:00"`` in a time zone.

    Raises:
        BadInput: A window or the time zone is invalid.
    """
    if not isinstance(windows, Iterable):
        raise BadInput(f"off_peak={windows!r}: expected windows such as ['22:00-06:00']", field="off_peak")
    try:
        place = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"zone={zone!r} is not a time zone such as Europe/Berlin", field="zone") from error
    found = []
    for text in (windows,) if isinstance(windows, str) else windows:
        match = _WINDOW.fullmatch(text) if isinstance(text, str) else None
        if match is None or match[0][:5] == match[0][6:]:
            raise BadInput(f"off_peak={text!r} is not a window such as 22:00-06:00", field="off_peak")
        begin_h, begin_m, end_h, end_m = map(int, match.groups())
        found.append((begin_h * 60 + begin_m, end_h * 60 + end_m))
    return Declared(tuple(found), place)


def learn(requests: Mapping[int, int], now: float) -> Load:
    """Learn the load from requests per minute since the epoch.

    Only whole hours count. Each value is the median over the days (or weeks), so that one sale or one outage does not
    create a window. An hour without a row had no requests. A log of less than two days gives :class:`Flat`.
    """
    if not requests:
        return Flat()
    first, last = math.ceil(min(requests) / 60), int(now // HOUR)
    days = (last - first) / 24
    if days < DAYS_FOR_HOURS:
        return Flat()
    by_hour: dict[int, int] = {}
    for minute, count in requests.items():
        by_hour[minute // 60] = by_hour.get(minute // 60, 0) + count
    bins = 168 if days >= DAYS_FOR_WEEKDAYS else 24
    seen: list[list[int]] = [[] for _ in range(bins)]
    for hour in range(first, last):
        seen[(hour - _MONDAY // HOUR) % bins].append(by_hour.get(hour, 0))
    return Learned(tuple(median(counts) for counts in seen))


def cheapest(load: Load, previous: float, gap: tuple[float, float], duration_s: float, nominal: float) -> float:
    """Choose when to start the next run of recurring work, so that the coming runs together meet the least load.

    The runs of the next two days are chosen together, by dynamic programming over a grid of starts. The slot that is
    cheapest now may leave only expensive ones for the next run.

    Args:
        load: The expected load.
        previous: Start of the last run, in epoch seconds.
        gap: The least and the greatest time between two starts, in seconds.
        duration_s: Expected duration of a run, in seconds.
        nominal: The start to prefer among equals, in epoch seconds.

    Returns:
        The start, in epoch seconds.
    """
    earliest, latest = previous + gap[0], previous + gap[1]
    if latest <= earliest:
        return latest
    step = max((gap[1] - gap[0]) / SLOTS, SLOT_S)
    least, most = (max(1, round(edge / step)) for edge in gap)
    starts = min(MOST_SLOTS, int(HORIZON_S // step)) + most
    length = max(1, round(duration_s / step))
    loads = [load.at(earliest + (n + 0.5) * step) for n in range(starts + length)]
    cost = [sum(loads[n : n + length]) / length for n in range(starts)]
    for n in range(starts - most - 1, -1, -1):
        cost[n] += min(cost[n + least : n + most + 1])
    first = range(int((latest - earliest) / step) + 1)
    return min(
        (earliest + n * step for n in first), key=lambda t: (_rounded(cost, t - earliest, step), abs(t - nominal))
    )


def _rounded(cost: Sequence[float], after: float, step: float) -> float:
    return round(cost[round(after / step)], 9)
