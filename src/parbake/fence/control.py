"""The control record: which incarnation is trusted, which generations are current, which are withdrawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from parbake.artifact import Stamp
from parbake.errors import PromotionConflict, UnknownResource

RETAINED = 3
RUNNING_LIMIT = 64


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
    running: tuple[int, ...] = ()

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
    """Allocate a generation. It counts as running until it is promoted or abandoned, or 64 more have begun."""
    generation = control.next_generation
    running = (*control.running, generation)[-RUNNING_LIMIT:]
    return msgspec.structs.replace(control, next_generation=generation + 1, running=running), generation


def abandon(control: Control, generations: Collection[int]) -> Control:
    """Forget runs that will promote nothing."""
    running = tuple(g for g in control.running if g not in generations)
    return msgspec.structs.replace(control, running=running)


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
    promoted = {new.generation for new in promotion.pointers.values()}
    return abandon(msgspec.structs.replace(control, pointers=pointers), promoted)


def rollback(control: Control, task: str, now: float, built_with: Sequence[str] = ()) -> tuple[Control, int]:
    """Withdraw a task's current generation and point to the newest retained one; returns that one's number.

    ``built_with`` are the tasks that are promoted together with it: each returns to its newest generation from before
    the withdrawn one. Where none is retained the pointer stays, and what was built with the withdrawn generation is
    dead by its own lineage. Raises :class:`UnknownResource` when the task itself has nothing to return to.
    """
    current = control.pointers.get(task)
    if current is None:
        raise UnknownResource(f"{task} has no generation to roll back", field="task")
    left = _alive(current, control, before=current.generation)
    if not left:
        raise UnknownResource(f"{task}: no earlier generation is retained", field="task")
    pointers = {**control.pointers, task: Pointer(left[0], now, current.started_at, 0, left)}
    for other in built_with:
        theirs = control.pointers.get(other)
        earlier = _alive(theirs, control, before=current.generation) if theirs else ()
        if theirs and earlier:
            pointers[other] = Pointer(earlier[0], now, theirs.started_at, 0, earlier)
    withdrawn = (*control.withdrawn, current.generation)
    return msgspec.structs.replace(control, pointers=pointers, withdrawn=withdrawn), left[0]


def _alive(pointer: Pointer, control: Control, *, before: int) -> tuple[int, ...]:
    """A task's retained generations from before another one, newest first, without the withdrawn."""
    return tuple(g for g in pointer.history if g < before and g not in control.withdrawn)
