"""Slots of scheduled tasks: off-peak if the SLA leaves a choice, otherwise at once."""

import math

import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake_planner import Ledger

HOUR = 3600.0


@pytest.fixture
def made(world, tmp_path):
    """Return an app with a ledger and one off-peak task with a period of six hours and an SLA of eight."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(
        **contract(
            invalidated_by=[], freshness_sla="8h", refresh=pb.every("6h", budget="45m", off_peak=True), keys=names
        )
    )
    def row(key: str) -> str:
        return key

    app = world.app(tasks, ledger=tmp_path / "ledger.sqlite")
    app.row = row
    return app


def fill(app, world):
    """Write ten days of traffic into the ledger, with its minimum at half past six hours from now."""
    now = world.clock.now()
    rows = []
    for minute in range(int(now // 60) - 14_400, int(now // 60)):
        hours = (minute * 60 - now) / HOUR
        count = round(20 - 18 * math.cos((hours - 6.5) / 12 * math.pi))
        rows.append((minute, "row", b"sa", count))
    connection = app.plugins[Ledger].file._open()
    with connection:
        connection.executemany("INSERT INTO serves VALUES (?,?,?,?,0)", rows)
    connection.close()


async def run_at(app, world, hours):
    """Move the clock to this many hours after the start, run what is due, and return the reasons."""
    world.clock.advance(hours * HOUR - (world.clock.now() - app.began))
    return [run.why for run in await app.ops.run_due()]


async def test_a_run_waits_for_its_trough(made, world):
    """A run that is due after six hours starts near the minimum of traffic that its SLA allows."""
    fill(made, world)
    made.began = world.clock.now()
    assert await run_at(made, world, 0) == ["the first run"]
    assert await run_at(made, world, 5.9) == []
    slot = made.engine.schedule.next_run(await made.engine.schedule.look(), made.engine.tasks["row"])
    assert 6 * HOUR < slot.at - made.began < 6.4 * HOUR, "a run of three quarters of an hour around 6:30"
    assert await run_at(made, world, 6.5) == ["off-peak: the least traffic that its SLA leaves"]
    await made.close()


async def test_without_a_log_it_runs_when_its_period_is_over(made, world):
    """Without recorded traffic, a run starts when its period is over."""
    made.began = world.clock.now()
    await run_at(made, world, 0)
    assert await run_at(made, world, 5.99) == []
    assert len(await run_at(made, world, 6)) == 1
    await made.close()


async def test_overdue_beats_off_peak(made, world):
    """A run past its last slot starts at once, with the reason in the history."""
    fill(made, world)
    made.began = world.clock.now()
    await run_at(made, world, 0)
    assert await run_at(made, world, 7.9) == ["overdue: it would breach its SLA"]
    ended = (await made.ops.runs(made.row)).ended
    assert [run.why for run in ended] == ["overdue: it would breach its SLA", "the first run"]
    await made.close()


async def test_declared_windows_stand_for_the_log(world):
    """A declared off-peak window is used without a ledger."""
    tasks = pb.Registry()

    def names() -> list[str]:
        return ["a"]

    @tasks.artifact(
        **contract(invalidated_by=[], freshness_sla="36h", refresh=pb.every("24h", off_peak=True), keys=names)
    )
    def row(key: str) -> str:
        return key

    app = world.app(tasks, batch=pb.Batch(off_peak=["02:00-05:00"]))
    await app.ops.run_due()
    slot = app.engine.schedule.next_run(await app.engine.schedule.look(), app.engine.tasks["row"])
    assert 2 <= slot.at % 86_400 / HOUR <= 5
