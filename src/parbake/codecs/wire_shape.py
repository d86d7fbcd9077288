"""The shape of a stored value: eight bytes that say what the bytes of a type look like. Pure.

Values that were stored under one shape are read only by a type of the same shape. Otherwise a field that was renamed
would be read as its default, and nobody would notice.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from parbake.codecs import Codec, codec_for
from parbake.codecs.type_text import Part, Walk

SHAPE_BYTES = 8


def wire_shape(kind: Any, codecs: Iterable[Codec] = ()) -> bytes:
    """The shape of a type, 8 bytes: the digest of :func:`wire_text`. ``codecs`` are those of the task."""
    return blake2b(wire_text(kind, codecs).encode(), digest_size=SHAPE_BYTES).digest()


def wire_text(kind: Any, codecs: Iterable[Codec] = ()) -> str:
    """What the stored values of a type look like: names, types and order of fields, tags, allowed values.

    Neither the names of classes nor their texts nor default values are in it, but for one kind of default: what a
    struct with ``omit_defaults`` leaves out of the bytes is read as the default of today. The same on every Python.
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
    except Exception:  # noqa: BLE001  # whatever cannot be read of it: the shape only spares reading what no longer fits
        return f"unread {getattr(kind, '__qualname__', kind)}"
