"""The ledger: what computes, misses, expiries and events cost."""

import pytest
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.ledger import Ledger
from parbake.telemetry import Counters


@pytest.fixture
def ledger(tmp_path, world):
    """Return a ledger in a folder that does not exist yet."""
    made = Ledger(tmp_path / "deep" / "ledger.sqlite", Counters(), world.clock)
    yield made
    made.close()


def test_costs_are_summed_by_task_and_lane(ledger):
    """Seconds and rows per task, kind and lane; an expiry is told from a miss."""
    ledger.computed("faq", b"k", "realtime", 0.5, outcome="stored")
    ledger.computed("faq", b"k", "realtime", 0.25, outcome="failed")
    ledger.missed("faq", b"k", "stale", "past its SLA of 1h")
    ledger.missed("faq", b"k", "stale", "policy/returns changed")
    ledger.run("faq", 10, 2.0)
    ledger.event(["policy/returns"], duplicates=0, seconds=0.001)
    ledger.close()
    rows = {(r["kind"], r["lane"]): (r["rows"], r["seconds"]) for r in ledger.costs() if r["task"] == "faq"}
    assert rows["compute", "realtime"] == (2, 0.75)
    assert rows["compute", "batch"] == (1, 2.0)
    assert {("expire", "stale"), ("miss", "stale")} <= rows.keys()


async def test_serves_are_counted_per_key_not_rowed(world, tmp_path):
    """Heat says how often each key was served lately; after an hour it has cooled."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return key

    app = world.app(tasks, ledger=tmp_path / "ledger.sqlite")
    await app.drain()
    for key in ("a", "b", "a", "a"):
        await app.serve(fact, key)
    ledger = app.engine.ledger
    await app.close()
    assert ledger.heat("fact") == {b"sa": 3, b"sb": 1}
    assert {r["rows"] for r in ledger.costs() if r["kind"] == "serve"} == {4}
    world.clock.advance(2 * 3600)
    assert ledger.heat("fact") == {}


def test_an_empty_ledger_has_no_costs(ledger):
    """Nothing recorded, nothing summed."""
    assert ledger.costs() == []
