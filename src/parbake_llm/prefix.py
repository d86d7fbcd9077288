"""The prefix of prompts: an artifact whose value is the blocks that every prompt of a kind begins with."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from parbake.errors import BadInput, ComputeFailed, ContractError
from parbake.ports.offers import Port
from parbake.tasks.contract import Contract, Every, Fallback, Invalidation, Recompute, Refuse, ServeStale
from parbake.tasks.registry import Registry
from parbake.tasks.task_types import Artifact, Task, TaskKind
from parbake.values.duration import Duration
from parbake_llm.ports.prompts import RESERVED, Block, ordered

K = TypeVar("K")
P = ParamSpec("P")
Blocks = tuple[Block, ...]
PREFIXES: Port[Any] = Port("prefixes", "parbake_llm.Prompts()")


class PrefixDecorator(Protocol):
    """Keeps the key's type of the function that it decorates."""

    @overload
    def __call__(self, fn: Callable[Concatenate[K, P], Awaitable[Sequence[Block]]], /) -> Artifact[K, Blocks]: ...
    @overload
    def __call__(self, fn: Callable[Concatenate[K, P], Sequence[Block]], /) -> Artifact[K, Blocks]: ...


def _check_prefix_contract(name: str, contract: Contract) -> None:
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


def _rendering(fn: Callable[..., Any]) -> Callable[..., Any]:
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
        raise ComputeFailed(
            f"{task}: a prefix returns its blocks, such as [parbake_llm.Block('rules', ...)]", field=task
        )
    names = [block.name for block in found]
    for name in names:
        if not name or name in RESERVED or names.count(name) > 1:
            raise ComputeFailed(f"{task}: the block name {name!r} is empty, reserved or used twice", field=task)
    try:
        return ordered(found)
    except BadInput as error:
        raise ComputeFailed(f"{task}: {error}", field=task) from error


PREFIX = TaskKind("prefix", Blocks, _rendering, _check_prefix_contract, PREFIXES)
"""The kind of task that :func:`prefix` declares."""


def is_prefix(task: Task) -> bool:
    """Whether a task is the prefix of prompts."""
    return isinstance(task, Artifact) and task.kind is PREFIX


def prefix(
    tasks: Registry,
    *,
    freshness_sla: Duration,
    invalidated_by: Sequence[Invalidation],
    fallback_if_stale: Fallback,
    owner: str,
    refresh: Every | None = None,
    version: str = "1",
    keys: Callable[..., Iterable[Any]] | None = None,
    why: str = "",
) -> PrefixDecorator:
    """Declare the prefix of prompts: an artifact whose value is the blocks that they begin with.

    The contract is checked when a request begins, like that of any artifact. Nothing is purged at a provider after a
    change: changed bytes cannot hit its cache. What differs between requests is not part of a prefix, so a live input
    is refused. The app needs the plugin :class:`parbake_llm.Prompts`.

    Args:
        tasks: Where the prefix is declared.
        freshness_sla: The greatest age at which the blocks are sent.
        invalidated_by: What outdates them besides their age: ``pb.fence``, ``pb.refresh`` and ``pb.ignore``.
        fallback_if_stale: ``pb.Recompute()`` or ``pb.Refuse()``; an outdated prefix is never sent.
        owner: Who is alerted if the contract is broken, or if a provider caches less than predicted.
        refresh: When the batch lane renders it; by default never.
        version: Increase it if the rules changed, to render all prefixes again.
        keys: Lists the keys of a batch run: the variants of the prefix.
        why: The rationale for the table of tasks.
    """
    declare = tasks.artifact(
        freshness_sla=freshness_sla, invalidated_by=invalidated_by, fallback_if_stale=fallback_if_stale, owner=owner,
        refresh=refresh, version=version, keys=keys, why=why, kind=PREFIX,
    )  # fmt: skip
    return cast("PrefixDecorator", declare)
