"""The event lane: immediate refresh, debounce, hottest key first, durable cursor, and no key that blocks others."""

import asyncio

import pytest
from tests.unit.shopfloor import Facts, contract
from tests.waiting import until

import parbake as pb
from parbake.adapters.prometheus import render
from parbake.lanes.event.queue import CURSOR, EventLane, bound_by
from parbake.protocol.record import Stamp


class Lane:
    """A task with a refresh tag, and an event lane that the test steps."""

    def __init__(self, world, **changes):
        """Declare the task and open the app."""
        self.calls, self.broken, self.heat = [], set(), {}
        self.tasks = pb.Registry()
        settings = {"invalidated_by": [pb.refresh("fact/{key}", debounce="100ms")]} | changes

        @self.tasks.artifact(**contract(**settings))
        def fact(key: str, *, facts: pb.Source[Facts]) -> str:
            self.calls.append(key)
            if key in self.broken:
                raise self.broken_with
            return facts.get(key)

        self.broken_with = ValueError("broken")
        self.fact, self.app = fact, world.app(self.tasks)
        self.lane = self.make()

    def make(self):
        """Return an event lane as a new worker creates it."""
        engine = self.app.engine

        async def heat(_ref):
            return self.heat

        return EventLane(
            engine.store, engine.resolver.demand, engine.tasks.values(), engine.clock, heat, counters=self.app.counters
        )

    async def warm(self, world, *keys):
        """Store a value for each key and clear the recorded calls."""
        for key in keys:
            world.put(key, "old", tell=False)
        await self.app.drain()
        for key in keys:
            await self.app.serve(self.fact, key)
        self.calls.clear()

    async def step(self, times=3):
        """Step the lane several times."""
        for _ in range(times):
            await self.lane.step()

    async def change(self, world, *keys):
        """Change facts and wait for the acknowledgement."""
        for key in keys:
            world.put(key, "new")
        return await self.app.drain()


class Ticks:
    """A settable time of the event loop."""

    now = 1000.0


@pytest.fixture
def ticks(monkeypatch):
    """Return the lane's time, which changes only when a test sets it."""
    made = Ticks()
    for module in ("queue", "refresh"):
        monkeypatch.setattr(f"parbake.lanes.event.{module}.monotonic", lambda: made.now)
    return made


@pytest.fixture
def lane(world):
    """Return a lane with one refreshed task."""
    return Lane(world)


async def test_the_first_event_refreshes_at_once(lane, world):
    """The event lane stores a new value, whose stamp is at or above the acknowledgement."""
    await lane.warm(world, "a", "b")
    ack = await lane.change(world, "a")
    await lane.step()
    assert lane.calls == ["a"]
    served = await lane.app.serve(lane.fact, "a")
    assert (served.value, served.lane, served.verdict) == ("new", "event", pb.Verdict.FRESH)
    assert served.stamp >= ack.stamp
    assert lane.calls == ["a"]


async def test_keys_that_wait_for_a_refresh_are_counted(lane, world, ticks):
    """A key that is debounced stands in the backlog until it was refreshed."""
    await lane.warm(world, "a")
    for _ in range(2):
        await lane.change(world, "a")
        await lane.step()
    assert b"parbake_refresh_backlog 1.0" in render(lane.app.counters)
    ticks.now += 0.11
    await lane.step()
    assert b"parbake_refresh_backlog 0.0" in render(lane.app.counters)


async def test_followers_are_debounced(lane, world, ticks):
    """Events within the debounce time are handled by one refresh after it."""
    await lane.warm(world, "a")
    await lane.change(world, "a")
    await lane.step()
    for _ in range(5):
        await lane.change(world, "a")
        await lane.step()
    ticks.now += 0.09
    await lane.step()
    assert len(lane.calls) == 1
    ticks.now += 0.02
    await lane.step()
    assert len(lane.calls) == 2


async def test_the_hottest_key_goes_first(lane, world):
    """Among the due keys, the one that was served most is refreshed first."""
    await lane.warm(world, "a", "b", "c")
    lane.heat = {b"sb": 9, b"sc": 5}
    await lane.change(world, "a", "b", "c")
    await lane.step()
    assert lane.calls == ["b", "c", "a"]


@pytest.mark.parametrize("is_noted", [False, True])
async def test_a_store_that_went_back_is_read_from_where_it_stands(lane, world, monkeypatch, is_noted):
    """If the store lost an incarnation that the lane had read, the lane still sees the events after it."""
    await lane.warm(world, "a")
    at, _ = await lane.app.engine.store.stamp()
    lane.lane._read_to = ahead = Stamp(at.incarnation + 1, 7)
    if is_noted:  # the cursor was saved before the store went back
        await lane.app.engine.store.swap(CURSOR, None, ahead.pack())
    await lane.change(world, "a")
    monkeypatch.setattr("parbake.lanes.event.queue.LOOK_BACK_S", 0.0)
    await lane.step()
    assert lane.calls == ["a"]


async def test_the_cursor_survives_a_restart(lane, world):
    """After a restart a worker refreshes the keys that the last one had not refreshed, and no others."""
    await lane.warm(world, "a", "b")
    await lane.change(world, "a")
    await lane.step()
    assert await lane.app.engine.store.get(CURSOR) is not None
    await lane.change(world, "b")
    lane.lane = lane.make()
    running = asyncio.create_task(lane.lane.run())
    await until(lambda: lane.calls[1:] and lane.lane._refreshing.is_idle)
    running.cancel()
    assert lane.calls == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError("x"), TimeoutError("x"), pb.errors.SourceError("x")])
async def test_a_failing_key_blocks_no_other(lane, world, error, ticks):
    """A key that fails does not block other keys; it is retried and succeeds."""
    await lane.warm(world, "a", "b", "c")
    lane.broken, lane.broken_with = {"b"}, error
    lane.heat = {b"sb": 9}
    await lane.change(world, "a", "b", "c")
    await lane.step()
    assert lane.calls[0] == "b"
    assert set(lane.calls) == {"a", "b", "c"}
    lane.broken = set()
    ticks.now += 0.25
    await lane.step()
    assert (await lane.app.serve(lane.fact, "b")).verdict is pb.Verdict.FRESH
    assert lane.calls.count("b") == 2


@pytest.mark.parametrize(
    "error", [pb.errors.StoreError("for a moment"), RuntimeError("a fault"), asyncio.CancelledError()]
)
async def test_a_store_that_fails_for_a_moment_loses_no_refresh(lane, world, monkeypatch, error, ticks):
    """If reading one key fails with any error, the key and those behind it stay queued and are refreshed later."""
    await lane.warm(world, "a", "b")
    await lane.change(world, "a", "b")
    store, fails = lane.app.engine.store, [True]
    read = store.read

    async def flaky(task, key, *, generation=0):
        if fails:
            fails.pop()
            raise error
        return await read(task, key, generation=generation)

    monkeypatch.setattr(store, "read", flaky)
    await lane.step()
    ticks.now += 0.25
    await lane.step()
    assert sorted(lane.calls) == ["a", "b"]


async def test_a_lane_that_cannot_take_a_step_goes_on(lane, world, monkeypatch):
    """An unexpected exception in a step does not end the lane."""
    await lane.warm(world, "a")
    await lane.change(world, "a")
    store, fails = lane.app.engine.store, [True]
    log = store.log

    async def flaky(after, limit):
        if fails:
            fails.pop()
            raise RecursionError("a fault")
        return await log(after, limit)

    monkeypatch.setattr(store, "log", flaky)
    running = asyncio.create_task(lane.lane.run())
    await until(lambda: lane.calls)
    running.cancel()
    assert lane.calls == ["a"]


async def test_keys_without_a_template_are_found_by_their_tags(world):
    """An event refreshes exactly the stored values that read its entity, also without a template."""
    lane = Lane(world, invalidated_by=[pb.refresh("fact")])
    await lane.warm(world, "a", "b")
    await lane.change(world, "b")
    await lane.step()
    assert lane.calls == ["b"]


async def test_a_bulk_load_refreshes_every_stored_key(lane, world):
    """A bulk event names no key, so every stored value of the family is refreshed."""
    await lane.warm(world, "a", "b")
    await lane.app.touch("fact")
    await lane.step()
    assert sorted(lane.calls) == ["a", "b"]


class Many:
    """A task over many keys that has a refresh tag and a prefetch template."""

    def __init__(self, world):
        """Declare the task and open the app."""
        self.calls, self.broken = [], set()
        tasks = pb.Registry()

        @tasks.artifact(
            **contract(invalidated_by=[pb.refresh("fact/{key}", debounce="100ms")]), prefetch=["session/{key}"]
        )
        def fact(keys: pb.Keys[str], *, facts: pb.Source[Facts]) -> dict[str, str]:
            self.calls.append(sorted(keys))
            if self.broken & set(keys):
                raise ValueError("broken")
            return {key: facts.get(key) for key in keys}

        self.fact, self.app = fact, world.app(tasks, open=["session"])

    async def warm(self, world):
        """Store three values and clear the recorded calls."""
        for key in "abc":
            world.put(key, "old", tell=False)
        await self.app.drain()
        for key in "abc":
            await self.app.serve(self.fact, key)
        self.calls.clear()

    async def change(self, world, *keys):
        """Change facts, wait for the acknowledgement and step the lane."""
        for key in keys:
            world.put(key, "new")
        await self.app.drain()
        await self.step()

    async def step(self):
        """Step the lane three times."""
        for _ in range(3):
            await self.app.engine.events.step()


async def test_keys_that_are_due_together_are_computed_together(world):
    """A function over many keys gets all due keys in one call, and each counts as refreshed."""
    many = Many(world)
    await many.warm(world)
    await many.change(world, "a", "b", "c")
    assert many.calls == [["a", "b", "c"]]
    assert [(await many.app.serve(many.fact, key)).lane for key in "abc"] == ["event"] * 3
    assert sum(many.app.counters.time_to_fresh["fact"].counts) == 3


async def test_one_key_that_fails_keeps_no_other_from_being_refreshed(world):
    """Keys of a failed call are tried one by one, so only the broken key is not refreshed."""
    many = Many(world)
    await many.warm(world)
    many.broken = {"b"}
    await many.change(world, "a", "b", "c")
    assert many.calls[:4] == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert all(call == ["b"] for call in many.calls[4:])  # on a busy machine its next attempt may follow
    many.broken = set()
    assert [(await many.app.serve(many.fact, key)).value for key in "ac"] == ["new", "new"]
    assert [(await many.app.serve(many.fact, key)).lane for key in "ac"] == ["event", "event"]


async def test_a_session_that_starts_fetches_ahead(world):
    """A prefetch tag computes missing values and values past their SLA, and does not outdate others."""
    many = Many(world)
    world.put("a", "one")
    world.put("b", "two")
    await many.app.drain()
    await many.app.touch("session/a", "session/b")
    await many.step()
    assert many.calls == [["a", "b"]]
    served = await many.app.serve(many.fact, "a")
    assert (served.value, served.lane, served.verdict) == ("one", "event", pb.Verdict.FRESH)
    await many.app.touch("session/a")
    await many.step()
    assert len(many.calls) == 1
    assert (await many.app.serve(many.fact, "a")).stamp == served.stamp
    world.clock.advance(3601)
    await many.app.drain()
    await many.app.touch("session/a")
    await many.step()
    assert many.calls == [["a", "b"], ["a"]], "what is past its SLA is computed before it is asked for"


def test_a_wish_that_names_no_key_is_refused():
    """A prefetch template with an unknown placeholder is refused when the task is declared."""
    tasks = pb.Registry()
    with pytest.raises(pb.errors.ContractError, match=r"prefetch='session/\{user\}' names \{user\}") as caught:

        @tasks.artifact(**contract(), prefetch=["session/{user}"])
        def fact(key: str) -> str:
            return key

    assert caught.value.field == "prefetch"


async def test_keys_nobody_asked_for_wait(lane, world):
    """An event on a key that was never computed computes nothing."""
    await lane.app.drain()
    await lane.change(world, "z")
    await lane.step()
    assert lane.calls == []


async def test_a_refreshed_key_is_not_refreshed_for_ever(lane, world, ticks):
    """I5: once a stored value is as new as its events, it is not refreshed again."""
    await lane.warm(world, "a")
    await lane.change(world, "a")
    await lane.step()
    await lane.lane.revisit(Stamp(0, 0))
    ticks.now += 0.12
    await lane.step()
    assert lane.calls == ["a"]
    assert await lane.lane.step() is False


async def test_no_request_waits_for_the_lane(lane, world):
    """Between an event and its refresh the old value is served at once, marked as degraded."""
    await lane.warm(world, "a")
    await lane.change(world, "a")
    served = await lane.app.serve(lane.fact, "a")
    assert (served.value, served.verdict, lane.calls) == ("old", pb.Verdict.DEGRADED, [])


async def test_the_time_to_fresh_runs_from_the_first_event(world):
    """A refreshed key counts once, with the time since the event that outdated it, and is exported as a metric."""
    lane = Lane(world)
    await lane.warm(world, "a")
    await lane.step()
    await lane.change(world, "a")
    world.clock.advance(3.0)
    await lane.step()
    histogram = lane.app.counters.time_to_fresh["fact"]
    assert (sum(histogram.counts), histogram.total_s) == (1, pytest.approx(3.0))
    assert b'parbake_time_to_fresh_seconds_bucket{le="5.0",task="fact"} 1.0' in render(lane.app.counters)


async def test_what_an_input_is_fenced_by_refreshes_its_reader(world):
    """A task without its own tags is refreshed when a fence that it inherits, over two steps, is raised."""
    tasks, made = pb.Registry(), []

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    @tasks.artifact(**contract(invalidated_by=[]))
    def page(key: str, *, of: pb.Reader[str, str] = pb.Input(fact)) -> str:
        return of.read(key).unwrap()

    @tasks.artifact(**contract(invalidated_by=[]))
    def front(key: str, *, of: pb.Reader[str, str] = pb.Input(page)) -> str:
        made.append(key)
        return of.read(key).unwrap()

    assert [(item.template, item.strength) for item in bound_by(front)] == [("fact", "fence")]
    app = world.app(tasks)
    world.put("a", "old")
    await app.drain()
    await app.serve(front, "a")
    while await app.engine.events.step():
        """Pass what was told before."""
    world.put("a", "new")
    await app.drain()
    await app.engine.events.step()
    assert made == ["a", "a"]
    assert (await app.serve(front, "a")).lane == "event"


async def test_a_lane_that_is_sent_back_looks_again_and_is_never_sent_forward(world):
    """``revisit`` moves the lane's position back, but never forward."""
    lane = Lane(world)
    await lane.warm(world, "a")
    await lane.change(world, "a")
    stands = lane.lane._read_to
    await lane.lane.revisit(Stamp(stands.incarnation, stands.sequence + 5))
    assert lane.lane._read_to == stands
    await lane.lane.revisit(Stamp(stands.incarnation, 0))
    assert lane.lane._read_to == Stamp(stands.incarnation, 0)


async def test_a_cursor_at_the_counter_itself_is_kept(world):
    """A new worker starts at the saved cursor; if that is beyond the store's counter, it starts at zero."""
    lane = Lane(world)
    await lane.warm(world, "a")
    at = await lane.app.stamp()
    await lane.app.engine.store.swap(CURSOR, await lane.app.engine.store.get(CURSOR), at.pack())
    same = lane.make()
    await same._place()
    assert same._read_to == at
    beyond = Stamp(at.incarnation, at.sequence + 1)
    await lane.app.engine.store.swap(CURSOR, at.pack(), beyond.pack())
    later = lane.make()
    await later._place()
    assert later._read_to == Stamp(0, 0)


async def test_a_key_that_two_events_outdate_is_refreshed_to_the_later_one(world):
    """A key that a request computed between two events is refreshed for the second event."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def both(key: str, *, facts: pb.Source[Facts]) -> str:
        return f"{facts.get(key)} {facts.get('common')}"

    app = world.app(tasks)
    for name in ("a", "common"):
        world.put(name, "old")
    await app.drain()
    await app.serve(both, "a")
    while await app.engine.events.step():
        """Pass what was told before."""
    world.put("a", "new")
    await app.drain()
    assert (await app.serve(both, "a")).value == "new old"
    world.put("common", "new")
    await app.drain()
    await app.engine.events.step()
    served = await app.serve(both, "a")
    assert (served.value, served.lane) == ("new new", "event")


async def test_a_lane_with_nothing_to_do_asks_for_the_counter_once_a_second(lane, monkeypatch, ticks):
    """An idle lane reads the store's counter once a second, and not at each step."""
    store, asked = lane.app.engine.store, []
    stamp = store.stamp

    async def counted():
        asked.append(ticks.now)
        return await stamp()

    await lane.step()
    monkeypatch.setattr(store, "stamp", counted)
    ticks.now += 0.9
    await lane.step()
    assert asked == []
    ticks.now += 0.1
    await lane.step()
    assert asked == [ticks.now]
