"""Builds the artifact that a function declares, and checks it.

The prefix of prompts is an artifact whose value is the blocks that every prompt of a kind begins with.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from parbake.declare.contract import Contract, Recompute, Refuse, ServeStale, Use
from parbake.declare.gates import Gates
from parbake.declare.legality import live_reached
from parbake.declare.parameters import inspect_roles
from parbake.declare.retention import Retention
from parbake.declare.roles import Role
from parbake.declare.served import Absent, Value
from parbake.declare.tasks import Artifact, LiveTask, Parameter, Refine, Stored, Task
from parbake.declare.templates import check_templates, wishes
from parbake.errors import BadInput, ComputeFailed, ContractError, DeclarationError, LaneError, RoleError
from parbake.ports.batches.provider_batch import ProviderBatch
from parbake.ports.models import Generator
from parbake.ports.prompts import RESERVED, Block, ordered
from parbake.values.checks import check_whole
from parbake.values.duration import Duration, humanize, seconds

K = TypeVar("K")
P = ParamSpec("P")
Blocks = tuple[Block, ...]


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
        settings: The other fields of :class:`Artifact`.
    """
    parameters, returned, key_type, batched = _keyed(fn)
    is_prefix = settings.get("is_prefix", False)
    if is_prefix and batched:
        raise RoleError(f"{fn.__qualname__}: a prefix is rendered for one key at a time", field="key")
    value_type = Blocks if is_prefix else _value_type(fn, returned, batched=batched)
    task: Artifact[Any, Any] = Artifact(
        name=fn.__name__, fn=rendering(fn) if is_prefix else fn, parameters=parameters, why=why or first_line(fn),
        key_type=key_type, batched=batched, value_type=value_type, list_keys=_lister(fn.__name__, keys), chunk=chunk,
        lease_s=None if lease is None else seconds(lease, field="lease"),
        prefetch=wishes(fn.__name__, prefetch, parameters[0].name), **settings,
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
    check_templates(task.name, task.contract.invalidated_by, task.parameters[0].name)
    _check_use(task)
    if task.schedule is not None and not task.schedule.planned and task.list_keys is None:
        raise ContractError(
            f"{task.name}: refresh=pb.every(...) needs keys=, a function that lists the keys to compute ahead",
            field="keys",
        )
    if task.revalidates and task.batched:
        raise DeclarationError(f"{task.name}: revalidate= needs one key at a time", field="revalidate")
    if task.via is not None:
        _check_via(task, task.via)


def _check_via(task: Artifact[Any, Any], via: ProviderBatch) -> None:
    """Raise an error unless a task's batch runs can go through a batch interface."""
    if not isinstance(via, ProviderBatch):
        raise ContractError(f"{task.name}: via={via!r}: expected pb.ProviderBatch(...)", field="via")
    if task.schedule is None:
        raise ContractError(
            f"{task.name}: via=pb.ProviderBatch(...) needs refresh=, such as pb.every('1d'): only batch runs use it",
            field="refresh",
        )
    if not task.is_async or not any(p.type is Generator for p in task.of(Role.RESOURCE)):
        raise RoleError(
            f"{task.name}: via=pb.ProviderBatch(...) needs an async def that takes a generator, such as "
            "llm: pb.Resource[Generator]",
            field="via",
        )
    spare = task.contract.freshness_sla_s - task.schedule.period_s
    if via.within_s > spare:
        raise ContractError(
            f"{task.name}: via.within={humanize(via.within_s)} is longer than freshness_sla less the period "
            f"({humanize(spare)}), so that runs would be late: wait for a shorter time, or lengthen the SLA",
            field="via.within",
        )


def check_kinds(task: Stored) -> None:
    """Raise an error unless a task's values can be stored, and its gates and retention are of the right types."""
    from parbake.codecs.value_types import check_value_type  # the first use of the type

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


class PrefixDecorator(Protocol):
    """Keeps the key's type of the function that it decorates."""

    @overload
    def __call__(self, fn: Callable[Concatenate[K, P], Awaitable[Sequence[Block]]], /) -> Artifact[K, Blocks]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[K, P], Sequence[Block]], /) -> Artifact[K, Blocks]: ...


def check_prefix_contract(name: str, contract: Contract) -> None:
    """Reject a contract by which an outdated prefix could be sent; raises :class:`ContractError`."""
    if isinstance(contract.fallback_if_stale, ServeStale):
        raise ContractError(
            f"{name}: a prefix is sent with every request, so an outdated one may never be served: write "
            "fallback_if_stale=pb.Recompute() or pb.Refuse()",
            field="fallback_if_stale",
        )
    if not isinstance(contract.fallback_if_stale, Recompute | Refuse):
        raise ContractError(
            f"{name}: fallback_if_stale must be pb.Recompute() or pb.Refuse(): a prefix has no substitute",
            field="fallback_if_stale",
        )


def rendering(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a prefix's function, so that its blocks are checked and stand in order of volatility.

    Args:
        fn: Returns the blocks, in any order.
    """
    name = fn.__name__
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def made_async(*args: Any, **kwargs: Any) -> Blocks:
            return in_order(name, await fn(*args, **kwargs))

        return made_async

    @functools.wraps(fn)
    def made(*args: Any, **kwargs: Any) -> Blocks:
        return in_order(name, fn(*args, **kwargs))

    return made


def in_order(task: str, blocks: Any) -> Blocks:
    """Check blocks and sort them by volatility; those that change alike keep their order.

    Args:
        task: The prefix's name, for errors.
        blocks: What its function returned.

    Raises:
        ComputeFailed: Something is not a block, or two have the same name.
    """
    found = tuple(blocks) if isinstance(blocks, Sequence) and not isinstance(blocks, str | bytes) else None
    if not found or not all(isinstance(block, Block) for block in found):
        raise ComputeFailed(f"{task}: a prefix returns its blocks, such as [pb.prompt.Block('rules', ...)]", field=task)
    names = [block.name for block in found]
    for name in names:
        if not name or name in RESERVED or names.count(name) > 1:
            raise ComputeFailed(f"{task}: the block name {name!r} is empty, reserved or used twice", field=task)
    try:
        return ordered(found)
    except BadInput as error:
        raise ComputeFailed(f"{task}: {error}", field=task) from error
