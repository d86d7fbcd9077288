"""Two versions of a program on one store: each has its own values, and older code is reported."""

import asyncio
from dataclasses import dataclass

import msgspec
import pytest
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.lanes.worker.freshness import report
from parbake.lanes.worker.housekeeping import RETIRED_S


def version(kind, make, *, name="card", **changes):
    """Declare one version of a task, with a return type and a function that makes the value."""
    tasks, calls = pb.Registry(), []

    def card(key: str) -> kind:
        calls.append(key)
        return make(key)

    card.__name__ = card.__qualname__ = name
    settings = contract(invalidated_by=[]) | changes
    return tasks, tasks.artifact(**settings)(card), calls


class Before(msgspec.Struct):
    """A card in the old version."""

    title: str = ""


class After(msgspec.Struct):
    """The card with a renamed field, which would be decoded as empty."""

    headline: str = ""


@dataclass
class Renamed:
    """The old card under another class name."""

    title: str = ""


async def test_a_renamed_field_is_never_read_as_an_empty_one(tmp_path):
    """Two versions on one store each read their own values, computed once for each key."""
    old_tasks, old, old_calls = version(Before, lambda key: Before(f"title of {key}"))
    new_tasks, new, new_calls = version(After, lambda key: After(f"headline of {key}"))
    store = f"lmdb://{tmp_path}/store"
    before, after = pb.App(old_tasks, store=store), pb.App(new_tasks, store=store)
    keys = [f"k{n}" for n in range(10)]
    for n in range(1000):
        key = keys[n % len(keys)]
        assert (await before.serve(old, key)).value == Before(f"title of {key}")
        assert (await after.serve(new, key)).value == After(f"headline of {key}")
    assert sorted(old_calls) == sorted(new_calls) == sorted(keys)
    await asyncio.gather(before.close(), after.close())


@pytest.mark.parametrize(
    ("kind", "is_same"), [(Renamed, True), (Before, True), (After, False), (dict[str, str], False)]
)
def test_the_place_follows_the_shape_and_not_the_class(kind, is_same):
    """A class with the same fields reads the stored values; other fields have another place."""
    _, first, _ = version(Before, Before)
    _, other, _ = version(kind, kind)
    assert (other.ref == first.ref) is is_same


def keys_of_one() -> list[str]:
    """List one key."""
    return ["a"]


def program(code, tmp_path, clock, **changes):
    """Open a program whose task has the first or the second code."""
    tasks, calls = pb.Registry(), []
    if code == 1:

        def card(key: str) -> str:
            calls.append(key)
            return "one " + key

    else:

        def card(key: str) -> str:
            calls.append(key)
            return "two " + key.upper()

    settings = contract(invalidated_by=[], keys=keys_of_one, refresh=pb.every("30m")) | changes
    task = tasks.artifact(**settings)(card)
    return pb.App(tasks, store=f"lmdb://{tmp_path}/store", clock=clock), task, calls


async def test_older_code_is_shown_and_never_makes_a_read_miss(tmp_path, world):
    """Reads serve values of older code, and the table and the freshness report say so."""
    before, task, _ = program(1, tmp_path, world.clock)
    await before.materialize(task)
    after, changed, calls = program(2, tmp_path, world.clock)
    assert (await after.serve(changed, "a")).value == "one a"
    assert calls == []
    assert [found.other_code for app in (before, after) for found in await app.ops.describe()] == [False, True]
    assert [found.other_code for app in (before, after) for found in await report(app.engine)] == [False, True]
    await after.ops.run_due()
    assert calls == [], "by default nothing is built because of code"
    await asyncio.gather(before.close(), after.close())


async def test_a_worker_builds_and_promotes_anew_when_the_code_has_changed(tmp_path, world):
    """Changed code is run once, without waiting for its schedule; the older program does not run it again."""
    before, task, _ = program(1, tmp_path, world.clock, on_code_change="recompute")
    await before.materialize(task)
    world.clock.advance(1)
    after, changed, calls = program(2, tmp_path, world.clock, on_code_change="recompute")
    assert (await after.serve(changed, "a")).value == "one a"
    (run,) = await after.ops.run_due()
    assert run.why == "the code has changed"
    assert (await after.serve(changed, "a")).value == "two A"
    assert (await after.ops.run_due()) == []
    assert (await before.ops.run_due()) == [], "the earlier program leaves the new generation alone"
    assert calls == ["a"]
    await asyncio.gather(before.close(), after.close())


async def test_a_place_that_no_program_uses_is_kept_for_a_month(tmp_path, world):
    """Rows of a task that no program uses are deleted after thirty days."""
    before, task, _ = program(1, tmp_path, world.clock)
    await before.materialize(task)
    after = pb.App(pb.Registry(), store=f"lmdb://{tmp_path}/store", clock=world.clock)
    world.clock.advance(RETIRED_S - 1)
    assert await after.engine.housekeeping.step() == 0
    assert await after.ops.generation(task) > 0
    world.clock.advance(2)
    assert await after.engine.housekeeping.step() == 1
    assert await after.ops.generation(task) == 0
    await before.close()
    await after.close()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"on_code_change": "rebuild"}, "expected 'keep' or 'recompute'"),
        ({"on_code_change": "recompute"}, "needs refresh="),
    ],
)
def test_a_change_of_code_is_followed_by_a_run_or_not_at_all(settings, says):
    """An unknown ``on_code_change=``, or ``recompute`` for a task without a schedule, is refused."""
    with pytest.raises(pb.errors.ContractError, match=says) as caught:
        pb.Registry().artifact(**contract(invalidated_by=[]), **settings)
    assert caught.value.field == "on_code_change"
