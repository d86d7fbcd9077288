"""When traffic is low: windows of the day that are declared, and the cheapest start of a run under any load.

Pure code: times come in as epoch seconds.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from parbake.errors import BadInput
from parbake.ports.offers import Load

DAY = 86_400
_SLOT_S = 300
SLOTS, MOST_SLOTS, _HORIZON_S = 48, 1000, 2 * DAY
"""Candidate starts for one run and for all runs, and how far to look ahead in seconds."""
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


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
    step = max((gap[1] - gap[0]) / SLOTS, _SLOT_S)
    least, most = (max(1, round(edge / step)) for edge in gap)
    starts = min(MOST_SLOTS, int(_HORIZON_S // step)) + most
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
