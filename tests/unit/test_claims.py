"""Several workers on one store compute each key once."""

import asyncio
import contextlib
from collections import Counter

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S, until

import parbake as pb
from parbake.lanes.event.work_claims import WorkClaims, part_of
from parbake.lanes.worker.board import WorkerBoard
from parbake.stores.memory import MemoryStore
from parbake.testing import FakeClock

KEYS = 200


class Floor:
    """Tasks and a store for several workers, with a count of the computations."""

    def __init__(self, *, batched):
        """Declare the task as a function of one key or of many."""
        self.computed, self.store, self.tasks = Counter(), MemoryStore(), pb.Registry()
        self.task = self.tasks.artifact(**contract(freshness_sla="1h"))(self.batch() if batched else self.single())

    def single(self):
        """Return a function of one key."""

        async def row(key: int) -> int:
            await asyncio.sleep(0.002)
            self.computed[key] += 1
            return key

        return row

    def batch(self):
        """Return a function of many keys."""

        async def row(keys: pb.Keys[int]) -> dict[int, int]:
            await asyncio.sleep(0.002 * len(keys))
            self.computed.update(keys)
            return {key: key for key in keys}

        return row

    async def worker(self):
        """Open a worker that writes heartbeats and is stepped by the test."""
        app = pb.App(self.tasks, store=self.store)
        await app.engine.workers.beat()
        return app


async def work(app):
    """Step the event lane until it has no work left."""
    lane = app.engine.events
    while await lane.step() or not lane._refreshing.is_idle:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("batched", [True, False], ids=["many-keys-a-call", "one-key-a-call"])
async def test_two_workers_refresh_each_key_once(batched):
    """When one event outdates 200 keys, two workers together compute each key once and share the work."""
    floor = Floor(batched=batched)
    server = pb.App(floor.tasks, store=floor.store)
    for key in range(KEYS):
        await server.serve(floor.task, key)
    workers = [await floor.worker(), await floor.worker()]
    await workers[0].engine.workers.beat()  # the first worker now knows the second
    await asyncio.gather(*map(work, workers))
    floor.computed.clear()
    await server.touch("fact/all")
    async with asyncio.timeout(HANGS_S):
        await asyncio.gather(*map(work, workers))
    assert set(floor.computed.values()) == {1}
    assert sum(floor.computed.values()) == KEYS
    shares = [worker.counters.computes["row", "event", "stored"] for worker in workers]
    assert min(shares) > 0  # they share the work


async def test_a_worker_takes_over_what_a_dead_one_held():
    """When the lease of a dead worker expires, another worker gets its keys."""
    store, clock = MemoryStore(), FakeClock()
    dead, alive = (WorkClaims(store, clock, WorkerBoard(store, clock)) for _ in range(2))
    part = part_of("row@1", b"a")
    async with contextlib.AsyncExitStack() as stack:
        assert await stack.enter_async_context(dead.take(part))
        async with alive.take(part) as is_mine:
            assert not is_mine
        clock.advance(10.1)
        async with alive.take(part) as is_mine:
            assert is_mine


async def test_a_long_computation_keeps_its_lease(monkeypatch):
    """A holder renews its lease, so that no other worker starts a computation that outlasts the term."""
    monkeypatch.setattr("parbake.lanes.event.work_claims.RENEW_S", 0.001)
    store, clock = MemoryStore(), FakeClock()
    slow, other = (WorkClaims(store, clock, WorkerBoard(store, clock)) for _ in range(2))
    part = part_of("row@1", b"a")

    async def held():
        return await store.get("lease/refresh/row@1/" + str(part.number))

    async def renewed():
        return await held() != before

    async with slow.take(part) as is_mine:
        assert is_mine
        for _ in range(5):
            before = await held()
            clock.advance(5)
            await until(renewed)
        async with other.take(part) as is_theirs:
            assert not is_theirs


def test_parts_are_the_same_in_every_process():
    """The part of a key depends on the key's bytes only, and keys spread evenly over the parts."""
    parts = Counter(part_of("row@1", b"m%d" % n).number for n in range(1600))
    assert part_of("row@1", b"a") == part_of("row@1", b"a")
    assert len(parts) == 16
    assert max(parts.values()) < 200
