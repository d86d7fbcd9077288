"""Declares tasks: decorators, roles, and the legal lanes. A registry does no I/O and holds no client."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from parbake.errors import ContractError, DeclarationError, UnknownTask
from parbake.tasks.artifacts import check_kinds, first_line, make_artifact
from parbake.tasks.contract import Curve, Every, Fallback, Invalidation, Recompute, Use, fence, fitted
from parbake.tasks.contract_checks import check_code_change, check_schedule, check_tags, make_contract
from parbake.tasks.gates import Gates
from parbake.tasks.legality import check_edges, check_lane
from parbake.tasks.parameters import inspect_roles
from parbake.tasks.retention import Retention
from parbake.tasks.roles import Keys, Role
from parbake.tasks.served import Absent, Reader, Served, Value
from parbake.tasks.task_types import (
    Artifact,
    Edge,
    LiveTask,
    ModelTask,
    OnCodeChange,
    Refine,
    RowComputer,
    Stored,
    Task,
    TaskKind,
)
from parbake.tasks.templates import check_templates
from parbake.values.codecs import Codec
from parbake.values.duration import Duration, seconds

K = TypeVar("K")
V = TypeVar("V")
B = TypeVar("B")
P = ParamSpec("P")
NOBODY = "nobody"
"""The owner of a task that states none."""


_Wrapped = Value[V] | Absent
_Batched = Callable[Concatenate[Keys[K], ...], V]
_Keyed = Callable[Concatenate[K, ...], V]


class _ArtifactDecorator(Protocol):
    """Keeps the key and value types of the function it decorates; unwraps ``Value[V]`` and ``V | Absent`` to ``V``."""

    @overload
    def __call__(self, fn: _Batched[K, Awaitable[Mapping[K, _Wrapped[V]]]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Batched[K, Awaitable[Mapping[K, V | Absent]]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Batched[K, Mapping[K, _Wrapped[V]]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Batched[K, Mapping[K, V | Absent]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Keyed[K, Awaitable[_Wrapped[V]]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Keyed[K, Awaitable[V | Absent]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Keyed[K, _Wrapped[V]], /) -> Artifact[K, V]: ...
    @overload
    def __call__(self, fn: _Keyed[K, V | Absent], /) -> Artifact[K, V]: ...


class _ModelDecorator(Protocol):
    """Keeps the model's type."""

    @overload
    def __call__(self, fn: Callable[..., Awaitable[V]], /) -> ModelTask[V]: ...
    @overload
    def __call__(self, fn: Callable[..., V], /) -> ModelTask[V]: ...


class _LiveDecorator(Protocol):
    """Keeps the live parameters' types."""

    @overload
    def __call__(self, fn: Callable[P, Awaitable[V]], /) -> LiveTask[P, V]: ...
    @overload
    def __call__(self, fn: Callable[P, V], /) -> LiveTask[P, V]: ...


@overload
def Input(task: Artifact[K, V]) -> Reader[K, V]: ...
@overload
def Input(task: LiveTask[..., V]) -> V: ...
def Input(task: Task) -> Any:
    """Mark a parameter as another task's value: a :class:`Reader` of an artifact, or a live task's value."""
    return Edge(task, Role.INPUT)


def Model(task: ModelTask[V]) -> V:
    """Mark a parameter as a trained model, decoded once per generation."""
    return typing.cast("V", Edge(task, Role.MODEL))


class Registry:
    """A set of declared tasks. Several can be merged into one app."""

    def __init__(self, *, codecs: Sequence[Codec] = (), replace: bool = False) -> None:
        """Start empty.

        Args:
            codecs: Codecs for values of types that neither msgspec nor a built-in codec can store.
            replace: Whether a task that is declared again replaces the earlier one, as in a notebook whose cell is run
                twice. Otherwise that is an error. Tasks that read it have to be declared again, too, and the app
                created again.
        """
        self._tasks: dict[str, Task] = {}
        self._replace = replace
        self.codecs = _checked(codecs)

    def __iter__(self) -> Iterator[Task]:
        """The tasks in the order of declaration."""
        return iter(self._tasks.values())

    def __getitem__(self, name: str) -> Task:
        """Return a task by name; raises :class:`UnknownTask`."""
        try:
            return self._tasks[name]
        except KeyError:
            raise UnknownTask(
                f"no task is named {name[:80]!r}; 'parbake tasks' and GET /v1/tasks list them", field="task"
            ) from None

    def merge(self, *others: Registry) -> Registry:
        """Return a new registry with the tasks of all, each with its own codecs; a name may occur only once."""
        every = (self, *others)
        merged = Registry(codecs=[codec for registry in every for codec in registry.codecs])
        for registry in every:
            for task in registry:
                merged._add(task)
        return merged

    def check_complete(self) -> None:
        """Raise :class:`DeclarationError` if a task reads one that is not in this registry."""
        for task in self:
            for reached in _reached(task):
                if self._tasks.get(reached.name) is not reached:
                    why = "is in another registry: merge it"
                    if self._replace and reached.name in self._tasks:
                        why = f"was declared again later: declare {task.name} again, too"
                    raise DeclarationError(f"{task.name} reads {reached.name}, which {why}", field=reached.name)

    def artifact(
        self,
        *,
        freshness_sla: Duration,
        invalidated_by: Sequence[Invalidation],
        fallback_if_stale: Fallback,
        owner: str,
        refresh: Every | None = None,
        confidence: Curve | None = None,
        tolerate_silence: Duration | None = None,
        version: str = "1",
        keys: Callable[..., Iterable[Any]] | None = None,
        chunk: int = 512,
        gates: Gates = Gates(),
        retention: Retention = Retention(),
        revalidate: bool = False,
        lease: Duration | None = None,
        prefetch: Sequence[str] = (),
        on_code_change: OnCodeChange = "keep",
        kind: TaskKind | None = None,
        via: RowComputer | None = None,
        mode: str = "",
        why: str = "",
    ) -> _ArtifactDecorator:
        """Declare a precomputable task: one value per key.

        Args:
            freshness_sla: The greatest age at which a value is fresh, such as ``"8h"``.
            invalidated_by: What outdates a value besides its age; workers compute it again then, also without refresh=.
            fallback_if_stale: What to do with a value that may not be served.
            owner: Who is alerted when the contract is broken.
            refresh: When the batch lane runs; by default never.
            confidence: How confidence falls with age; by default it does not.
            tolerate_silence: How long after a source was last heard its values are still served, marked ``degraded``.
            version: Increase it to compute all values again.
            keys: Lists the keys of a batch run: a function over sources, which may yield them.
            chunk: How many keys a batched function gets at once.
            gates: The checks that a run must pass before it is promoted.
            retention: How many generations are kept for a rollback.
            revalidate: Whether to keep an old value if all reads of its computation give the same results again.
            lease: Lets one process at a time compute a key outside of runs; a dead holder's lease expires after it.
            prefetch: Tag templates such as ``session/{user}``: a raised tag makes the event lane compute the key.
            on_code_change: With ``"recompute"``, a worker that starts with changed code builds another generation.
            kind: A kind of task that a plugin adds; its own decorator sets this.
            via: Computes the rows of batch runs in another way, such as through a provider's batch interface.
            mode: The mode shown in the table of tasks, if it is not the usual one.
            why: The rationale for the table of tasks.
        """
        check_schedule(refresh)
        check_code_change(on_code_change, refresh)
        contract = make_contract(
            freshness_sla=freshness_sla, invalidated_by=invalidated_by, fallback_if_stale=fallback_if_stale,
            owner=owner, confidence=confidence, tolerate_silence=tolerate_silence,
            schedule=(schedule := fitted(refresh, seconds(freshness_sla, field="freshness_sla"))),
        )  # fmt: skip
        return typing.cast("_ArtifactDecorator", lambda fn: self._add(make_artifact(
            fn, keys=keys, lease=lease, prefetch=prefetch, why=why, contract=contract, schedule=schedule,
            version=version, gates=gates, retention=retention, chunk=chunk, served_as=mode,
            revalidates=revalidate, codecs=self.codecs, on_code_change=on_code_change, kind=kind, via=via,
        )))  # fmt: skip

    def cached(self, *, ttl: Duration, tags: Sequence[str] = (), name: str = "") -> _ArtifactDecorator:
        """Declare an artifact by its age and its tags alone; see :func:`parbake.cached`.

        Args:
            ttl: The greatest age at which a value is served.
            tags: What fences a value: tag families, or templates over the key such as ``policy/{topic}``.
            name: The name of the task; by default that of the function.
        """
        seconds(ttl, field="ttl")
        contract = make_contract(
            freshness_sla=ttl,
            invalidated_by=[fence(tag) for tag in check_tags(tags)],
            fallback_if_stale=Recompute(),
            owner=NOBODY,
            confidence=None,
            schedule=None,
        )
        lacking = ("fallback_if_stale", "owner") if tags else ("fallback_if_stale", "invalidated_by", "owner")
        contract = dataclasses.replace(contract, defaulted=lacking)
        return typing.cast("_ArtifactDecorator", lambda fn: self._add(make_artifact(
            fn, keys=None, lease=None, prefetch=(), why="", chunk=512, contract=contract, schedule=None, version="1",
            gates=Gates(), retention=Retention(), codecs=self.codecs, name=name or fn.__name__,
        )))  # fmt: skip

    def model(
        self,
        *,
        freshness_sla: Duration,
        invalidated_by: Sequence[Invalidation],
        fallback_if_stale: Fallback,
        owner: str,
        refresh: Every,
        tolerate_silence: Duration | None = None,
        version: str = "1",
        gates: Gates = Gates(),
        retention: Retention = Retention(),
        on_code_change: OnCodeChange = "keep",
        why: str = "",
    ) -> _ModelDecorator:
        """Declare a trained model: built by the batch lane, and promoted together with the tasks that use it.

        Args:
            freshness_sla: The greatest age at which the model is fresh.
            invalidated_by: What outdates it besides its age.
            fallback_if_stale: What to do with a model that is not fresh.
            owner: Who is alerted when the contract is broken.
            refresh: When it is trained.
            tolerate_silence: How long after a source was last heard the model is still used.
            version: Increase it to train the model again.
            gates: The checks that a model must pass before it is promoted.
            retention: How many generations are kept for a rollback.
            on_code_change: With ``"recompute"``, a worker that starts with changed code trains another generation.
            why: The rationale for the table of tasks.
        """
        check_schedule(refresh)
        check_code_change(on_code_change, refresh)
        if refresh.choice is not None:
            raise ContractError("a model has one value, not keys to choose from: declare every(...)", field="refresh")
        contract = make_contract(
            freshness_sla=freshness_sla,
            invalidated_by=invalidated_by,
            fallback_if_stale=fallback_if_stale,
            owner=owner,
            confidence=None,
            schedule=refresh,
            tolerate_silence=tolerate_silence,
        )

        def declare(fn: Callable[..., Any]) -> ModelTask[Any]:
            parameters, returned = inspect_roles(fn, first=None)
            task: ModelTask[Any] = ModelTask(
                name=fn.__name__, fn=fn, parameters=parameters, value_type=returned, why=why or first_line(fn),
                contract=contract, schedule=refresh, version=version, gates=gates, retention=retention,
                codecs=self.codecs, on_code_change=on_code_change,
            )  # fmt: skip
            check_kinds(task)
            check_templates(task.name, contract.invalidated_by, "key")
            return typing.cast("ModelTask[Any]", self._add(task))

        return typing.cast("_ModelDecorator", declare)

    def refine(
        self, base: Artifact[K, B], *, budget: Duration, why: str = ""
    ) -> Callable[[Callable[Concatenate[Served[B], P], Awaitable[V]]], Refine[K, P, V]]:
        """Declare a near-real-time pass over an artifact.

        Args:
            base: The artifact whose value is refined.
            budget: How long the pass may take; after it the base itself is served, marked degraded.
            why: The rationale for the table of tasks.
        """

        def declare(fn: Callable[Concatenate[Served[B], P], Awaitable[V]]) -> Refine[K, P, V]:
            parameters, returned = inspect_roles(fn, first=Role.BASE)
            task: Refine[K, P, V] = Refine(
                name=fn.__name__,
                fn=fn,
                parameters=parameters,
                value_type=returned,
                why=why or first_line(fn),
                base=base,
                budget_s=seconds(budget, field="budget"),
            )
            self._add(task)
            return task

        return declare

    def live(self, *, why: str) -> _LiveDecorator:
        """Declare a real-time task; ``why`` is the rationale that the classification table shows."""

        def declare(fn: Callable[..., Any]) -> LiveTask[Any, Any]:
            parameters, returned = inspect_roles(fn, first=None)
            task: LiveTask[Any, Any] = LiveTask(
                name=fn.__name__, fn=fn, parameters=parameters, value_type=returned, why=why
            )
            return typing.cast("LiveTask[Any, Any]", self._add(task))

        return typing.cast("_LiveDecorator", declare)

    def _add(self, task: Task) -> Task:
        if task.name in self._tasks and not self._replace:
            raise DeclarationError(
                f"a task named {task.name!r} is already declared; give it another name, or let the last "
                "declaration replace it, as in a notebook: pb.Registry(replace=True)",
                field="name",
            )
        check_edges(task)
        if isinstance(task, Stored):
            check_lane(task)
        self._tasks.pop(task.name, None)  # a task that is declared again moves to the end
        self._tasks[task.name] = task
        return task


def _checked(codecs: Sequence[Codec]) -> tuple[Codec, ...]:
    """The codecs of a registry; raises :class:`DeclarationError` for an object that is not one."""
    if not codecs:
        return ()
    from parbake.values.codecs.value_types import check_codecs

    return check_codecs(codecs)


def _reached(task: Task) -> tuple[Task, ...]:
    """The tasks that a task needs: inputs, base and substitute."""
    found = list(task.inputs)
    if isinstance(task, Refine):
        found.append(task.base)
    if isinstance(task, Stored) and isinstance(task.contract.fallback_if_stale, Use):
        found.append(typing.cast("Task", task.contract.fallback_if_stale.task))
    return tuple(found)
