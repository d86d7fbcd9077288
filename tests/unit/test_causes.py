"""Causes are data: the names of families, tasks and keys do not influence the outcome of a read."""

import asyncio
import contextlib
import re
import sqlite3
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import parbake as pb
from parbake.protocol import cause as causes
from parbake.protocol.cause import OVERDUE, UNTRUSTED, Cause, Reason
from parbake.protocol.control import Control, Pointer, Quarantine
from parbake.protocol.record import Built, Meta, Record, Stamp, Tags, encode
from parbake.stores.memory import MemoryStore
from parbake.stores.steps import item_names as names
from parbake.tasks.contract import Linear, Steps
from parbake.testing import FakeClock
from parbake_llm import Prompts
from parbake_planner import Ledger, Planner

NOW, SLA_S, WITHIN_S = 1_000_000.0, 3600.0, 600.0
OLD, NEW, OTHER = "old", "new", "other"
WORDS = sorted({*re.findall(r"[a-z]{3,}", " ".join(causes._SENTENCES.values())), "pastry", "unknowns", "served"})
"""Every word of our own sentences, and some that begin like one."""
words = st.sampled_from(WORDS)
AT = Stamp(1, 5).pack()
KILLED = [
    Cause.TAG_CHANGED, Cause.BELOW_FLOOR, Cause.INCARNATION_LOST, Cause.VALID_UNTIL_PASSED, Cause.GENERATION_WITHDRAWN,
    Cause.INPUT_WITHDRAWN, Cause.MODEL_REPLACED, Cause.QUARANTINED, Cause.BEFORE_CLEARING, Cause.FROM_THE_FUTURE,
]  # fmt: skip
STORED = [
    *KILLED, *sorted(OVERDUE), *sorted(UNTRUSTED), Cause.REFRESH_PENDING, Cause.CONFIDENCE_FALLEN, Cause.NEVER_COMPUTED,
    Cause.ABSENT,
]  # fmt: skip
ELSEWHERE = {
    Cause.OFF, Cause.COMPUTE_FAILED, Cause.BUDGET_EXCEEDED, Cause.INPUT_MISSING, Cause.DAMAGED, Cause.WITHOUT_STORE,
}  # fmt: skip
"""Causes that no whole record has; each has a test of its own below, damage in ``test_damaged_records``."""


class Held(NamedTuple):
    """What the store holds when a key is read."""

    record: Record | None
    control: Control = Control(1, 1)
    mark: bytes | None = None
    heard_at: float = NOW


def record(family, **changes):
    """Return a valid record, computed a minute ago and fenced by one entity of a family."""
    meta = Meta(Tags((f"{family}/x",)), changes.pop("generation", 0))
    found = Record(AT, NOW - 60, float("inf"), "batch", False, meta, msgspec.msgpack.encode(OLD))
    return msgspec.structs.replace(found, **changes)


def held(cause, family, task):
    """Return the stored state in which a read of a task has a given cause."""
    good = record(family)
    built = {kind: Built(f"{task}s@1", 3, is_model=kind == "model") for kind in ("batch", "model")}
    later = Stamp(1, 6).pack()
    refreshes = Meta(Tags((), ((f"{family}/x", AT),)))
    return {
        Cause.NEVER_COMPUTED: lambda: Held(None),
        Cause.ABSENT: lambda: Held(record(family, absent=True, payload=msgspec.msgpack.encode(f"{family} changed"))),
        Cause.TAG_CHANGED: lambda: Held(good, mark=later),
        Cause.SOURCE_SILENT: lambda: Held(good, heard_at=0.0),
        Cause.STORE_UNTRUSTED: lambda: Held(good, Control(1, 0)),
        Cause.BELOW_FLOOR: lambda: Held(good, Control(1, 1, floor=later)),
        Cause.INCARNATION_LOST: lambda: Held(good, Control(2, 2, ancestry=frozenset({Stamp(2, 0).pack()[:8]}))),
        Cause.VALID_UNTIL_PASSED: lambda: Held(record(family, valid_until=NOW)),
        Cause.GENERATION_WITHDRAWN: lambda: Held(record(family, generation=3), Control(1, 1, withdrawn={3: later})),
        Cause.INPUT_WITHDRAWN: lambda: Held(
            record(family, meta=Meta(Tags((), (), (built["batch"],)))), Control(1, 1, withdrawn={3: later})
        ),
        Cause.MODEL_REPLACED: lambda: Held(
            record(family, meta=Meta(Tags((), (), (built["model"],)))),
            Control(1, 1, pointers={f"{task}s@1": Pointer(4, 0, 0)}),
        ),
        Cause.QUARANTINED: lambda: Held(good, Control(1, 1, quarantined={task: Quarantine(NOW, "confidence", 9.0)})),
        Cause.BEFORE_CLEARING: lambda: Held(
            good, Control(1, 1, quarantined={task: Quarantine(NOW, "past its SLA", 9.0, later)})
        ),
        Cause.FROM_THE_FUTURE: lambda: Held(record(family, computed_at=NOW + 3600)),
        Cause.PAST_SLA: lambda: Held(record(family, computed_at=NOW - SLA_S - 1)),
        Cause.CONFIDENCE_TOO_LOW: lambda: Held(record(family, computed_at=NOW - SLA_S + 1)),
        Cause.CONFIDENCE_FALLEN: lambda: Held(record(family, computed_at=NOW - 120)),
        Cause.REFRESH_PENDING: lambda: Held(record(family, meta=refreshes), mark=later),
    }[cause]()


class Source:
    """A source that reports one family and has no views."""

    name = "source"

    def __init__(self, family):
        """Report this family."""
        self.families = (family,)

    def provides(self, _view):
        """Provide no view."""
        return False

    def close(self):
        """Close nothing."""


def named(name, returns):
    """Return a function of one key that has this name."""

    def fn(key: str) -> str:
        return returns

    fn.__name__ = fn.__qualname__ = name
    return fn


class Read(NamedTuple):
    """The outcome of a read, and the misses that were counted and passed to the hook."""

    served: pb.Served
    misses: dict
    heard: list


class Hook(pb.Plugin):
    """A plugin that records the cause of each miss."""

    def __init__(self):
        """Start with no reasons."""
        self.reasons = []

    def open(self, parts):
        """Hear of misses."""
        parts.on.hear(self)

    def missed(self, task, key, verdict, reason):
        """Record a miss."""
        self.reasons.append((task, reason.cause))


def read(found, fallback, *, cause, family, task, key):
    """Read a key of an app whose store holds exactly ``found``."""
    tasks, hook = pb.Registry(), Hook()
    contract = {"freshness_sla": SLA_S, "invalidated_by": [], "owner": task}
    other = tasks.artifact(**contract, fallback_if_stale=pb.Recompute())(named(f"{task}_other", OTHER))
    kinds = {"recompute": pb.Recompute(), "stale": pb.ServeStale(WITHIN_S), "use": pb.Use(other), "refuse": pb.Refuse()}
    curves = {
        Cause.CONFIDENCE_TOO_LOW: Linear(SLA_S * 2, floor=0.6),
        Cause.CONFIDENCE_FALLEN: Steps([("90s", 1.0), ("1h", 0.9)]),
    }
    made = tasks.artifact(**contract, fallback_if_stale=kinds[fallback], confidence=curves.get(cause))(named(task, NEW))
    store = MemoryStore()
    store._map.put(names.CONTROL, msgspec.msgpack.encode(found.control))
    store._map.put(names.BEATS, msgspec.msgpack.encode({"source": found.heard_at}))
    if found.mark is not None:
        store._map.put(names.mark_key(f"{family}/x"), found.mark)
    if found.record is not None:
        store._map.put(names.overlay_key(made.ref, b"s" + key.encode()), encode(found.record))
    app = pb.App(tasks, store=store, sources=[Source(family)], clock=FakeClock(NOW), plugins=[hook])
    return Read(asyncio.run(app.serve(made, key)), app.counters.misses, hook.reasons)


def expected(cause, fallback):
    """Return the value that must be served, and its verdict."""
    if cause in (Cause.REFRESH_PENDING, Cause.CONFIDENCE_FALLEN):
        return OLD, "degraded"
    if cause is Cause.ABSENT:
        return (OTHER, "degraded") if fallback == "use" else (None, "missing")
    if fallback == "stale" and cause in OVERDUE:
        return OLD, "degraded"
    if cause is Cause.NEVER_COMPUTED or fallback in ("recompute", "stale"):
        return NEW, "fresh"
    if fallback == "use":
        return OTHER, "degraded"
    return None, "unknown" if cause in UNTRUSTED else "stale"


@pytest.mark.parametrize("fallback", ["recompute", "stale", "use", "refuse"])
@pytest.mark.parametrize("cause", STORED, ids=lambda cause: cause.value)
@given(family=words, task=words, key=words)
@settings(max_examples=12)
def test_what_is_served_depends_on_the_cause_and_never_on_a_name(cause, fallback, family, task, key):
    """Each cause has one outcome under each fallback, whatever the family, task and key are called."""
    found = read(held(cause, family, task), fallback, cause=cause, family=family, task=task, key=key)
    value, verdict = expected(cause, fallback)
    assert (found.served.value, found.served.verdict.value) == (value, verdict)
    assert found.served.cause == (None if verdict == "fresh" else cause)
    assert bool(found.served.reason) == (verdict != "fresh")
    is_miss = value != OLD or cause in OVERDUE
    if is_miss and cause is not Cause.ABSENT:
        assert [heard for name, heard in found.heard if name == task] == [cause]
        assert {name[2] for name in found.misses if name[0] == task} == {cause.value}


def test_every_cause_is_reached():
    """Every cause is tested in this file or elsewhere, and each has a sentence."""
    assert set(STORED) | ELSEWHERE == set(Cause) == set(causes._SENTENCES)
    for cause in Cause:
        assert str(Reason(cause, "{x}")).count("{") <= 1


async def test_a_task_that_is_off_says_so():
    """OFF: a task that the app switches off is served as missing, with the reason."""
    tasks = pb.Registry()
    contract = {"freshness_sla": "1h", "invalidated_by": [], "fallback_if_stale": pb.Recompute(), "owner": "team"}
    task = tasks.artifact(**contract)(named("confidence", NEW))
    served = await pb.App(tasks, off={"confidence": "no data"}).serve(task, "k")
    assert (served.value, served.cause, served.reason) == (None, Cause.OFF, "confidence is off: no data")
    assert (served.verdict, served.lane, served.confidence) == (pb.Verdict.MISSING, "realtime", 0.0)


async def test_a_computation_that_fails_says_so(caplog):
    """COMPUTE_FAILED: the value of the fallback task is served with this cause, and the log has the error."""
    tasks = pb.Registry()
    contract = {"freshness_sla": "1h", "invalidated_by": [], "owner": "team"}
    other = tasks.artifact(**contract, fallback_if_stale=pb.Recompute())(named("past", OTHER))

    @tasks.artifact(**contract, fallback_if_stale=pb.Use(other))
    def fails(key: str) -> str:
        raise ValueError("past its SLA of 1h")

    served = await pb.App(tasks).serve(fails, "k")
    assert (served.value, served.verdict, served.cause) == (OTHER, pb.Verdict.DEGRADED, Cause.COMPUTE_FAILED)
    assert served.reason == "fails could not be computed"
    assert "so past is used: fails: ValueError: past its SLA of 1h" in caplog.text


async def test_a_base_that_cannot_be_refined_says_why():
    """BUDGET_EXCEEDED and INPUT_MISSING: the base is served unrefined, with the cause."""
    tasks = pb.Registry()
    contract = {"freshness_sla": "1h", "invalidated_by": [], "fallback_if_stale": pb.Recompute(), "owner": "team"}
    base = tasks.artifact(**contract)(named("refresh", NEW))

    @tasks.model(**contract, refresh=pb.every("20m"))
    def pending() -> int:
        return 1

    @tasks.refine(base, budget="20ms")
    async def slow(base: pb.Served[str], *, page: pb.Live[int]) -> str:
        await asyncio.sleep(60)
        return base.value

    @tasks.refine(base, budget="1m")
    async def blind(base: pb.Served[str], *, page: pb.Live[int], model: int = pb.Model(pending)) -> str:
        return base.value

    app = pb.App(tasks)
    late, lacking = await app.serve(slow, "k", page=1), await app.serve(blind, "k", page=1)
    assert (late.value, late.verdict, late.cause) == (NEW, pb.Verdict.DEGRADED, Cause.BUDGET_EXCEEDED)
    assert (lacking.value, lacking.verdict, lacking.cause) == (NEW, pb.Verdict.DEGRADED, Cause.INPUT_MISSING)


@pytest.mark.parametrize(("family", "kind"), [("pastry", "miss"), ("confidence", "miss")])
async def test_the_ledger_books_a_change_as_a_miss(tmp_path, family, kind):
    """A change is recorded as a miss, also where the family's name begins like the sentence of an expiry."""
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence(family)], fallback_if_stale=pb.ServeStale("1h"), owner="team"
    )
    def cake(key: str) -> pb.Value[str]:
        return pb.Value(key, tags=(f"{family}/x",))

    app = pb.App(tasks, plugins=[Ledger(tmp_path / "ledger.db"), Planner(), Prompts()])
    await app.serve(cake, "k")
    await app.touch(f"{family}/x")
    served = await app.serve(cake, "k")
    assert served.verdict is pb.Verdict.FRESH  # recomputed; the outdated value is not served
    await app.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        rows = ledger.execute("SELECT kind FROM spending WHERE kind IN ('miss', 'expire')").fetchall()
    assert {row[0] for row in rows} == {kind}
