"""One app on two event loops: the caller's loop and that of ``app.sync``."""

import asyncio
import threading
import time

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import HANGS_S, until

import parbake as pb
from parbake.process.loops import _LAG_EVERY_S, PerLoop, measure_lag
from parbake.stores.steps.optimistic import OptimisticStore
from parbake.testing.item_suite import DictItems

STORES = {
    "memory": lambda _: "memory://",
    "lmdb": lambda folder: f"lmdb://{folder}/store?map_size=32MiB",
    "snapshot": lambda _: OptimisticStore(DictItems(is_snapshot=True)),
    "single": lambda _: OptimisticStore(DictItems(is_snapshot=False)),
}


class Slow:
    """An app whose artifact waits for ``free`` in the test's thread, and does not wait in others."""

    def __init__(self, store, **options):
        """Declare the artifact and open the app."""
        tasks = pb.Registry()
        self.begun, self.free, self.loops = asyncio.Event(), asyncio.Event(), []
        here = threading.get_ident()

        @tasks.artifact(**contract(**options))
        async def fact(name: str) -> str:
            self.loops.append(asyncio.get_running_loop())
            if threading.get_ident() == here:
                self.begun.set()
                await self.free.wait()
            return name

        self.fact, self.app = fact, pb.App(tasks, store=store)


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    """Return each kind of store in turn."""
    return STORES[request.param](tmp_path)


async def test_a_loop_that_is_held_up_is_late():
    """What holds up the loop is measured: the lag is as long as a turn lasted."""
    lags = []
    measuring = asyncio.create_task(measure_lag(lags.append))
    await until(lambda: lags)
    lags.clear()
    began = time.perf_counter()
    time.sleep(3 * _LAG_EVERY_S)  # noqa: ASYNC251  # what is measured
    held_s = time.perf_counter() - began
    await until(lambda: lags)
    measuring.cancel()
    assert lags[0] >= held_s - _LAG_EVERY_S - 0.05


async def test_synchronous_code_waits_for_no_computation_of_the_loop_that_it_holds_up(store):
    """``app.sync`` does not wait for the same key's computation on the loop that it blocks, but computes it itself."""
    slow = Slow(store)
    flight = asyncio.create_task(slow.app.serve(slow.fact, "a"))
    await slow.begun.wait()
    assert slow.app.sync.serve(slow.fact, "a").value == "a"
    slow.free.set()
    assert (await flight).value == "a"
    assert len(set(slow.loops)) == len(slow.loops) == 2
    await slow.app.close()


async def test_a_lease_is_waited_for_across_loops(store):
    """A task with a lease is computed once; the other loop serves the stored value."""
    slow = Slow(store, lease="60s")
    flight = asyncio.create_task(slow.app.serve(slow.fact, "a"))
    await slow.begun.wait()
    other = asyncio.create_task(asyncio.to_thread(slow.app.sync.serve, slow.fact, "a"))
    slow.free.set()
    async with asyncio.timeout(HANGS_S):
        assert [(await flight).value, (await other).value] == ["a", "a"]
    assert slow.loops == [asyncio.get_running_loop()]
    await slow.app.close()


async def test_both_loops_raise_tags_at_once(store):
    """Twenty events from each loop are all acknowledged, each with its own stamp."""
    app = pb.App(pb.Registry(), store=store, open=["fact"])
    both = [
        *(app.touch(f"fact/{n}") for n in range(20)),
        *(asyncio.to_thread(app.sync.run, app.touch(f"fact/{n}")) for n in range(20)),
    ]
    async with asyncio.timeout(HANGS_S):
        acks = await asyncio.gather(*both)
    assert len({ack.stamp for ack in acks}) == 40
    await app.close()


async def test_a_live_value_of_one_request_is_not_waited_for_by_the_other_loop():
    """Within a request, each loop computes a live value that the other has not finished; a finished one is shared."""
    tasks, begun, free, calls = pb.Registry(), asyncio.Event(), asyncio.Event(), []
    here = threading.get_ident()

    @tasks.live(why="looks at the moment")
    async def look(word: pb.Live[str]) -> str:
        calls.append(word)
        if threading.get_ident() == here:
            begun.set()
            await free.wait()
        return word

    app = pb.App(tasks)
    async with app.request():
        first = asyncio.create_task(app.serve(look, word="a"))
        await begun.wait()
        assert app.sync.serve(look, word="a").value == "a"
        free.set()
        assert (await first).value == "a"
        assert app.sync.serve(look, word="a").value == "a"
    assert calls == ["a", "a"]
    await app.close()


async def test_closing_ends_what_the_other_loop_computes(store):
    """``app.close()`` on the loop of ``app.sync`` cancels a computation on the caller's loop."""
    slow = Slow(store)
    flight = asyncio.create_task(slow.app.serve(slow.fact, "a"))
    await slow.begun.wait()
    slow.app.sync.close()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(HANGS_S):
            await flight
    assert flight.cancelled()


def test_an_engine_is_opened_once_however_many_ask_first():
    """Threads that use a new app at the same time share one engine."""
    app, gate, engines = pb.App(pb.Registry()), threading.Barrier(8), []

    def use():
        gate.wait()
        engines.append(app.engine)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert engines == [app.engine] * 8


def test_what_a_closed_loop_had_is_forgotten():
    """Each loop gets its own object, and objects of closed loops are dropped."""
    things = PerLoop(object)

    async def twice():
        return things.here(), things.here()

    first, second = asyncio.run(twice()), asyncio.run(twice())
    assert first[0] is first[1]
    assert first[0] is not second[0]
    assert len(things._made) == 1


def test_synchronous_code_reaches_operations_and_iterates():
    """``run`` awaits an operation of the app, and ``iterate`` goes through an async iterator."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact/{name}")], fallback_if_stale=pb.Recompute()))
    def fact(name: str) -> str:
        return name.upper()

    app = pb.App(tasks)
    for name in "ab":
        app.sync.serve(fact, name)
    assert sorted(app.sync.iterate(app.stored(fact))) == [("a", "A"), ("b", "B")]
    assert app.sync.run(app.ops.quarantined()) == {}
    app.sync.run(app.ops.complain(fact, "it was wrong"))
    assert list(app.sync.iterate(app.stored(fact))) == []
    app.sync.close()
