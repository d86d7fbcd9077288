"""pydantic models, by the names of their fields.

They are stored as pydantic dumps them in Python mode, so that bytes and infinities are preserved. Values that msgpack
does not know become text that pydantic reads: dates, decimals, UUIDs, paths, addresses. Validators run again when a
value is read, so a value must be valid in its stored form.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from parbake.values.codecs.type_fields import Field, Fields
from parbake.values.codecs.type_text import Part, Walk

if TYPE_CHECKING:
    from pydantic import BaseModel

OLDEST = (2, 11)
"""The first version that can read a model by its field names independently of aliases."""
_FAULTS_SHOWN = 3


class PydanticCodec:
    """The codec for ``pydantic.BaseModel`` (pydantic 2.11 or newer)."""

    def handles(self, kind: Any, /) -> bool:
        """Whether the class is a model."""
        return _is_model(kind)

    def to_plain(self, value: BaseModel, /) -> Any:
        """The fields by name; raises :class:`TypeError` for a secret and for values that pydantic cannot store."""
        dumped = value.model_dump(by_alias=False, round_trip=True, warnings=False)
        return msgspec.to_builtins(dumped, builtin_types=(bytes, bytearray, memoryview), enc_hook=_text)

    def from_plain(self, kind: type[BaseModel], plain: Any, /) -> Any:
        """The validated model. Strict mode is off, because a date is stored as text. Raises :class:`ValueError`."""
        from pydantic import ValidationError

        try:
            return kind.model_validate(plain, strict=False, by_alias=False, by_name=True)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)[:_FAULTS_SHOWN]
            said = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
            raise ValueError("; ".join(said)) from None  # without the value, which must not be logged

    def shape(self, kind: Any, /) -> str:
        """The names, types, limits and order of the fields, without aliases, titles and defaults.

        Raises :class:`TypeError` for an older pydantic.
        """
        import pydantic

        if tuple(map(int, pydantic.VERSION.split(".")[:2])) < OLDEST:
            raise TypeError(f"storing models needs pydantic 2.11 or newer; the installed version is {pydantic.VERSION}")
        return Walk(_other).text(kind)

    def to_json(self, value: BaseModel, /) -> Any:
        """The model's own JSON: by aliases, with computed fields, secrets as stars."""
        return value.model_dump(mode="json", by_alias=True)


def _is_model(kind: Any) -> bool:
    import pydantic

    return isinstance(kind, type) and issubclass(kind, pydantic.BaseModel) and hasattr(kind, "model_validate")


def _text(value: Any) -> Any:
    """The stored text for a part of a model that msgpack does not know."""
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    name = type(value).__name__
    if hasattr(value, "get_secret_value"):
        raise TypeError(f"a secret ({name}) in a pydantic model cannot be stored: remove it from the model")
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise TypeError(
            f"{name} in a pydantic model cannot be stored: put both into a msgspec.Struct or a dataclass"
        ) from None


def _other(kind: Any, walk: Walk) -> Part:
    if _is_model(kind):
        return walk.named(kind, lambda: _body(kind, walk))
    cls, given = typing.get_origin(kind) or kind, typing.get_args(kind)
    name = f"other {getattr(cls, '__qualname__', cls)}"
    return walk.generic(name, given) if given else name


def _body(kind: type[BaseModel], walk: Walk) -> Part:
    from pydantic import RootModel

    kind.model_rebuild(raise_errors=False)  # names that were undefined when the class was created may be defined now
    found = [
        Field(
            name, info.is_required(), Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        )
        for name, info in kind.model_fields.items()
    ]
    for name, info in kind.model_fields.items():
        if info.exclude:
            raise TypeError(
                f"the field {name!r} of {kind.__name__} has exclude=True, so it would be lost: remove exclude=True"
            )
    if issubclass(kind, RootModel):
        return ("root(", walk.part(found[0].kind), ")")
    more = "+any" if kind.model_config.get("extra") == "allow" else ""
    return (walk.fields(Fields(found)), more)
