"""Leases: one process at a time computes a costly key, and a lease never prevents an answer."""

import asyncio
import contextlib
import subprocess
import sys
import textwrap

import msgspec
import pytest
from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S, as_far_as_it_gets, until

import parbake as pb
from parbake.errors import StoreError
from parbake.serving.bind import Context
from parbake.serving.lease import Lease, lease_name
from parbake.stores.memory import MemoryStore
from parbake.testing import FakeClock
from parbake.values.codecs.wire_shape import wire_shape

NAME = lease_name(f"answer@1:{wire_shape(str).hex()}", b"sk")


class Costly:
    """A costly task, and several apps on one store that stand for processes."""

    def __init__(self, lease="2s"):
        """Declare the task."""
        self.calls = []
        self.gate = asyncio.Event()
        self.tasks = pb.Registry()
        self.store = MemoryStore()
        self.clock = FakeClock()
        self.fails = 0

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("fact/{key}")]), lease=lease)
        async def answer(key: str) -> str:
            """Write an answer."""
            self.calls.append(key)
            await self.gate.wait()
            if len(self.calls) <= self.fails:
                raise ValueError("no luck")
            return f"answer {len(self.calls)}"

        self.answer = answer

    def app(self):
        """Open an app, as another process would."""
        return pb.App(self.tasks, store=self.store, clock=self.clock)

    async def concurrent_reads(self, count, key="k"):
        """Start a read in each of ``count`` apps; return the reads once all have looked into the store."""
        reads = [asyncio.create_task(self.app().serve(self.answer, key)) for _ in range(count)]
        await as_far_as_it_gets()
        return reads


async def test_concurrent_misses_compute_once():
    """I6: of ten processes that miss at once, one computes and nine serve its stored value."""
    costly = Costly()
    reads = await costly.concurrent_reads(10)
    costly.gate.set()
    assert {served.value for served in await asyncio.gather(*reads)} == {"answer 1"}
    assert costly.calls == ["k"]


async def test_without_a_lease_each_process_computes(monkeypatch):
    """Without ``lease=`` each process computes, and no lease is written."""
    costly = Costly(lease=None)
    monkeypatch.setattr(costly.store, "swap", None)
    reads = await costly.concurrent_reads(3)
    costly.gate.set()
    await asyncio.gather(*reads)
    assert len(costly.calls) == 3


async def test_other_keys_do_not_wait():
    """A lease belongs to one key and does not block other keys of the task."""
    costly = Costly()
    await costly.concurrent_reads(1, "a")
    await costly.concurrent_reads(1, "b")
    assert costly.calls == ["a", "b"]
    costly.gate.set()


async def test_a_holder_that_died_is_succeeded_after_its_term():
    """A waiting process takes over when the dead holder's lease expires, and not before."""
    costly = Costly()
    dead = Lease(costly.store, costly.clock, NAME, 2)
    assert await dead.acquire()
    costly.gate.set()
    (read,) = await costly.concurrent_reads(1)
    assert not read.done()
    costly.clock.advance(2)
    assert (await read).value == "answer 1"


@pytest.mark.parametrize("left", [msgspec.msgpack.encode((b"token", 9e9)), b"nonsense"])
async def test_what_no_term_explains_holds_nobody_up(left):
    """A lease that ends after more than one term, or whose bytes are invalid, blocks no process."""
    costly = Costly()
    costly.gate.set()
    assert await costly.store.swap(NAME, None, left)
    (read,) = await costly.concurrent_reads(1)
    assert read.done()


async def test_closing_an_app_gives_its_leases_back():
    """Closing an app cancels its computations and releases their leases."""
    costly = Costly()
    app = costly.app()
    read = asyncio.create_task(app.serve(costly.answer, "k"))
    await until(lambda: costly.calls)
    assert await costly.store.get(NAME) is not None
    await app.close()
    assert await costly.store.get(NAME) is None
    with pytest.raises(asyncio.CancelledError):
        await read


async def test_patience_ends_after_three_terms():
    """A process that waited three terms for a held lease computes without one."""
    costly = Costly(lease="50ms")
    costly.gate.set()
    other = asyncio.create_task(held_for_ever(costly))
    app = costly.app()
    before = asyncio.get_running_loop().time()
    async with asyncio.timeout(HANGS_S):
        assert (await app.serve(costly.answer, "k")).value == "answer 1"
    assert asyncio.get_running_loop().time() - before >= 0.15
    assert app.counters.leases == {("answer", "unleased"): 1}
    other.cancel()


async def held_for_ever(costly):
    """Hold the lease; it never expires, because the clock stands still."""
    assert await Lease(costly.store, costly.clock, NAME, 0.05).acquire()
    await asyncio.Event().wait()


async def test_a_computation_that_fails_leaves_the_turn_to_the_next():
    """A failure is raised to its own caller only; the waiting processes compute one after the other."""
    costly = Costly()
    costly.fails = 2
    reads = await costly.concurrent_reads(3)
    costly.gate.set()
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["ComputeFailed", "ComputeFailed", "Served"]
    assert len(costly.calls) == 3


async def test_an_event_while_others_compute_is_not_missed():
    """A reader that waits for a lease does not get a value that an event outdated meanwhile."""
    costly = Costly()
    first, second = await costly.concurrent_reads(2)
    ack = await costly.app().touch("fact/k")
    third = asyncio.create_task(costly.app().serve(costly.answer, "k"))
    await as_far_as_it_gets()
    costly.gate.set()
    await asyncio.gather(first, second)
    assert (await third).stamp >= ack.stamp
    assert len(costly.calls) == 2


async def test_a_lease_is_let_go():
    """Reads and refreshes release their leases."""
    costly = Costly()
    costly.gate.set()
    app = costly.app()
    await app.serve(costly.answer, "k")
    await app.touch("fact/k")
    for _ in range(3):
        await app.engine.events.step()
    assert costly.calls == ["k", "k"]
    assert await costly.store.get(NAME) is None


async def test_two_workers_refresh_a_key_once():
    """After an event one worker computes the key, and the other finds it done."""
    costly = Costly()
    costly.gate.set()
    await costly.app().serve(costly.answer, "k")
    await costly.app().touch("fact/k")
    costly.gate.clear()
    lanes = [costly.app().engine.events for _ in range(2)]
    workers = [asyncio.create_task(lane.run()) for lane in lanes]
    # One worker holds the lease and computes; the other returns to the key until it is done.
    await until(lambda: costly.calls[1:] and not all(lane._refreshing.is_idle for lane in lanes))
    costly.gate.set()
    await until(lambda: all(lane._refreshing.is_idle for lane in lanes))
    for worker in workers:
        worker.cancel()
    assert costly.calls == ["k", "k"]


async def test_a_lease_that_was_taken_over_is_not_released_by_its_first_holder():
    """A slow holder does not release the lease of its successor."""
    store, clock = MemoryStore(), FakeClock()
    slow, next_one = Lease(store, clock, "l", 1), Lease(store, clock, "l", 1)
    assert await slow.acquire()
    clock.advance(1)
    assert await next_one.acquire()
    await slow.release()
    assert not await Lease(store, clock, "l", 1).acquire()
    await next_one.release()
    assert await Lease(store, clock, "l", 1).acquire()


async def test_a_store_that_fails_at_the_end_does_not_spoil_the_result(monkeypatch):
    """If releasing a lease fails, the computed value is served."""
    costly = Costly()
    costly.gate.set()
    swap = costly.store.swap

    async def failing(name, expected, new):
        if new is None:
            raise StoreError("gone", field="store")
        return await swap(name, expected, new)

    monkeypatch.setattr(costly.store, "swap", failing)
    assert (await costly.app().serve(costly.answer, "k")).value == "answer 1"


PROCESS = """
import asyncio, sys, time
import parbake as pb

tasks = pb.Registry()

@tasks.artifact(freshness_sla="1h", invalidated_by=[], fallback_if_stale=pb.Recompute(), owner="team", lease="10s")
def answer(key: str) -> str:
    print("computed", flush=True)
    time.sleep(1)
    return "made"

async def main():
    app = pb.App(tasks, store=sys.argv[1])
    print((await app.serve(answer, "k")).value, flush=True)
    await app.close()

sys.stdin.readline()
asyncio.run(main())
"""


def test_real_processes_share_one_computation(tmp_path):
    """I6: three operating-system processes on one LMDB file compute a key once."""
    store = f"lmdb://{tmp_path / 'store'}?map_size=16MiB"
    command = [sys.executable, "-c", textwrap.dedent(PROCESS), store]
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(3)
        ]
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [process.communicate(timeout=HANGS_S)[0].split() for process in started]
    assert sorted(line for lines in told for line in lines) == ["computed", "made", "made", "made"]


def test_a_lease_needs_a_length():
    """An invalid ``lease=`` is refused when the task is declared."""
    with pytest.raises(pb.errors.ContractError, match="lease"):
        Costly(lease="soon")


@pytest.mark.parametrize("lease", [None, "2s"])
async def test_what_there_is_no_room_for_is_served_all_the_same(lease, monkeypatch, caplog):
    """If the disk is full, values are computed and served without being stored; later ones are stored again."""
    costly = Costly(lease)
    costly.gate.set()
    app = costly.app()

    async def full(*_, **__):
        raise pb.errors.StoreFull("the disk is full", field="store")

    with monkeypatch.context() as patch:
        patch.setattr(costly.store, "write", full)
        patch.setattr(costly.store, "swap", full)
        for number in (1, 2):
            served = await app.serve(costly.answer, "k")
            assert (served.value, served.verdict) == (f"answer {number}", pb.Verdict.FRESH)
    assert "answer: served without being stored" in caplog.text
    assert app.counters.computes["answer", "realtime", "unstored"] == 2
    assert (await app.serve(costly.answer, "k")).value == "answer 3"
    assert (await app.serve(costly.answer, "k")).value == "answer 3"
    await app.close()


async def test_the_event_lane_does_not_take_for_done_what_there_was_no_room_for(world, monkeypatch):
    """A refresh that cannot be stored raises ``StoreFull``, so that the event lane retries it."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.refresh("fact/{key}")]))
    def fact(key: str) -> str:
        return key

    app = world.app(tasks)
    await app.drain()
    await app.serve(fact, "a")

    async def full(*_, **__):
        raise pb.errors.StoreFull("the disk is full", field="store")

    monkeypatch.setattr(app.engine.store, "write", full)
    plan = app.engine.bound_task(fact)
    with pytest.raises(pb.errors.StoreFull):
        await app.engine.resolver.demand.refresh(plan, ["a"], Context(lane="event"))
    assert app.counters.computes["fact", "event", "rejected"] == 1
    await app.close()
