"""Each parameter of a task has exactly one role; legality and classification follow from the roles.

====================  =========================================  ===========================================
role                  how it is written                          what it is
====================  =========================================  ===========================================
key, keys             the first parameter; ``Keys[K]``           what the artifact is for
source                ``history: Source[History]``               a versioned view, known ahead
live                  ``message: Live[str]``                     exists only at request time
resource              ``llm: Resource[Generator]``               a stateless client
input                 ``blocks=Input(evidence)``                 another task's value, through the fence
model                 ``factors=Model(train)``                   a trained model, itself an artifact
base                  ``base: Served[T]``                        the precomputed base of a refine task
====================  =========================================  ===========================================

``Input`` and ``Model`` are defaults rather than annotations because a task is an object, not a type: this way both
mypy and pyright check the parameter against the task's own types.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, TypeVar

from parbake.errors import RoleError

if typing.TYPE_CHECKING:
    from parbake.declare.tasks import Task

T = TypeVar("T")


class Role(Enum):
    """What a parameter is to its task."""

    KEY = "key"
    KEYS = "keys"
    BASE = "base"
    SOURCE = "source"
    LIVE = "live"
    RESOURCE = "resource"
    INPUT = "input"
    MODEL = "model"


Keys = Annotated[Sequence[T], Role.KEYS]
Source = Annotated[T, Role.SOURCE]
Live = Annotated[T, Role.LIVE]
Resource = Annotated[T, Role.RESOURCE]

GIVEN: Any = None
"""The default of a ``Source`` or ``Resource`` of a live or refine task: parbake passes it, so callers need not."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The default value that marks an input or model parameter; ``task`` is where its value comes from."""

    task: Task
    role: Role


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a task's function: its role, its type, and for inputs and models the task it names."""

    name: str
    role: Role
    type: Any
    task: Task | None = None
    optional: bool = False


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
        raise RoleError(
            f"{fn.__qualname__}: annotate the return type; values are stored and checked by it", field="return"
        )
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
