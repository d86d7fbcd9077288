"""What a silent source means is in the contract: bounded, marked, passed on, and never for what is known to be old."""

import threading

import pytest
from tests.unit.shopfloor import Facts, World, contract
from tests.waiting import HANGS_S, until

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.app import application
from parbake.errors import ComputeFailed, SourceError
from parbake.ports.sources import Extent
from parbake.protocol.cause import Cause
from parbake.protocol.control import renumber

LIMIT_S, TOLERATED_S = 30, 7200


class Outage:
    """Tasks over a database that can go down: one that tolerates silence, and readers with and without tolerance."""

    def __init__(self, world):
        """Declare the tasks and open the app."""
        self.world, self.is_down = world, False
        tasks = pb.Registry()
        tolerant = contract(freshness_sla="10h", tolerate_silence="2h")

        @tasks.artifact(**tolerant)
        def patient(key: str, *, facts: pb.Source[Facts]) -> str | pb.Absent:
            self._answer()
            return facts.get(key) or pb.Absent("unknown")

        @tasks.artifact(**contract(freshness_sla="10h"))
        def wary(key: str, *, facts: pb.Source[Facts]) -> str:
            self._answer()
            return str(facts.get(key))

        @tasks.artifact(**contract(invalidated_by=[], freshness_sla="10h"))
        async def wary_reader(key: str, *, inputs: pb.Reader[str, str] = pb.Input(patient)) -> str:
            return str((await inputs.get(key)).value)

        @tasks.artifact(**contract(invalidated_by=[], freshness_sla="10h", tolerate_silence="1h"))
        async def patient_reader(key: str, *, inputs: pb.Reader[str, str] = pb.Input(patient)) -> str:
            return str((await inputs.get(key)).value)

        @tasks.live(why="made for each request")
        async def shown(key: pb.Live[str], *, inputs: pb.Reader[str, str] = pb.Input(patient)) -> str:
            return str((await inputs.get(key)).value)

        @tasks.refine(patient, budget="10s")
        async def refined(base: pb.Served[str], suffix: pb.Live[str]) -> str:
            return f"{base.value}{suffix}"

        @tasks.artifact(**contract(fallback_if_stale=pb.ServeStale(within="3h"), tolerate_silence="2h"))
        def late(key: str, *, facts: pb.Source[Facts]) -> str:
            self._answer()
            return str(facts.get(key))

        for task in (patient, wary, wary_reader, patient_reader, shown, refined, late):
            setattr(self, task.name, task)
        self.app = world.app(tasks)

    def _answer(self):
        if self.is_down:
            raise SourceError("the database does not answer", field="facts")

    def go_down(self, for_s):
        """Let the database be away, and time pass."""
        self.is_down = True
        self.world.clock.advance(for_s)

    async def serve(self, task, *args, **live):
        """Serve, and return the value with verdict and cause."""
        served = await self.app.serve(task, *args, **live)
        return served.value, served.verdict, served.cause


@pytest.fixture
async def outage(world):
    """Return the app with one fact served once by every task."""
    world.put("a", "one")
    made = Outage(world)
    await made.app.drain()
    for task in (made.patient, made.wary, made.late):
        assert (await made.app.serve(task, "a")).value == "one"
    yield made
    await made.app.close()


MARKED = ("one", pb.Verdict.DEGRADED, Cause.SOURCE_SILENT)


async def test_a_tolerant_contract_serves_through_an_outage_and_marks_it(outage):
    """Within the tolerated silence the value is served, degraded, with the silent source as its cause."""
    outage.go_down(for_s=LIMIT_S - 1)
    assert await outage.serve(outage.patient, "a") == ("one", pb.Verdict.FRESH, None)
    outage.go_down(for_s=2)
    assert await outage.serve(outage.patient, "a") == MARKED


async def test_the_tolerance_ends(outage):
    """After the tolerated silence the value is unknown again: it is computed, which fails during the outage."""
    outage.go_down(for_s=TOLERATED_S + 1)
    with pytest.raises(SourceError):
        await outage.serve(outage.patient, "a")


async def test_without_a_word_in_the_contract_silence_is_not_tolerated(outage):
    """A contract that says nothing serves nothing from before a silence."""
    outage.go_down(for_s=LIMIT_S + 1)
    with pytest.raises(SourceError):
        await outage.serve(outage.wary, "a")


async def test_an_acknowledged_change_outweighs_the_tolerance(outage):
    """A value that is known to be outdated is not served, whatever other source is silent."""
    outage.go_down(for_s=LIMIT_S + 1)
    await outage.app.touch("fact/a")
    with pytest.raises(SourceError):
        await outage.serve(outage.patient, "a")


async def test_age_outweighs_the_tolerance_unless_the_fallback_serves_stale(outage):
    """A value past its SLA is served in silence only if the contract serves it stale as well."""
    outage.go_down(for_s=3600 + 60)
    value, verdict, cause = await outage.serve(outage.late, "a")
    assert (value, verdict, cause) == ("one", pb.Verdict.DEGRADED, Cause.PAST_SLA)
    outage.go_down(for_s=TOLERATED_S)
    with pytest.raises(SourceError):
        await outage.serve(outage.late, "a")


async def test_a_store_in_doubt_outweighs_the_tolerance(outage):
    """A store that may have lost data serves nothing old, whatever the contract tolerates."""
    outage.go_down(for_s=LIMIT_S + 1)
    store = outage.app.engine.store
    _, control = await store.stamp()
    lost = renumber(control)
    await store._take(lambda steps: steps.save(type(lost)(**{**fields(lost), "blessed": control.incarnation})))
    with pytest.raises(SourceError):
        await outage.serve(outage.patient, "a")


def fields(control):
    """Return the fields of a control record."""
    return {name: getattr(control, name) for name in control.__struct_fields__}


async def test_doubt_is_passed_on_and_needs_the_tolerance_of_every_reader(outage):
    """A reader without tolerance does not use a value in doubt; one with tolerance does, and is marked itself."""
    outage.go_down(for_s=LIMIT_S + 1)
    with pytest.raises((SourceError, ComputeFailed)):
        await outage.serve(outage.wary_reader, "a")
    assert await outage.serve(outage.patient_reader, "a") == MARKED
    outage.go_down(for_s=3600)
    with pytest.raises((SourceError, ComputeFailed)):
        await outage.serve(outage.patient_reader, "a")


async def test_a_value_made_in_doubt_dies_with_the_change_that_was_not_heard(outage):
    """What was computed from a value in doubt is outdated once the source tells of the change."""
    outage.go_down(for_s=LIMIT_S + 1)
    assert await outage.serve(outage.patient_reader, "a") == MARKED
    outage.world.put("a", "two")
    outage.is_down = False
    await outage.app.drain()
    assert await outage.serve(outage.patient_reader, "a") == ("two", pb.Verdict.FRESH, None)


async def test_what_is_computed_at_request_time_is_marked(outage):
    """Live tasks and refinements of a value in doubt are degraded, with the cause."""
    outage.go_down(for_s=LIMIT_S + 1)
    assert await outage.serve(outage.shown, key="a") == MARKED
    assert await outage.serve(outage.refined, "a", suffix="!") == ("one!", *MARKED[1:])


async def test_an_absence_in_doubt_is_unknown(outage):
    """That a key has no value is not told in doubt, since its reader would see no mark."""
    assert (await outage.app.serve(outage.patient, "b")).cause is Cause.ABSENT
    outage.go_down(for_s=LIMIT_S + 1)
    with pytest.raises(SourceError):
        await outage.serve(outage.patient, "b")


async def test_an_answer_made_in_doubt_is_not_kept_by_a_cache(outage):
    """Answers that were made of values in doubt are not bound for a cache."""
    outage.go_down(for_s=LIMIT_S + 1)
    bonds = outage.app.bonds
    recording = await bonds.begin()
    with bonds.listening(recording):
        await outage.app.serve(outage.patient, "a")
    assert bonds.seal(recording, ["fact/a"], outage.world.clock.now()) is None


def test_a_tolerance_that_is_no_duration_is_refused():
    """An invalid ``tolerate_silence`` is named where it is declared."""
    with pytest.raises(pb.ParbakeError) as caught:
        pb.Registry().artifact(**contract(tolerate_silence="soon"))
    assert caught.value.field == "tolerate_silence"


async def test_a_source_that_hangs_delays_no_start_and_no_other_source(world, tmp_path, monkeypatch):
    """While one database does not answer, a server starts, and takes in the changes of the other as always."""
    monkeypatch.setattr(application, "_FIRST_POLL_S", 0.1)
    door, second = threading.Event(), World(tmp_path / "second")
    hanging = SqliteSource(second.path, families=("other",), views=(), name="hanging")
    monkeypatch.setattr(hanging, "extent", lambda: door.wait(HANGS_S) and Extent(0, 0))
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def told(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    world.put("a", "first")
    app = world.app(tasks, sources=[hanging, world.source], heartbeat="100ms", open=["other"])
    try:
        async with app.serving():
            assert (await app.serve(told, "a")).value == "first"
            world.put("a", "second")

            async def is_told():
                return (await app.serve(told, "a")).value == "second"

            await until(is_told)
            assert not door.is_set()
    finally:
        door.set()
        await app.close()
        second.close()


async def test_a_source_may_be_silent_for_a_minute_by_default(world):
    """A managed database fails over within a minute, in which its values are served; after that they are unknown."""
    shop = pb.Registry()

    @shop.artifact(**contract())
    def one(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    app = pb.App(shop, sources=[world.source], clock=world.clock)
    world.put("a", "30")
    await app.drain()
    await app.serve(one, "a")
    world.clock.advance(59)
    assert (await app.serve(one, "a")).age_s == pytest.approx(59)
    world.clock.advance(2)
    assert (await app.serve(one, "a")).age_s == 0
    await app.close()
