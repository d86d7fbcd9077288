"""The control record: which incarnation is trusted, which generations are current, which are withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from parbake.errors import BlessingConflict, PromotionConflict, RunLost, UnknownResource
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.record import INCARNATION_BYTES, Stamp

RETAINED = 3
_RUNNING_LIMIT = 64
SEQUENCE_LIMIT = 1 << 63
ANCESTRY_LIMIT = 64
NOTHING = bytes(16)
"""The stamp below every other, packed."""
Number = Callable[[int], int]
"""Allocates a number higher than a given one and any used before, even if the store was restored from an old copy."""


def task_name(ref: str) -> str:
    """The name in a task's ref, ``name@version``."""
    return ref.partition("@")[0]


STORE_FORMAT, _MARKED_FORMAT, READ_FORMATS = 4, 5, (3, 4, 5)
"""The format of new stores, that of stores with a journal's mark, and those that this version reads. Format 4 adds
cursors of sources to format 3. A store of format 3 becomes one of format 4 when it gets its first cursor, which an
earlier version would misread. One of format 5 expects each process to write notes that an earlier version would not."""


class Pointer(msgspec.Struct, frozen=True, array_like=True):
    """The current generation of one task. Times are epoch seconds; ``history`` is newest first.

    ``code`` is the fingerprint of the code that built it; empty if it was not recorded.
    """

    generation: int
    promoted_at: float
    started_at: float
    rows: int = 0
    history: tuple[int, ...] = ()
    code: bytes = b""


class Quarantine(msgspec.Struct, frozen=True, array_like=True):
    """Why no stored value of a task is served: since when (epoch seconds), and the SLA in seconds that it should get.

    ``cleared`` is the packed stamp at which its owner released the task; older records stay dead. Empty while it lasts.
    """

    at: float
    reason: str
    sla_s: float
    cleared: bytes = b""

    def kills(self, stamp: bytes) -> Reason | None:
        """Why a record of the task with this packed stamp may not be served, or ``None``."""
        if not self.cleared:
            return Reason(Cause.QUARANTINED, self.reason)
        return Reason(Cause.BEFORE_CLEARING) if stamp < self.cleared else None


class JournalMark(msgspec.Struct, frozen=True, array_like=True):
    """The journal that notes the first change of a store that no outbox holds.

    A store has the mark from its beginning, until that change.

    Attributes:
        store: The number of the store in the journal.
        word: The random number of the last note that the journal had of the store when the mark was written.
        sources: The names of the sources whose outboxes hold every change.
    """

    store: int
    word: int
    sources: tuple[str, ...]


class Control(msgspec.Struct, frozen=True):
    """What a reader needs besides the record and its watermarks. Tasks are named ``name@version``.

    Attributes:
        incarnation: The current incarnation.
        blessed: The newest incarnation that is trusted.
        floor: A packed stamp. An absent watermark means "not raised since the floor", and records below it are dead.
        next_generation: The next number to allocate.
        pointers: The current generations, by task.
        withdrawn: The packed stamp at which each withdrawn generation was withdrawn.
        running: The generations that are being built.
        host: The copy of the data to which the incarnation belongs.
        ancestry: The incarnations of this data since the floor, in packed form, its own last; empty if not recorded.
        quarantined: Tasks (without version) with complaints, including released ones.
        format: The format of the store; see :data:`STORE_FORMAT`.
        journal: The mark of the journal that knows whether every change of the store can be read again; ``None`` if no
            journal does.
    """

    incarnation: int
    blessed: int
    floor: bytes = NOTHING
    next_generation: int = 1
    pointers: dict[str, Pointer] = {}
    withdrawn: dict[int, bytes] = {}
    running: tuple[int, ...] = ()
    host: str = ""
    ancestry: tuple[bytes, ...] = ()
    quarantined: dict[str, Quarantine] = {}
    format: int = STORE_FORMAT
    journal: JournalMark | None = None

    def pointer(self, task: str) -> int:
        """The current generation of a task; 0 if it has none."""
        found = self.pointers.get(task)
        return found.generation if found else 0

    @property
    def is_trusted(self) -> bool:
        """Whether watermarks and pointers can be trusted."""
        return self.blessed == self.incarnation


class Promotion(msgspec.Struct, frozen=True):
    """A joint promotion: the new pointers, and the pointers (replaced or read) that must not have moved since.

    ``incarnation`` is the one in which the run began, because rows written in an earlier one may have been lost.
    ``retain`` is how many generations of each task are kept, including this one.
    """

    pointers: dict[str, Pointer]
    expected: dict[str, int]
    incarnation: int
    retain: dict[str, int] = {}


def start(incarnation: int, host: str = "") -> Control:
    """Create the control record of an empty store. A new incarnation has lost nothing, so it is blessed.

    Its floor is its own begin, because computations from before a wipe may still write to the store.
    """
    floor = Stamp(incarnation, 0).pack()
    return Control(incarnation, incarnation, floor, host=host, ancestry=(_beginning(incarnation),))


def adopt(control: Control, host: str, number: Number) -> Control:
    """Start a new incarnation after the data has moved to another host. Nothing is trusted until it is blessed.

    Its number must differ from all other incarnations, and its generations must not use numbers that runs of a lost
    incarnation still write to. A lost incarnation's number may be the higher one, because clocks differ. A store
    therefore records its ancestry, and trusts no stamp from outside of it.

    Args:
        control: The control record of the data.
        host: The copy of the data that is in use now.
        number: Creates numbers for incarnations.
    """
    if not control.host:  # a store from before hosts were recorded, or an unused one
        return msgspec.structs.replace(control, host=host)
    return _with_losses(msgspec.structs.replace(control, host=host), number)


def distrust(control: Control, seen: int, number: Number) -> Control:
    """Start a new incarnation, because the data lacks what somebody has seen in it; see :func:`adopt`.

    That holds for an incarnation that is not trusted yet, too: its outboxes may have been replayed before the data went
    back, and whoever did that must not bless it.

    Args:
        control: The control record of the data.
        seen: The incarnation in which the data was found to lack something; in any other, nothing changes.
        number: Creates numbers for incarnations.
    """
    return _with_losses(control, number) if control.incarnation == seen else control


def _with_losses(control: Control, number: Number) -> Control:
    """Start an incarnation of data that may have lost its last writes."""
    lost = msgspec.structs.replace(control, next_generation=number(control.next_generation), running=())
    return _followed_by(lost, number(control.incarnation))


def _followed_by(control: Control, incarnation: int) -> Control:
    """Start the next incarnation of the same data. Records from before the remembered incarnations are dead."""
    lived = control.ancestry or (_beginning(control.incarnation),)
    ancestry = (*lived, _beginning(incarnation))[-ANCESTRY_LIMIT:]
    floor = control.floor if ancestry[0] == lived[0] else max(control.floor, ancestry[0] + bytes(8))
    return msgspec.structs.replace(control, incarnation=incarnation, ancestry=ancestry, floor=floor)


def _beginning(incarnation: int) -> bytes:
    """The packed prefix of an incarnation's stamps."""
    return Stamp(incarnation, 0).pack()[:INCARNATION_BYTES]


def _since(floor: bytes, ancestry: Sequence[bytes]) -> tuple[bytes, ...]:
    """The incarnations that may have records above a floor."""
    return tuple(lived for lived in ancestry if lived >= floor[:INCARNATION_BYTES])


def has_lived_through(control: Control, stamp: bytes) -> bool:
    """Whether a packed stamp is from an incarnation of this data, and not from one whose last writes were lost."""
    return not control.ancestry or stamp[:INCARNATION_BYTES] in control.ancestry


def is_same_trust(before: Control, after: Control) -> bool:
    """Whether a store has lost nothing, and was not blessed, between two reads of its control record.

    A watermark that was read in between can be absent although its event is acknowledged, if the store had lost the
    event and has been blessed since. A driver that reads item by item must then read again.
    """
    return (before.incarnation, before.blessed) == (after.incarnation, after.blessed)


def bless(control: Control, seen: int, *, raise_floor: bool) -> Control:
    """Trust an incarnation again.

    Args:
        control: The control record.
        seen: The incarnation that was current before its outboxes were replayed.
        raise_floor: Declare everything from before the incarnation dead and keep no pointer. For stores that may have
            lost events that no outbox can replay.

    Raises:
        BlessingConflict: The store is in another incarnation by now.
    """
    if control.incarnation != seen:
        raise BlessingConflict(
            f"incarnation {seen} was replayed, but the store is in {control.incarnation} by now; replay again",
            field="store",
        )
    if control.is_trusted:
        return control
    blessed = msgspec.structs.replace(control, blessed=seen)
    if not raise_floor:
        return blessed
    floor = max(Stamp(seen, 0).pack(), control.floor)
    ancestry = _since(floor, control.ancestry)
    return msgspec.structs.replace(blessed, floor=floor, pointers={}, running=(), ancestry=ancestry)


def renumber(control: Control) -> Control:
    """Start the next incarnation of a store that has lost nothing, because its counter is at its limit."""
    renumbered = _followed_by(control, control.incarnation + 1)
    return msgspec.structs.replace(renumbered, blessed=renumbered.incarnation) if control.is_trusted else renumbered


def raise_floor(control: Control, to: bytes) -> Control:
    """Declare everything below a stamp dead.

    Withdrawals from before it are dropped, because their records are dead, too.
    """
    floor = max(to, control.floor)
    withdrawn = {g: at for g, at in control.withdrawn.items() if at > floor}
    ancestry = _since(floor, control.ancestry)
    return msgspec.structs.replace(control, floor=floor, withdrawn=withdrawn, ancestry=ancestry)


def withdraw(control: Control, generations: Collection[int], at: bytes) -> Control:
    """Withdraw generations at a stamp, and move pointers from them to the newest retained ones, if any.

    Args:
        control: The control record.
        generations: The generations.
        at: The packed stamp of the withdrawal.
    """
    withdrawn = {**dict.fromkeys(generations, at), **control.withdrawn}
    control = msgspec.structs.replace(control, withdrawn=withdrawn)
    pointers = {}
    for task, pointer in control.pointers.items():
        left = _alive(pointer, control, before=pointer.generation)
        if pointer.generation not in withdrawn:
            pointers[task] = pointer
        elif left:
            pointers[task] = Pointer(left[0], pointer.promoted_at, pointer.started_at, 0, left)
    return msgspec.structs.replace(control, pointers=pointers)


def quarantine(control: Control, task: str, entry: Quarantine | None, at: bytes) -> Control:
    """Put a task in quarantine, or release it. A task that is in quarantine already keeps its first reason.

    Args:
        control: The control record.
        task: The task's name, without version.
        entry: The quarantine; ``None`` releases the task.
        at: The packed stamp of the change.

    Raises:
        UnknownResource: The task to release is not in quarantine.
    """
    old = control.quarantined.get(task)
    held = old if old is not None and not old.cleared else None
    if entry is None:
        if held is None:
            raise UnknownResource(f"{task} is not in quarantine", field="task")
        entry = msgspec.structs.replace(held, cleared=at)
    elif held is not None:
        entry = msgspec.structs.replace(held, sla_s=min(held.sla_s, entry.sla_s))
    return msgspec.structs.replace(control, quarantined={**control.quarantined, task: entry})


def mark_journal(control: Control, expected: JournalMark | None, new: JournalMark | None, counter: Stamp) -> Control:
    """Replace the mark of a store's journal. If the store has another mark than the expected one, nothing changes.

    Only a store in which no tag was ever raised may get its first mark: of any other one, a change may have been
    acknowledged that no journal has noted. Nor may one that keeps values from before a loss, which may have had such a
    change.

    Args:
        control: The control record.
        expected: The mark that the store should have.
        new: The new mark; ``None`` if a change was acknowledged that no outbox holds.
        counter: The store's counter.
    """
    is_new = counter.sequence == 0 and control.ancestry == (_beginning(control.incarnation),)
    if control.journal != expected or (expected is None and not is_new):
        return control
    return msgspec.structs.replace(control, journal=new, format=_MARKED_FORMAT if new else STORE_FORMAT)


def begin(control: Control) -> Control:
    """Allocate ``control.next_generation``. It counts as running until it is promoted or abandoned, or 64 more have."""
    generation = control.next_generation
    running = (*control.running, generation)[-_RUNNING_LIMIT:]
    return msgspec.structs.replace(control, next_generation=generation + 1, running=running)


def abandon(control: Control, generations: Collection[int], retired: Collection[str] = ()) -> Control:
    """Remove abandoned runs, and the generations of retired tasks.

    Args:
        control: The control record.
        generations: Generations of runs that have ended without a promotion.
        retired: Tasks that no program uses any more.
    """
    running = tuple(g for g in control.running if g not in generations)
    pointers = {task: pointer for task, pointer in control.pointers.items() if task not in retired}
    return msgspec.structs.replace(control, running=running, pointers=pointers)


def promote(control: Control, promotion: Promotion) -> Control:
    """Move all pointers of a promotion at once, or raise :class:`PromotionConflict` that names the one that moved.

    A generation that is neither running nor retained was abandoned and its rows may be gone, so it conflicts. Promoting
    a withdrawn generation ends its withdrawal.
    """
    if control.incarnation != promotion.incarnation or not control.is_trusted:
        raise RunLost("the store may have lost rows of this run; the next run begins again", field="store")
    for task, generation in promotion.expected.items():
        if control.pointer(task) != generation:
            raise PromotionConflict(f"{task} moved to generation {control.pointer(task)} during the run", field=task)
    pointers = dict(control.pointers)
    for task, new in promotion.pointers.items():
        old = pointers.get(task)
        if new.generation not in (*control.running, *(old.history if old else ())):
            raise PromotionConflict(f"{task}: generation {new.generation} was given up during its run", field=task)
        history = (new.generation, *(old.history if old else ()))[: promotion.retain.get(task, RETAINED)]
        pointers[task] = msgspec.structs.replace(new, history=history)
    promoted = {new.generation for new in promotion.pointers.values()}
    withdrawn = {g: at for g, at in control.withdrawn.items() if g not in promoted}
    return abandon(msgspec.structs.replace(control, pointers=pointers, withdrawn=withdrawn), promoted)


def rollback(control: Control, task: str, now: float, at: bytes, built_with: Sequence[str] = ()) -> Control:
    """Withdraw a task's current generation, and point to the newest retained one.

    If a task in ``built_with`` has no retained generation, its pointer stays. Its records are dead anyway, because they
    were built with the withdrawn generation.

    Args:
        control: The control record.
        task: The task's name.
        now: The current time, in epoch seconds.
        at: The packed stamp of the withdrawal.
        built_with: Tasks promoted together with it. Each returns to its newest generation from before the withdrawn
            one.

    Returns:
        The new control record, in which the task's pointer names the generation that it returned to.

    Raises:
        UnknownResource: The task has no earlier generation to return to.
    """
    current = control.pointers.get(task)
    if current is None:
        raise UnknownResource(f"{task_name(task)} has no generation to roll back", field="task")
    left = _alive(current, control, before=current.generation)
    if not left:
        raise UnknownResource(f"{task_name(task)}: no earlier generation is retained", field="task")
    pointers = {**control.pointers, task: Pointer(left[0], now, current.started_at, 0, left)}
    for other in built_with:
        theirs = control.pointers.get(other)
        earlier = _alive(theirs, control, before=current.generation) if theirs else ()
        if theirs and earlier:
            pointers[other] = Pointer(earlier[0], now, theirs.started_at, 0, earlier)
    withdrawn = {**control.withdrawn, current.generation: at}
    return msgspec.structs.replace(control, pointers=pointers, withdrawn=withdrawn)


def _alive(pointer: Pointer, control: Control, *, before: int) -> tuple[int, ...]:
    """A task's retained generations from before another one, newest first, without the withdrawn ones."""
    return tuple(g for g in pointer.history if g < before and g not in control.withdrawn)
