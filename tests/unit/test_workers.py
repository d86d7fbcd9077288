"""A server sees whether its workers are alive, by counts in the store that move, and says so."""

import asyncio
import contextlib

import httpx
import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.http import HttpApp
from parbake.lanes.worker import board
from parbake.lanes.worker.board import SILENT_S, Pulse, WorkerBoard
from parbake.metrics.prometheus import render
from parbake.stores.memory import MemoryStore
from parbake.testing import FakeClock


class Sink:
    """Keeps the alerts."""

    def __init__(self):
        """Keep none yet."""
        self.alerts = []

    async def send(self, alert):
        """Keep one."""
        self.alerts.append((alert.kind, alert.owner, alert.message))


@pytest.fixture
def hands(monkeypatch):
    """Return the hands of the monotonic clock, which the test turns."""
    found = FakeClock(100.0)
    monkeypatch.setattr(board, "monotonic", found.now)
    return found


def names() -> list[str]:
    """List the keys."""
    return ["a"]


def declared():
    """Return tasks of two owners, one of which a worker keeps fresh."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[], refresh=pb.every("20m"), owner="recs"), keys=names)
    def row(key: str) -> str:
        """Say it."""
        return key

    @tasks.artifact(**contract(invalidated_by=[], owner="nobody"))
    def on_request(key: str) -> str:
        """Say it."""
        return key

    return tasks


class Floor:
    """Servers and workers over one store."""

    def __init__(self, worker="expected"):
        """Open one server; ``worker`` is its setting."""
        self.store, self.clock, self.sink, self.worker = MemoryStore(), FakeClock(), Sink(), worker
        self.app = self.server()

    def server(self):
        """Open a server."""
        return pb.App(declared(), store=self.store, clock=self.clock, alerts=[self.sink], worker=self.worker)

    async def readyz(self):
        """Ask the server for its readiness: the status, what is lacking, what is degraded."""
        transport = httpx.ASGITransport(HttpApp(self.app))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get("/readyz")
        document = answer.json()
        return answer.status_code, document["lacking"], document["degraded"]


@pytest.fixture
async def floor(hands):
    """Return a floor whose batch task has a generation."""
    found = Floor()
    await found.app.materialize(found.app.tasks["row"])
    yield found
    await found.app.close()


async def test_a_worker_that_never_reported_is_degraded_by_default(floor):
    """``worker="expected"``: the server is ready without one, and says that none has reported."""
    assert await floor.readyz() == (200, [], ["no worker has reported"])


async def test_a_required_worker_keeps_the_server_from_being_ready_until_it_first_reports(floor):
    """``worker="required"``: 503 until a worker reports in this store, in this process or another; then never again."""
    floor.worker = "required"
    floor.app = floor.server()
    assert await floor.readyz() == (503, ["no worker has reported"], [])
    await WorkerBoard(floor.store, floor.clock).beat()
    assert await floor.readyz() == (200, [], [])


async def test_without_workers_nothing_is_said_of_them(floor):
    """``worker="none"``: neither lacking nor degraded."""
    floor.worker = "none"
    floor.app = floor.server()
    assert await floor.readyz() == (200, [], [])


@pytest.mark.parametrize("worker", ["required", "expected"])
async def test_a_worker_that_falls_silent_is_degraded_and_never_a_503(floor, hands, worker):
    """The shop does not go dark with its worker: the server says for how long none has reported, and stays ready."""
    floor.worker = worker
    floor.app = floor.server()
    worker = WorkerBoard(floor.store, floor.clock)
    await worker.beat()
    await floor.readyz()
    hands.advance(SILENT_S - 1)
    await worker.beat()
    await floor.readyz()
    hands.advance(SILENT_S - 1)
    assert await floor.readyz() == (200, [], [])
    hands.advance(2)
    status, lacking, degraded = await floor.readyz()
    assert (status, lacking) == (200, [])
    assert degraded[0].startswith("no worker has reported for ")
    await worker.beat()
    assert await floor.readyz() == (200, [], [])


async def test_a_wall_clock_that_jumps_makes_no_worker_silent(floor, hands):
    """Silence is counted by the clock of the process that looks, which never jumps."""
    await WorkerBoard(floor.store, floor.clock).beat()
    await floor.readyz()
    floor.clock.advance(86_400)
    assert await floor.readyz() == (200, [], [])


async def test_owners_are_told_once_of_silence_and_once_of_its_end(floor, hands):
    """Of several servers one tells it, to those whose tasks a worker keeps fresh, and the metrics say the same."""
    others, worker = [floor.app, floor.server()], WorkerBoard(floor.store, floor.clock)

    async def look():
        for app in others:
            await app.engine.worker_watch.check()

    await look()
    assert floor.sink.alerts == []  # none was ever there
    await worker.beat()
    await look()
    hands.advance(SILENT_S + 1)
    await look()
    await look()
    assert floor.sink.alerts == [
        ("worker_silent", "recs", "no worker has reported for 16s: nothing is refreshed ahead or on events")
    ]
    exposed = render(floor.app.counters).decode()
    assert "parbake_workers 0.0" in exposed
    assert "parbake_worker_silence_seconds 16.0" in exposed
    await worker.beat()
    await look()
    assert floor.sink.alerts[1:] == [("worker_back", "recs", "a worker has reported again")]
    assert "parbake_workers 1.0" in render(floor.app.counters).decode()


async def test_a_working_app_reports_and_signs_off(floor):
    """``App.work`` reports before anything else, and removes its entry when it is ended."""
    worker = floor.server()
    working = asyncio.create_task(worker.work())
    async with asyncio.timeout(20):
        while not (await floor.app.engine.workers.read()).beats:  # noqa: ASYNC110 - it is in a store
            await asyncio.sleep(0.01)
    assert await floor.readyz() == (200, [], [])
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    known = await floor.app.engine.workers.read()
    assert known.beats == {}
    assert known.first_at == floor.clock.now()


async def test_workers_know_of_each_other_and_forget_the_dead(hands):
    """Each sees whether others are alive; one that was killed is forgotten after ten minutes."""
    store, clock = MemoryStore(), FakeClock()
    first, second = WorkerBoard(store, clock), WorkerBoard(store, clock)
    await first.beat()
    assert not first.has_others
    await second.beat()
    await first.beat()
    assert first.has_others
    assert second.has_others
    hands.advance(SILENT_S + 1)
    await first.beat()
    assert not first.has_others
    assert len((await first.read()).beats) == 2
    hands.advance(600)
    await first.beat()
    assert len((await first.read()).beats) == 1


async def test_who_begins_to_look_grants_a_silent_worker_the_whole_limit(hands):
    """Who has just started cannot know since when a count stands still."""
    pulse = Pulse()
    pulse.observe({"w": 7})
    assert (pulse.maybe_alive(), pulse.heard(), pulse.silence_s()) == (["w"], [], 0.0)
    hands.advance(SILENT_S + 1)
    pulse.observe({"w": 7})
    assert (pulse.maybe_alive(), pulse.heard(), pulse.silence_s()) == ([], [], SILENT_S + 1)
    pulse.observe({"w": 8})
    assert (pulse.maybe_alive(), pulse.heard(), pulse.silence_s()) == (["w"], ["w"], 0.0)


async def test_a_server_that_starts_over_a_dead_worker_claims_no_worker(floor, hands):
    """What another process left in the store is no worker that was heard: the metric is 0, and soon it is degraded."""
    await WorkerBoard(floor.store, floor.clock).beat()
    assert await floor.readyz() == (200, [], [])
    assert "parbake_workers 0.0" in render(floor.app.counters).decode()
    hands.advance(6)
    assert await floor.readyz() == (200, [], ["no worker has reported for 6s"])
    await floor.app.engine.worker_watch.check()
    assert floor.sink.alerts == []  # it may still begin; owners hear after the whole limit


def test_a_setting_that_cannot_be_meant_is_refused():
    """A typing error in ``worker=`` names the three settings."""
    with pytest.raises(pb.BadInput, match="worker='always': expected 'required', 'expected' or 'none'"):
        pb.App(pb.Registry(), worker="always")
