"""Codecs: how values of types that msgspec does not know are stored. Two are built in, for pydantic and numpy."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable


class Codec(Protocol):
    """Converts values of some types to what msgspec can encode. Register it with ``pb.Registry(codecs=[...])``.

    It is used only for types that msgspec cannot store itself, at any depth of a task's value type. It may also have a
    method ``to_json(value)``, which returns the form shown over HTTP; by default that is the plain form.
    """

    def handles(self, kind: Any, /) -> bool:
        """Whether it stores values of this class."""
        ...

    def to_plain(self, value: Any, /) -> Any:
        """Convert a value to anything that msgspec encodes; raises for a value that it cannot store."""
        ...

    def from_plain(self, kind: Any, plain: Any, /) -> Any:
        """Convert a plain form back to a value; ``kind`` is the annotated type. Raises for a form that does not fit."""
        ...

    def shape(self, kind: Any, /) -> str:
        """Describe the plain form of a type. A value that was stored under another description is computed again.

        Raises :class:`TypeError` for a type that it handles but cannot store, such as an array of objects.
        """
        ...


@runtime_checkable
class ShowsJson(Protocol):
    """A codec with a different form of its values over HTTP."""

    def to_json(self, value: Any, /) -> Any:
        """Convert a value to anything that msgspec encodes as JSON."""
        ...


def codec_for(cls: Any, codecs: Iterable[Codec] = ()) -> Codec | None:
    """The codec for a class: the first given one that handles it, otherwise a built-in one."""
    return next((codec for codec in (*codecs, *_built_in()) if codec.handles(cls)), None)


def _built_in() -> list[Codec]:
    """The codecs of the libraries that are imported already; a type of another library cannot have been declared."""
    found: list[Codec] = []
    if "pydantic" in sys.modules:
        from parbake.values.codecs.pydantic import PydanticCodec

        found.append(PydanticCodec())
    if "numpy" in sys.modules:
        from parbake.values.codecs.numpy import NumpyCodec

        found.append(NumpyCodec())
    return found
