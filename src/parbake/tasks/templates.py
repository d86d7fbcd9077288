"""Checks the tag templates of a declaration, so that the lanes can use them."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from parbake.errors import BadInput, ContractError
from parbake.protocol.tag_parts import refused_type
from parbake.protocol.tags import check_tag, placeholders
from parbake.tasks.contract import Invalidation

_NAMES_A_KEY = re.compile(r"[^{}/]+/[^{}]*\{\w+\}")
"""A template with the placeholder at its end; only there can the key be read back from a raised tag."""

_FAMILY = re.compile(r"[a-z][a-z0-9_.-]*")


def check_templates(task: str, invalidated_by: Sequence[Invalidation], key: str, key_type: Any = str) -> None:
    """Check that each item of ``invalidated_by`` is a family, or a template that the key fills.

    Args:
        task: The task's name, for the error.
        invalidated_by: The items.
        key: The name of the task's key parameter, which templates may name.
        key_type: The type of the key.

    Raises:
        ContractError: An item is not a family, and not a template over the key, or the key is of a type that databases
            spell otherwise.
    """
    for item in invalidated_by:
        _check(task, "invalidated_by", item.template, key)
        _check_type(task, "invalidated_by", item.template, key_type)


def _check_type(task: str, field: str, template: str, key_type: Any) -> None:
    problem = _refused_key_type(key_type) if placeholders(template) else ""
    if problem:
        raise ContractError(f"{task}: {field}={template!r} names the key, and {problem}", field=field)


def _refused_key_type(key_type: Any) -> str:
    """Why keys of an annotated type cannot be parts of tags; empty if they can, or if only the keys themselves tell.

    Args:
        key_type: The annotation of a key.
    """
    for kind in _classes_of(key_type):
        if isinstance(kind, type) and (problem := refused_type(kind)):
            return problem
    return ""


def _classes_of(key_type: Any) -> Iterator[Any]:
    """The classes of which a key of an annotated type may be."""
    if key_type is Any or isinstance(key_type, TypeVar):
        return
    if hasattr(key_type, "__supertype__"):  # a NewType
        yield from _classes_of(key_type.__supertype__)
    elif get_origin(key_type) in (Union, types.UnionType):
        for member in get_args(key_type):
            yield from _classes_of(member)
    elif get_origin(key_type) is Literal:
        yield from map(type, get_args(key_type))
    elif get_origin(key_type) is Annotated:
        yield from _classes_of(get_args(key_type)[0])
    else:
        yield get_origin(key_type) or key_type


def wishes(task: str, prefetch: Any, key: str, key_type: Any = str) -> tuple[Invalidation, ...]:
    """Turn the templates of ``prefetch=`` into invalidations for the event lane.

    Args:
        task: The task's name, for the error.
        prefetch: The tag templates.
        key: The name of the task's key parameter.
        key_type: The type of the key.

    Raises:
        ContractError: A template can never name a key.
    """
    if isinstance(prefetch, str) or not isinstance(prefetch, Sequence):
        raise ContractError(
            f"{task}: prefetch={prefetch!r} is not a list of tag templates; {_instead(prefetch, key)}", field="prefetch"
        )
    for template in prefetch:
        instead = _instead(template, key)
        if not isinstance(template, str) or not _NAMES_A_KEY.fullmatch(template):
            raise ContractError(
                f"{task}: prefetch={template!r} cannot name a key: the key must be at the end of such a tag; {instead}",
                field="prefetch",
            )
        _check(task, "prefetch", template, key, instead)
        _check_type(task, "prefetch", template, key_type)
    return tuple(Invalidation(template, "refresh") for template in prefetch)


def _instead(template: Any, key: str) -> str:
    """Suggest a valid template that is close to the given one."""
    family = template.partition("/")[0] if isinstance(template, str) else ""
    family = family if _FAMILY.fullmatch(family) else "session"
    return f"write prefetch=['{family}/{{{key.removesuffix('s')}}}']"


def _check(task: str, field: str, template: str, key: str, instead: str = "") -> None:
    advice = f"; {instead}" if instead else ""
    names = placeholders(template)
    try:
        tag = template.format_map(dict.fromkeys(names, "x"))
        fits = check_tag(tag, field=field) == tag  # an entity may contain spaces; in a template they are a typing error
    except (BadInput, ValueError, AttributeError, IndexError, KeyError):
        fits = False
    if not fits:
        raise ContractError(
            f"{task}: {field}={template!r} is not a tag template such as 'product/{{asin}}': a family in small letters "
            f"without spaces{advice}",
            field=field,
        )
    for name in names:
        if name not in (key, "key", key.removesuffix("s")):
            raise ContractError(
                f"{task}: {field}={template!r} names {{{name}}}, but the key is {{{key}}}{advice}", field=field
            )
