"""The judge: it knows every true version and when its event was acknowledged, and looks only at what values say.

Never at stamps, tags or verdicts: what a value was made of is written in the value itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import msgspec

from parbake.declare.served import Served
from parbake.declare.tasks import Stored
from parbake.fence.cause import Cause, Reason
from parbake.fence.control import Control
from parbake.lab.simulate import invariants as ground
from parbake.lab.simulate.flight_invariant import FlightInvariant
from parbake.lab.simulate.later import made_by
from parbake.lab.simulate.limits import DEADLINE_S, SILENCE_S
from parbake.lab.simulate.sim_sources import OutboxRow
from parbake.lab.simulate.sim_tasks import FENCED, SimValue

if TYPE_CHECKING:
    from parbake.lab.simulate.sim_process import Process
    from parbake.lab.simulate.world import World

RECENT_STEPS = 10
LATE_S = 0.05


class Read(msgspec.Struct):
    """A client's read while it is under way: what had been acknowledged, promised or withdrawn when it began."""

    process: Any
    task: str
    key: str
    at: float
    acked: dict[str, int]
    due: dict[str, int]
    model: int
    withdrawn: frozenset[int]
    turn: int
    missed: bool = False


class Tally(msgspec.Struct):
    """What one history came to; of what caches were ``asked``, they had ``kept`` a share of the answers."""

    reads: int = 0
    hits: int = 0
    recent: int = 0
    refused: int = 0
    failed: int = 0
    computed: int = 0
    asked: int = 0
    kept: int = 0


reading: ContextVar[Read | None] = ContextVar("simulated_read", default=None)


class Oracle:
    """Judges one history."""

    def __init__(self, world: World) -> None:
        """Nothing has happened."""
        self.world = world
        self.violations: list[str] = []
        self.tally = Tally()
        self._commits = 0
        self._put: dict[bytes, int] = {}
        self._taken_back: list[tuple[int, bytes]] = []
        self.acked: dict[str, int] = {}
        self.raised_at_step: dict[str, int] = {}
        self._versions = {tag: {0} for truth in world.truths for tag in truth.tags}
        self.model = 0
        self.turns = 0
        self.withdrawn: set[int] = set()
        self.computes: Counter[tuple[str, str]] = Counter()
        self.herd = FlightInvariant(world)

    def violate(self, invariant: str, what: str) -> None:
        """Note a broken promise."""
        self.world.say(f"VIOLATION {invariant}: {what}")
        self.violations.append(f"{invariant}: {what}")

    def stored(self, name: bytes, before: bytes | None, after: bytes | None) -> None:
        """An item of the store has changed."""
        self.herd.stored(name, after)
        if ground.turned(name, before, after):
            self.turn()
            self._taken_back.append((self._commits, before or b""))
        for invariant, what in ground.broken_by(self.world, name, before, after):
            self.violate(invariant, what)
        self._commits += 1
        self._put[name] = self._commits

    def taken_back_since(self, name: bytes) -> Iterator[Control]:
        """The control records that a rollback has taken back since an item was put.

        What was dead under one of them has been revived, and a write that was judged before the rollback may replace
        it all the same: a server does not compare the control record at the commit. The next read computes.
        """
        if self.world.store_model != "embedded":
            since = self._put.get(name, 0)
            yield from (ground.as_control(raw) for at, raw in self._taken_back if at >= since)

    def missed(self, process: Process, task: str, key: bytes, reason: Reason) -> None:
        """I9: a change of one thing kills nothing that was made of others only."""
        tag = reason.about
        if reason.cause is not Cause.TAG_CHANGED or "/" not in tag:
            return
        stored = process.program[task]
        assert isinstance(stored, Stored)  # only those can miss
        reads = ground.reads_of(self.world, stored.ref, key)
        if reads is not None and tag not in reads:
            self.violate("I9 spurious kill", f"{task}({key[1:].decode()}) was killed by {tag}, made of {sorted(reads)}")

    def committed(self, row: OutboxRow) -> None:
        """A change was committed: reads that touch it from now on touch something recent."""
        for tag in row.tags:
            self._versions[tag].add(row.version)
            self.raised_at_step.pop(tag, None)  # so that the newest stand last
            self.raised_at_step[tag] = self.world.step

    def position(self) -> dict[str, int]:
        """How far each outbox goes now."""
        return {truth.name: len(truth.outbox) for truth in self.world.truths}

    def drained(self, upto: dict[str, int]) -> None:
        """Everything up to these positions is acknowledged."""
        for truth in self.world.truths:
            for row in truth.outbox[self.world.acked_to[truth.name] : upto[truth.name]]:
                self.acknowledge(row)
            self.world.acked_to[truth.name] = max(self.world.acked_to[truth.name], upto[truth.name])

    def acknowledge(self, row: OutboxRow) -> None:
        """A client was told that this change counts."""
        for tag in row.tags:
            self.acked[tag] = max(row.version, self.acked.get(tag, 0))

    def promoted(self, run: int) -> None:
        """A run's model was promoted and its caller told. Models follow each other in the order their runs began."""
        began = self.world.began.get(run, 0)
        if began <= ground.current_model(self.world):  # it may have been lost or taken back meanwhile
            self.model = max(self.model, began)

    def rolled_back(self, withdrawn: Iterable[int]) -> None:
        """Runs were withdrawn and the caller told."""
        self.withdrawn.update(withdrawn)

    def turn(self) -> None:
        """A rollback or a loss took promotions back: an earlier model may be current again."""
        self.model = 0
        self.turns += 1

    def computing(self, process: Process, task: str, key: str) -> None:
        """A computation begins."""
        self.tally.computed += 1
        self.computes[task, key] += 1
        if other := self.herd.begins(process, task, key):
            self.violate("I6 herd", f"{task}({key}) is computed on {process.name}, and on {other} under a lease")
        self.world.say(f"{process.name} computes {task}({key})")

    def hook(self, process: Process) -> Any:
        """What one process's app reports to."""
        return _Hook(process)

    def begin(self, process: Process, task: str, key: str) -> Read:
        """A read begins: whatever was acknowledged until now must be in what it returns."""
        now = asyncio.get_running_loop().time()
        due = self._due(now - SILENCE_S - 2 * self.world.faults.clock_error_s - 0.01)
        return Read(process, task, key, now, dict(self.acked), due, self.model, frozenset(self.withdrawn), self.turns)

    def _due(self, before: float) -> dict[str, int]:
        """Changes committed so long ago that a source unheard since then may not be trusted."""
        due: dict[str, int] = {}
        for truth in self.world.truths:
            for row in truth.outbox:
                if row.at > before:
                    break
                for tag in row.tags:
                    due[tag] = row.version
        return due

    def returned(self, read: Read, served: Served[Any]) -> None:
        """A read ends: judge what it returned."""
        self.tally.reads += 1
        self._check_deadline(read)
        try:
            made = made_by(served)
        except msgspec.DecodeError:
            self.tally.refused += 1
            if served.cause is Cause.ABSENT:
                self.violate("I10 damage", f"{read.task}({read.key}) is absent for a reason that no task gave")
            return
        self.tally.hits += not read.missed
        step = self.world.step
        self.tally.recent += any(step - self.raised_at_step.get(t, -99) <= RECENT_STEPS for t in made.reads)
        self._check_made(read, made)

    def answered(self, read: Read, answer: str, *, is_hit: bool) -> None:
        """A cache has answered: judge what it said as what a read returns. Refusals are empty, and never kept."""
        self.tally.asked += 1
        self.tally.kept += is_hit
        if answer:
            self._check_made(read, msgspec.json.decode(answer, type=SimValue))
        elif is_hit:
            self.violate("I11 cache", f"a refusal of {read.task}({read.key}) was kept")

    def _check_made(self, read: Read, made: SimValue) -> None:
        if not made.reads:
            self.violate("I12 shapes", f"{read.task}({read.key}) says nothing of what it was made of")
        self._check_versions(read, made)
        for tag, version in made.reads.items():
            if tag.partition("/")[0] in FENCED[read.task]:
                self._check_age(read, tag, version)
        self._check_lineage(read, made)

    def failed(self, read: Read) -> None:
        """A read ends with an error: it must have ended in time."""
        self.tally.failed += 1
        self._check_deadline(read)

    def _check_deadline(self, read: Read) -> None:
        late = asyncio.get_running_loop().time() - read.at - DEADLINE_S
        if late > LATE_S and read.process.paused_until < read.at:
            self.violate("I7 deadline", f"{read.task}({read.key}) ended {late:.2f} s after its deadline")

    def _check_age(self, read: Read, tag: str, version: int) -> None:
        if version < read.acked.get(tag, 0):
            self.violate(
                "I1 freshness",
                f"{read.task}({read.key}) was made of {tag} {version}, but {read.acked[tag]} was acknowledged before",
            )
        elif version < read.due.get(tag, 0):
            self.violate(
                "I4 silence",
                f"{read.task}({read.key}) was made of {tag} {version}, though {read.due[tag]} was committed long ago",
            )

    def _check_versions(self, read: Read, made: SimValue) -> None:
        for tag, version in made.reads.items():
            if version not in self._versions.get(tag, ()):
                self.violate("I10 damage", f"{read.task}({read.key}) was made of {tag} {version}, which never was")

    def _check_lineage(self, read: Read, made: SimValue) -> None:
        # A rollback or a failover during the read may take back the model that was current when it began.
        began = self.world.began.get(made.model, 0)
        if made.model and began < read.model and read.turn == self.turns:
            self.violate(
                "I3 one snapshot", f"{read.task}({read.key}) was made with run {made.model}'s model, a later is current"
            )
        if gone := read.withdrawn.intersection(made.runs):
            self.violate("I8 withdrawn", f"{read.task}({read.key}) came through withdrawn runs {sorted(gone)}")
        if made.until + self.world.faults.clock_error_s < read.at:
            self.violate("I8 valid_until", f"{read.task}({read.key}) ran out {read.at - made.until:.2f} s before")


class _Hook:
    """Tells a read that it missed."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def served(self, *_: Any) -> None:
        """Counted when the read returns."""

    def computed(
        self,
        task: str,
        key: bytes,
        lane: str,
        seconds: float,
        *,
        outcome: str,
        cpu_s: float = 0.0,  # noqa: ARG002 - the hook's signature
    ) -> None:
        """Traced."""
        del lane, seconds
        self._process.world.oracle.herd.ends(self._process, task, key[1:].decode())
        self._process.world.say(f"{self._process.name} {outcome} {task}({key[1:].decode()})")

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:
        """The read under way found nothing to serve."""
        read = reading.get()
        if read is not None and (read.task, read.key) == (task, key[1:].decode()):
            read.missed = True
        self._process.world.oracle.missed(self._process, task, key, reason)
        self._process.world.say(f"{self._process.name} misses {task}({key[1:].decode()}): {verdict} {reason}")

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Traced."""
        del duplicates, seconds
        if tags := list(tags):
            self._process.world.say(f"{self._process.name} raised {' '.join(tags)}")
