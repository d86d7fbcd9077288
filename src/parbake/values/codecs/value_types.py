"""How values of a type are stored.

By msgspec, and by codecs if the type contains classes that msgspec does not know.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from parbake.errors import DeclarationError
from parbake.values.codecs import Codec, ShowsJson, codec_for
from parbake.values.redaction import described

METHODS = ("handles", "to_plain", "from_plain", "shape")
_READ = (type(None), bool, int, float, str, bytes, list, dict)
"""Types that msgpack itself reads. A type such as ``object`` that accepts one of them needs no codec."""
_PATH = re.compile(r"(?:[\w<>]+\.)+")


class Form(NamedTuple):
    """Encodes and decodes values of a type. Bytes that do not fit raise :class:`msgspec.DecodeError`."""

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class UnknownClass(TypeError):
    """A class that neither msgspec nor any codec can store."""

    def __init__(self, cls: type) -> None:
        super().__init__(f"{shown(cls)} is of no known type")
        self.cls = cls


def form_of(kind: Any, codecs: Iterable[Codec] = ()) -> Form:
    """How values of a type are stored; raises :class:`TypeError` for a type that cannot be stored."""
    found = dict(_found(kind, codecs))
    if not found:
        return Form(msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(kind).decode)
    hooks = _Hooks(found)
    return Form(
        msgspec.msgpack.Encoder(enc_hook=hooks.to_plain).encode,
        msgspec.msgpack.Decoder(kind, dec_hook=hooks.from_plain).decode,
    )


class _Hooks:
    """The hooks that msgspec calls for values of unknown classes."""

    def __init__(self, found: dict[type, Codec]) -> None:
        """Create the hooks. ``found`` are the classes in the type and their codecs; no other class is stored."""
        self._found = found

    def to_plain(self, value: Any) -> Any:
        codec = self._found.get(type(value))
        if codec is None:
            codec = next((codec for cls, codec in self._found.items() if isinstance(value, cls)), None)
        if codec is None:
            raise _unsupported(value)
        return codec.to_plain(value)

    def from_plain(self, kind: Any, plain: Any) -> Any:
        codec = self._found.get(typing.get_origin(kind) or kind)
        if codec is None:  # a class that accepts what msgpack reads
            return plain
        try:
            return codec.from_plain(kind, plain)
        except (TypeError, ValueError):
            raise  # msgspec converts these to its own error
        except Exception as error:
            raise ValueError(described(error)) from error


def json_hook(codecs: Iterable[Codec] = ()) -> Callable[[Any], Any]:
    """Make the hook that msgspec calls for values that it cannot encode as JSON."""
    known: dict[type, Callable[[Any], Any]] = {}

    def show(value: Any) -> Any:
        if type(value) not in known:
            asked = tuple(codecs)  # most answers contain no such value and never call the hook
            found = (codec_for(cls, asked) for cls in type(value).__mro__)
            codec = next((codec for codec in found if codec is not None), None)
            if codec is None:
                raise _unsupported(value)
            known[type(value)] = codec.to_json if isinstance(codec, ShowsJson) else codec.to_plain
        return known[type(value)](value)

    return show


def check_value_type(task: str, kind: Any, codecs: Iterable[Codec] = ()) -> None:
    """Raise :class:`DeclarationError` that names ``return`` for a task whose values cannot be stored.

    Args:
        task: The task's name.
        kind: The annotated type of its values.
        codecs: The registry's codecs.
    """
    returns = f"{task} returns {shown(kind)}"
    try:
        form_of(kind, codecs)
        for part in _annotated(kind):
            codec = codec_for(typing.get_origin(part) or part, codecs)
            if codec is not None and not isinstance(codec.shape(part), str):
                raise TypeError(f"{type(codec).__name__}.shape must return a text")  # noqa: TRY301  # reported like the others
    except UnknownClass as unknown:
        which = (
            "which parbake cannot store" if unknown.cls is kind else f"and parbake cannot store {shown(unknown.cls)}"
        )
        raise DeclarationError(
            f"{returns}, {which}: make it a msgspec.Struct or a dataclass, or give a codec: pb.Registry(codecs=[...])",
            field="return",
        ) from None
    except NameError as error:
        raise DeclarationError(
            f"{returns}, and {error}: declare the task after everything that its value is made of", field="return"
        ) from error
    except Exception as error:
        raise DeclarationError(f"{returns}, which cannot be stored: {error}{_advice(error)}", field="return") from error


def check_codecs(codecs: Iterable[Codec]) -> tuple[Codec, ...]:
    """Return a registry's codecs; raises :class:`DeclarationError` for an invalid codec."""
    if not isinstance(codecs, list | tuple):
        raise DeclarationError(f"codecs={repr(codecs)[:80]} must be a list, such as [MyCodec()]", field="codecs")
    for codec in codecs:
        if isinstance(codec, type):
            raise DeclarationError(
                f"codecs contains the class {codec.__name__}; write {codec.__name__}()", field="codecs"
            )
        lacking = [name for name in METHODS if not callable(getattr(codec, name, None))]
        if lacking:
            raise DeclarationError(
                f"codecs contains {repr(codec)[:80]}, which has no {lacking[0]}; a codec must have "
                f"{', '.join(METHODS)}",
                field="codecs",
            )
    return tuple(codecs)


def shown(kind: Any) -> str:
    """A type as its author wrote it, without module paths."""
    return kind.__name__ if isinstance(kind, type) else _PATH.sub("", str(kind))


def _found(kind: Any, codecs: Iterable[Codec]) -> Iterator[tuple[type, Codec]]:
    """The classes in a type that msgspec does not know, with their codecs."""
    for cls in _classes(kind):
        codec = codec_for(cls, codecs)
        if codec is not None:
            yield cls, codec
        elif not _is_read(cls):
            raise UnknownClass(cls)


def _classes(kind: Any) -> Iterator[type]:
    from msgspec.inspect import CustomType, Field, Type, type_info

    root = type_info(kind)
    pending: list[Any] = [root]
    seen: set[int] = set()
    while pending:
        node = pending.pop()
        if isinstance(node, CustomType):
            yield node.cls
        elif isinstance(node, Type | Field) and id(node) not in seen:
            seen.add(id(node))
            parts = [getattr(node, name) for name in node.__struct_fields__ if not name.startswith("default")]
            pending += [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]


def _annotated(kind: Any) -> list[Any]:
    """The annotations that codecs are asked about; none if only msgspec can read the type."""
    from parbake.values.codecs.type_text import others  # imported here because of its many modules

    try:
        return others(kind)
    except Exception:  # noqa: BLE001  # msgspec has read it, so that it can be stored
        return []


def _is_read(cls: type) -> bool:
    """Whether msgpack reads values as instances of the class."""
    try:
        return any(issubclass(read, cls) for read in _READ)
    except TypeError:  # a protocol that cannot be checked at run time
        return False


def _unsupported(value: Any) -> TypeError:
    """The error that msgspec raises without a hook."""
    return TypeError(f"Encoding objects of type {type(value).__module__}.{type(value).__qualname__} is unsupported")


def _advice(error: Exception) -> str:
    if not isinstance(error, TypeError) or "union" not in str(error):
        return ""
    return "; tag the members, class A(msgspec.Struct, tag=True), or put them into one struct"
