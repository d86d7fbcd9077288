"""When traffic is low, learned from the request log. Pure code: times come in as epoch seconds.

A window that is declared once does not fit every shop and every season.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from parbake.lanes.batch.off_peak_windows import DAY, Flat
from parbake.ports.offers import Load

HOUR = 3600
_DAYS_FOR_HOURS, _DAYS_FOR_WEEKDAYS = 2, 14
"""Days of log that are needed to learn the hours of a day, and those of a week."""
_MONDAY = 4 * DAY
"""The epoch began on a Thursday."""


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


def learn(requests: Mapping[int, int], now: float) -> Load:
    """Learn the load from requests per minute since the epoch.

    Only whole hours count. Each value is the median over the days (or weeks), so that one sale or one outage does not
    create a window. An hour without a row had no requests. A log of less than two days gives :class:`Flat`.
    """
    if not requests:
        return Flat()
    first, last = math.ceil(min(requests) / 60), int(now // HOUR)
    days = (last - first) / 24
    if days < _DAYS_FOR_HOURS:
        return Flat()
    by_hour: dict[int, int] = {}
    for minute, count in requests.items():
        by_hour[minute // 60] = by_hour.get(minute // 60, 0) + count
    bins = 168 if days >= _DAYS_FOR_WEEKDAYS else 24
    seen: list[list[int]] = [[] for _ in range(bins)]
    for hour in range(first, last):
        seen[(hour - _MONDAY // HOUR) % bins].append(by_hour.get(hour, 0))
    return Learned(tuple(median(counts) for counts in seen))
