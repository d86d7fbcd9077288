"""When two values are the same, and how certain a share is. No I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

_NOTHING = object()


class CurrentValue(msgspec.Struct, frozen=True):
    """What a recompute may return if it knows since when the value is current (epoch seconds).

    Any object with these two attributes is accepted.
    """

    value: Any
    changed_at: float | None = None


def normal(value: Any, *, keep_bytes: bool = False) -> Any:
    """Convert a recomputed value to the form that a decoder returns.

    Structs and dataclasses as mappings, sets as lists. ``keep_bytes`` leaves bytes unchanged, like msgpack does. Raises
    :class:`TypeError` for a type without a plain form.
    """
    if isinstance(value, set | frozenset):  # in the order in which a reader lists a set's elements
        return sorted((normal(element, keep_bytes=keep_bytes) for element in value), key=repr)
    return msgspec.to_builtins(value, builtin_types=(bytes,) if keep_bytes else (), str_keys=True)


def difference(cached: Any, truth: Any, *, tolerance: float = 0.0, path: str = "$") -> str | None:
    """Find where two plain values first differ.

    Numbers are equal if they differ by at most ``tolerance``, absolute or relative, whichever allows more.

    Args:
        cached: The cached value.
        truth: The recomputed value.
        tolerance: The allowed difference of numbers.
        path: The path of the values in the whole.

    Returns:
        The path, such as ``$.offers[2].price``; ``None`` if they are equal.
    """
    if _is_number(cached) and _is_number(truth):
        return None if _close(cached, truth, tolerance) else path
    if isinstance(cached, Mapping) and isinstance(truth, Mapping):
        keys = sorted({*cached, *truth}, key=repr)
        pairs = ((f"{path}.{key}", cached.get(key, _NOTHING), truth.get(key, _NOTHING)) for key in keys)
    elif _is_list(cached) and _is_list(truth):
        both = zip_longest(cached, truth, fillvalue=_NOTHING)
        pairs = ((f"{path}[{n}]", one, other) for n, (one, other) in enumerate(both))
    else:
        return None if type(cached) is type(truth) and cached == truth else path
    found = (difference(one, other, tolerance=tolerance, path=where) for where, one, other in pairs)
    return next((where for where in found if where), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _close(one: float, other: float, tolerance: float) -> bool:
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return one == other or math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)
