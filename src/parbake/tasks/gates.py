"""Promotion gates: what the output of a batch run must satisfy before it is served. Pure.

A run that fails a gate is not promoted; the previous generation stays, and the contract's owner gets the reason.
"""

from __future__ import annotations

import inspect
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from parbake.errors import ContractError
from parbake.values.checks import check_number
from parbake.values.codecs.numpy import ARRAY, numbers

_DRIFT_ROWS = 100
"""Drift is not measured with fewer rows than this on either side."""
LEAVES = 50
"""The most numbers of one value that enter the distribution."""
_SAMPLE_EVERY, _SPARSE_EVERY, _PLENTY = 4, 64, 2000
"""The numbers of every fourth row enter it, and of every 64th row once there are plenty, since decoding is slow."""
FLOOR = 1e-4
"""The share assumed for an empty bucket, so that the index stays finite."""
_DOUBLE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")
_FLOAT = re.compile(rb"\xca[\x7f\xff][\x80-\xff]")
"""The first bytes of numbers that may be infinite or NaN; a value that contains them is decoded.

Searching two patterns that begin with one byte each is five times as fast as searching one that begins with either.
"""
_EMPTY = frozenset({b"\xc0", b"\xa0", b"\x90", b"\x80", b"\xc4\x00"})
"""nil, and the empty string, array, map and bytes."""
_LONGEST_EMPTY = max(map(len, _EMPTY))
_CODE = re.escape(bytes([ARRAY]))
_ARRAY = re.compile(_CODE + rb"[<>|][a-zA-Z]\d")
"""The first bytes of a numpy array after its length. Its numbers are not in msgpack, so it is always decoded."""
_EMPTY_ARRAY = re.compile(rb"(?:[\xd4-\xd8]|\xc7.|\xc8.{2}|\xc9.{4})" + _CODE + rb"[^\n]+\n\Z", re.DOTALL)


class Profile(msgspec.Struct):
    """Statistics of some rows. ``sizes`` and ``numbers`` count rows and numbers by bucket, half an octave wide."""

    rows: int = 0
    absent: int = 0
    empty: int = 0
    not_finite: int = 0
    size_bytes: int = 0
    sizes: dict[int, int] = {}
    numbers: dict[int, int] = {}

    def note(self, payload: bytes, *, absent: bool) -> None:
        """Count one row: ``payload`` is its encoded value, or the reason if the value is absent."""
        self.size_bytes += len(payload)
        if absent:
            self.absent += 1
            return
        self.rows += 1
        self.empty += _is_empty(payload)
        size = _bucket(len(payload))
        self.sizes[size] = self.sizes.get(size, 0) + 1
        is_suspect = bool(_DOUBLE.search(payload) or _FLOAT.search(payload) or _ARRAY.search(payload))
        if not is_suspect and not self._is_sampled():
            return
        # Read all numbers of a suspect value, because the last one may be at fault.
        found = list(islice(_numbers(msgspec.msgpack.decode(payload)), None if is_suspect else LEAVES))
        self.not_finite += is_suspect and not all(map(math.isfinite, found))
        for number in found[:LEAVES]:
            if math.isfinite(number):
                bucket = _bucket(number)
                self.numbers[bucket] = self.numbers.get(bucket, 0) + 1

    def _is_sampled(self) -> bool:
        if self.rows % _SAMPLE_EVERY != 1:
            return False
        return self.rows % _SPARSE_EVERY == 1 or sum(self.numbers.values()) < _PLENTY

    def merged(self, other: Profile) -> Profile:
        """Return the profile of the rows of both."""
        return Profile(
            self.rows + other.rows,
            self.absent + other.absent,
            self.empty + other.empty,
            self.not_finite + other.not_finite,
            self.size_bytes + other.size_bytes,
            dict(Counter(self.sizes) + Counter(other.sizes)),
            dict(Counter(self.numbers) + Counter(other.numbers)),
        )

    def drift_from(self, before: Profile) -> float:
        """The greater population stability index of sizes and numbers; 0 if there are too few rows.

        The part that chance alone is expected to add is subtracted: see :func:`chance`.
        """
        if min(self.rows, before.rows) < _DRIFT_ROWS:
            return 0.0
        pairs = ((before.sizes, self.sizes), (before.numbers, self.numbers))
        return max(0.0, *(stability_index(old, new) - chance(old, new) for old, new in pairs))


@dataclass(frozen=True, slots=True)
class Generation:
    """The argument of a task's own gate: counts, and some of the values that are about to be promoted.

    ``values`` holds at most 200 (key, value) pairs spread over the run; for a model it is one pair with the key ``""``.
    ``previous`` is the profile of the current generation, ``None`` for the first.
    """

    task: str
    number: int
    profile: Profile
    previous: Profile | None
    values: Sequence[tuple[Any, Any]]


QualityGate = Callable[[Generation], str | None]


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of a task.

    ``rows``: the least number of rows, as a share of the previous generation's. ``not_finite``: the share of rows that
    may hold a NaN or an infinity. ``empty``: the share of values that may be null or empty; not checked by default.
    ``drift``: the highest population stability index against the previous generation (.1 is some drift, .25 is much);
    not checked by default, since a catalogue may change at once. ``quality``: a ``def`` function that returns the
    reason not to promote, or ``None``; it runs in a thread.
    """

    rows: float = 0.5
    not_finite: float = 0.0
    empty: float | None = None
    drift: float | None = None
    quality: QualityGate | None = None

    def __post_init__(self) -> None:
        """Raise :class:`ContractError` for a value outside its range, and for a gate that is not a ``def`` function."""
        for name in ("rows", "not_finite", "empty"):
            if name != "empty" or self.empty is not None:
                _check(name, getattr(self, name), "a share, from 0 to 1", lambda share: 0 <= share <= 1)
        if self.drift is not None:
            _check("drift", self.drift, "a finite number above 0", lambda drift: drift > 0)
        if self.quality is not None:
            _check_quality(self.quality)

    def objection(self, found: Profile, rows_before: int, before: Profile | None) -> str:
        """Return why rows must not be promoted, judged by their counts.

        Args:
            found: The profile of the new rows.
            rows_before: How many rows the current generation has.
            before: The profile of the current generation, if it is known.

        Returns:
            The reason; empty if the rows may be promoted.
        """
        if found.rows < self.rows * rows_before:
            return f"{found.rows} rows, fewer than {self.rows:.0%} of the previous {rows_before}"
        if found.not_finite > self.not_finite * found.rows:
            return f"{found.not_finite} of {found.rows} rows hold a NaN or an infinity"
        if self.empty is not None and found.empty > self.empty * found.rows:
            return f"{found.empty} of {found.rows} rows are null or empty, more than {self.empty:.0%}"
        drift = found.drift_from(before) if self.drift is not None and before is not None else 0.0
        if self.drift is not None and drift > self.drift:
            return f"the values have drifted from the previous generation (stability index {drift:.2f} > {self.drift})"
        return ""


def _check(name: str, value: float, expected: str, fits: Callable[[float], bool]) -> None:
    check_number(value, field=f"gates.{name}", error=ContractError, expected=expected, fits=fits)


def _check_quality(gate: Any) -> None:
    if not callable(gate):
        why = "expected a function that returns a reason not to promote, or None"
    elif any(map(inspect.iscoroutinefunction, (gate, type(gate).__call__))):
        why = "a gate runs in a thread and cannot be a coroutine; declare it with def"
    elif any(
        is_one(function)
        for is_one in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        for function in (gate, type(gate).__call__)
    ):
        why = "a gate is called once and cannot be a generator; let it return the reason"
    else:
        return
    raise ContractError(f"gates.quality={gate!r}: {why}", field="gates.quality")


def stability_index(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """The population stability index of two histograms, ``sum((q - p) ln(q / p))``: 0 for equal ones.

    It is the symmetrized Kullback-Leibler divergence (Jeffreys 1946), known by this name from credit scoring.
    """
    old, new = sum(before.values()), sum(after.values())
    if not old or not new:
        return 0.0
    total = 0.0
    for bucket in before.keys() | after.keys():
        p, q = max(before.get(bucket, 0) / old, FLOOR), max(after.get(bucket, 0) / new, FLOOR)
        total += (q - p) * math.log(q / p)
    return total


def chance(before: Mapping[int, int], after: Mapping[int, int]) -> float:
    """The index that two samples of one distribution are expected to have, ``(B - 1)(1/n + 1/m)`` for B buckets.

    Yurdakul and Naranjo: Statistical properties of the population stability index (2020).
    """
    old, new, buckets = sum(before.values()), sum(after.values()), len(before.keys() | after.keys())
    return (buckets - 1) * (1 / old + 1 / new) if old and new else 0.0


def _is_empty(payload: bytes) -> bool:
    if len(payload) <= _LONGEST_EMPTY:
        return payload in _EMPTY
    return payload.endswith(b"\n") and _EMPTY_ARRAY.match(payload) is not None


def _bucket(number: float) -> int:
    """The number's bucket: half an octave of magnitude, negative for negative numbers, zero below a millionth."""
    size = abs(number)
    if size < 1e-6:  # noqa: PLR2004 - see above
        return 0
    place = int(2 * math.log2(size)) + 41
    return place if number > 0 else -place


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, float | int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _numbers(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _numbers(member)
    elif isinstance(value, msgspec.msgpack.Ext) and value.code == ARRAY:
        yield from numbers(bytes(value.data), LEAVES)
