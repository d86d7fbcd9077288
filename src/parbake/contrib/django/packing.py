"""Writes the values of a cache as msgpack, and never as pickle: what is read back is data and cannot run code."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from parbake.errors import BadInput

_AS_THEY_ARE = {type(None), bool, float, str, bytes}
_SMALLEST, _END = -(1 << 63), 1 << 64
_PAIRS = 1
_SEQUENCES: dict[type[Any], int] = {tuple: 2, set: 3, frozenset: 4}
_TEXTS: dict[type[Any], tuple[int, Callable[[Any], str], Callable[[str], Any]]] = {
    int: (5, str, int),
    decimal.Decimal: (6, str, decimal.Decimal),
    dt.datetime: (7, dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: (8, dt.date.isoformat, dt.date.fromisoformat),
    dt.time: (9, dt.time.isoformat, dt.time.fromisoformat),
    uuid.UUID: (10, str, uuid.UUID),
    SafeString: (11, str.__str__, SafeString),
}
"""The types that are written as a text: their number, and how they become one and back. ``int`` is a large one."""
_DELTA = 12
_SEQUENCE_OF = {number: kind for kind, number in _SEQUENCES.items()}
_FROM_TEXT = {number: read for number, _, read in _TEXTS.values()}
_encode = msgspec.msgpack.Encoder().encode


def packed(value: Any) -> bytes:
    """Encode a value; raises :class:`BadInput` for one that is not data."""
    try:
        return _encode(_plain(value))
    except RecursionError as error:
        raise BadInput("the value contains itself, or is nested too deeply to be cached", field="value") from error
    except ValueError as error:  # a number of more digits than Python writes, or half a character
        raise BadInput(f"the value cannot be cached: {error}", field="value") from error


def unpacked(raw: bytes) -> Any:
    """Decode a value; raises :class:`msgspec.DecodeError` for bytes of another version, or of another writer."""
    try:
        return _decode(raw)
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise msgspec.DecodeError(f"not a cached value: {type(error).__name__}") from error


def _plain(value: Any) -> Any:
    """Return a value as what msgpack knows, and the rest as extensions of it."""
    kind = type(value)
    if kind in _AS_THEY_ARE or (kind is int and _SMALLEST <= value < _END):
        return value
    if kind is list:
        return [_plain(each) for each in value]
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _plain(each) for key, each in value.items()}
        return _extension(_PAIRS, [[_plain(key), _plain(each)] for key, each in value.items()])
    if kind in _SEQUENCES:
        return _extension(_SEQUENCES[kind], [_plain(each) for each in value])
    if kind in _TEXTS:
        number, write, _ = _TEXTS[kind]
        return _extension(number, write(value))
    if kind is dt.timedelta:
        return _extension(_DELTA, [value.days, value.seconds, value.microseconds])
    if isinstance(value, Promise):
        return str(value)
    raise BadInput(
        f"a {kind.__module__}.{kind.__qualname__} cannot be cached, because values are not pickled: cache data made of "
        "texts, numbers, bytes, dates, lists and dictionaries, such as list(queryset.values()) or rendered HTML",
        field="value",
    )


def _extension(number: int, value: Any) -> msgspec.msgpack.Ext:
    return msgspec.msgpack.Ext(number, _encode(value))


def _restored(number: int, data: memoryview) -> Any:
    """Return the value of an extension."""
    value = _decode(bytes(data))
    if number == _PAIRS:
        return {key: each for key, each in value}  # noqa: C416  # pairs come as lists
    if number == _DELTA:
        return dt.timedelta(*value)
    if number in _SEQUENCE_OF:
        return _SEQUENCE_OF[number](value)
    if number in _FROM_TEXT:
        return _FROM_TEXT[number](value)
    raise msgspec.DecodeError(f"extension {number} is unknown")


_decode = msgspec.msgpack.Decoder(ext_hook=_restored).decode
