"""Reads the roles of a function's parameters from its annotations and defaults."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from parbake.errors import RoleError
from parbake.tasks.roles import Role
from parbake.tasks.task_types import Edge, Parameter


def inspect_roles(fn: Callable[..., Any], *, first: Role | None) -> tuple[tuple[Parameter, ...], Any]:
    """Return a function's parameters with their roles, and its return type.

    ``first`` is the role of an unmarked first parameter (key or base; ``None`` when every parameter needs a mark).
    Raises :class:`RoleError` naming the parameter.
    """
    try:
        hints = typing.get_type_hints(fn, include_extras=True)
    except (NameError, TypeError) as error:
        raise RoleError(f"{fn.__qualname__}: its annotations cannot be resolved at run time ({error})") from error
    if "return" not in hints:
        form = "write a def with a return type" if fn.__name__ == "<lambda>" else "annotate the return type"
        raise RoleError(f"{fn.__qualname__}: {form}, by which values are stored and checked", field="return")
    found = []
    for position, (name, parameter) in enumerate(inspect.signature(fn).parameters.items()):
        default_role = first if position == 0 else None
        found.append(_one(fn, name, parameter, hints.get(name), default_role))
    return tuple(found), hints["return"]


def _one(fn: Callable[..., Any], name: str, parameter: inspect.Parameter, hint: Any, default: Role | None) -> Parameter:
    if isinstance(parameter.default, Edge):
        return Parameter(name, parameter.default.role, hint, parameter.default.task)
    if hint is None:
        raise RoleError(f"{fn.__qualname__}({name}): has no annotation, so no role", field=name)
    marks = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Role)]
    if len(marks) > 1:
        raise RoleError(f"{fn.__qualname__}({name}): has two roles; keep one", field=name)
    role = marks[0] if marks else default
    if role is None:
        raise RoleError(
            f"{fn.__qualname__}({name}): has no role; write Source[...], Live[...], Resource[...], Input(task) or "
            "Model(task)",
            field=name,
        )
    kind = typing.get_args(hint)[0] if marks else hint
    return Parameter(name, role, kind, optional=parameter.default is not inspect.Parameter.empty)
