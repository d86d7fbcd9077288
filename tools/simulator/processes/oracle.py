"""The oracle: it knows every committed version and when its event was acknowledged, and judges what is served.

It does not read stamps, tags or verdicts: each value contains the versions that it was made of.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any, NamedTuple

import msgspec

from parbake.errors import StoreError
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.control import Control
from parbake.tasks.served import Served
from parbake.tasks.task_types import Stored
from simulator.processes import invariants
from simulator.processes.single_flight import SingleFlightInvariant
from simulator.world.later_program import made_by
from simulator.world.limits import DEADLINE_S, SILENCE_S, TOLERATED_S
from simulator.world.process_state import ProcessState
from simulator.world.sim_tasks import FENCED, NEEDS_NO_MODEL, TOLERANT, SimValue
from simulator.world.system_of_record import OutboxRow, SystemOfRecord
from simulator.world.world_state import World

RECENT_STEPS = 10
"""A change is recent for this many steps."""
LATE_S = 0.05
"""How late a read may end without a violation."""


class Read(msgspec.Struct):
    """A client's read that has not ended: what had been acknowledged, promised or withdrawn when it began.

    ``due_in_doubt`` is what it must show if it says that a source is silent, and its task tolerates that. ``shown`` is
    what its process had shown before, computed without the store.
    """

    process: Any
    task: str
    key: str
    at: float
    acked: dict[str, int]
    due: dict[str, int]
    due_in_doubt: dict[str, int]
    model: int
    withdrawn: frozenset[int]
    turn: int
    restores: int
    shown: dict[str, int]
    missed: bool = False


class Position(NamedTuple):
    """How much of a system of record is committed: rows of its outbox, and changes that are in no outbox."""

    restores: int
    rows: int
    unreported: int


class Tally(msgspec.Struct):
    """The counts of one history. Caches were ``asked`` some questions, and had ``kept`` the answers to some of them.

    Reads that were answered while the store was ``away`` are not counted among the ``reads``.
    """

    reads: int = 0
    hits: int = 0
    recent: int = 0
    refused: int = 0
    failed: int = 0
    computed: int = 0
    asked: int = 0
    kept: int = 0
    away: int = 0


reading: ContextVar[Read | None] = ContextVar("simulated_read", default=None)


class Oracle:
    """Judges one history."""

    def __init__(self, world: World) -> None:
        """Create the oracle. The world's disk reports every changed item to it from now on."""
        self.world = world
        self.violations: list[str] = []
        self.tally = Tally()
        self._commits = 0
        self._put: dict[bytes, int] = {}
        self._taken_back: list[tuple[int, bytes]] = []
        self.acked: dict[str, int] = {}
        self.raised_at_step: dict[str, int] = {}
        self._versions = {tag: {0} for system in world.systems for tag in system.tags}
        self.model = 0
        self.turns = 0
        self.withdrawn: set[int] = set()
        self._shown: defaultdict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        """The latest version of each tag that a started process has shown while the store was away."""
        self.computes: Counter[tuple[str, str]] = Counter()
        self.single_flight = SingleFlightInvariant(world)
        world.disk.watch = self.stored

    def violate(self, invariant: str, what: str) -> None:
        """Record a violation of an invariant."""
        self.world.say(f"VIOLATION {invariant}: {what}")
        self.violations.append(f"{invariant}: {what}")

    def stored(self, name: bytes, before: bytes | None, after: bytes | None) -> None:
        """Check a changed item of the store.

        Args:
            name: The item's name.
            before: Its value before the commit; ``None`` if it was absent.
            after: Its value after the commit; ``None`` if it was deleted.
        """
        self.single_flight.stored(name, after)
        if invariants.turned(name, before, after):
            self.turn()
            self._taken_back.append((self._commits, before or b""))
        for invariant, what in invariants.broken_by(self.world, self.taken_back_since(name), name, before, after):
            self.violate(invariant, what)
        self._commits += 1
        self._put[name] = self._commits

    def taken_back_since(self, name: bytes) -> Iterator[Control]:
        """The control records that a rollback has undone since an item was put.

        A rollback can make a record valid again. A write that was judged before the rollback may still replace that
        record, because a server does not compare the control record at the commit. The next read computes the value.
        """
        if self.world.store_model != "embedded":
            since = self._put.get(name, 0)
            yield from (invariants.as_control(raw) for at, raw in self._taken_back if at >= since)

    def missed(self, process: ProcessState, task: str, key: bytes, reason: Reason) -> None:
        """I9: a change of one entity must not invalidate values that were made only of others.

        Args:
            process: The process that missed.
            task: The task's name.
            key: The encoded key.
            reason: Why the value was not served.
        """
        tag = reason.about
        if reason.cause is not Cause.TAG_CHANGED or "/" not in tag:
            return
        stored = process.program[task]
        assert isinstance(stored, Stored)  # only stored tasks can miss
        reads = invariants.reads_of(self.world, stored.ref, key)
        if reads is not None and tag not in reads:
            self.violate("I9 spurious kill", f"{task}({key[1:].decode()}) was killed by {tag}, made of {sorted(reads)}")

    def committed(self, row: OutboxRow) -> None:
        """Record that a change was committed. From now on, a read of its tags is a read of a recent change."""
        for tag in row.tags:
            self._versions[tag].add(row.version)
            self.raised_at_step.pop(tag, None)  # so that the newest tags come last
            self.raised_at_step[tag] = self.world.step

    def position(self) -> dict[str, Position]:
        """How much of each system is committed now."""
        return {s.name: Position(s.restores, len(s.outbox), len(s.unreported)) for s in self.world.systems}

    def drained(self, upto: dict[str, Position]) -> None:
        """Record that all changes up to these positions are acknowledged, unless the system has gone back meanwhile."""
        acked_to = self.world.acked_to
        for system in self.world.systems:
            until = upto.get(system.name)
            if until is None or until.restores != system.restores:
                continue
            for row in (*system.outbox[acked_to[system.name] : until.rows], *system.unreported[: until.unreported]):
                self.acknowledge(row)
            acked_to[system.name] = max(acked_to[system.name], until.rows)

    def went_back(self, system: SystemOfRecord) -> None:
        """Record that a system of record was put back: what it lost was never changed."""
        self._shown.clear()
        self.world.acked_to[system.name] = min(self.world.acked_to[system.name], len(system.outbox))
        for tag, fact in system.facts.items():
            self.acked[tag] = min(fact.version, self.acked.get(tag, 0))
        for name, version in system.sets.items():
            self.acked[f"{name}/*"] = min(version, self.acked.get(f"{name}/*", 0))

    def acknowledge(self, row: OutboxRow) -> None:
        """Record that this change was acknowledged to a client. What its system has lost meanwhile never was."""
        system = self.world.system_of(row.subject)
        for tag in row.tags:
            version = min(row.version, system.version_of(tag))
            self.acked[tag] = max(version, self.acked.get(tag, 0))

    def promoted(self, run: int) -> None:
        """Record that a client was told that a run's model was promoted.

        Models are ordered by the begin of their runs.
        """
        began = self.world.began.get(run, 0)
        if began <= invariants.current_model(self.world):  # the model may have been lost or rolled back in the meantime
            self.model = max(self.model, began)

    def rolled_back(self, withdrawn: Iterable[int]) -> None:
        """Record that a client was told that runs were withdrawn."""
        self.withdrawn.update(withdrawn)

    def turn(self) -> None:
        """Record that a rollback or a failover has undone promotions: an earlier model may be current again."""
        self.model = 0
        self.turns += 1

    def computing(self, process: ProcessState, task: str, key: str) -> None:
        """Record the begin of a computation, and check the single flight invariant.

        Args:
            process: The process that computes.
            task: The task's name.
            key: The key.
        """
        self.tally.computed += 1
        self.computes[task, key] += 1
        if other := self.single_flight.begins(process, task, key):
            self.violate(
                "I6 single flight", f"{task}({key}) is computed on {process.name}, and on {other} under a lease"
            )
        self.world.say(f"{process.name} computes {task}({key})")

    def begin(self, process: ProcessState, task: str, key: str) -> Read:
        """Begin a read, which must include every change that has been acknowledged until now.

        Args:
            process: The process that reads.
            task: The task's name.
            key: The key.
        """
        now = asyncio.get_running_loop().time()
        latest = now - 2 * self.world.faults.clock_error_s - 0.01
        due, in_doubt = self._due(latest - SILENCE_S), self._due(latest - TOLERATED_S)
        withdrawn = frozenset(self.withdrawn)
        acked, restores, shown = dict(self.acked), self._restores, dict(self._shown[process.name, process.starts])
        return Read(process, task, key, now, acked, due, in_doubt, self.model, withdrawn, self.turns, restores, shown)

    @property
    def _restores(self) -> int:
        return sum(system.restores for system in self.world.systems)

    def _due(self, before: float) -> dict[str, int]:
        """The latest version of each tag that a read must show, even if its source was not heard since the commit."""
        due: dict[str, int] = {}
        for system in self.world.systems:
            for row in system.outbox:
                if row.at > before:
                    break
                for tag in row.tags:
                    due[tag] = row.version
        return due

    def returned(self, read: Read, served: Served[Any]) -> None:
        """End a read, and judge the value that it returned."""
        is_away = served.cause is Cause.WITHOUT_STORE or served.stamp.incarnation == 0
        self.tally.reads += not is_away
        self.tally.away += is_away
        self._check_deadline(read)
        try:
            made = made_by(served)
        except msgspec.DecodeError:
            self.tally.refused += 1
            if is_away and read.task in NEEDS_NO_MODEL:
                self.violate("I13 away", f"{read.task}({read.key}) is refused: {served.reason}")
            if served.cause is Cause.ABSENT:
                self.violate("I10 damage", f"{read.task}({read.key}) is absent for a reason that no task gave")
            return
        self.tally.hits += not (read.missed or is_away)
        step = self.world.step
        self.tally.recent += any(step - self.raised_at_step.get(t, -99) <= RECENT_STEPS for t in made.reads)
        self._check_made(read, made, in_doubt=served.cause is Cause.SOURCE_SILENT)
        if is_away and read.restores == self._restores:
            shown = self._shown[read.process.name, read.process.starts]
            shown.update({tag: max(version, shown.get(tag, 0)) for tag, version in made.reads.items()})

    def answered(self, read: Read, answer: str, *, is_hit: bool) -> None:
        """Judge a cache's answer like the value of a read. A refusal is empty and must not be stored.

        Args:
            read: The read.
            answer: The cache's answer.
            is_hit: Whether it came from the cache.
        """
        self.tally.asked += 1
        self.tally.kept += is_hit
        if answer:
            self._check_made(read, msgspec.json.decode(answer, type=SimValue), in_doubt=not is_hit)
        elif is_hit:
            self.violate("I11 cache", f"a refusal of {read.task}({read.key}) was kept")

    def _check_made(self, read: Read, made: SimValue, *, in_doubt: bool) -> None:
        if in_doubt and read.task in TOLERANT:
            read.due, read.shown = read.due_in_doubt, {}
        if not made.reads:
            self.violate("I12 shapes", f"{read.task}({read.key}) says nothing of what it was made of")
        self._check_versions(read, made)
        for tag, version in made.reads.items():
            if tag.partition("/")[0] in FENCED[read.task]:
                self._check_age(read, tag, version)
        self._check_lineage(read, made)

    def failed(self, read: Read, error: Exception) -> None:
        """End a read with an error, and check its deadline. A store that is away is none for what can be computed."""
        self.tally.failed += 1
        if isinstance(error, StoreError) and read.task in NEEDS_NO_MODEL:
            self.violate("I13 away", f"{read.task}({read.key}) failed: {error}")
        self._check_deadline(read)

    def _check_deadline(self, read: Read) -> None:
        late = asyncio.get_running_loop().time() - read.at - DEADLINE_S
        if late > LATE_S and read.process.paused_until < read.at:
            self.violate("I7 deadline", f"{read.task}({read.key}) ended {late:.2f} s after its deadline")

    def _check_age(self, read: Read, tag: str, version: int) -> None:
        if read.restores != self._restores:  # what had been acknowledged when it began may be gone
            return
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
        elif version < read.shown.get(tag, 0) and tag.partition("/")[0] in self.world.system_of(tag).told:
            self.violate(
                "I14 going back",
                f"{read.task}({read.key}) was made of {tag} {version}, and {read.process.name} had shown "
                f"{read.shown[tag]} while the store was away",
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
