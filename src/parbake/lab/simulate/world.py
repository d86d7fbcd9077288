"""One simulated history: processes, clients, faults, all drawn from one seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from parbake.app import App
from parbake.declare.gates import Profile
from parbake.errors import ParbakeError
from parbake.lab.simulate.asking import Asking
from parbake.lab.simulate.backend import Disk
from parbake.lab.simulate.damage import Damage
from parbake.lab.simulate.faults import Faults
from parbake.lab.simulate.later import SHARE as TWO_PROGRAMS
from parbake.lab.simulate.limits import HEARTBEAT_S, LEASE_S, SILENCE_S
from parbake.lab.simulate.oracle import Oracle
from parbake.lab.simulate.sim_clients import Clients
from parbake.lab.simulate.sim_process import Process
from parbake.lab.simulate.sim_sources import OFFERS, OutboxRow, SystemOfRecord
from parbake.lab.simulate.sim_tasks import EPOCH, FENCED, KEYS, SERVED, current_run
from parbake.lab.simulate.virtual_loop import sleep
from parbake.lanes.batch.lane import Run
from parbake.lanes.batch.open_run import OpenRun
from parbake.lanes.batch.runs import Part, Runs, State
from parbake.lanes.worker.schedule import TICK_S
from parbake.serving.bound import BoundTask

StoreModel = Literal["embedded", "snapshot", "single"]
STEPS = 90
STEP_S = 0.06
REBUILDS = 5
"""So often a worker may look before a model that was found damaged is there again."""
BUSY = 0.06
"""The share of histories in which every key is read twice as often."""
HONOURED = 0.8
"""The share of histories in which a run's lease keeps others away. It saves work; nothing may depend on it."""


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


class _Unheld(Runs):
    """Runs whose leases nobody honours: they collide, and only the promotion keeps them apart."""

    def refuse_if_held(self, state: State, ref: str, now: float) -> None:
        """Never."""

    async def hold(self, ref: str, holder: str, until: float) -> None:
        """Always."""

    async def finish(self, ref: str, holder: str, digest: bytes, done: tuple[Part, Profile]) -> None:
        """Not noted: the note may be another's by now."""


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
        self.policies = SystemOfRecord("policies", {"policy": KEYS}, told=["policy"])
        self.replayable = self.rng.random() < 0.6
        told = ["product", OFFERS, "taste", *(["memo"] if self.replayable else [])]
        self.shop = SystemOfRecord("shop", dict.fromkeys(("product", OFFERS, "taste", "memo"), KEYS), told=told)
        self.truths = (self.policies, self.shop)
        self.acked_to = {truth.name: 0 for truth in self.truths}
        self.oracle = Oracle(self)
        self.disk = Disk(self.oracle.stored)
        self.journal = Memory()
        self.faults = Faults(self)
        self.damage = Damage(self)
        self.clients = Clients(self)
        self.asking = Asking(self)
        self.slowness_s = self.rng.choice([0.002, 0.02, 0.15])
        self.slow_items_s = self.rng.choice([0.005, 0.005, 0.005, 0.05])
        self.slow_polls_s = self.rng.choice([0.0, 0.0, 0.3, 0.8])
        is_busy = random.Random(f"busy {store_model} {seed}").random() < BUSY
        self.honours_leases = random.Random(f"leases {store_model} {seed}").random() < HONOURED
        self.has_two_programs = random.Random(f"programs {store_model} {seed}").random() < TWO_PROGRAMS
        self.reads_at_once = [4, 8, 12, 16] if is_busy else [2, 4, 6, 8]
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
        if not self.honours_leases:
            batch.runs = batch._builder._runs = batch._opening._runs = _Unheld(app.engine.store)
        batch.runs.lease_s = LEASE_S
        materialize = batch.materialize
        begin = batch._opening.open if self.honours_leases else batch._opening._begin

        async def opened(chain: Sequence[BoundTask], selection: bytes, **_: bool) -> OpenRun:
            run = await begin(chain, selection)
            if run.is_continued:  # it keeps the number that its rows carry
                current_run.set(self.run_of[min(run.generations.values())])
            return run

        async def numbered(*args: Any, **options: Any) -> Run:
            self.run += 1
            run, token = self.run, current_run.set(self.run)
            try:
                done = await materialize(*args, **options)
                run = current_run.get()
            finally:
                current_run.reset(token)
            self.say(f"run {run} promoted: {[(b.task, b.generation) for b in done.built]}")
            if any(built.task == "weights" for built in done.built):
                self.oracle.promoted(run)
            return done

        batch._opening.open = opened  # type: ignore[method-assign]  # what the lane calls
        batch.materialize = numbered  # type: ignore[method-assign]  # the schedule reaches it by this name too

    async def play(self) -> None:
        """Live through the history, then let everything heal and look whether it does."""
        self.faults.settle()
        loop = asyncio.get_running_loop()
        loop.answer_delay = lambda: self.rng.random() * self.slow_polls_s  # type: ignore[attr-defined]  # a VirtualLoop
        for process in self.processes:
            process.start()
        await sleep(0.5)
        acts: list[asyncio.Task[Any]] = []
        for _ in range(STEPS):
            self.step += 1
            acts.append(loop.create_task(self.clients.act()))
            if self.asking.is_on:
                acts.append(loop.create_task(self.asking.act()))
            self.damage.strike()
            await sleep(self.rng.random() * 2 * STEP_S)
        await asyncio.gather(*acts)
        await self.faults.heal()
        await sleep(SILENCE_S + 2 * HEARTBEAT_S)
        await self._check_liveness()

    def truth_of(self, subject: str) -> SystemOfRecord:
        """The system of record that an entity lies in."""
        return self.policies if subject.startswith("policy") else self.shop

    def commit(self, subject: str, kind: str) -> OutboxRow:
        """Commit a change of an entity or a family."""
        self.version += 1
        row = self.truth_of(subject).commit(self.version, subject, kind, asyncio.get_running_loop().time())
        self.say(f"{subject} {kind}: version {row.version}")
        self.oracle.committed(row)
        return row

    async def _check_liveness(self) -> None:
        """I5: everything committed is acknowledged by now, every key is served, fresh, and from what is stored."""
        for process in self.processes:
            await process.run(self._hear(process))
        for truth in self.truths:
            if self.acked_to[truth.name] < len(truth.outbox):
                self.oracle.violate("I5 liveness", f"{truth.name}: an event is never acknowledged")
        operator = self.processes[-1]
        await operator.run(self.clients.run_batch(operator, "weights"))  # a sweep or a loss may have left none
        before = self.oracle.tally
        self.oracle.tally = msgspec.structs.replace(before)
        for must_hit in (False, True):
            for task, keys in SERVED.items():
                for key in keys:
                    process = self.rng.choice(self.processes)
                    others = [] if must_hit else [p for p in self.processes if p.program is not process.program]
                    for reader in (process, *others[:1]):  # each version finds what it has computed itself
                        await self._read_healed(reader, task, key, must_hit=must_hit)
        self.oracle.tally = before

    async def _hear(self, process: Process) -> None:
        assert process.app is not None
        try:
            await process.app.drain()
        except ParbakeError as error:
            self.oracle.violate("I5 liveness", f"{process.name} cannot hear after all healed: {error}")

    async def _read_healed(self, process: Process, task: str, key: str, *, must_hit: bool) -> None:
        hits, reads = self.oracle.tally.hits, self.oracle.tally.reads
        await process.run(self.clients.read(process, task, key))
        for _ in range(REBUILDS):  # a model that the disk has damaged is built again by a worker, which must look first
            if must_hit or self.oracle.tally.reads > reads:
                break
            await sleep(TICK_S)
            await process.run(self.clients.read(process, task, key))
        has_run_out = OFFERS in FENCED[task]
        if self.oracle.tally.reads == reads:
            self.oracle.violate("I5 liveness", f"{task}({key}) cannot be read on {process.name} after all healed")
        elif must_hit and self.oracle.tally.hits == hits and not has_run_out:
            self.oracle.violate("I5 liveness", f"{task}({key}) is not kept on {process.name} after all healed")
