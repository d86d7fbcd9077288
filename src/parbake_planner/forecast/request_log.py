"""A request log in memory: which key was requested when, in twelve bytes a row, and the defects of the log.

Impossible values are rejected. Doubtful rows are kept, left out or merged, and ``notes`` lists them. ``doubts`` lists
reasons why a plan per key is unsafe.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parbake.errors import BadInput

HOUR, DAY = 3600.0, 86_400.0
ENOUGH_DAYS = 7.0
_LONELY_SHARE = 0.5
"""A key with a greater share of the requests than this says nothing about the other keys."""
_GAP_S, _GAP_EXPECTED = 6 * HOUR, 50.0
"""Least length of a gap in seconds, and the requests that must be expected in it at a tenth of the usual rate."""
_JUMP_S, _LONGEST_JUMP_S, _IN_ORDER = 300.0, DAY, 0.99
"""In an otherwise ordered log, a step back of up to this is a clock that was set; a longer one means joined parts."""
_EARLIEST = 631_152_000.0
"""The year 1990: a lower number is not an epoch time."""
LATE_S = DAY
Codes = NDArray[np.int32]
Times = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RequestLog:
    """Requests, and signals that a request is likely to follow, ordered by time.

    Attributes:
        key: Positions in ``names``, shape (rows,).
        time: Epoch seconds, shape (rows,).
        signal: True for a signal, shape (rows,).
        keys: Number of keys.
        names: The keys' names.
        population: Whether ``keys`` also counts keys that were never requested.
        left_out: Begin and end of time spans that prove nothing (gaps and clock jumps), in epoch seconds, shape (spans,
            2).
        notes: What was left out or merged, for people.
        doubts: What makes a plan per key unsafe, for people.
    """

    key: Codes
    time: Times
    signal: Flags
    keys: int
    names: tuple[str, ...] | list[str] = ()
    population: bool = False
    left_out: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def requests(self) -> int:
        """Number of requests, without signals."""
        return int(len(self.signal) - np.count_nonzero(self.signal))

    @property
    def days(self) -> float:
        """Days from the first row to the last."""
        return float(self.time[-1] - self.time[0]) / DAY if len(self.time) else 0.0


def checked(
    key: Codes, time: Times, signal: Flags | None = None, *, keys: int, names: Any = (), now: float,
    population: int | None = None, notes: tuple[str, ...] = (),
) -> RequestLog:  # fmt: skip
    """Sort a log by time and validate it.

    Args:
        key: Positions in ``names``, shape (rows,).
        time: Epoch seconds, shape (rows,).
        signal: True for a signal, shape (rows,); ``None`` if there are no signals.
        keys: Number of keys that occur in the log.
        names: The keys' names, by position.
        now: The current time, in epoch seconds; later timestamps are rejected.
        population: Number of keys that exist; ``None`` if it is not known.
        notes: What the reader of the log has already noted.

    Raises:
        BadInput: The log has no request, an invalid time, or more keys than the population.
    """
    flags = np.zeros(len(key), dtype=np.bool_) if signal is None else signal
    if not len(key) or bool(flags.all()):
        raise BadInput("the log has no request; there is nothing to plan from", field="log")
    if population is not None and population < keys:
        raise BadInput(f"keys={population} is less than the {keys} keys that occur in the log", field="keys")
    _refuse_impossible(time, now)
    jumps, said = _jumps(time)
    order = np.argsort(time, kind="stable")
    key, time, flags = key[order], time[order], flags[order]
    key, time, flags, merged = _without_duplicates(key, time, flags)
    gaps, gap_notes = _gaps(time)
    log = RequestLog(
        key, time, flags, population or keys, names, population is not None,
        np.concatenate([jumps, gaps]), (*notes, *said, *merged, *gap_notes),
    )  # fmt: skip
    return replace(log, doubts=_doubts(log))


def _refuse_impossible(time: Times, now: float) -> None:
    if not bool(np.isfinite(time).all()):
        raise BadInput("a timestamp is not a finite number", field="timestamp")
    for place, wrong, why in (
        (int(np.argmax(time)), time > now + LATE_S, "in the future"),
        (int(np.argmin(time)), time < _EARLIEST, "before 1990: not epoch seconds, or a clock that was not set"),
    ):
        if count := int(np.count_nonzero(wrong)):
            raise BadInput(f"{count} timestamps are {why} (row {place + 1}, for one)", field="timestamp")


def _jumps(time: Times) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Time spans that a clock passed twice; none in a log that is simply unordered."""
    steps = np.diff(time)
    if len(steps) and np.mean(steps >= 0) < _IN_ORDER:
        return np.empty((0, 2)), ("the rows were not in order of time and have been ordered",)
    joined = int(np.count_nonzero(steps < -_LONGEST_JUMP_S))
    notes = (f"the time goes back by more than a day {joined} times: joined parts, now sorted",) * (joined > 0)
    back = np.flatnonzero((steps < -_JUMP_S) & (steps >= -_LONGEST_JUMP_S))
    if not len(back):
        return np.empty((0, 2)), notes
    spans = np.stack([time[back + 1], time[back]], axis=1)
    most = float(np.max(spans[:, 1] - spans[:, 0]))
    return spans, (
        *notes,
        f"the clock went back {len(back)} times, by up to {_length(most)}; the windows it passed twice are left out",
    )


def _without_duplicates(key: Codes, time: Times, signal: Flags) -> tuple[Codes, Times, Flags, tuple[str, ...]]:
    """Drop rows that repeat another row. Fewer requests make precomputing look worse, never better."""
    order = np.lexsort((signal, key, time))
    again = np.zeros(len(key), dtype=np.bool_)
    first, second = order[:-1], order[1:]
    again[second] = (key[first] == key[second]) & (time[first] == time[second]) & (signal[first] == signal[second])
    if not (count := int(np.count_nonzero(again))):
        return key, time, signal, ()
    kept = ~again
    note = f"{count} rows repeat the key and time of another and count once ({count / len(key):.1%})"
    return key[kept], time[kept], signal[kept], (note,)


def _gaps(time: Times) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    between = np.diff(time)
    if not len(between):
        return np.empty((0, 2)), ()
    usual = len(time) / max(float(time[-1] - time[0]), 1.0)
    wide = np.flatnonzero((between > _GAP_S) & (between * usual / 10 > _GAP_EXPECTED))
    if not len(wide):
        return np.empty((0, 2)), ()
    spans = np.stack([time[wide], time[wide + 1]], axis=1)
    total = float((spans[:, 1] - spans[:, 0]).sum())
    return spans, (
        f"{len(wide)} gaps without any request, {_length(total)} in all; the windows they touch are left out",
    )


def _doubts(log: RequestLog) -> tuple[str, ...]:
    covered = log.days - float((log.left_out[:, 1] - log.left_out[:, 0]).sum()) / DAY
    found = []
    if covered < ENOUGH_DAYS:
        found.append(f"the log covers {covered:.1f} days, and learning habits takes at least {ENOUGH_DAYS:.0f}")
    most = int(np.bincount(log.key[~log.signal]).max())
    if most > _LONELY_SHARE * log.requests and log.keys > 1:
        found.append(
            f"one key makes {most / log.requests:.0%} of the requests, which says nothing about the other keys"
        )
    return tuple(found)


def _length(seconds: float) -> str:
    for unit, name in ((DAY, "d"), (HOUR, "h"), (60.0, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds:.0f} s"
