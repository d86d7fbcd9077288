"""Serving with something missing: tasks that are off, failed computations, unfit types and missing models."""

import asyncio
from typing import NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.shopfloor import Facts, contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.process.flight import Flights
from parbake.protocol.tags import spelled
from parbake.serving.bound import KeyCodec
from parbake.stores.memory import MemoryStore
from parbake.tasks.contract import Steps


def substituted(tasks, **changes):
    """Declare a task that always fails, with another task as its fallback."""

    @tasks.artifact(**contract())
    def spare(key: str) -> str:
        return f"spare {key}"

    @tasks.artifact(**contract(fallback_if_stale=pb.Use(spare), **changes))
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        raise ValueError("no luck")

    return fact


async def test_a_task_that_is_off_answers_by_its_substitute_or_says_why(world):
    """A task that is off is served by its fallback task, or refused with the reason."""
    tasks = pb.Registry()
    fact = substituted(tasks)

    @tasks.artifact(**contract())
    def plain(key: str) -> str:
        return key

    app = world.app(tasks, off={"fact": "no facts", "plain": "no inputs"})
    await app.drain()
    assert (await app.serve(fact, "a")).value == "spare a"
    refused = await app.serve(plain, "a")
    assert refused.value is None
    assert "plain is off: no inputs" in refused.reason
    await app.close()


async def test_when_computing_fails_the_substitute_answers(world):
    """If a computation fails, the fallback task's value is served as degraded."""
    tasks = pb.Registry()
    fact = substituted(tasks)
    app = world.app(tasks)
    await app.drain()
    served = await app.serve(fact, "a")
    assert served.value == "spare a"
    assert served.verdict is pb.Verdict.DEGRADED
    await app.close()


async def test_a_batched_task_must_return_a_mapping(world):
    """A batched function that returns another type fails, and the error names the type."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def many(keys: pb.Keys[str]) -> dict[str, str]:
        return list(keys)

    app = world.app(tasks)
    await app.drain()
    with pytest.raises(pb.errors.ComputeFailed, match="returned list, not a mapping"):
        await app.serve(many, "a")
    await app.close()


def with_refine(world, body):
    """Return an app with a model, a base and a refined task with this body."""
    tasks = pb.Registry()

    @tasks.model(**contract(refresh=pb.every("20m"), invalidated_by=[]))
    def train() -> int:
        return 3

    @tasks.artifact(**contract())
    def base(key: str) -> str:
        return key

    @tasks.refine(base, budget="1h")
    async def finer(base: pb.Served[str], *, factor: int = pb.Model(train)) -> str:
        return body(base.value, factor)

    return world.app(tasks), train, finer


async def test_without_its_model_a_refine_serves_its_base_and_says_so(world):
    """Without its model a refined task serves its base as degraded; with the model it runs."""
    app, train, finer = with_refine(world, lambda value, factor: value * factor)
    await app.drain()
    served = await app.serve(finer, "a")
    assert (served.value, served.verdict) == ("a", pb.Verdict.DEGRADED)
    assert "no promoted generation" in served.reason
    await app.materialize(train)
    assert (await app.serve(finer, "a")).value == "aaa"
    await app.close()


async def test_a_refine_that_minds_its_own_budget_counts_as_cut_off(world):
    """A ``TimeoutError`` in a refined task serves its base, as when its budget is exceeded."""

    def late(value, factor):
        raise TimeoutError

    app, train, finer = with_refine(world, late)
    await app.drain()
    await app.materialize(train)
    served = await app.serve(finer, "a")
    assert (served.value, served.verdict) == ("a", pb.Verdict.DEGRADED)
    assert "budget" in served.reason
    await app.close()


def test_a_value_type_that_cannot_be_stored_is_refused_at_the_declaration(world):
    """A return type that cannot be stored is refused when the task is declared."""
    tasks = pb.Registry()

    def odd(key: str) -> "dict[bytes, asyncio.Lock] | asyncio.Event":
        raise NotImplementedError

    with pytest.raises(pb.errors.DeclarationError, match="odd") as caught:
        tasks.artifact(**contract())(odd)
    assert caught.value.field == "return"


Asin = NewType("Asin", int)


def keyed(kind):
    """Return the key codec of a task with keys of this type."""
    tasks = pb.Registry()

    def by(key: kind) -> str:
        raise NotImplementedError

    return KeyCodec(tasks.artifact(**contract())(by))


def word_of(key):
    """Return a key as an event's tag spells it."""
    return spelled(f"key/{key}").partition("/")[2]


@given(st.text(max_size=40))
def test_a_key_comes_back_from_its_word_in_a_tag(key):
    """A short key is read back from its tag; a hashed key gives ``None``."""
    codec = keyed(str)
    assert codec.from_word(word_of("x" * 500)) is None
    if "%" in key:
        assert codec.from_word(word_of(key)) is not None
    else:
        assert codec.from_word(word_of(key)) == key


def test_a_word_that_is_no_key_is_none():
    """An entity that does not fit the key's type gives ``None``; a ``NewType`` counts as its base type."""
    codec = keyed(Asin)
    assert codec.from_word(word_of(7)) == 7
    assert codec.from_word("seven") is None


@pytest.mark.parametrize("key", [2**64, -(2**63) - 1])
def test_a_number_that_no_store_holds_is_refused(key):
    """A key beyond the numbers of the stored form is the caller's mistake, named as such."""
    with pytest.raises(pb.errors.BadInput) as refused:
        keyed(int).place(key)
    assert refused.value.field == "key"


async def test_a_flight_that_has_ended_is_not_joined_any_more():
    """A caller that arrives just after a shared computation ended starts its own."""
    flights, seen = Flights(), []

    def come():
        newcomer = flights.join("k", second)
        try:
            newcomer.send(None)
        except StopIteration as end:
            seen.append(end.value)
        else:
            seen.append("a flight of its own")
            newcomer.close()

    async def first():
        asyncio.get_running_loop().call_soon(come)
        return "old"

    async def second():
        return "new"

    assert await flights.join("k", first) == ("old", True)
    assert seen == ["a flight of its own"]


async def test_a_cancelled_flight_lands_quietly_and_the_next_one_starts_anew():
    """After a shared computation is cancelled, the next caller computes the key."""
    flights = Flights()

    async def never():
        await asyncio.Event().wait()

    async def quick():
        return "done"

    waiting = asyncio.create_task(flights.join("k", never))
    await asyncio.sleep(0)
    (flight,) = flights._flights.values()
    flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0)
    assert await flights.join("k", quick) == ("done", True)


@pytest.mark.parametrize("table", [(), (("2h", 0.5), ("1h", 0.2)), (("1h", 0.2), ("2h", 0.5)), (("1h", 1.5),)])
def test_a_table_of_confidence_falls_with_age(table):
    """Empty, unordered, rising and too high tables are refused by name."""
    tasks = pb.Registry()

    def fact(key: str) -> str:
        raise NotImplementedError

    with pytest.raises(pb.errors.ContractError, match="confidence"):
        tasks.artifact(**contract(confidence=Steps(table)))(fact)


class Hung(MemoryStore):
    """A store whose reads never return, without ``glimpse``."""

    glimpse = None

    async def read(self, task, key, *, generation=0):
        """Never return."""
        await asyncio.Event().wait()


async def test_a_store_that_hangs_has_no_more_time_than_the_read():
    """The deadline also bounds the store's read, and the error names the task."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def text(key: str) -> str:
        return key

    app = pb.App(tasks, store=Hung())
    async with asyncio.timeout(HANGS_S), app.request("50ms"):
        with pytest.raises(pb.errors.DeadlineExceeded, match="text"):
            await app.serve(text, "a")


@pytest.mark.parametrize("name", ["called", "awaited"])
async def test_a_view_that_fails_is_the_failure_of_its_source(world, name):
    """A read that the database refuses is told as an error of the source, and the next read works."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def called(key: str, *, facts: pb.Source[Facts]) -> int:
        facts.entity("fact/a")
        return facts.rows("SELECT 1" if key == "right" else "SELECT nothing")[0][0]

    @tasks.artifact(**contract())
    async def awaited(key: str, *, facts: pb.Source[Facts]) -> int:
        facts.entity("fact/a")
        return facts.rows("SELECT 1" if key == "right" else "SELECT nothing")[0][0]

    app, task = world.app(tasks), {"called": called, "awaited": awaited}[name]
    await app.drain()
    with pytest.raises(pb.errors.SourceError, match="nothing"):
        await app.serve(task, "wrong")
    assert (await app.serve(task, "right")).value == 1
