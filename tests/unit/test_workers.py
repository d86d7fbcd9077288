"""A server detects from heartbeats in the store whether its workers are alive, and reports it."""

import asyncio
import contextlib

import httpx
import pytest
from tests.unit.shopfloor import contract
from tests.waiting import until

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.errors import StoreUnreachable
from parbake.http import HttpApp
from parbake.lanes.worker import board
from parbake.lanes.worker.board import SILENT_S, Pulse, WorkerBoard
from parbake.stores.memory import MemoryStore
from parbake.testing import FakeClock


class Sink:
    """An alert sink that records alerts."""

    def __init__(self):
        """Start with no alerts."""
        self.alerts = []

    async def send(self, alert):
        """Record the alert."""
        self.alerts.append((alert.kind, alert.owner, alert.message))


@pytest.fixture
def hands(monkeypatch):
    """Return the monotonic clock, which the test advances."""
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
        """Return the key."""
        return key

    @tasks.artifact(**contract(invalidated_by=[], owner="nobody"))
    def on_request(key: str) -> str:
        """Return the key."""
        return key

    return tasks


class Floor:
    """Servers and workers over one store."""

    def __init__(self, worker="expected"):
        """Open one server with this ``worker`` setting."""
        self.store, self.clock, self.sink, self.worker = MemoryStore(), FakeClock(), Sink(), worker
        self.app = self.server()

    def server(self):
        """Open a server."""
        return pb.App(declared(), store=self.store, clock=self.clock, alerts=[self.sink], worker=self.worker)

    async def readyz(self):
        """Return the server's readiness: the status, what is lacking, what is degraded."""
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
    """With ``worker="expected"`` the server is ready without a worker, and reports that as degraded."""
    assert await floor.readyz() == (200, [], ["no worker has reported"])


async def test_without_workers_nothing_is_said_of_them(floor):
    """With ``worker="none"`` workers are neither lacking nor degraded."""
    floor.worker = "none"
    floor.app = floor.server()
    assert await floor.readyz() == (200, [], [])


async def test_a_worker_that_falls_silent_is_degraded_and_never_a_503(floor, hands):
    """When a worker falls silent the server stays ready, and reports since when as degraded."""
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
    """A jump of the wall clock does not count as silence, which is measured monotonically."""
    await WorkerBoard(floor.store, floor.clock).beat()
    await floor.readyz()
    floor.clock.advance(86_400)
    assert await floor.readyz() == (200, [], [])


async def test_owners_are_told_once_of_silence_and_once_of_its_end(floor, hands):
    """Each server alerts the owners of scheduled tasks once of silence and once of its end, also soon after another."""
    others, worker = [floor.app, floor.server()], WorkerBoard(floor.store, floor.clock)

    async def look():
        for app in others:
            await app.engine.health.check()

    await look()
    assert floor.sink.alerts == []  # no worker has ever reported
    await worker.beat()
    await look()
    hands.advance(SILENT_S + 1)
    await look()
    await look()
    silent = ("worker_silent", "recs", "no worker has reported for 16s: nothing is refreshed ahead or on events")
    back = ("worker_back", "recs", "a worker has reported again")
    assert floor.sink.alerts == [silent] * 2
    exposed = render(floor.app.counters).decode()
    assert "parbake_workers 0.0" in exposed
    assert "parbake_worker_silence_seconds 16.0" in exposed
    await worker.beat()
    await look()
    assert floor.sink.alerts[2:] == [back] * 2
    assert "parbake_workers 1.0" in render(floor.app.counters).decode()
    hands.advance(SILENT_S + 1)
    await look()
    await worker.beat()
    await look()
    assert floor.sink.alerts[4:] == [silent] * 2 + [back] * 2


async def test_an_outage_of_the_store_makes_no_worker_silent(floor, hands, monkeypatch):
    """While the store is away no worker can report; the silence is counted from when it answers again."""
    worker = WorkerBoard(floor.store, floor.clock)
    for _ in range(2):
        await worker.beat()
        await floor.app.engine.health.check()

    async def away(*_):
        raise StoreUnreachable("gone", field="store")

    with monkeypatch.context() as outage:
        outage.setattr(floor.store, "look_again", away)
        await floor.app.engine.health.check()
        hands.advance(6 * SILENT_S)
        await floor.app.engine.health.check()
    await floor.app.engine.health.check()
    await worker.beat()
    await floor.app.engine.health.check()
    assert [kind for kind, *_ in floor.sink.alerts if kind.startswith("worker")] == []


async def test_a_full_store_makes_no_worker_silent(floor, hands):
    """While the store has no room, no worker can report; the silence is counted from when there is room again."""
    worker = WorkerBoard(floor.store, floor.clock)
    await worker.beat()
    await floor.app.engine.health.check()
    floor.app.counters.store_full = "the disk is full"
    hands.advance(2 * SILENT_S)
    await floor.app.engine.health.check()
    floor.app.counters.store_full = ""
    await floor.app.engine.health.check()
    assert [kind for kind, *_ in floor.sink.alerts if kind.startswith("worker")] == []
    hands.advance(SILENT_S + 1)
    await floor.app.engine.health.check()
    assert [kind for kind, *_ in floor.sink.alerts if kind.startswith("worker")] == ["worker_silent"]


async def test_a_working_app_reports_and_signs_off(floor):
    """``App.work`` writes heartbeats, and removes its entry when it ends."""
    worker = floor.server()
    working = asyncio.create_task(worker.work())

    async def has_reported():
        return (await floor.app.engine.workers.read()).beats

    await until(has_reported)
    assert await floor.readyz() == (200, [], [])
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    known = await floor.app.engine.workers.read()
    assert known.beats == {}
    assert known.first_at == floor.clock.now()


async def test_workers_know_of_each_other_and_forget_the_dead(hands):
    """Each worker sees whether others are alive; a killed one is forgotten after ten minutes."""
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
    """A new observer counts an unchanged heartbeat as silent only after the whole limit."""
    pulse = Pulse()
    pulse.observe({"w": 7})
    assert (pulse.maybe_alive(), pulse.heard(), pulse.silence_s()) == (["w"], [], 0.0)
    hands.advance(SILENT_S + 1)
    pulse.observe({"w": 7})
    assert (pulse.maybe_alive(), pulse.heard(), pulse.silence_s()) == ([], [], SILENT_S + 1)
    pulse.observe({"w": 8})
    assert (pulse.maybe_alive(), pulse.heard(), pulse.silence_s()) == (["w"], ["w"], 0.0)


async def test_a_server_that_starts_over_a_dead_worker_claims_no_worker(floor, hands):
    """A heartbeat that a dead worker left does not count as a worker; the server is soon degraded."""
    await WorkerBoard(floor.store, floor.clock).beat()
    assert await floor.readyz() == (200, [], [])
    assert "parbake_workers 0.0" in render(floor.app.counters).decode()
    hands.advance(6)
    assert await floor.readyz() == (200, [], ["no worker has reported for 6s"])
    await floor.app.engine.health.check()
    assert floor.sink.alerts == []  # owners get an alert only after the whole limit


def test_a_setting_that_cannot_be_meant_is_refused():
    """An invalid ``worker=`` is refused, and the error lists the valid settings."""
    with pytest.raises(pb.BadInput, match="worker='always': expected 'expected' or 'none'"):
        pb.App(pb.Registry(), worker="always")
