"""Refined and live tasks."""

import asyncio

import pytest
from tests.unit.shopfloor import contract
from tests.waiting import as_far_as_it_gets

import parbake as pb
from parbake.errors import ComputeFailed


class Page:
    """Live tasks that read each other, and refined tasks over an artifact."""

    def __init__(self, world):
        """Declare the tasks."""
        self.calls = []
        tasks = pb.Registry()

        @tasks.artifact(**contract(invalidated_by=[], fallback_if_stale=pb.Refuse()))
        def base(key: str) -> list[str] | pb.Absent:
            return pb.Absent("nothing") if key == "none" else [key, "x"]

        @tasks.live(why="embeds once")
        async def embedding(message: pb.Live[str]) -> int:
            self.calls.append(message)
            await asyncio.sleep(0)
            return len(message)

        @tasks.live(why="classifies")
        def intent(*, message: pb.Live[str], vector: int = pb.Input(embedding)) -> str:
            return f"{message}:{vector}"

        @tasks.refine(base, budget="1h")
        async def finer(
            base: pb.Served[list[str]], page: pb.Live[str], *, vector: int = pb.Input(embedding)
        ) -> list[str]:
            return [*base.unwrap(), page, str(vector)]

        @tasks.refine(base, budget="100ms")
        async def endless(base: pb.Served[list[str]]) -> list[str]:
            await asyncio.Event().wait()
            return base.unwrap()

        self.base, self.embedding, self.intent, self.finer, self.endless = base, embedding, intent, finer, endless
        self.app = world.app(tasks)


@pytest.fixture
def page(world):
    """Return a page's tasks."""
    return Page(world)


async def test_a_refine_sees_its_base_and_live_values(page):
    """A refined task gets its base and live values, by position or name, and so do its inputs."""
    for served in (
        await page.app.serve(page.finer, "a", page="p", message="four"),
        await page.app.serve(page.finer, "a", "p", message="four"),
    ):
        assert (served.task, served.value) == ("finer", ["a", "x", "p", "4"])


async def test_past_its_budget_the_base_is_served_degraded(page):
    """I7: past the budget of a refinement its base is served as degraded, with the reason."""
    served = await page.app.serve(page.endless, "a")
    assert (served.value, served.verdict) == (["a", "x"], pb.Verdict.DEGRADED)
    assert "budget of 100 ms" in served.reason


async def test_a_refined_value_tells_both_lanes(page):
    """A refined value was made at request time over its base's lane; a base that is served itself has its own lane."""
    await page.app.materialize(page.base, keys=["a"])
    for key, expected in (("a", "batch"), ("b", "realtime")):
        served = await page.app.serve(page.finer, key, page="p", message="m")
        assert (served.lane, served.over) == ("realtime", expected)
    unrefined = await page.app.serve(page.endless, "a")
    assert (unrefined.lane, unrefined.over) == ("batch", None)
    async with page.app.request() as request:
        await page.app.serve(page.finer, "a", page="p", message="m")
    assert [(step.lane, step.over) for step in request.steps] == [("realtime", "batch")]


async def test_live_and_refined_tasks_are_counted(page):
    """Their reads, durations, computations and fallbacks are in the metrics, and nothing is counted per key."""
    page.app.counters.count_keys()
    async with page.app.request():
        for _ in range(2):
            await page.app.serve(page.intent, message="hello")
        await page.app.serve(page.finer, "a", page="p", message="hello")
    await page.app.serve(page.endless, "a")
    counters = page.app.counters
    assert counters.serves["intent", "fresh", "realtime"] == 2
    assert counters.serves["finer", "fresh", "realtime"] == 1
    assert counters.serves["endless", "degraded", "realtime"] == 1
    assert sum(counters.reads["finer"].latency.counts) == 1
    assert counters.computes["intent", "realtime", "returned"] == 1
    assert counters.computes["embedding", "realtime", "returned"] == 1
    assert counters.computes["endless", "realtime", "cancelled"] == 1
    assert counters.misses["endless", "degraded", "budget_exceeded"] == 1
    assert {task for task, _ in counters.drain_heat()} == {"base"}


async def test_a_live_task_that_fails_is_counted_as_failed(world):
    """A computation that raises has the outcome ``failed``, and no read."""
    tasks = pb.Registry()

    @tasks.live(why="fails")
    def broken(message: pb.Live[str]) -> str:
        raise ValueError(message)

    app = world.app(tasks)
    with pytest.raises(ComputeFailed):
        await app.serve(broken, message="m")
    assert app.counters.computes == {("broken", "realtime", "failed"): 1}
    assert not app.counters.serves


async def test_without_a_base_there_is_nothing_to_refine(page):
    """If the base is absent, the refined task is absent with the same reason."""
    served = await page.app.serve(page.finer, "none", page="p", message="m")
    assert (served.value, served.reason) == (None, "nothing")


async def test_a_live_task_reads_the_stamp_once(page, monkeypatch):
    """A live task reads the store's stamp once, and its answer has that stamp."""
    stamps, stamp = [], page.app.engine.store.stamp

    async def counted():
        stamps.append(await stamp())
        return stamps[-1]

    monkeypatch.setattr(page.app.engine.store, "stamp", counted)
    served = await page.app.serve(page.embedding, "hello")
    assert [read for read, _control in stamps] == [served.stamp]


async def test_a_live_value_is_computed_once_per_request(page):
    """A live value is shared within a request and computed again in the next one."""
    async with page.app.request():
        await page.app.serve(page.embedding, "hello")
        assert (await page.app.serve(page.intent, message="hello")).value == "hello:5"
        await page.app.serve(page.finer, "a", page="p", message="hello")
    assert page.calls == ["hello"]
    async with page.app.request():
        await page.app.serve(page.embedding, "hello")
    assert page.calls == ["hello", "hello"]


class Slow:
    """A live task that waits until a test releases it, and counts its starts."""

    def __init__(self, world):
        """Declare the task."""
        self.starts, self.go_on, self.fails = 0, asyncio.Event(), False
        tasks = pb.Registry()

        @tasks.live(why="waits")
        async def slow(message: pb.Live[str]) -> str:
            self.starts += 1
            await self.go_on.wait()
            if self.fails:
                raise ValueError("broken")
            return message

        self.task, self.app = slow, world.app(tasks)

    async def asked(self, count):
        """Start this many reads in one request; return them once all are waiting."""
        askers = [asyncio.create_task(self.app.serve(self.task, "m")) for _ in range(count)]
        await as_far_as_it_gets()
        return askers


async def test_another_object_at_the_same_address_is_another_live_value(world):
    """A value that cannot be compared counts by its identity, even if one before it was freed at the same address."""
    tasks = pb.Registry()

    @tasks.live(why="counts")
    async def total(parts: pb.Live[list[int]]) -> int:
        return sum(parts)

    app = world.app(tasks)
    async with app.request():
        for n in range(200):
            assert (await app.serve(total, parts=[n])).value == n


async def test_a_request_can_have_live_values_computed_again(page):
    """``again`` drops a task's live value and those that read it, or all values if no task is named."""
    async with page.app.request() as request:
        await page.app.serve(page.intent, message="four")
        request.again(page.intent)
        await page.app.serve(page.intent, message="four")
        assert page.calls == ["four"]
        request.again(page.embedding)
        await page.app.serve(page.intent, message="four")
        assert page.calls == ["four"] * 2
        request.again()
        await page.app.serve(page.intent, message="four")
        assert page.calls == ["four"] * 3


async def test_who_waits_for_a_live_value_shares_its_outcome(world):
    """Two concurrent reads in a request share one computation, and its exception."""
    slow = Slow(world)
    async with slow.app.request():
        askers = await slow.asked(2)
        slow.go_on.set()
        assert [(await asker).value for asker in askers] == ["m", "m"]
    slow.go_on.clear()
    slow.fails = True
    async with slow.app.request():
        askers = await slow.asked(2)
        slow.go_on.set()
        found = await asyncio.gather(*askers, return_exceptions=True)
    assert [str(error) for error in found] == ["slow: ValueError: broken"] * 2
    assert slow.starts == 2


async def test_who_computes_a_live_value_and_is_cut_off_strands_nobody(world):
    """If the computing reader is cancelled, one of the waiting readers computes for all."""
    slow = Slow(world)
    async with slow.app.request():
        first, *others = await slow.asked(3)
        first.cancel()
        await as_far_as_it_gets()
        slow.go_on.set()
        assert [(await asker).value for asker in others] == ["m", "m"]
    assert first.cancelled()
    assert slow.starts == 2


async def test_who_waits_for_a_live_value_can_be_cut_off_alone(world):
    """Cancelling a waiting reader does not cancel the one that computes."""
    slow = Slow(world)
    async with slow.app.request():
        first, second = await slow.asked(2)
        second.cancel()
        await as_far_as_it_gets()
        slow.go_on.set()
        assert (await first).value == "m"
    assert second.cancelled()
    assert slow.starts == 1


async def test_a_live_task_that_runs_out_of_time_names_itself(world):
    """Past the request's deadline the error names the task."""
    slow = Slow(world)
    async with slow.app.request("50ms"):
        with pytest.raises(pb.errors.DeadlineExceeded, match="slow: the deadline of the read has passed"):
            await slow.app.serve(slow.task, "m")


@pytest.mark.parametrize(("live", "field"), [({}, "live.message"), ({"message": "m", "cart": 1}, "live.cart")])
async def test_missing_and_unknown_live_values_are_named(page, live, field):
    """A missing or unknown live value is refused by name before the base is computed."""
    with pytest.raises(pb.BadInput) as caught:
        await page.app.serve(page.finer, "a", page="p", **live)
    assert caught.value.field == field
    assert [found async for found in page.app.engine.store.scan(page.base.ref)] == []


async def test_remaining_time_is_known_to_the_task(world):
    """``remaining_s`` is infinite without a deadline, and otherwise the time until it."""
    tasks, seen = pb.Registry(), []

    @tasks.live(why="minds the time")
    async def mindful(message: pb.Live[str]) -> str:
        seen.append(pb.remaining_s())
        return message

    app = world.app(tasks)
    await app.serve(mindful, "m")
    async with app.request("1h"):
        await app.serve(mindful, "m")
    assert seen[0] == float("inf")
    assert 3000 < seen[1] <= 3600


async def test_resources_are_given_and_lazy_ones_built_once(world):
    """A lazy resource is built once; a missing one is an error that names the parameter."""
    tasks, built = pb.Registry(), []

    @tasks.live(why="uses a client")
    async def reply(message: pb.Live[str], *, client: pb.Resource[bytes] = pb.GIVEN) -> str:
        return message + client.decode()

    def build():
        built.append(1)
        return b"!"

    app = world.app(tasks, resources={bytes: pb.Lazy(build)})
    assert [(await app.serve(reply, message="hi")).value for _ in range(2)] == ["hi!", "hi!"]
    assert built == [1]
    with pytest.raises(pb.errors.DeclarationError) as caught:
        await world.app(tasks).serve(reply, message="hi")
    assert caught.value.field == "client"


async def test_a_task_may_return_none(world):
    """``None`` is a value: it is stored, served, refined and substituted; unwrapping an absence raises."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def nickname(user: str) -> str | None:
        """Return None for every user."""

    @tasks.artifact(**contract(invalidated_by=[], fallback_if_stale=pb.Use(nickname)))
    def name(user: str) -> str | pb.Absent:
        """Return an absent value for every user."""
        return pb.Absent("unknown")

    @tasks.refine(nickname, budget="10s")
    async def greeting(base: pb.Served[str | None], *, word: pb.Live[str]) -> str:
        return f"{word} {base.unwrap()}"

    @tasks.artifact(**contract(invalidated_by=[]))
    def lost(user: str) -> str | pb.Absent:
        """Return an absent value for every user."""
        return pb.Absent("unknown")

    app = world.app(tasks)
    for _ in range(2):  # computed, then stored
        served = await app.serve(nickname, "u")
        assert (served.verdict, served.has_value, served.unwrap()) == (pb.Verdict.FRESH, True, None)
    assert (await app.serve(name, "u")).verdict is pb.Verdict.DEGRADED
    assert (await app.serve(greeting, "u", word="hello")).unwrap() == "hello None"
    refused = await app.serve(lost, "u")
    assert not refused.has_value
    with pytest.raises(pb.NotMaterialized, match="unknown"):
        refused.unwrap()
