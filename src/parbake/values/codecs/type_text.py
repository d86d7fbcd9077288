"""Types as texts: the stored form of a type's values, independent of class names. Pure.

The text of a type contains the names, types and order of its fields, tags, and allowed values. A type with fields is
written out at its first occurrence; later occurrences are ``#n``, the n-th type that was written out (from 0). A type
may therefore contain itself. The members of a union are sorted by their own texts.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import re
import types
import typing
import uuid
from collections import abc
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal, TypeAlias, TypeVar, Union

import msgspec

from parbake.values.codecs.type_fields import Field, Fields, fields_of, has_fields

LIMITS = (
    "gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "max_digits", "decimal_places", "pattern", "tz",
)  # fmt: skip
"""Limits on values in ``Annotated``: attributes of ``msgspec.Meta`` and similar classes."""
_SCALARS: dict[Any, str] = {
    Any: "any", None: "none", types.NoneType: "none", bool: "bool", int: "int", float: "float", str: "str",
    bytes: "bytes", bytearray: "bytes", memoryview: "bytes", dt.datetime: "datetime", dt.date: "date",
    dt.time: "time", dt.timedelta: "timedelta", decimal.Decimal: "decimal", uuid.UUID: "uuid",
    msgspec.Raw: "raw", msgspec.msgpack.Ext: "ext",
}  # fmt: skip
_COLLECTIONS: dict[Any, str] = {
    list: "list", abc.Sequence: "list", abc.MutableSequence: "list", abc.Collection: "list",
    set: "set", frozenset: "set", abc.Set: "set", abc.MutableSet: "set",
    dict: "dict", abc.Mapping: "dict", abc.MutableMapping: "dict",
}  # fmt: skip
_CONSTANTS = (str, int, float, types.NoneType)
_WRAPPERS = frozenset(
    getattr(typing, name, Final) for name in ("Final", "ClassVar", "Required", "NotRequired", "ReadOnly")
)
"""Wrappers around the type of a field that say nothing about its values."""


@dataclass(frozen=True, slots=True)
class Named:
    """A reference to a type with fields: its position, from 0, in the order in which a walk found such types."""

    number: int


@dataclass(frozen=True, slots=True)
class Either:
    """A union; the order of its members is irrelevant."""

    members: tuple[Part, ...]


Part: TypeAlias = "str | Named | Either | tuple[Part, ...]"


class Walk:
    """Reads a type and all types inside it."""

    def __init__(self, other: Callable[[Any, Walk], Part]) -> None:
        """Create a walk; ``other`` reads each type that is neither plain nor stored by its fields."""
        self._other = other
        self._bodies: list[Part] = []
        self._met: dict[Hashable, tuple[Named, Any]] = {}
        self._open: list[Any] = []

    def text(self, kind: Any) -> str:
        """The text of a type."""
        return _written(self.part(kind), self._bodies)

    def part(self, kind: Any) -> Part:
        """A type as a part of another type's text."""
        kind, metadata, aliases = unwrapped(kind)
        if any(alias in self._open for alias in aliases):
            return "recursive"
        self._open += aliases
        found = self._plain(kind)
        del self._open[len(self._open) - len(aliases) :]
        limits = ",".join(f"{name}={_value(value)}" for name, value in sorted(dict(_limits(metadata)).items()))
        return (found, f"({limits})") if limits else found

    def named(self, kind: Any, body: Callable[[], Part]) -> Named:
        """A type that may contain itself. Its body is read once, however often it occurs."""
        try:
            key: Hashable = (hash(kind), kind)
        except TypeError:  # for unhashable types; a reference is kept, so that the id stays unique
            key = id(kind)
        if key not in self._met:
            self._met[key] = (Named(len(self._bodies)), kind)
            self._bodies.append("")
            self._bodies[self._met[key][0].number] = body()
        return self._met[key][0]

    def fields(self, found: Fields) -> Part:
        """The fields of a type, in order."""
        tag = () if found.tag is None else (f"tag {_value(found.tag[0])}={_value(found.tag[1])}",)
        parts = [*tag, *map(self._field, found.fields)]
        return ("array{" if found.is_array else "map{", _separated(parts), "}")

    def _field(self, field: Field) -> Part:
        ending = f"={field.shown}" if field.shown else ""
        return (_value(field.name), ":" if field.required else "?:", self.part(field.kind), ending)

    def _plain(self, kind: Any) -> Part:
        """A type without wrappers."""
        if isinstance(kind, TypeVar):
            return "any" if kind.__bound__ is None else self.part(kind.__bound__)
        origin, given = typing.get_origin(kind) or kind, typing.get_args(kind)
        if origin is Union or origin is types.UnionType:
            return Either(tuple(self.part(one) for one in given if one is not msgspec.UnsetType))
        if origin is Literal:
            return f"literal({','.join(sorted(map(_value, given)))})"
        if not isinstance(origin, Hashable):
            return self._other(kind, self)
        if origin in _SCALARS:
            return _SCALARS[origin]
        if origin is tuple:
            return self._tuple(given, is_bare=kind in (tuple, typing.Tuple))  # noqa: UP006  # the old spelling, too
        if origin in _COLLECTIONS:
            count = 2 if _COLLECTIONS[origin] == "dict" else 1
            return self.generic(_COLLECTIONS[origin], given or (Any,) * count)
        if isinstance(origin, type) and issubclass(origin, enum.Enum):
            return _enum(origin)
        if has_fields(origin):
            return self.named(kind, lambda: self.fields(fields_of(kind)))
        return self._other(kind, self)

    def _tuple(self, given: tuple[Any, ...], *, is_bare: bool) -> Part:
        if is_bare or given[1:] == (...,):
            return ("tuple[", self.part(Any if is_bare else given[0]), "*]")
        return self.generic("tuple", given)

    def generic(self, name: str, given: Iterable[Any]) -> Part:
        """A name, followed by types in brackets."""
        return (name, "[", _separated([self.part(one) for one in given]), "]")


def others(kind: Any) -> list[Any]:
    """The annotations in a type that are neither plain nor stored by their fields."""
    found = []

    def other(part: Any, _: Walk) -> Part:
        found.append(part)
        return ""

    Walk(other).part(kind)
    return found


def unwrapped(kind: Any) -> tuple[Any, list[Any], list[Any]]:
    """The type itself, its metadata from ``Annotated``, and the aliases that it was written as."""
    metadata: list[Any] = []
    aliases: list[Any] = []
    while True:
        origin = typing.get_origin(kind)
        if origin is Annotated:
            metadata += kind.__metadata__
            kind = kind.__origin__
        elif origin in _WRAPPERS:
            kind = typing.get_args(kind)[0]
        elif hasattr(kind, "__supertype__"):
            kind = kind.__supertype__
        elif _is_alias(kind) and kind not in aliases:
            aliases.append(kind)
            kind = kind.__value__
        elif _is_alias(origin) and kind not in aliases:
            aliases.append(kind)
            kind = origin.__value__[typing.get_args(kind)]
        else:
            return kind, metadata, aliases


def _is_alias(kind: Any) -> bool:
    """Whether it was written as ``type Name = ...``, which Python has since 3.12 and other packages had before."""
    return type(kind).__name__ == "TypeAliasType"


def _limits(metadata: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for item in metadata:
        yield from _limits(getattr(item, "metadata", ()))  # such as pydantic's Field
        for name in LIMITS:
            if isinstance(value := getattr(item, name, None), str | int | float | re.Pattern):
                yield name, value.pattern if isinstance(value, re.Pattern) else value


def _enum(kind: type[enum.Enum]) -> str:
    """The values of an enumeration; numbers come with their names, which give them a meaning."""
    members = kind.__members__.items()
    is_named = not all(isinstance(member.value, str) for _, member in members)
    texts = sorted({f"{name}={_value(member)}" if is_named else _value(member) for name, member in members})
    return f"enum({','.join(texts)})"


def _value(value: Any) -> str:
    """The text of a constant."""
    if isinstance(value, enum.Enum):
        value = value.value
    return msgspec.json.encode(value).decode() if isinstance(value, _CONSTANTS) else type(value).__qualname__


def _separated(parts: Iterable[Part]) -> Part:
    return tuple(piece for number, part in enumerate(parts) for piece in ((",", part) if number else (part,)))


def _written(root: Part, bodies: list[Part]) -> str:
    """The whole text: each type with fields at its first occurrence, numbered in that order."""
    signs, numbers = _signs(bodies), dict[str, int]()

    def name(place: int) -> str:
        if signs[place] in numbers:
            return f"#{numbers[signs[place]]}"
        numbers[signs[place]] = len(numbers)
        return _text(bodies[place], name, signs.__getitem__)

    return _text(root, name, signs.__getitem__)


def _signs(bodies: list[Part]) -> list[str]:
    """A digest for each type with fields; equal for two types that look alike at every depth.

    Each round looks one level deeper, until no more types can be told apart (partition refinement; Hopcroft 1971).
    """
    signs, apart = [""] * len(bodies), 1
    while True:
        last = signs
        signs = [_digest(_text(body, last.__getitem__, last.__getitem__)) for body in bodies]
        if len(set(signs)) <= apart:
            return signs
        apart = len(set(signs))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _text(part: Part, name: Callable[[int], str], sign: Callable[[int], str]) -> str:
    """A part as text: ``name`` returns the text for a type with fields, ``sign`` its sort key in a union."""
    if isinstance(part, str):
        return part
    if isinstance(part, Named):
        return name(part.number)
    if isinstance(part, tuple):
        return "".join(_text(one, name, sign) for one in part)
    members = {_text(member, sign, sign): member for member in _flat(part)}
    return "|".join(_text(members[text], name, sign) for text in sorted(members))


def _flat(union: Either) -> Iterator[Part]:
    for member in union.members:
        if isinstance(member, Either):
            yield from _flat(member)
        else:
            yield member
