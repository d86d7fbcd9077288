"""One simulated history: processes, clients, faults, all drawn from one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec

from parbake.app import App
from parbake.cloudevents import CloudEvent
from parbake.errors import DeadlineExceeded, ParbakeError
from parbake.lanes.batch import Run
from parbake.serving import scope
from parbake.tasks import Artifact, Stored
from parbake.testing.simulation.backend import Disk
from parbake.testing.simulation.faults import Faults
from parbake.testing.simulation.limits import DEADLINE_S, HEARTBEAT_S, SILENCE_S
from parbake.testing.simulation.oracle import Oracle, reading
from parbake.testing.simulation.process import Process
from parbake.testing.simulation.tasks import EPOCH, FENCED, KEYS, SERVED, current_run, model_run, rows_run, tasks
from parbake.testing.simulation.truth import Row, Truth

StoreModel = Literal["embedded", "snapshot", "single"]
STEPS = 90
STEP_S = 0.06
READERS = {
    "policy": ["note", "note", "digest", "strict", "page"],
    "product": ["soft", "loose", "strict", "ranked", "page"],
    "offer": ["offer", "page"],
    "taste": ["ranked", "page"],
    "memo": ["memo"],
}
"""Tasks that read a family, directly or through others."""
ENTITIES = [f"{family}/{key}" for family in ("policy", "product", "offer", "taste", "memo") for key in KEYS]


class Memory:
    """A journal that outlives every process and every store."""

    def __init__(self) -> None:
        """Nothing was withdrawn."""
        self.generations: list[int] = []

    def append(self, generations: list[int]) -> None:
        """Add."""
        self.generations += generations

    def read(self) -> list[int]:
        """All."""
        return list(self.generations)


class World:
    """Everything there is in one history."""

    def __init__(self, seed: int, store_model: StoreModel, *, trace: bool = False) -> None:
        """Draw what this history is like."""
        self.seed = seed
        self.rng = random.Random(f"{store_model} {seed}")
        self.trace: list[str] | None = [] if trace else None
        self.store_model = store_model
        self.step = 0
        self.version = 0
        self.run = 0
        self.run_of: dict[int, int] = {}
        self.began: dict[int, int] = {}
        self.policies = Truth("policies", {"policy": KEYS}, told=["policy"])
        self.replayable = self.rng.random() < 0.6
        told = ["product", "offer", "taste", *(["memo"] if self.replayable else [])]
        self.shop = Truth("shop", {family: KEYS for family in ("product", "offer", "taste", "memo")}, told=told)
        self.truths = (self.policies, self.shop)
        self.acked_to = {truth.name: 0 for truth in self.truths}
        self.disk = Disk(lambda name, before, after: self.oracle.stored(name, before, after))
        self.journal = Memory()
        self.faults = Faults(self)
        self.slowness_s = self.rng.choice([0.002, 0.02, 0.15])
        self.oracle = Oracle(self)
        self.processes = [Process(n, self, is_worker=n.startswith("worker")) for n in ("web1", "web2", "worker1")]
        if self.rng.random() < 0.3:
            self.processes.append(Process("worker2", self, is_worker=True))

    def true_now(self) -> float:
        """Epoch seconds as they really are."""
        return EPOCH + asyncio.get_running_loop().time()

    def say(self, what: str) -> None:
        """Add a line to the trace, if one is kept."""
        if self.trace is not None:
            self.trace.append(f"{asyncio.get_running_loop().time():8.3f} #{self.step:<3} {what}")

    def begun(self, generation: int, run: int) -> None:
        """A run got a generation; the first it gets says when it began."""
        self.run_of[generation] = run
        self.began.setdefault(run, generation)

    def number_runs(self, app: App) -> None:
        """Give every batch run of an app a number, and tell the oracle of those that were promoted."""
        batch = app.engine.batch
        materialize = batch.materialize

        async def numbered(*args: Any, **options: Any) -> Run:
            self.run += 1
            run, token = self.run, current_run.set(self.run)
            try:
                done = await materialize(*args, **options)
            finally:
                current_run.reset(token)
            self.say(f"run {run} promoted: {[(b.task, b.generation) for b in done.built]}")
            if any(built.task == "weights" for built in done.built):
                self.oracle.promoted(run)
            return done

        batch.materialize = numbered  # type: ignore[method-assign]  # the schedule reaches it by this name too

    async def play(self) -> None:
        """Live through the history, then let everything heal and look whether it does."""
        self.faults.settle()
        for process in self.processes:
            process.start()
        await asyncio.sleep(0.5)
        clients: list[asyncio.Task[Any]] = []
        loop = asyncio.get_running_loop()
        for _ in range(STEPS):
            self.step += 1
            clients.append(loop.create_task(self._act()))
            await asyncio.sleep(self.rng.random() * 2 * STEP_S)
        await asyncio.gather(*clients)
        self.faults.heal()
        await asyncio.sleep(SILENCE_S + 2 * HEARTBEAT_S)
        await self._check_liveness()

    async def _act(self) -> None:
        """One step of some client, or of fate."""
        act: Callable[[], Coroutine[Any, Any, None]] = self.rng.choices(
            [self._read_some, self._change, self._materialize, self._roll_back, self._sweep, self.faults.strike],
            [78, 8, 2.5, 0.7, 0.7, self.faults.weight],
        )[0]
        await act()

    def _alive(self) -> Process | None:
        """Some process that is up."""
        alive = [process for process in self.processes if process.is_alive]
        return self.rng.choice(alive) if alive else None

    async def _read_some(self) -> None:
        """Read one key a few times, each time on some server; often one that a recent change concerns."""
        task, key = self._some_key()
        for _ in range(self.rng.choice([1, 3, 4, 6])):
            process = self._alive()
            if process is not None:
                await process.run(self.read(process, task, key))

    def _some_key(self) -> tuple[str, str]:
        recent = list(self.oracle.raised_at_step)[-2:]
        if recent and self.rng.random() < 0.5:  # noqa: PLR2004  # a share
            family, _, entity = self.rng.choice(recent).partition("/")
            task = self.rng.choice(READERS[family])
            return task, entity if entity in SERVED[task] else self.rng.choice(SERVED[task])
        task = self.rng.choice(list(SERVED))
        return task, self.rng.choice(SERVED[task])

    async def read(self, process: Process, task: str, key: str) -> None:
        """One read, judged."""
        assert process.app is not None  # noqa: S101  # a process that is alive has one
        read = self.oracle.begin(process, task, key)
        token = reading.set(read)
        stored = tasks[task]
        assert isinstance(stored, Artifact)  # noqa: S101  # SERVED names artifacts
        try:
            async with scope.request(DEADLINE_S):
                served = await process.app.serve(stored, key)
        except DeadlineExceeded:
            self.oracle.failed(read)
        except ParbakeError as error:
            self.say(f"{process.name} {task}({key}) failed: {error}")
            self.oracle.failed(read)
        else:
            self.say(f"{process.name} {task}({key}) -> {served.verdict} {served.value or served.reason} {served.stamp}")
            self.oracle.returned(read, served)
        finally:
            reading.reset(token)

    async def _change(self) -> None:
        """Commit a change at the source and have it acknowledged, in one of the ways there are."""
        process = self._alive()
        if process is None:
            return
        subject, kind = self.rng.choice(ENTITIES), self.rng.choices(["changed", "deleted", "bulk"], [8, 2, 1])[0]
        if kind == "bulk":
            subject = subject.partition("/")[0]
        row = self.commit(subject, kind)
        await process.run(self._tell(process, row))

    def commit(self, subject: str, kind: str) -> Row:
        """Commit a change of an entity or a family."""
        self.version += 1
        truth = self.policies if subject.startswith("policy") else self.shop
        row = truth.commit(self.version, subject, kind, asyncio.get_running_loop().time())
        self.say(f"{subject} {kind}: version {row.version}")
        self.oracle.committed(row)
        return row

    async def _tell(self, process: Process, row: Row) -> None:
        app = process.app
        assert app is not None  # noqa: S101  # a process that is alive has one
        truth = self.policies if row.subject.startswith("policy") else self.shop
        event = CloudEvent(f"{truth.name}-{row.position}", truth.name, f"sim.{row.kind}", row.subject)
        way = self.rng.choices(["drain", "publish", "nothing"], [5, 3, 2])[0]
        if way == "drain" and row.subject.partition("/")[0] not in truth.told:
            way = "publish"
        try:
            if way == "drain":
                await app.drain()
            elif way == "publish":
                for _ in range(self.rng.choice([1, 1, 2])):
                    await asyncio.sleep(self.rng.random() * self.faults.delivery_s)
                    await app.publish(event)
                    self.oracle.acknowledge(row)
                    self.say(f"version {row.version} acknowledged")
        except ParbakeError as error:
            self.say(f"{process.name} not acknowledged: {error}")

    async def _materialize(self) -> None:
        process = self._alive()
        if process is not None:
            await process.run(self._run_batch(process, self.rng.choice(["weights", "weights", "ranked", "note"])))

    async def _run_batch(self, process: Process, name: str) -> None:
        task = tasks[name]
        assert isinstance(task, Stored)  # noqa: S101  # models and artifacts are
        assert process.app is not None  # noqa: S101  # a process that is alive has one
        try:
            await process.app.materialize(task)
        except ParbakeError as error:
            self.say(f"{process.name} run of {name} failed: {error}")

    async def _roll_back(self) -> None:
        process = self._alive()
        if process is not None:
            await process.run(self._withdraw(process, self.rng.choice(["weights", "ranked"])))

    async def _withdraw(self, process: Process, name: str) -> None:
        task = tasks[name]
        assert isinstance(task, Stored)  # noqa: S101  # models and artifacts are
        app = process.app
        assert app is not None  # noqa: S101  # a process that is alive has one
        mark = model_run if name == "weights" else rows_run
        try:
            _, before = await app.engine.store.stamp()
            await app.rollback(task)
        except ParbakeError as error:
            self.say(f"{process.name} rollback of {name} failed: {error}")
            return
        gone = before.pointer(task.ref)
        self.say(f"{name}: run {self.run_of[gone]} (generation {gone}) rolled back")
        if gone in self.journal.generations:
            self.oracle.rolled_back([mark(self.run_of[gone])])

    async def _sweep(self) -> None:
        """Raise the floor to what the counter showed a moment ago; what lies below is dead and deleted."""
        process = self._alive()
        if process is not None:
            await process.run(self._raise_floor(process))

    async def _raise_floor(self, process: Process) -> None:
        assert process.app is not None  # noqa: S101  # a process that is alive has one
        store = process.app.engine.store
        try:
            floor, _ = await store.stamp()
            await asyncio.sleep(self.rng.random() * 2)
            self.say(f"{process.name} raises the floor to {floor}")
            await store.raise_floor(floor)
            await self._run_batch(process, "weights")  # the model lies below the floor now
        except ParbakeError as error:
            self.say(f"{process.name} sweep failed: {error}")

    async def _check_liveness(self) -> None:
        """I5: everything committed is acknowledged by now, every key is served, fresh, and from what is stored."""
        for process in self.processes:
            assert process.app is not None  # noqa: S101  # healed
            await process.run(process.app.drain())
        for truth in self.truths:
            if self.acked_to[truth.name] < len(truth.outbox):
                self.oracle.violate("I5 liveness", f"{truth.name}: an event is never acknowledged")
        await process.run(self._run_batch(process, "weights"))  # a sweep or a loss may have left none
        before = self.oracle.tally
        self.oracle.tally = msgspec.structs.replace(before)
        for must_hit in (False, True):
            for task, keys in SERVED.items():
                for key in keys:
                    await self._read_healed(self.rng.choice(self.processes), task, key, must_hit=must_hit)
        self.oracle.tally = before

    async def _read_healed(self, process: Process, task: str, key: str, *, must_hit: bool) -> None:
        hits, reads = self.oracle.tally.hits, self.oracle.tally.reads
        await process.run(self.read(process, task, key))
        has_run_out = "offer" in FENCED[task]
        if self.oracle.tally.reads == reads:
            self.oracle.violate("I5 liveness", f"{task}({key}) cannot be read on {process.name} after all healed")
        elif must_hit and self.oracle.tally.hits == hits and not has_run_out:
            self.oracle.violate("I5 liveness", f"{task}({key}) is not kept on {process.name} after all healed")
