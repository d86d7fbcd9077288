"""The result of every read, and the ways in which a task returns a value."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar, cast

import msgspec

from parbake.errors import NotMaterialized
from parbake.protocol.cause import Cause
from parbake.protocol.record import Lane, Stamp
from parbake.protocol.verdict import Verdict

_WITH_VALUE = (Verdict.FRESH, Verdict.DEGRADED)
V = TypeVar("V")
KeyT_contra = TypeVar("KeyT_contra", contravariant=True)


class Served(msgspec.Struct, Generic[V], frozen=True):
    """A value with the evidence for it.

    ``age_s`` counts from the value's own computation; ``confidence`` is 0 to 1; ``stamp`` says that the value includes
    all changes up to it; ``cost_s`` is the compute time that the value took, in seconds. An answer that is not fresh
    has a ``cause`` for programs and a ``reason`` for people; a fresh one has neither. ``value`` is ``None`` when the
    contract allows nothing to be served; a task may also return ``None``, and ``has_value`` tells the two apart.
    A value that a refine made has the lane ``realtime``, and ``over`` is the lane of its base.
    """

    task: str
    value: V | None
    verdict: Verdict
    lane: Lane
    age_s: float = 0.0
    confidence: float = 1.0
    stamp: Stamp = Stamp(0, 0)
    reason: str = ""
    cost_s: float = 0.0
    generation: int = 0
    cause: Cause | None = None
    over: Lane | None = None

    @property
    def has_value(self) -> bool:
        """Whether ``value`` was returned by the task; it may be ``None``. Otherwise nothing may be served."""
        return self.verdict in _WITH_VALUE

    def unwrap(self) -> V:
        """Return the value; raises :class:`NotMaterialized` with the reason if there is none."""
        if not self.has_value:
            raise NotMaterialized(f"{self.task}: {self.reason or 'no value'}", field=self.task)
        return cast("V", self.value)


class Value(msgspec.Struct, Generic[V], frozen=True):
    """A task's result, with the further tags and the time of expiry (epoch seconds) that only the task knows."""

    value: V
    tags: tuple[str, ...] = ()
    valid_until: float | None = None


class Absent(msgspec.Struct, frozen=True):
    """Returned by a task to say that there is no value. The absence is stored, fenced and served with its reason."""

    reason: str = "absent"


class Reader(Protocol[KeyT_contra, V]):
    """How a task reads another artifact. Every read goes through the fence, and the task inherits its tags."""

    async def get(self, key: KeyT_contra, /) -> Served[V]:
        """Read one key on the event loop."""
        ...

    def read(self, key: KeyT_contra, /) -> Served[V]:
        """Read one key from a worker thread (``def`` tasks); raises ``RuntimeError`` on the event loop."""
        ...
