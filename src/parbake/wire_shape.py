"""The shape of a stored value: eight bytes that say what the bytes of a type look like. Pure.

Values that were stored under one shape are read only by a type of the same shape. Otherwise a field that was renamed
would be read as its default, and nobody would notice.
"""

from __future__ import annotations

import typing
from hashlib import blake2b
from typing import Any

from parbake.type_text import Part, Walk

SHAPE_BYTES = 8


def wire_shape(kind: Any) -> bytes:
    """The shape of a type, 8 bytes: the digest of :func:`wire_text`."""
    return blake2b(wire_text(kind).encode(), digest_size=SHAPE_BYTES).digest()


def wire_text(kind: Any) -> str:
    """What the stored values of a type look like: names, types and order of fields, tags, allowed values.

    Neither the names of classes nor their texts nor default values are in it, but for one kind of default: what a
    struct with ``omit_defaults`` leaves out of the bytes is read as the default of today. The same on every Python.
    """
    try:
        return Walk(_other).text(kind)
    except (AttributeError, LookupError, NameError, RecursionError, TypeError, ValueError):
        return f"unread {getattr(kind, '__qualname__', kind)}"


def _other(kind: Any, walk: Walk) -> Part:
    if kind is object:
        return "any"
    cls, given = typing.get_origin(kind) or kind, typing.get_args(kind)
    name = f"other {getattr(cls, '__qualname__', cls)}"
    return walk.generic(name, given) if given else name
