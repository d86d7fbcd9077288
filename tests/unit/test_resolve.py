"""Serving: verdicts, fallbacks, write-back, shared computations, derived inputs and deadlines."""

import asyncio

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import as_far_as_it_gets, until

import parbake as pb


class Counted:
    """Tasks over one fact, with a count of their computations."""

    def __init__(self, world, **changes):
        """Declare ``fact`` with a contract, and open an app."""
        self.calls = []
        self.tasks = pb.Registry()
        self.gate = asyncio.Event()
        self.gate.set()
        self.task = self.tasks.artifact(**contract(**changes))(self._fn())
        self.app = world.app(self.tasks)

    def _fn(self):
        async def fact(key: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
            value = facts.get(key)
            self.calls.append(value)
            await self.gate.wait()
            if value == "fail":
                raise ValueError("no luck")
            return pb.Absent("unknown_fact") if value is None else value

        return fact

    async def get(self, key="a"):
        """Serve a key."""
        return await self.app.serve(self.task, key)


@pytest.fixture
def counted(world):
    """Return a maker of counted tasks over a world in which fact ``a`` is ``one``."""
    world.put("a", "one")

    async def make(**changes):
        made = Counted(world, **changes)
        await made.app.drain()
        return made

    return make


async def test_missing_then_fresh(counted):
    """The first read computes and stores, and the second serves the stored value; neither has a generation."""
    made = await counted()
    first, second = await made.get(), await made.get()
    assert (first.value, first.verdict, first.lane) == ("one", pb.Verdict.FRESH, "realtime")
    assert (second.value, second.verdict, second.stamp) == ("one", pb.Verdict.FRESH, first.stamp)
    assert (first.generation, second.generation) == (0, 0)
    assert len(made.calls) == 1


async def test_no_read_after_an_acknowledgement_is_older_than_it(counted, world):
    """I1: the first read after an acknowledgement has the new value and a stamp at or above it."""
    made = await counted()
    await made.get()
    world.put("a", "two")
    ack = await made.app.drain()
    served = await made.get()
    assert served.value == "two"
    assert served.stamp >= ack.stamp


async def test_another_entitys_event_kills_nothing(counted, world):
    """I9: an event on one entity does not outdate a value that read only another."""
    made = await counted()
    await made.get()
    world.put("b", "x")
    await made.app.drain()
    await made.get()
    assert len(made.calls) == 1


async def test_a_bulk_load_kills_all_of_its_family(counted):
    """A bulk event outdates every value that read the family."""
    made = await counted()
    await made.get()
    await made.app.touch("fact")
    await made.get()
    assert len(made.calls) == 2


@pytest.mark.parametrize("fallback", [pb.Recompute(), pb.ServeStale("1h")])
async def test_a_killed_value_is_recomputed(counted, fallback):
    """With ``Recompute`` and with ``ServeStale`` a value with a raised fence is recomputed."""
    made = await counted(fallback_if_stale=fallback)
    await made.get()
    await made.app.touch("fact/a")
    assert (await made.get()).verdict is pb.Verdict.FRESH
    assert len(made.calls) == 2


async def test_serve_stale_is_bounded(counted, world):
    """Past its SLA a value is served as degraded for the extra time, and then computed."""
    made = await counted(fallback_if_stale=pb.ServeStale("10m"))
    await made.get()
    world.clock.advance(3900)
    await made.app.drain()
    late = await made.get()
    assert (late.verdict, len(made.calls)) == (pb.Verdict.DEGRADED, 1)
    assert "past its SLA" in late.reason
    assert late.age_s == 3900
    world.clock.advance(600)
    await made.app.drain()
    assert (await made.get()).verdict is pb.Verdict.FRESH
    assert len(made.calls) == 2


async def test_a_value_past_its_sla_is_stored_anew_without_any_event(counted, world):
    """I5: a value recomputed past its SLA replaces the old one, even with the same stamp."""
    made = await counted()
    await made.get()
    world.clock.advance(4000)
    await made.app.drain()
    await made.get()
    await made.get()
    assert len(made.calls) == 2


async def test_refuse_answers_nothing_and_says_why(counted):
    """A refused read has no value and a reason; unwrapping it raises."""
    made = await counted(fallback_if_stale=pb.Refuse())
    await made.get()
    await made.app.touch("fact/a")
    served = await made.get()
    assert (served.value, served.verdict, served.reason) == (None, pb.Verdict.STALE, "fact/a changed")
    assert len(made.calls) == 1
    with pytest.raises(pb.NotMaterialized, match="fact/a changed"):
        served.unwrap()


async def test_use_answers_with_another_task(world):
    """The fallback task's value is served under this task's name, as degraded, with the reason."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def general(key: str) -> str:
        return f"general {key}"

    @tasks.artifact(**contract(fallback_if_stale=pb.Use(general, key=str.upper)))
    def special(key: str) -> str | pb.Absent:
        return pb.Absent("cold_start") if key == "new" else key

    app = world.app(tasks)
    await app.drain()
    assert (await app.serve(special, "a")).value == "a"
    await app.touch("fact")
    killed = await app.serve(special, "a")
    assert (killed.task, killed.value, killed.verdict, killed.reason) == (
        "special",
        "general A",
        pb.Verdict.DEGRADED,
        "fact/* changed",
    )
    absent = await app.serve(special, "new")
    assert (absent.value, absent.reason) == ("general NEW", "cold_start")


async def test_absence_is_an_answer_that_is_stored_and_fenced(counted, world):
    """An absence is stored after one computation, and outdated when the entity is created."""
    made = await counted()
    for _ in range(2):
        served = await made.get("b")
        assert (served.value, served.verdict, served.reason) == (None, pb.Verdict.MISSING, "unknown_fact")
    assert len(made.calls) == 1
    world.put("b", "born")
    await made.app.drain()
    assert (await made.get("b")).value == "born"


async def test_a_silent_source_makes_its_family_unknown(counted, world):
    """I4: past the silence limit a fenced value is unknown, until the source is polled again."""
    made = await counted(fallback_if_stale=pb.Refuse())
    await made.get()
    world.clock.advance(31)
    assert (await made.get()).verdict is pb.Verdict.UNKNOWN
    await made.app.drain()
    assert (await made.get()).verdict is pb.Verdict.FRESH


async def test_refresh_pending_is_served_and_marked(counted, world):
    """A raised refresh tag degrades a value, which is still served."""
    made = await counted(invalidated_by=[pb.refresh("fact")])
    await made.get()
    world.put("a", "two")
    await made.app.drain()
    served = await made.get()
    assert (served.value, served.verdict, served.reason) == ("one", pb.Verdict.DEGRADED, "refresh pending")


async def test_fifty_readers_share_one_computation(counted):
    """I6: concurrent reads of one key compute it once."""
    made = await counted()
    made.gate.clear()
    readers = [asyncio.create_task(made.get()) for _ in range(50)]
    await until(lambda: made.calls)
    await as_far_as_it_gets()
    made.gate.set()
    assert {served.value for served in await asyncio.gather(*readers)} == {"one"}
    assert len(made.calls) == 1


async def test_concurrent_reads_of_an_unknown_store_compute_twice_at_most(counted, world):
    """While a source is silent, fifty concurrent reads of a key compute it at most twice."""
    made = await counted()
    world.clock.advance(60)
    made.gate.clear()
    readers = [asyncio.create_task(made.get()) for _ in range(50)]
    await until(lambda: made.calls)
    await as_far_as_it_gets()
    made.gate.set()
    assert {served.value for served in await asyncio.gather(*readers)} == {"one"}
    assert len(made.calls) <= 2


async def test_a_follower_never_gets_a_value_that_fails_the_fence(counted, world):
    """A computation that an event overtook answers its own caller; reads after the event get the new value."""
    made = await counted()
    made.gate.clear()
    leader = asyncio.create_task(made.get())
    await until(lambda: made.calls)
    world.put("a", "two")
    await made.app.drain()
    follower = asyncio.create_task(made.get())
    await as_far_as_it_gets()
    made.gate.set()
    assert (await leader).value == "one"
    assert (await follower).value == "two"
    assert (await made.get()).value == "two"


async def test_a_late_writer_is_harmless(counted, world):
    """I2: a record that an event overtook never replaces a newer one, and is never served."""
    made = await counted()
    made.gate.clear()
    slow = asyncio.create_task(made.get())
    await until(lambda: made.calls)
    world.put("a", "two")
    await made.app.drain()
    other = world.app(made.tasks, store=made.app.engine.store)
    made.gate.set()
    assert (await other.serve(made.task, "a")).value == "two"
    await slow
    assert (await made.get()).value == "two"


async def test_a_cancelled_leader_strands_nobody(counted):
    """A shared computation continues when the read that started it is cancelled."""
    made = await counted()
    made.gate.clear()
    leader = asyncio.create_task(made.get())
    await until(lambda: made.calls)
    follower = asyncio.create_task(made.get())
    await as_far_as_it_gets()
    leader.cancel()
    made.gate.set()
    assert (await follower).value == "one"
    assert len(made.calls) == 1


async def test_the_deadline_ends_the_read_not_the_computation(counted):
    """I7: a read ends at its deadline; the computation continues, and its value serves the next read."""
    made = await counted()
    made.gate.clear()
    with pytest.raises(pb.errors.DeadlineExceeded) as caught:
        async with made.app.request("50ms"):
            await made.get()
    assert caught.value.field == "fact"
    made.gate.set()
    await as_far_as_it_gets()
    assert (await made.get()).value == "one"
    assert len(made.calls) == 1


async def test_a_failing_task_names_itself_and_stores_nothing(counted, world):
    """A failure names the task and chains its cause, nothing is stored, and the next read computes."""
    made = await counted()
    world.put("a", "fail")
    await made.app.drain()
    with pytest.raises(pb.errors.ComputeFailed, match="ValueError: no luck") as caught:
        await made.get()
    assert isinstance(caught.value.__cause__, ValueError)
    world.put("a", "fine")
    await made.app.drain()
    assert (await made.get()).value == "fine"


@pytest.mark.parametrize(
    "result", [7, object(), pb.Value("x", tags=("Not A Tag",)), {"a"}], ids=["type", "object", "tag", "set"]
)
async def test_what_could_not_be_read_back_is_not_stored(world, result):
    """A value of another type than declared, or a malformed tag, fails the computation and is not stored."""
    tasks = pb.Registry()
    results = [result]

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(key: str) -> str:
        return results.pop() if results else "right"

    app = world.app(tasks)
    with pytest.raises(pb.errors.ComputeFailed):
        await app.serve(word, "a")
    assert (await app.serve(word, "a")).value == "right"


async def test_a_timeout_inside_a_task_is_a_failed_computation(world):
    """A ``TimeoutError`` of a task is a failed computation, and not the reader's deadline."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def slow(key: str) -> str:
        raise TimeoutError("upstream")

    app = world.app(tasks)
    with pytest.raises(pb.errors.ComputeFailed, match="upstream"):
        async with app.request("10s"):
            await app.serve(slow, "a")
    with pytest.raises(pb.errors.ComputeFailed, match="upstream"):
        await app.serve(slow, "a")


async def test_a_stored_value_of_another_type_is_computed_anew(world):
    """A stored value of an old return type is computed again."""

    def declare(kind, value):
        tasks = pb.Registry()

        def word(key: str) -> kind:
            return value

        return tasks, tasks.artifact(**contract(invalidated_by=[]))(word)

    tasks, word = declare(int, 7)
    old = world.app(tasks)
    await old.serve(word, "a")
    world.clock.advance(1)
    tasks, word = declare(str, "seven")
    new = world.app(tasks, store=old.engine.store)
    await new.drain()
    assert (await new.serve(word, "a")).value == "seven"
    assert (await new.serve(word, "a")).age_s == 0


class Chain:
    """An input that fences or refreshes on a family, a consumer that fences it, and a task above."""

    def __init__(self, world, *, strength):
        """Declare the three tasks and open the app."""
        self.calls = []
        self.tasks = pb.Registry()

        @self.tasks.artifact(**contract(invalidated_by=[strength("fact")]))
        def word(key: str, *, facts: pb.Source[Facts]) -> str:
            self.calls.append(key)
            return facts.get(key)

        @self.tasks.artifact(**contract(invalidated_by=[pb.fence("fact")]))
        def strict(key: str, *, words: pb.Reader[str, str] = pb.Input(word)) -> str:
            return words.read(key).unwrap() + "!"

        @self.tasks.artifact(**contract(invalidated_by=[]))
        async def top(key: str, *, inner: pb.Reader[str, str] = pb.Input(strict)) -> str:
            return (await inner.get(key)).unwrap() + "!"

        self.word, self.strict, self.top = word, strict, top
        self.app = world.app(self.tasks)


@pytest.mark.parametrize("strength", [pb.fence, pb.refresh])
async def test_derived_values_hold_the_consumers_own_strengths(world, strength):
    """I1: a consumer that fences a family gets the new value, though its input only refreshes on it."""
    world.put("a", "one")
    chain = Chain(world, strength=strength)
    await chain.app.drain()
    assert (await chain.app.serve(chain.top, "a")).value == "one!!"
    world.put("a", "two")
    ack = await chain.app.drain()
    served = await chain.app.serve(chain.top, "a")
    assert served.value == "two!!"
    assert served.stamp >= ack.stamp


async def test_an_input_that_refused_is_not_kept(world):
    """A value that was made from a refused input is returned to its caller and not stored."""
    tasks, calls = pb.Registry(), []

    @tasks.artifact(**contract(fallback_if_stale=pb.Refuse()))
    def word(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    @tasks.artifact(**contract(invalidated_by=[]))
    async def top(key: str, *, words: pb.Reader[str, str] = pb.Input(word)) -> str:
        calls.append(key)
        return (await words.get(key)).value or "nothing"

    world.put("a", "one")
    app = world.app(tasks)
    await app.drain()
    await app.serve(word, "a")
    await app.touch("fact/a")
    assert [(await app.serve(top, "a")).value for _ in range(2)] == ["nothing", "nothing"]
    assert len(calls) == 2


async def test_reading_an_input_from_the_event_loop_is_refused(world):
    """A blocking read in an ``async def`` task fails, and the error names ``await reader.get``."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def word(key: str) -> str:
        return key

    @tasks.artifact(**contract(invalidated_by=[]))
    async def top(key: str, *, words: pb.Reader[str, str] = pb.Input(word)) -> str:
        return words.read(key).unwrap()

    with pytest.raises(pb.errors.ComputeFailed, match=r"await reader\.get"):
        await world.app(tasks).serve(top, "a")


async def test_validity_ends_by_the_clock(world):
    """I8: past ``valid_until`` a value, and one derived from it, is computed again."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[]))
    def offer(key: str) -> pb.Value[str]:
        return pb.Value(key, valid_until=world.clock.now() + 60)

    @tasks.artifact(**contract(invalidated_by=[]))
    async def shown(key: str, *, offers: pb.Reader[str, str] = pb.Input(offer)) -> str:
        return (await offers.get(key)).unwrap()

    app = world.app(tasks)
    first = await app.serve(shown, "a")
    world.clock.advance(61)
    second = await app.serve(shown, "a")
    assert (first.age_s, second.age_s) == (0, 0)
    assert (await app.serve(shown, "a")).verdict is pb.Verdict.FRESH


@pytest.mark.parametrize("key", [7, None, ["a"]])
async def test_a_key_of_the_wrong_type_is_refused(counted, key):
    """The error names ``key``, and nothing is computed."""
    made = await counted()
    with pytest.raises(pb.BadInput) as caught:
        await made.get(key)
    assert (caught.value.field, made.calls) == ("key", [])


async def test_long_and_structured_keys_are_kept_apart(world):
    """Long keys with a common beginning, and tuple keys, each have their own value."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("fact")]))
    def echo(key: tuple[str, int]) -> str:
        return f"{key[0][-3:]}{key[1]}"

    app = world.app(tasks)
    await app.drain()
    for key in (("x" * 600 + "one", 1), ("x" * 600 + "two", 1), ("a b", 2)):
        for _ in range(2):
            assert (await app.serve(echo, key)).value == f"{key[0][-3:]}{key[1]}"


async def test_the_steps_of_a_request_are_listed(counted):
    """A request scope lists what was served within it, in order."""
    made = await counted()
    async with made.app.request() as request:
        await made.get()
        await made.get()
    assert [(s.task, s.verdict, s.lane) for s in request.steps] == [("fact", "fresh", "realtime")] * 2


async def test_a_task_of_another_app_is_unknown(counted, world):
    """Serving a task that the app does not have raises an error that names it."""
    made = await counted()
    other = world.app(pb.Registry())
    with pytest.raises(pb.errors.UnknownTask, match="fact"):
        await other.serve(made.task, "a")
