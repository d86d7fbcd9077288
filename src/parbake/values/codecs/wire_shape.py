"""The shape of a stored value: eight bytes that describe the stored form of its type. Pure.

Values stored under one shape are read only by a type of the same shape. Otherwise a renamed field would silently be
read as its default.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.values.codecs import Codec, codec_for
from parbake.values.codecs.type_text import Part, Walk

_SHAPE_BYTES = 8


def wire_shape(kind: Any, codecs: Iterable[Codec] = ()) -> bytes:
    """The shape of a type, 8 bytes: the digest of :func:`wire_text`. ``codecs`` are the task's."""
    return blake2b(wire_text(kind, codecs).encode(), digest_size=_SHAPE_BYTES).digest()


def wire_text(kind: Any, codecs: Iterable[Codec] = ()) -> str:
    """Describe the stored form of a type: names, types and order of fields, tags, allowed values.

    It contains neither class names nor docstrings nor default values, with one exception: a default that a struct with
    ``omit_defaults`` leaves out of the bytes, because it is read back as today's default. The text is the same on every
    Python.
    """

    def other(part: Any, walk: Walk) -> Part:
        cls, given = typing.get_origin(part) or part, typing.get_args(part)
        codec = codec_for(cls, codecs)
        if codec is not None:
            return f"codec({msgspec.json.encode(codec.shape(part)).decode()})"
        if cls is object:
            return "any"
        name = f"other {getattr(cls, '__qualname__', cls)}"
        return walk.generic(name, given) if given else name

    try:
        return Walk(other).text(kind)
    except Exception:  # noqa: BLE001  # any error: the shape only avoids reading values that no longer fit
        return f"unread {getattr(kind, '__qualname__', kind)}"
