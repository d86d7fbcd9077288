"""How the pages write times, spans, amounts of money and counts."""

from __future__ import annotations

import time

from parbake.values.duration import humanize

NONE = "-"
"""What stands for a figure that is not known."""
_DAY_S, _LONG_S = 86_400.0, 7200.0
"""The seconds of a day; and the span from which on seconds say nothing."""
_MANY = 10
_TENTH, _CENT, _SMALL = 0.1, 0.01, 0.0001
LANES = {"batch": "ahead", "event": "after an event", "realtime": "on request"}


def span(value_s: float | None) -> str:
    """A span of time in words; a hyphen if it is not known."""
    if value_s is None:
        return NONE
    if value_s < _TENTH:
        return "0s"
    whole = value_s if value_s < 1 else float(round(value_s))
    return humanize(whole - whole % 60 if whole >= _LONG_S else whole)


def clock_time(at: float | None, now: float) -> str:
    """A time of the day in UTC, with the date if it is more than half a day away; a hyphen if it is not known.

    Args:
        at: The time, in epoch seconds.
        now: The current time, in epoch seconds.
    """
    if at is None:
        return NONE
    is_near = abs(now - at) < _DAY_S / 2
    return time.strftime("%H:%M:%S" if is_near else "%Y-%m-%d %H:%M", time.gmtime(at))


def usd(value: float | None) -> str:
    """An amount of US dollars, with cents, or with hundredths of cents below ten cents."""
    if value is None:
        return NONE
    size = abs(value)
    if size == 0:
        return "$0"
    return f"${value:,.2f}" if size >= _TENTH else f"${value:.4f}" if size >= _SMALL else f"<${_SMALL}"


def unit_usd(value: float) -> str:
    """What one thing costs in US dollars, with three digits, however little that is."""
    return f"${value:.3g}" if value >= _SMALL else f"${value:.2e}" if value else "$0"


def lane(name: str) -> str:
    """A lane as the pages call it, wherever it is named."""
    return LANES.get(name, name)


def count(value: float) -> str:
    """A count, without decimals unless it is small."""
    return f"{value:,.0f}" if value >= _MANY or value == int(value) else f"{value:,.1f}"


def share(value: float) -> str:
    """A share as a percentage; a share above nothing is never shown as nothing."""
    return "<1 %" if 0 < value < _CENT else f"{value:.0%}".replace("%", " %")
