"""Serving where something is missing: tasks that are off, failed computations, unfit types, models that are gone."""

import asyncio
from typing import NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.shopfloor import Facts, contract
from tests.waiting import HANGS_S

import parbake as pb
from parbake.declare.contract import Steps
from parbake.process.flight import Flights
from parbake.serving.bound import KeyCodec
from parbake.stores.memory import MemoryStore


def substituted(tasks, **changes):
    """Declare a task that answers by another when it cannot, and the other."""

    @tasks.artifact(**contract())
    def spare(key: str) -> str:
        return f"spare {key}"

    @tasks.artifact(**contract(fallback_if_stale=pb.Use(spare), **changes))
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        raise ValueError("no luck")

    return fact


async def test_a_task_that_is_off_answers_by_its_substitute_or_says_why(world):
    """Off, a task is never computed: a declared substitute answers, without one the read is refused with the reason."""
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
    """A failure on demand is met by the declared substitute, with the failure as the reason."""
    tasks = pb.Registry()
    fact = substituted(tasks)
    app = world.app(tasks)
    await app.drain()
    served = await app.serve(fact, "a")
    assert served.value == "spare a"
    assert served.verdict is pb.Verdict.DEGRADED
    await app.close()


async def test_a_batched_task_must_return_a_mapping(world):
    """Anything else is a failed computation that names the type."""
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
    """Return an app with a base and a refine of a given body."""
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
    """A model that was never built degrades a refine; once it is built the refine runs."""
    app, train, finer = with_refine(world, lambda value, factor: value * factor)
    await app.drain()
    served = await app.serve(finer, "a")
    assert (served.value, served.verdict) == ("a", pb.Verdict.DEGRADED)
    assert "no promoted generation" in served.reason
    await app.materialize(train)
    assert (await app.serve(finer, "a")).value == "aaa"
    await app.close()


async def test_a_refine_that_minds_its_own_budget_counts_as_cut_off(world):
    """A timeout raised inside degrades to the base, like the budget's own."""

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
    """The error names the task before anything is served."""
    tasks = pb.Registry()

    def odd(key: str) -> "dict[bytes, asyncio.Lock] | asyncio.Event":
        raise NotImplementedError

    with pytest.raises(pb.errors.DeclarationError, match="odd") as caught:
        tasks.artifact(**contract())(odd)
    assert caught.value.field == "return"


Asin = NewType("Asin", int)


def keyed(kind):
    """Return the codec of a task keyed by a type."""
    tasks = pb.Registry()

    def by(key: kind) -> str:
        raise NotImplementedError

    return KeyCodec(tasks.artifact(**contract())(by))


@given(st.text(max_size=40))
def test_a_key_comes_back_from_its_word_in_a_tag(key):
    """Short keys survive as they are; what was hashed cannot come back, and is none."""
    codec = keyed(str)
    word = codec.word(key)
    assert codec.from_word(word) in (key, None)
    assert codec.from_word(codec.word("x" * 500)) is None


def test_a_word_that_is_no_key_is_none():
    """An entity that does not fit the key's type names no key; a NewType counts as what it stands for."""
    codec = keyed(Asin)
    assert codec.from_word(codec.word(7)) == 7
    assert codec.from_word("seven") is None


async def test_a_flight_that_has_ended_is_not_joined_any_more():
    """Between the end of a computation and the moment the loop says so, a newcomer starts one of its own."""
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
    """A flight that was cancelled strands no key."""
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
    """A store that does not answer reads, and offers no glimpse."""

    glimpse = None

    async def read(self, task, key, *, generation=0):
        """Never."""
        await asyncio.Event().wait()


async def test_a_store_that_hangs_has_no_more_time_than_the_read():
    """The deadline bounds the look at the store as well as a computation, and the error names the task."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def text(key: str) -> str:
        return key

    app = pb.App(tasks, store=Hung())
    async with asyncio.timeout(HANGS_S), app.request("50ms"):
        with pytest.raises(pb.errors.DeadlineExceeded, match="text"):
            await app.serve(text, "a")
