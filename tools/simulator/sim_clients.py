"""The clients and operators of a history: they read, change, publish, run batches, roll back and sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from parbake.errors import DeadlineExceeded, ParbakeError, RunInProgress
from parbake.ports.cloudevents import CloudEvent
from parbake.protocol.acks import NO_ACKS, Acks
from parbake.serving import request as scope
from parbake.tasks.task_types import Artifact, Stored
from simulator.faults import Faults
from simulator.processes.oracle import Oracle, reading
from simulator.processes.sim_process import Process
from simulator.world.limits import DEADLINE_S, HEARTBEAT_S, LEASE_S, SILENCE_S, TOLERATED_S
from simulator.world.sim_tasks import KEYS, SERVED, model_run, rows_run, tasks
from simulator.world.system_of_record import OFFERS, OutboxRow
from simulator.world.virtual_loop import sleep
from simulator.world.world_state import World

READERS = {
    "policy": ["note", "note", "digest", "strict", "page"],
    "product": ["soft", "loose", "strict", "ranked", "page"],
    OFFERS: ["offer", "page"],
    "taste": ["ranked", "page"],
    "memo": ["memo"],
}
"""Tasks that read a family, directly or through others."""
ENTITIES = [f"{family}/{key}" for family in ("policy", "product", OFFERS, "taste", "memo") for key in KEYS]


class Clients:
    """The clients and operators of one history."""

    def __init__(self, world: World, oracle: Oracle, processes: Sequence[Process], faults: Faults) -> None:
        """Create the clients. The oracle judges what they read; a step of the clients can also be a fault."""
        self.world = world
        self.oracle = oracle
        self.processes = processes
        self.faults = faults
        self._version = 0

    async def act(self) -> None:
        """Do one step: a client or an operator acts, or a fault strikes."""
        act: Callable[[], Coroutine[Any, Any, None]] = self.world.rng.choices(
            [
                self._read_some,
                self._change,
                self._burst,
                self._materialize,
                self._roll_back,
                self._sweep,
                self._fall_silent,
                self.faults.strike,
            ],
            [85, 6, 1.5, 2, 0.6, 0.5, 0.5, self.world.faults.weight],
        )[0]
        await act()

    def _alive(self) -> Process | None:
        """A running process, chosen at random."""
        alive = [process for process in self.processes if process.is_alive]
        return self.world.rng.choice(alive) if alive else None

    async def _read_some(self) -> None:
        """Read one key a few times, each time on a random process; often a key that a recent change concerns."""
        task, key = self._some_key()
        for _ in range(self.world.rng.choice(self.world.reads_at_once)):
            process = self._alive()
            if process is not None:
                await process.run(self.read(process, task, key))

    def _some_key(self) -> tuple[str, str]:
        recent = list(self.oracle.raised_at_step)[-2:]
        if recent and self.world.rng.random() < 0.75:
            return self._reader_of(self.world.rng.choice(recent))
        task = self.world.rng.choice(list(SERVED))
        return task, self.world.rng.choice(SERVED[task])

    def _reader_of(self, tag: str) -> tuple[str, str]:
        """A task and a key that a change of a tag concerns."""
        family, _, entity = tag.partition("/")
        task = self.world.rng.choice(READERS[family])
        return task, entity if entity in SERVED[task] else self.world.rng.choice(SERVED[task])

    def commit(self, subject: str, kind: str) -> OutboxRow:
        """Commit a change of an entity or a family."""
        self._version += 1
        now = asyncio.get_running_loop().time()
        row = self.world.system_of(subject).commit(self._version, subject, kind, now)
        self.world.say(f"{subject} {kind}: version {row.version}")
        self.oracle.committed(row)
        return row

    async def read(self, process: Process, task: str, key: str, acks: Acks = NO_ACKS) -> None:
        """Read a key and have it judged.

        Args:
            process: The process to read from.
            task: The task's name.
            key: The key.
            acks: The acknowledgements that this client has received.
        """
        assert process.app is not None
        read = self.oracle.begin(process, task, key)
        token = reading.set(read)
        stored = process.program[task]
        assert isinstance(stored, Artifact)
        try:
            async with scope.Scope(DEADLINE_S, acks):
                served = await process.app.serve(stored, key)
        except DeadlineExceeded as error:
            self.oracle.failed(read, error)
        except ParbakeError as error:
            self.world.say(f"{process.name} {task}({key}) failed: {error}")
            self.oracle.failed(read, error)
        else:
            self.world.say(
                f"{process.name} {task}({key}) -> {served.verdict} {served.value or served.reason} {served.stamp}"
            )
            self.oracle.returned(read, served)
        finally:
            reading.reset(token)

    async def _change(self) -> None:
        """Commit a change at the source, and have it acknowledged."""
        process = self._alive()
        if process is None:
            return
        subject = self.world.rng.choice(ENTITIES)
        kind = self.world.rng.choices(["changed", "deleted", "bulk"], [8, 2, 1])[0]
        if kind == "bulk":
            subject = subject.partition("/")[0]
        row = self.commit(subject, kind)
        await process.run(self.tell(process, row))

    async def change(self, subject: str) -> None:
        """Change an entity and have that acknowledged, or roll a model back."""
        process = self._alive()
        if process is None:
            return
        if self.world.rng.random() < 0.2:
            await process.run(self._withdraw(process, self.world.rng.choice(["weights", "ranked"])))
        else:
            await process.run(self.tell(process, self.commit(subject, "changed")))

    async def publish_change(self, subject: str) -> None:
        """Change an entity, and publish the event."""
        process = self._alive()
        if process is not None:
            await process.run(self._publish(process, self.commit(subject, "changed")))

    async def tell(self, process: Process, row: OutboxRow) -> Acks:
        """Drain, publish the event, or do nothing; return the acknowledgement that the client received."""
        app = process.app
        assert app is not None
        system = self.world.system_of(row.subject)
        way = self.world.rng.choices(["drain", "publish", "nothing"], [5, 3, 2])[0]
        is_told = row.subject.partition("/")[0] in system.told
        if way == "drain" and not is_told:
            way = "publish"
        elif way == "publish" and is_told and self.world.is_inferred:
            way = "drain"
        if way == "publish":
            return await self._publish(process, row)
        try:
            if way == "drain":
                await app.drain()
        except ParbakeError as error:
            self.world.say(f"{process.name} not acknowledged: {error}")
        return NO_ACKS

    async def _publish(self, process: Process, row: OutboxRow) -> Acks:
        """Publish the event, sometimes twice; return the acknowledgement that the client received."""
        app, told = process.app, NO_ACKS
        assert app is not None
        system = self.world.system_of(row.subject)
        event = CloudEvent(f"{system.name}-{row.position}", system.name, f"sim.{row.kind}", row.subject)
        try:
            for _ in range(self.world.rng.choice([1, 1, 2])):
                await sleep(self.world.rng.random() * self.world.faults.delivery_s)
                told = (await app.publish(event)).tags
                self.oracle.acknowledge(row)
                self.world.say(f"version {row.version} acknowledged")
        except ParbakeError as error:
            self.world.say(f"{process.name} not acknowledged: {error}")
        return told

    async def _burst(self) -> None:
        """Act on one entity concurrently.

        Start a read, have a change acknowledged, perhaps fail over, and read again.
        """
        process = self._alive()
        if process is None:
            return
        subject = self.world.rng.choice(ENTITIES)
        task, key = self._reader_of(subject)
        before = asyncio.get_running_loop().create_task(process.run(self.read(process, task, key)))
        await sleep(self.world.rng.random() * self.world.slowness_s * 2)
        told = None
        if process.is_alive:
            told = await process.run(self.tell(process, self.commit(subject, "changed")))
        if self.world.rng.random() < 0.5:
            self.faults.fail_over(most=8)
        if process.is_alive:
            await process.run(self.read(process, task, key, told or NO_ACKS))
        await before

    async def _fall_silent(self) -> None:
        """Commit a change just before its feed stops, and read around the moment at which trust in the feed ends."""
        if "feed_down" not in self.world.faults.kinds:
            return
        subject = self.world.rng.choice([e for e in ENTITIES if e.partition("/")[0] in {"policy", OFFERS, "product"}])
        await self._read_one_of(subject)
        self.commit(subject, "changed")
        async with self.faults.silence(self.world.system_of(subject)):
            longer_s = (TOLERATED_S - SILENCE_S) / 2
            await sleep(SILENCE_S + longer_s * (self._version % 2))
            for _ in range(8):
                await self._read_one_of(subject)
                await sleep(self.world.rng.random() * 0.2)
        as_it_is_back = [self._soon(lambda: self._read_one_of(subject), within_s=HEARTBEAT_S) for _ in range(6)]
        await asyncio.gather(*as_it_is_back)

    async def _materialize(self) -> None:
        process = self._alive()
        if process is not None:
            await process.run(self.try_batch(process, self.world.rng.choice(["weights", "weights", "ranked", "note"])))

    async def run_batch(self, process: Process, name: str) -> None:
        """Materialize a task and what is promoted with it; if another run holds the lease, try again after its term."""
        for _ in range(4):
            if await self.try_batch(process, name):
                return
            await sleep(LEASE_S)

    async def try_batch(self, process: Process, name: str) -> bool:
        """Materialize a task; return false when another process holds the lease of the run."""
        task = tasks[name]
        assert isinstance(task, Stored)
        assert process.app is not None
        try:
            await process.app.materialize(task)
        except ParbakeError as error:
            self.world.say(f"{process.name} run of {name} failed: {error}")
            return not isinstance(error, RunInProgress)
        return True

    async def _roll_back(self) -> None:
        process = self._alive()
        if process is not None:
            await process.run(self._withdraw(process, self.world.rng.choice(["weights", "ranked"])))

    async def _withdraw(self, process: Process, name: str) -> None:
        task = tasks[name]
        assert isinstance(task, Stored)
        app = process.app
        assert app is not None
        mark = model_run if name == "weights" else rows_run
        try:
            _, before = await app.engine.store.stamp()
            await app.ops.rollback(task)
            _, after = await app.engine.store.stamp()
        except ParbakeError as error:
            self.world.say(f"{process.name} rollback of {name} failed: {error}")
            return
        gone = before.pointer(task.ref)
        if gone not in after.withdrawn:  # another process promoted a run meanwhile, and that one is gone
            self.world.say(f"{name}: a newer run than generation {gone} rolled back")
            return
        self.world.say(f"{name}: run {self.world.run_of[gone]} (generation {gone}) rolled back")
        if gone in self.world.journal_of(process.name).generations:
            self.oracle.rolled_back([mark(self.world.run_of[gone])])
        if self.world.rng.random() < 0.5:
            await sleep(self.world.rng.random() * 0.1)
            self.faults.fail_over(most=8)

    async def _sweep(self) -> None:
        """Raise the floor to the counter, while tags near the floor are read, or raised again."""
        process, other = self._alive(), self._alive()
        if process is not None and other is not None:
            await process.run(self._raise_floor(process, other, self.world.rng.choice(ENTITIES)))

    async def _raise_floor(self, process: Process, other: Process, subject: str) -> None:
        assert process.app is not None
        store = process.app.engine.store
        try:
            await self.read_all_of(subject)
            await self.tell(process, self.commit(subject, "changed"))
            floor, _ = await store.stamp()
            self.world.say(f"{process.name} raises the floor to {floor}")
            if self.world.rng.random() < 0.5:  # earlier values are invalidated by the floor, not by the watermark
                meanwhile = [self._soon(lambda: self._read_one_of(subject)) for _ in range(12)]
                with process.network.slowed(0):
                    await store.raise_floor(floor)
            else:  # a watermark that the sweep has listed is raised again
                await self.read_all_of(subject)
                change = self.commit(subject, "changed")
                meanwhile = [self._soon(lambda: self.tell(other, change))]
                with process.network.slowed(10):
                    await store.raise_floor(floor)
            await asyncio.gather(*meanwhile)
            await self.read_all_of(subject)
            await self.run_batch(process, "weights")  # the model is below the floor now
        except ParbakeError as error:
            self.world.say(f"{process.name} sweep failed: {error}")

    def _soon(self, act: Callable[[], Coroutine[Any, Any, object]], within_s: float = 0.03) -> asyncio.Task[None]:
        """Do something concurrently, at a random moment from now."""

        async def later() -> None:
            await sleep(self.world.rng.random() * within_s)
            await act()

        return asyncio.get_running_loop().create_task(later())

    async def read_all_of(self, subject: str) -> None:
        """Read everything that a change concerns, each task on a random process."""
        family, _, entity = subject.partition("/")
        for task in dict.fromkeys(READERS[family]):
            process = self._alive()
            if process is not None:
                await process.run(self.read(process, task, entity if entity in SERVED[task] else SERVED[task][0]))

    async def _read_one_of(self, subject: str) -> None:
        """Read one key that a change concerns."""
        process = self._alive()
        if process is not None:
            await process.run(self.read(process, *self._reader_of(subject)))
