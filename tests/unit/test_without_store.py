"""While the store is away, requests are answered from the sources: never older, never kept, not too many at once."""

import asyncio

import httpx
import pytest
from tests.unit.away import AwayStore
from tests.unit.shopfloor import Facts, contract
from tests.waiting import until

import parbake as pb
from parbake.errors import ForeignStore, NotMaterialized, StoreFull, StoreUnreachable, TooManyWithoutStore
from parbake.http import HttpApp
from parbake.process import threads
from parbake.protocol.cause import Cause
from parbake.serving.source_turns import FEW, PATIENT_S, UNKNOWN_S
from parbake_semantic import SemanticCache

AWAY = pb.Verdict.DEGRADED, Cause.WITHOUT_STORE, "realtime"


def seen(served):
    """Return how a value was served."""
    return served.verdict, served.cause, served.lane


class Shop:
    """An app over a store that can be away; ``gate`` holds computations up, and ``calls`` lists them."""

    def __init__(self, world, **options):
        """Declare a task of each kind."""
        self.store, self.tasks, self.calls = AwayStore(), pb.Registry(), []
        self.gate = asyncio.Event()
        self.gate.set()
        self._declare()
        self.app = world.app(self.tasks, store=self.store, **options)

    def _declare(self):
        tasks, calls = self.tasks, self.calls

        @tasks.artifact(**contract())
        async def fact(key: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
            calls.append(key)
            found = facts.get(key)
            await self.gate.wait()
            return pb.Absent("no such fact") if found is None else found

        @tasks.artifact(**contract(fallback_if_stale=pb.ServeStale("1h")))
        async def late(key: str, *, base: pb.Reader[str, str] = pb.Input(fact)) -> str:
            return f"late {(await base.get(key)).value}"

        @tasks.artifact(**contract(fallback_if_stale=pb.Refuse()))
        async def strict(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        @tasks.artifact(**contract(fallback_if_stale=pb.Use(fact)))
        async def instead(key: str, *, facts: pb.Source[Facts]) -> str:
            return f"own {facts.get(key)}"

        @tasks.model(**contract(refresh=pb.every("30m", budget="1m"), invalidated_by=[pb.ignore("fact", "next time")]))
        async def model(*, facts: pb.Source[Facts]) -> str:
            return "model"

        @tasks.artifact(**contract(invalidated_by=[]))
        async def scored(key: str, *, trained: str = pb.Model(model)) -> str:
            return f"{key} by {trained}"

        @tasks.live(why="it is asked now")
        async def now(key: pb.Live[str], *, base: pb.Reader[str, str] = pb.Input(fact)) -> str:
            return f"now {(await base.get(key)).value}"

        self.fact, self.late, self.strict, self.instead = fact, late, strict, instead
        self.model, self.scored, self.now = model, scored, now


@pytest.fixture
async def shop(world):
    """Return a shop with one fact, whose store has it."""
    made = Shop(world)
    world.put("a", "30")
    await made.app.drain()
    assert (await made.app.serve(made.fact, "a")).value == "30"
    yield made
    made.gate.set()
    made.store.is_away = False
    await made.app.close()


@pytest.mark.parametrize("name", ["fact", "late", "now"])
async def test_a_value_is_computed_from_its_source(world, shop, name):
    """What the contract lets compute is computed, through inputs too, shows the source's state, and says so."""
    shop.store.is_away = True
    world.put("a", "14")
    task = getattr(shop, name)
    served = await shop.app.serve(task, key="a") if name == "now" else await shop.app.serve(task, "a")
    assert served.value.endswith("14")
    assert seen(served) == AWAY
    assert served.stamp.incarnation == 0


async def test_stamps_of_such_values_differ(shop):
    """A program that remembers something by the stamp of a value never takes one computation for another."""
    shop.store.is_away = True
    served = [await shop.app.serve(shop.fact, "a") for _ in range(2)]
    assert served[0].stamp != served[1].stamp


async def test_a_contract_that_refuses_does(shop):
    """``Refuse`` says that a value is better missing than uncertain, and nothing is computed for it."""
    shop.store.is_away = True
    served = await shop.app.serve(shop.strict, "a")
    assert (served.value, served.verdict, served.cause) == (None, pb.Verdict.UNKNOWN, Cause.WITHOUT_STORE)


async def test_a_contract_that_names_a_substitute_gets_it(shop):
    """``Use`` serves the other task's value, which is computed."""
    shop.store.is_away = True
    served = await shop.app.serve(shop.instead, "a")
    assert (served.value, *seen(served)) == ("30", *AWAY)


async def test_a_known_absence_is_served(shop):
    """A fact that the source does not have is absent, and not unknown."""
    shop.store.is_away = True
    served = await shop.app.serve(shop.fact, "none")
    assert (served.value, served.cause, served.reason) == (None, Cause.ABSENT, "no such fact")


async def test_what_is_kept_in_the_store_is_refused(shop):
    """A model is kept in the store only: what is made with it is refused, also if the process has it in memory."""
    await shop.app.materialize(shop.model)
    assert (await shop.app.serve(shop.scored, "a")).value == "a by model"
    shop.store.is_away = True
    with pytest.raises(NotMaterialized, match="model is kept in the store, which does not answer"):
        await shop.app.serve(shop.scored, "b")


async def test_nothing_of_it_is_stored_though_the_store_returns(world, shop):
    """A computation that began without a stamp is not stored when the store is back before it ends."""
    shop.store.is_away = True
    shop.gate.clear()
    asking = asyncio.ensure_future(shop.app.serve(shop.late, "a"))
    await until(lambda: shop.calls == ["a", "a"])
    world.put("a", "14")
    shop.store.is_away = False
    await shop.app.drain()
    shop.gate.set()
    assert (await asking).value == "late 30"
    assert [(await shop.app.serve(task, "a")).value for task in (shop.fact, shop.late)] == ["14", "late 14"]


async def test_an_input_without_a_stamp_keeps_its_reader_out_of_the_store(world, shop):
    """A value whose input was computed while the store was away is served, and not stored: nothing binds the input."""
    shop.gate.clear()
    asking = asyncio.ensure_future(shop.app.serve(shop.late, "b"))
    world.put("b", "30")
    await until(lambda: "b" in shop.calls)  # the reader has its stamp
    shop.store.is_away = True
    shop.gate.set()
    assert (await asking).value in ("late 30", "late None")
    shop.store.is_away = False
    world.put("b", "14")
    await shop.app.drain()
    assert (await shop.app.serve(shop.late, "b")).value == "late 14"


async def test_a_request_takes_only_what_began_after_it(world, shop):
    """Of many who ask, the one that began first computes, and the others take the next computation, which is one."""
    shop.store.is_away = True
    shop.gate.clear()
    first = asyncio.ensure_future(shop.app.serve(shop.fact, "a"))
    await until(lambda: len(shop.calls) == 2)
    world.put("a", "14")
    others = [asyncio.ensure_future(shop.app.serve(shop.fact, "a")) for _ in range(20)]
    await asyncio.sleep(0.01)
    shop.gate.set()
    assert (await first).value == "30"
    assert {(await other).value for other in others} == {"14"}
    assert len(shop.calls) == 3


WAITING = int(PATIENT_S / UNKNOWN_S) + 1
"""How many wait for each that runs if nothing is known of how long it takes, and one more."""


def forget_times(shop):
    """Let nothing be known of how long the values of a shop take."""
    shop.app.engine.resolver.demand._source_turns._usual_s.clear()


async def test_sources_are_not_drowned(shop, monkeypatch):
    """Half of the threads compute, some more wait, and the rest is told at once to ask again."""
    monkeypatch.setenv(threads.TASK_THREADS, "4")
    shop.store.is_away = True
    forget_times(shop)
    shop.gate.clear()
    room = 2 + 2 * (WAITING - 1) + 1
    asking = [asyncio.ensure_future(shop.app.serve(shop.fact, f"k{n}")) for n in range(room + 5)]
    await until(lambda: sum(one.done() for one in asking) == 5 and len(shop.calls) == 1 + 2)
    await asyncio.sleep(0.05)
    assert len(shop.calls) == 1 + 2, "the others wait"
    shop.gate.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    refused = [one for one in found if isinstance(one, Exception)]
    assert [type(one) for one in refused] == [TooManyWithoutStore] * 5
    assert "from the source facts already" in str(refused[0])


@pytest.mark.parametrize(("took_s", "waiting"), [(1 / 64, 65), (0.5, FEW), (5.0, FEW)])
async def test_as_many_wait_as_have_their_turn_within_a_second(shop, monkeypatch, took_s, waiting):
    """How many wait follows from how long the values of the task take; a few may always wait."""
    monkeypatch.setenv(threads.TASK_THREADS, "2")
    shop.store.is_away = True
    forget_times(shop)
    shop.app.engine.resolver.demand._source_turns.took(shop.fact, took_s)
    shop.gate.clear()
    asking = [asyncio.ensure_future(shop.app.serve(shop.fact, f"k{n}")) for n in range(1 + waiting + 5)]
    await until(lambda: sum(one.done() for one in asking) == 5)
    shop.gate.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(one, TooManyWithoutStore) for one in found) == 5


async def test_a_computation_is_measured_while_the_store_is_there(shop):
    """An outage begins with what is known of how long values take."""
    assert 0 < shop.app.engine.resolver.demand._source_turns._usual_s["fact"] < UNKNOWN_S


async def test_refused_clients_are_told_to_come_at_different_times(shop, monkeypatch):
    """Few are told to ask again in a second, and many in one to three, so that they do not all come at once."""
    monkeypatch.setenv(threads.TASK_THREADS, "2")
    shop.store.is_away = True
    forget_times(shop)
    shop.gate.clear()

    async def told(count):
        asked = (shop.app.serve(shop.fact, f"k{n}") for n in range(count))
        return [one.headers[0][1] for one in await asyncio.gather(*asked, return_exceptions=True)]

    filling = [asyncio.ensure_future(shop.app.serve(shop.fact, f"f{n}")) for n in range(1 + WAITING)]
    await asyncio.sleep(0.01)
    assert await told(2) == ["1", "1"]
    assert set(await told(100)) == {"1", "2", "3"}
    shop.gate.set()
    await asyncio.gather(*filling)


async def test_readers_and_their_inputs_do_not_wait_for_each_other(shop, monkeypatch):
    """A task that has its turn computes its inputs within it, so that many readers at once all end."""
    monkeypatch.setenv(threads.TASK_THREADS, "2")
    shop.store.is_away = True
    asked = [shop.app.serve(task, f"k{n}") for n in range(2) for task in (shop.late, shop.fact)]
    assert len(await asyncio.wait_for(asyncio.gather(*asked), 10)) == 4


async def test_over_http_a_refusal_says_when_to_ask_again(shop, monkeypatch):
    """Beyond the limit a client gets 503 with retry-after, and within it the value with its cause."""
    monkeypatch.setenv(threads.TASK_THREADS, "2")
    shop.store.is_away = True
    forget_times(shop)
    shop.gate.clear()
    transport = httpx.ASGITransport(HttpApp(shop.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        asking = [
            asyncio.ensure_future(client.post("/v1/serve/fact", json={"key": f"k{n}"})) for n in range(2 + WAITING)
        ]
        await until(lambda: any(one.done() for one in asking))
        shop.gate.set()
        answers = await asyncio.gather(*asking)
    refused = [one for one in answers if one.status_code == 503]
    assert [one.headers["retry-after"] for one in refused] == ["1"]
    assert {one.json()["cause"] for one in answers if one.status_code == 200} <= {"absent", "without_store"}


async def test_a_store_of_another_program_is_not_worked_around(shop):
    """A store that nobody can mean is a mistake in the settings, and is told instead of being borne."""
    shop.store.error = lambda: ForeignStore("another format", field="store")
    shop.store.is_away = True
    with pytest.raises(ForeignStore):
        await shop.app.serve(shop.fact, "a")
    with pytest.raises(ForeignStore):
        await shop.app.serve(shop.now, key="a")


async def test_a_ticket_that_cannot_be_checked_counts(world, shop):
    """While the store is away a ticket is accepted; should the store come back having lost it, its change counts."""
    world.put("a", "14")
    ticket = (await shop.app.drain()).ticket
    other = Shop(world)  # another process, which has not seen the key that signs
    other.store.is_away = True
    async with other.app.request(after=ticket) as request:
        assert request.acks
        assert (await other.app.serve(other.fact, "a")).value == "14"
    async with other.app.request(after="AAAA") as request:
        assert not request.acks
    other.store.is_away = False
    await other.app.close()


async def test_a_transaction_is_asked_of_its_source(world, shop):
    """Who waits for a transaction of a source is not kept waiting by the store, and sees it when the store returns."""
    world.put("a", "14")
    position = 2
    shop.store.is_away = True
    async with shop.app.request(after=f"facts:{position}"):
        assert (await shop.app.serve(shop.fact, "a")).value == "14"
        shop.store.is_away = False  # it has not heard of the change
        assert (await shop.app.serve(shop.fact, "a")).value == "14"
    shop.store.is_away = True
    with pytest.raises(pb.errors.NotAcknowledged):
        async with shop.app.request(after="facts:99"):
            pass


async def test_changes_are_not_acknowledged(shop):
    """A change that the store does not hear is an error, also while reads are answered."""
    shop.store.is_away = True
    with pytest.raises(StoreUnreachable):
        await shop.app.touch("fact/a")
    with pytest.raises(StoreUnreachable):
        await shop.app.drain()


async def test_a_value_is_served_though_it_cannot_be_stored(world, shop):
    """A store that goes away between the read and the write costs no answer."""
    world.put("c", "1")
    await shop.app.drain()
    shop.gate.clear()
    asking = asyncio.ensure_future(shop.app.serve(shop.fact, "c"))
    await until(lambda: "c" in shop.calls)
    shop.store.is_away = True
    shop.gate.set()
    assert (await asking).value == "1"


async def test_a_cached_answer_is_not_bound_to_it(world, shop):
    """A semantic cache gives an answer that read such a value to its asker, and keeps it for nobody."""
    world.put("b", "30")
    cache = SemanticCache(None, app=shop.app, name="answers")

    async def answer(_question):
        shop.store.is_away = True
        found = (await shop.app.serve(shop.fact, "b")).value
        shop.store.is_away = False
        return found

    replies = [await cache.ask_async("what is b?", answer) for _ in range(2)]
    assert [(reply.value, reply.is_hit) for reply in replies] == [("30", False)] * 2


async def test_a_full_store_is_still_no_store_that_is_away(shop):
    """A store without room is told of as before."""
    shop.store.error = lambda: StoreFull("no room", field="store")
    shop.store.is_away = True
    with pytest.raises(StoreFull):
        await shop.app.touch("fact/a")
