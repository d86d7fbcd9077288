"""The control record: which incarnation is trusted, which generations are current, which are withdrawn."""

from __future__ import annotations

import msgspec

from parbake.artifact import Stamp
from parbake.errors import PromotionConflict, UnknownResource

RETAINED = 3


class Pointer(msgspec.Struct, frozen=True, array_like=True):
    """The current generation of one task; times are epoch seconds, ``history`` is newest first."""

    generation: int
    promoted_at: float
    started_at: float
    rows: int = 0
    history: tuple[int, ...] = ()


class Control(msgspec.Struct, frozen=True):
    """Everything a reader needs besides the record and its watermarks. Tasks are named ``name@version``."""

    incarnation: int
    blessed: int
    floor: int = 0
    next_generation: int = 1
    pointers: dict[str, Pointer] = {}
    withdrawn: tuple[int, ...] = ()

    def pointer(self, task: str) -> int:
        """The current generation of a task, 0 when it has none."""
        found = self.pointers.get(task)
        return found.generation if found else 0

    @property
    def floor_stamp(self) -> bytes:
        """What an absent watermark means: "not raised since the floor"."""
        return Stamp(self.incarnation, self.floor).pack()


class Promotion(msgspec.Struct, frozen=True):
    """A joint promotion: the new pointers, and the pointers (replaced or read) that must not have moved since."""

    pointers: dict[str, Pointer]
    expected: dict[str, int]


def begin(control: Control) -> tuple[Control, int]:
    """Allocate a generation."""
    generation = control.next_generation
    return msgspec.structs.replace(control, next_generation=generation + 1), generation


def promote(control: Control, promotion: Promotion) -> Control:
    """Move all pointers of a promotion at once, or raise :class:`PromotionConflict` naming the one that moved."""
    for task, generation in promotion.expected.items():
        if control.pointer(task) != generation:
            raise PromotionConflict(f"{task} moved to generation {control.pointer(task)} during the run", field=task)
    pointers = dict(control.pointers)
    for task, new in promotion.pointers.items():
        old = pointers.get(task)
        history = (new.generation, *(old.history if old else ()))[:RETAINED]
        pointers[task] = msgspec.structs.replace(new, history=history)
    return msgspec.structs.replace(control, pointers=pointers)


def rollback(control: Control, task: str, now: float) -> tuple[Control, int]:
    """Withdraw a task's current generation and point to the newest retained one; returns that one's number."""
    current = control.pointers.get(task)
    if current is None:
        raise UnknownResource(f"{task} has no generation to roll back", field="task")
    left = [g for g in current.history if g != current.generation and g not in control.withdrawn]
    if not left:
        raise UnknownResource(f"{task}: no earlier generation is retained", field="task")
    target = Pointer(left[0], now, current.started_at, 0, tuple(left))
    withdrawn = (*control.withdrawn, current.generation)
    return msgspec.structs.replace(control, pointers={**control.pointers, task: target}, withdrawn=withdrawn), left[0]
