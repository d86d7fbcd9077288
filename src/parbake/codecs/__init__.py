"""Codecs: how values of types are stored that msgspec does not know. Two are built in, for pydantic and numpy."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable


class Codec(Protocol):
    """Stores values of some types as what msgspec can encode. Give it to a registry: ``pb.Registry(codecs=[...])``.

    It is asked only for types that msgspec does not store by itself, wherever they stand in a task's value type. It may
    have a method ``to_json(value)``, too, which returns what is shown of a value over HTTP; else the plain form is.
    """

    def handles(self, kind: Any, /) -> bool:
        """Whether it stores values of this class."""
        ...

    def to_plain(self, value: Any, /) -> Any:
        """What stands for a value in the store: anything that msgspec encodes. Raises for a value it cannot store."""
        ...

    def from_plain(self, kind: Any, plain: Any, /) -> Any:
        """The value again; ``kind`` is its type as it was annotated. Raises for what does not fit."""
        ...

    def shape(self, kind: Any, /) -> str:
        """What the plain form of a type looks like; a value that was stored under another text is computed again.

        Raises :class:`TypeError` for a type that it handles but cannot store after all, such as an array of objects.
        """
        ...


@runtime_checkable
class ShowsJson(Protocol):
    """A codec that shows its values over HTTP otherwise than it stores them."""

    def to_json(self, value: Any, /) -> Any:
        """What is shown of a value: anything that msgspec encodes as JSON."""
        ...


def codec_for(cls: Any, codecs: Iterable[Codec] = ()) -> Codec | None:
    """The codec of a class: the first of the given ones that handles it, or else a built-in one."""
    return next((codec for codec in (*codecs, *_built_in()) if codec.handles(cls)), None)


def _built_in() -> list[Codec]:
    """Those of the libraries that the program has loaded: a type of another one cannot have been declared."""
    found: list[Codec] = []
    if "pydantic" in sys.modules:
        from parbake.codecs.pydantic import PydanticCodec

        found.append(PydanticCodec())
    if "numpy" in sys.modules:
        from parbake.codecs.numpy import NumpyCodec

        found.append(NumpyCodec())
    return found
