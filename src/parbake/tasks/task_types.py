"""The result of a declaration: one frozen description per task, without store, clock or client."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, ParamSpec, Protocol, TypeVar, cast

from parbake.ports.offers import Port
from parbake.tasks.contract import Contract, Every, Invalidation, Use
from parbake.tasks.gates import Gates
from parbake.tasks.retention import Retention
from parbake.tasks.roles import Role
from parbake.values.codecs import Codec

K = TypeVar("K")
V = TypeVar("V")
P = ParamSpec("P")
OnCodeChange = Literal["keep", "recompute"]
"""What a worker does if other code built the current generation: keep it, or build another one at once."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The default value that marks an input or model parameter; ``task`` provides its value."""

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


@dataclass(frozen=True, eq=False)
class Task:
    """A declared task. Tasks compare by identity, because two registries may have tasks of the same name."""

    name: str
    fn: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    value_type: Any
    why: str

    def of(self, *roles: Role) -> tuple[Parameter, ...]:
        """The parameters that have one of these roles."""
        return tuple(p for p in self.parameters if p.role in roles)

    @cached_property
    def inputs(self) -> tuple[Task, ...]:
        """The tasks whose values this one reads."""
        return tuple(p.task for p in self.of(Role.INPUT, Role.MODEL) if p.task is not None)

    @cached_property
    def height(self) -> int:
        """0 for a task that reads no other; otherwise one more than the greatest height of the tasks that it reads."""
        return 1 + max((other.height for other in self.may_read), default=-1)

    @cached_property
    def is_async(self) -> bool:
        """Whether its function runs on the event loop; otherwise it runs in a thread."""
        return inspect.iscoroutinefunction(self.fn)

    @property
    def may_read(self) -> tuple[Task, ...]:
        """The tasks whose values it may read."""
        return self.inputs

    @property
    def mode(self) -> str:
        """``batch``, ``near-real-time`` or ``real-time``: the word for the classification table."""
        return "real-time"


@dataclass(frozen=True, eq=False)
class Stored(Task):
    """A task whose values are stored: an artifact or a model. ``codecs`` are those of its registry."""

    contract: Contract
    schedule: Every | None
    version: str
    gates: Gates
    retention: Retention
    codecs: tuple[Codec, ...] = field(default=(), kw_only=True)
    on_code_change: OnCodeChange = field(default="keep", kw_only=True)

    @property
    def may_read(self) -> tuple[Task, ...]:
        """Its inputs, and the declared substitute."""
        fallback = self.contract.fallback_if_stale
        return (*self.inputs, cast("Task", fallback.task)) if isinstance(fallback, Use) else self.inputs

    @cached_property
    def ref(self) -> str:
        """The name under which its records and generations are kept: with its version and the shape of its values.

        Values of another shape have another ref, so that two versions of a program can share a store.
        """
        from parbake.values.codecs.wire_shape import wire_shape  # imported with its needs, once a task is first stored

        return f"{self.name}@{self.version}:{wire_shape(self.value_type, self.codecs).hex()}"

    @property
    def mode(self) -> str:
        """``batch`` with a schedule; ``near-real-time`` if only events and requests compute it."""
        return "batch" if self.schedule else "near-real-time"


@dataclass(frozen=True)
class TaskKind:
    """A kind of artifact that a plugin adds, such as the prefix of prompts.

    Attributes:
        label: How the table of tasks names it.
        value_type: The type of its values, whatever the function's annotation says.
        wrap: Called with the function; returns the one that computes values.
        check: Called with the task's name and its contract; raises :class:`parbake.errors.ContractError`.
        needs: What a plugin of the app must offer; without it an app with such a task does not open.
    """

    label: str
    value_type: Any
    wrap: Callable[[Callable[..., Any]], Callable[..., Any]]
    check: Callable[[str, Contract], None]
    needs: Port[Any] | None = None


class RowComputer(Protocol):
    """The setting ``via=`` of a task: computes the rows of its batch runs in another way than by calling its function.

    What a run uses is :class:`parbake.lanes.batch.rows.RowRuns`, which :meth:`open` returns.

    Attributes:
        within_s: How long a run may have to wait, in seconds; an interrupted run is continued for at least that long.
    """

    within_s: float

    def check(self, task: Artifact[Any, Any]) -> None:
        """Raise :class:`parbake.errors.DeclarationError` unless the runs of a task can be computed this way."""
        ...

    def open(self, parts: Any) -> Any:
        """Return what computes rows, given the :class:`parbake.lanes.batch.rows.RowParts` of an app."""
        ...


@dataclass(frozen=True, eq=False)
class Artifact(Stored, Generic[K, V]):
    """A precomputable task, one value per key. ``batched`` functions compute many keys in one call.

    A task of a ``kind`` has a meaning for a plugin, such as the prefix of prompts. Batch runs of a task with ``via``
    compute its rows in another way than by calling its function.
    """

    key_type: Any
    batched: bool
    list_keys: Task | None
    chunk: int
    served_as: str = ""
    revalidates: bool = False
    lease_s: float | None = None
    prefetch: tuple[Invalidation, ...] = ()
    kind: TaskKind | None = None
    via: RowComputer | None = None

    @property
    def mode(self) -> str:
        """The declared mode, if there is one (an artifact may be matched and refined at request time)."""
        return self.served_as or super().mode


@dataclass(frozen=True, eq=False)
class ModelTask(Stored, Generic[V]):
    """A trained model: an artifact without a key, produced by the batch lane only."""


@dataclass(frozen=True, eq=False)
class Refine(Task, Generic[K, P, V]):
    """A near-real-time pass over a precomputed base, inside a time budget (seconds)."""

    base: Artifact[K, Any]
    budget_s: float

    @property
    def mode(self) -> str:
        """Always near-real-time."""
        return "near-real-time"


@dataclass(frozen=True, eq=False)
class LiveTask(Task, Generic[P, V]):
    """A real-time task: some input of it exists only in the request."""
