"""The fields of a type as msgspec stores them: names, types with type variables filled in, optional fields. Pure."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import msgspec

_EMPTY = (list, dict, set)


class Field(NamedTuple):
    """One field. ``shown`` is the text of its default, if the stored bytes leave out the default."""

    name: str
    required: bool
    kind: Any
    shown: str = ""


class Fields(NamedTuple):
    """The fields of a type in order, whether they are stored as an array, and the type's tag."""

    fields: list[Field]
    is_array: bool = False
    tag: tuple[Any, Any] | None = None


def has_fields(cls: Any) -> bool:
    """Whether msgspec stores values of a class by their fields."""
    if not isinstance(cls, type):
        return False
    if issubclass(cls, dict | tuple):
        return hasattr(cls, "__total__") if issubclass(cls, dict) else hasattr(cls, "_fields")
    return issubclass(cls, msgspec.Struct) or dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__")


def fields_of(kind: Any) -> Fields:
    """The fields of a type that has fields; raises :class:`NameError` for an annotation with an unknown name."""
    cls = typing.get_origin(kind) or kind
    if issubclass(cls, msgspec.Struct):
        return _struct(kind, cls)
    if issubclass(cls, tuple):
        return Fields(_named_tuple(kind, cls), is_array=True)
    read = _typed_dict if issubclass(cls, dict) else _dataclass if dataclasses.is_dataclass(cls) else _attrs
    return Fields(read(kind, cls))


def _struct(kind: Any, cls: type[msgspec.Struct]) -> Fields:
    config = cls.__struct_config__
    found = [
        Field(one.encode_name, one.required, one.type, _shown(one) if config.omit_defaults else "")
        for one in msgspec.structs.fields(kind)
    ]
    return Fields(found, config.array_like, None if config.tag is None else (config.tag_field, config.tag))


def _shown(one: msgspec.structs.FieldInfo) -> str:
    """The default that a struct with ``omit_defaults`` leaves out: a value, or the factory of an empty collection."""
    if one.default_factory is not msgspec.NODEFAULT:
        return f"{one.default_factory.__name__}()" if one.default_factory in _EMPTY else ""
    if one.default is msgspec.NODEFAULT or one.default is msgspec.UNSET:
        return ""
    return msgspec.json.encode(one.default, enc_hook=lambda value: type(value).__qualname__).decode()


def _typed_dict(kind: Any, cls: Any) -> list[Field]:
    found = []
    for name, of in hints(kind).items():
        # With `from __future__ import annotations`, the class itself treats every key as required.
        wrapper = typing.get_origin(of)
        required = wrapper is typing.Required or (wrapper is not typing.NotRequired and name in cls.__required_keys__)
        found.append(Field(name, required, of))
    return found


def _dataclass(kind: Any, cls: Any) -> list[Field]:
    of, missing = hints(kind), dataclasses.MISSING
    return [
        Field(one.name, one.default is missing and one.default_factory is missing, of[one.name])
        for one in dataclasses.fields(cls)
    ]


def _attrs(kind: Any, cls: Any) -> list[Field]:
    of, missing = hints(kind), sys.modules["attr"].NOTHING
    return [Field(one.name, one.default is missing, of[one.name]) for one in cls.__attrs_attrs__]


def _named_tuple(kind: Any, cls: Any) -> list[Field]:
    of = hints(kind)
    return [Field(name, name not in cls._field_defaults, of.get(name, Any)) for name in cls._fields]


def hints(kind: Any) -> dict[str, Any]:
    """The annotations of a class and its bases, with a generic class's type arguments in place of its variables."""
    cls = typing.get_origin(kind) or kind
    scopes: dict[type, dict[Any, Any]] = {}
    for base, scope in _scopes(kind, {}):
        if scope or base not in scopes:
            scopes[base] = scope
    if issubclass(cls, dict):  # a TypedDict does not record which base a key comes from
        merged = {variable: value for scope in reversed(scopes.values()) for variable, value in scope.items()}
        scopes = {cls: merged}
    found = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        owner = next((base for base in cls.__mro__ if name in inspect.get_annotations(base)), cls)
        found[name] = filled(hint, scopes.get(owner, {}))
    return found


def _scopes(kind: Any, outer: dict[Any, Any]) -> Iterator[tuple[type, dict[Any, Any]]]:
    """The values of the type variables, for each class among the bases of a type."""
    cls = typing.get_origin(kind) or kind
    variables = getattr(cls, "__parameters__", ())
    scope = dict(zip(variables, (filled(given, outer) for given in typing.get_args(kind)), strict=False))
    yield cls, scope
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, typing.Generic):
            yield from _scopes(base, scope)


def filled(hint: Any, scope: dict[Any, Any]) -> Any:
    """An annotation with type variables replaced by their values."""
    if isinstance(hint, TypeVar):
        return scope.get(hint, hint)
    variables = getattr(hint, "__parameters__", ())
    if isinstance(hint, type) or not variables or not any(variable in scope for variable in variables):
        return hint
    return hint[tuple(scope.get(variable, variable) for variable in variables)]
