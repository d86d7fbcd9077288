"""Builds the artifact that a function declares, and checks it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any

from parbake.errors import ContractError, DeclarationError, LaneError, RoleError
from parbake.tasks.contract import Use
from parbake.tasks.gates import Gates
from parbake.tasks.legality import live_reached
from parbake.tasks.parameters import inspect_roles
from parbake.tasks.retention import Retention
from parbake.tasks.roles import Role
from parbake.tasks.served import Absent, Value
from parbake.tasks.task_types import Artifact, LiveTask, Parameter, Refine, Stored, Task, TaskKind
from parbake.tasks.templates import check_templates, wishes
from parbake.values.checks import check_whole
from parbake.values.duration import Duration, seconds


def make_artifact(
    fn: Callable[..., Any], *, keys: Any, lease: Duration | None, prefetch: Any, why: str, chunk: int, **settings: Any
) -> Artifact[Any, Any]:
    """Build and check the artifact that a function declares.

    Args:
        fn: The function.
        keys: Lists the keys of a batch run, if given.
        lease: The lease's time, if one process at a time computes a key.
        prefetch: Tag templates that make the event lane compute a key.
        why: The rationale; by default the first line of the docstring.
        chunk: How many keys a batched function gets at once.
        settings: The other fields of :class:`Artifact`; a ``name`` replaces the function's.
    """
    parameters, returned, key_type, batched = _keyed(fn)
    name = settings.pop("name", fn.__name__)
    kind: TaskKind | None = settings.get("kind")
    if kind is not None:
        kind.check(fn.__name__, settings["contract"])
    if kind is not None and batched:
        raise RoleError(f"{fn.__qualname__}: a {kind.label} is computed for one key at a time", field="key")
    value_type = kind.value_type if kind else _value_type(fn, returned, batched=batched)
    task: Artifact[Any, Any] = Artifact(
        name=name, fn=kind.wrap(fn) if kind else fn, parameters=parameters, why=why or first_line(fn),
        key_type=key_type, batched=batched, value_type=value_type, list_keys=_lister(name, keys), chunk=chunk,
        lease_s=None if lease is None else seconds(lease, field="lease"),
        prefetch=wishes(name, prefetch, parameters[0].name, key_type), **settings,
    )  # fmt: skip
    check_whole(chunk, field="chunk", error=ContractError, of=f"{task.name}: ")
    _check_artifact(task)
    return task


def _keyed(fn: Callable[..., Any]) -> tuple[tuple[Parameter, ...], Any, Any, bool]:
    """An artifact's parameters and return type, its key's type, and whether the function takes many keys at once."""
    parameters, returned = inspect_roles(fn, first=Role.KEY)
    if not parameters or parameters[0].role not in (Role.KEY, Role.KEYS):
        raise RoleError(f"{fn.__qualname__}: the first parameter of an artifact is its key", field="key")
    key, batched = parameters[0].type, parameters[0].role is Role.KEYS
    return parameters, returned, typing.get_args(key)[0] if batched else key, batched


def _check_artifact(task: Artifact[Any, Any]) -> None:
    check_kinds(task)
    check_templates(task.name, task.contract.invalidated_by, task.parameters[0].name, task.key_type)
    _check_use(task)
    if task.schedule is not None and task.schedule.choice is None and task.list_keys is None:
        raise ContractError(
            f"{task.name}: refresh=pb.every(...) needs keys=, a function that lists the keys to compute ahead",
            field="keys",
        )
    if task.revalidates and task.batched:
        raise DeclarationError(f"{task.name}: revalidate= needs one key at a time", field="revalidate")
    if task.via is not None:
        if not callable(getattr(task.via, "check", None)):
            raise ContractError(
                f"{task.name}: via={task.via!r}: expected a computer of rows, such as parbake_llm.ProviderBatch(...)",
                field="via",
            )
        task.via.check(task)


def check_kinds(task: Stored) -> None:
    """Raise an error unless a task's values can be stored, and its gates and retention are of the right types."""
    from parbake.values.codecs.value_types import check_value_type  # the first use of the type

    check_value_type(task.name, task.value_type, task.codecs)
    for field, kind in (("gates", Gates), ("retention", Retention)):
        value = getattr(task, field)
        if not isinstance(value, kind):
            raise ContractError(f"{task.name}: {field}={value!r}: expected {kind.__name__}(...)", field=field)


def _check_use(task: Artifact[Any, Any]) -> None:
    fallback = task.contract.fallback_if_stale
    if isinstance(fallback, Use) and not isinstance(fallback.task, Artifact | Refine | LiveTask):
        named = fallback.task.name if isinstance(fallback.task, Task) else repr(fallback.task)
        raise ContractError(
            f"{task.name}: fallback_if_stale=pb.Use(...) needs a task that can be served, which {named} is not",
            field="fallback_if_stale",
        )


def _lister(name: str, fn: Callable[..., Iterable[Any]] | None) -> Task | None:
    if fn is None:
        return None
    if not callable(fn):
        raise DeclarationError(f"{name}: keys={repr(fn)[:80]}: expected a function that lists the keys", field="keys")
    if inspect.isasyncgenfunction(fn):
        raise DeclarationError(
            f"{name}: keys= is an async generator, which the batch lane does not read; yield the keys "
            "from a def, or return a list of them from an async def",
            field="keys",
        )
    try:
        parameters, returned = inspect_roles(fn, first=None)
    except RoleError as error:
        raise RoleError(f"{name}: keys= of {error}, such as -> list[str]", field="keys") from error
    lister = Task(name=f"{name}.keys", fn=fn, parameters=parameters, value_type=returned, why="")
    if live_reached(lister):
        raise LaneError(f"{name}: keys= reaches a live input; list keys from sources", field="keys")
    return lister


def _value_type(fn: Callable[..., Any], returned: Any, *, batched: bool) -> Any:
    """The stored type: unwraps the mapping of a batched function, ``Value[...]`` and ``... | Absent``."""
    if batched:
        arguments = typing.get_args(returned)
        if len(arguments) != 2:  # noqa: PLR2004 - a mapping has a key and a value type
            raise RoleError(f"{fn.__qualname__}: a batched function returns a mapping of key to value", field="return")
        returned = arguments[1]
    if typing.get_origin(returned) is Value:
        return typing.get_args(returned)[0]
    members = [m for m in typing.get_args(returned) if m is not Absent]
    if Absent in typing.get_args(returned):
        unwrapped = [typing.get_args(m)[0] if typing.get_origin(m) is Value else m for m in members]
        return typing.Union[tuple(unwrapped)]  # noqa: UP007 - built from a run-time tuple
    return returned


def first_line(fn: Callable[..., Any]) -> str:
    """The first line of a function's docstring, which is the rationale if none is given."""
    return (fn.__doc__ or "").strip().partition("\n")[0]
