"""The throttle: batch runs slow down for requests."""

import asyncio
import contextlib

import msgspec
import pytest
from tests.unit.shopfloor import contract
from tests.waiting import until

import parbake as pb
from parbake.cli import partition_process
from parbake.errors import BadInput
from parbake.lanes.batch.load import OLD_S, LoadBoard, Serving
from parbake.lanes.batch.off_peak import RunSlot
from parbake.lanes.batch.partition import PartitionAnswer, PartitionWork
from parbake.lanes.batch.throttle import Pacer, Throttle, cpu_pressure
from parbake.stores.memory import MemoryStore
from parbake.testing import FakeClock


class Floor:
    """A server and a batch run that share a store."""

    def __init__(self, monkeypatch, **settings):
        """Make a pacer that checks the load at every call; a test sets the pressure."""
        monkeypatch.setattr("parbake.lanes.batch.throttle.LOOK_EVERY_S", 0)
        self.clock = FakeClock()
        store = MemoryStore()
        self.server = LoadBoard(store, self.clock, "server")
        self.batch = LoadBoard(store, self.clock, "batch")
        self.pressure = 0.0
        self.breathing = Pacer(Throttle(**settings), self.batch, pressure=lambda: self.pressure)

    async def serve(self, p95_s, *, requests=100, idle_p95_s=0.010):
        """Report a second of requests."""
        return await self.server.serve(Serving(self.clock.now(), requests, p95_s, idle_p95_s))

    async def shares(self, times):
        """Pace this many times, and return the share after each."""
        found = []
        for _ in range(times):
            await self.breathing(0.0)
            found.append(round(self.breathing.share, 3))
        return found


@pytest.fixture
def floor(monkeypatch):
    """Return a floor with the default throttle settings."""
    return Floor(monkeypatch)


async def test_slow_requests_halve_the_share_and_quick_ones_let_it_grow(floor):
    """Slow requests halve the share down to its minimum; fast ones raise it step by step up to 1."""
    await floor.serve(0.012)
    assert await floor.shares(6) == [0.5, 0.25, 0.125, 0.062, 0.05, 0.05]
    await floor.serve(0.0105)
    assert await floor.shares(3) == [0.1, 0.15, 0.2]
    assert (await floor.shares(30))[-1] == 1.0


async def test_the_share_does_not_grow_up_to_the_bound(floor):
    """If requests are slowed by more than half of the limit, the share does not grow."""
    floor.breathing.share = 0.5
    await floor.serve(0.0107)
    assert await floor.shares(3) == [0.5, 0.5, 0.5]


async def test_nobody_who_serves_nobody_who_waits(floor):
    """Without a server, or after its report is too old, the share is 1 under any pressure."""
    floor.pressure = 1.0
    assert await floor.shares(2) == [1.0, 1.0]
    await floor.serve(0.9)
    floor.clock.advance(6)
    assert await floor.shares(2) == [1.0, 1.0]


async def test_pressure_speaks_where_there_are_too_few_requests(floor):
    """With too few requests for a percentile, the processor pressure decides."""
    await floor.serve(0.9, requests=5)
    assert await floor.shares(1) == [1.0]
    floor.pressure = 0.9
    assert await floor.shares(2) == [0.5, 0.25]


async def test_the_pause_is_as_long_as_the_share_asks_for(floor, monkeypatch):
    """At a share of a quarter, a second of work is followed by a pause of three."""
    slept = []
    monkeypatch.setattr(asyncio, "sleep", lambda seconds: slept.append(seconds) or _nothing())
    floor.breathing.share = 0.5
    await floor.serve(0.02)
    await floor.breathing(1.0)
    assert slept == [3.0]


async def _nothing():
    """Return at once."""


async def test_a_server_learns_that_batch_is_on(floor):
    """A server sees that a batch run is on until some seconds after its end."""
    assert not (await floor.serve(0.01)).is_batch_on(floor.clock.now())
    async with floor.batch.announced():
        await asyncio.sleep(0)
        assert (await floor.serve(0.01)).is_batch_on(floor.clock.now())
    floor.clock.advance(6)
    assert not (await floor.serve(0.01)).is_batch_on(floor.clock.now())


async def test_requests_are_counted_apart_while_batch_is_on(world):
    """The idle percentile is learned without batch only, and the metric separates both cases."""
    from parbake.adapters.prometheus import render

    app = world.app(pb.Registry())
    engine, requests = app.engine, app.counters.requests
    for _ in range(50):
        requests.add(0.010)
    await engine.reporting.step()
    await LoadBoard(engine.store, world.clock, "batch").compute()
    await engine.reporting.step()
    for _ in range(50):
        requests.add(0.050)
    await engine.reporting.step()
    known = await LoadBoard(engine.store, world.clock).read()
    (mine,) = known.servers.values()
    assert (mine.requests, mine.idle_p95_s) == (100, 0.010)
    assert known.slowdown(world.clock.now()) == pytest.approx(5)
    text = render(app.counters).decode()
    assert 'parbake_request_seconds_count{batch="on"} 50.0' in text
    assert 'parbake_request_seconds_count{batch="off"} 50.0' in text


@pytest.fixture
def breathed(monkeypatch):
    """Return the seconds of work that were passed to each call of the pacer."""
    found = []

    async def breathe(_self, took_s):
        found.append(took_s)

    monkeypatch.setattr(Pacer, "__call__", breathe)
    return found


async def test_an_urgent_run_gives_way_to_nothing(world, breathed):
    """A first run is not throttled; a manual run is."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), keys=names))
    def row(key: str) -> str:
        return key

    app = world.app(tasks)
    await app.ops.run_due()
    assert breathed == []
    await app.materialize(row)
    assert len(breathed) == 1


@pytest.mark.parametrize("wrong", [{"slowdown": 1}, {"pressure": 0}, {"least": 0}, {"least": 2}])
def test_a_throttle_that_cannot_be_meant_is_refused(wrong):
    """An invalid throttle setting is refused by name."""
    with pytest.raises(BadInput) as caught:
        Throttle(**wrong)
    assert caught.value.field == f"throttle.{next(iter(wrong))}"


def test_pressure_is_read_where_the_system_tells_it(tmp_path):
    """The pressure is read from the kernel's file, and is 0 if that is missing or invalid."""
    path = tmp_path / "cpu"
    path.write_text("some avg10=12.50 avg60=3.00 avg300=1.00 total=123\nfull avg10=0.00 avg60=0.00\n")
    assert cpu_pressure(path) == 0.125
    path.write_text("nonsense")
    assert cpu_pressure(path) == 0.0
    assert cpu_pressure(tmp_path / "nowhere") == 0.0


async def test_a_run_is_heard_of_as_long_as_it_lasts(floor, monkeypatch):
    """A run renews its announcement while it lasts."""
    monkeypatch.setattr("parbake.lanes.batch.load.TELL_EVERY_S", 0)

    async def is_heard_of():
        return (await floor.server.read()).is_batch_on(floor.clock.now())

    async with floor.batch.announced():
        for _ in range(3):
            floor.clock.advance(OLD_S + 1)
            await until(is_heard_of)
        assert await is_heard_of()
    floor.clock.advance(OLD_S + 1)
    assert not await is_heard_of()


async def test_an_urgent_run_is_announced_too(world):
    """An urgent run is announced, so its effect is not learned as the idle latency."""
    tasks, heard = pb.Registry(), []

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), keys=names))
    async def row(key: str) -> str:
        heard.append((await app.engine.board.read()).is_batch_on(world.clock.now()))
        return key

    app = world.app(tasks)
    await app.ops.run_due()
    assert heard == [True]


async def test_listing_gives_way_but_not_without_end(floor, monkeypatch):
    """Listing keys pauses by the share, but for at most three seconds per second of work."""
    slept = []
    monkeypatch.setattr("parbake.lanes.batch.throttle.time.sleep", slept.append)
    async with floor.breathing.listing() as pause:
        pause(1.0)
        floor.breathing.share = 0.5
        pause(1.0)
        floor.breathing.share = 0.05
        pause(1.0)
    assert slept == [0.0, 1.0, 3.0]


async def test_the_share_is_looked_after_while_keys_are_listed(floor):
    """The share is adjusted while keys are listed."""
    await floor.serve(0.02)
    assert floor.breathing.share == 1.0
    async with floor.breathing.listing():
        await until(lambda: floor.breathing.share < 1.0)
    assert 0.0 < floor.breathing.share < 1.0


@pytest.mark.parametrize("is_urgent", [False, True])
async def test_keys_are_listed_with_pauses_unless_it_is_urgent(world, monkeypatch, is_urgent):
    """A ``def`` lister pauses after each piece, except in an urgent run."""
    monkeypatch.setattr("parbake.lanes.batch.build.PIECE", 10)
    tasks, paused = pb.Registry(), []

    @contextlib.asynccontextmanager
    async def listing(_self):
        yield paused.append

    monkeypatch.setattr(Pacer, "listing", listing)

    def names() -> list[str]:
        return [str(n) for n in range(35)]

    @tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), keys=names))
    def row(key: str) -> str:
        return key

    app = world.app(tasks)
    run = await anext(app.engine.batch.materialize(app.engine.tasks["row"], slot=RunSlot(0.0, "", is_urgent=is_urgent)))
    assert run.built[0].rows == 35
    assert len(paused) == (0 if is_urgent else 3)


@pytest.mark.parametrize("is_urgent", [False, True])
async def test_a_process_of_an_executor_gives_way_itself(world, breathed, is_urgent):
    """An executor's process pauses after each chunk, except in an urgent run."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return [str(n) for n in range(5)]

    @tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), keys=names))
    def row(key: str) -> str:
        return key

    class Elsewhere:
        width, is_local = 1, True

        async def run(self, job):
            work = msgspec.msgpack.decode(job, type=PartitionWork)
            moved = partition_process.moved_in(app.engine, work)
            done = await app.engine.batch.worker.perform(app.engine.tasks["row"], work, moved)
            return msgspec.msgpack.encode(PartitionAnswer(done))

        async def close(self):
            pass

    app = world.app(tasks, batch=pb.Batch(executor=Elsewhere()), store=f"lmdb://{world.path.parent}/store")
    run = await anext(app.engine.batch.materialize(app.engine.tasks["row"], slot=RunSlot(0.0, "", is_urgent=is_urgent)))
    await app.close()
    assert run.built[0].rows == 5
    assert len(breathed) == (0 if is_urgent else 5)
