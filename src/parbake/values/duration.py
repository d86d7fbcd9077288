"""Durations as people write them: ``"90m"``, ``"1h30m"``, ``"200ms"``, a number of seconds, or a ``timedelta``."""

from __future__ import annotations

import datetime as dt
import re
from functools import lru_cache

from parbake.errors import ContractError

type_hint = "a duration such as '90m', '1h30m', '200ms', a number of seconds or a timedelta"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")

_LONGEST = 100
"""The greatest number of characters of a duration: the pattern takes time by the square of a text's length."""

Duration = str | float | dt.timedelta


def seconds(value: Duration, *, field: str) -> float:
    """Return a duration in seconds.

    ``field`` is the setting to name in the error if it is malformed or not positive.
    """
    if isinstance(value, dt.timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        result = _parse(value, field)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = float(value)
    else:
        raise ContractError(f"{field}={value!r}: expected {type_hint}", field=field)
    if not 0 < result < float("inf"):
        raise ContractError(f"{field}={value!r}: must be longer than zero and finite", field=field)
    return result


@lru_cache(1024)  # cached, because a confidence curve calls it at every read
def _parse(text: str, field: str) -> float:
    parts = _PART.findall(text) if len(text) <= _LONGEST else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ContractError(f"{field}={text[:_LONGEST]!r}: expected {type_hint}", field=field)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def humanize(value: float) -> str:
    """Return seconds in the largest units that read well, e.g. ``5400`` -> ``'1h30m'``."""
    if round(value * 1000) < 1000:  # noqa: PLR2004 - milliseconds in a second
        return f"{value * 1000:.0f}ms"
    rest, text = round(value), ""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            text += f"{count}{unit}"
    return text
