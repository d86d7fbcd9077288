"""Immediate serving follows the same rules as any read, on the newest record of a key."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import parbake as pb
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.check import is_pending, killed_by, longest_silence, newness
from parbake.protocol.control import Control, Pointer
from parbake.protocol.record import LANES, Built, Meta, Record, Stamp, Tags, encode
from parbake.protocol.verdict import SERVABLE, doubted, judge
from parbake.serving.bind import NO_CONTEXT
from parbake.serving.read import as_served
from parbake.stores.memory import MemoryStore
from parbake.stores.steps import item_names as names
from parbake.tasks.contract import Exponential
from parbake.testing import FakeClock
from parbake.values.codecs.wire_shape import wire_shape

NOW, LIMIT_S = 1000.0, 30.0
PLAIN, WANING = (f"{name}@1:{wire_shape(str).hex()}" for name in ("plain", "waning"))
TAGS = ("a", "a/x", "b/y", "c/*")
few = st.integers(0, 3)
stamps = st.builds(lambda sequence: Stamp(1, sequence).pack(), few)
seen = st.lists(st.tuples(st.sampled_from(TAGS), stamps), max_size=2, unique_by=lambda pair: pair[0]).map(tuple)
built = st.builds(Built, st.sampled_from(("model@1", "batch@1")), few, st.booleans())
tags = st.builds(
    Tags, st.lists(st.sampled_from(TAGS), max_size=3, unique=True).map(tuple), seen, st.lists(built, max_size=2), seen
)
records = st.builds(
    Record,
    stamp=stamps,
    computed_at=st.sampled_from((NOW - 500, NOW - 90, NOW - 1, NOW + 5)),
    valid_until=st.sampled_from((NOW, NOW + 1, float("inf"))),
    lane=st.sampled_from(LANES),
    absent=st.sampled_from((False, False, False, True)),
    meta=st.builds(Meta, tags, few, inputs_age_s=st.sampled_from((0.0, 50.0))),
    payload=st.sampled_from([msgspec.msgpack.encode(value) for value in ("old", "new", 7)]),
)
pointers = st.dictionaries(st.sampled_from((PLAIN, WANING, "model@1")), few.map(lambda n: Pointer(n + 1, 0, 0)))
controls = st.builds(
    Control,
    incarnation=st.just(1),
    blessed=st.sampled_from((1, 1, 1, 0)),
    floor=st.sampled_from((bytes(16), bytes(16), Stamp(1, 2).pack())),
    pointers=pointers,
    withdrawn=st.dictionaries(few, st.just(bytes(16)), max_size=1),
)
marks_raised = st.dictionaries(st.sampled_from(TAGS), stamps)
heard = st.dictionaries(st.just("source"), st.sampled_from((NOW, NOW - LIMIT_S, NOW - LIMIT_S - 1, NOW - LIMIT_S - 50)))


class Silent:
    """A source of two families that reports nothing."""

    name = "source"
    families = ("a", "b")

    def provides(self, _view):
        """Provide no view."""
        return False

    def close(self):
        """Close nothing."""


tasks = pb.Registry()
settings = {"freshness_sla": "2m", "invalidated_by": [], "fallback_if_stale": pb.Recompute(), "owner": "team"}


@tasks.artifact(**settings)
def plain(key: str) -> str:
    """Return the key; the value is valid for two minutes."""
    return key


@tasks.artifact(**settings, confidence=Exponential("1m", floor=0.3))
def waning(key: str) -> str:
    """Return the key; the value loses confidence with age."""
    return key


class Held(NamedTuple):
    """What a store holds: the control record, a key's two records, watermarks and heartbeats."""

    control: Control
    overlay: Record | None = None
    base: Record | None = None
    marks: Mapping[str, bytes] = {}
    beats: Mapping[str, float] = {"source": NOW}


stores = st.builds(Held, controls, st.none() | records, st.none() | records, marks_raised, heard)


def stored(held):
    """Return an app whose store holds exactly this."""
    control, overlay, base, marks, beats = held
    store = MemoryStore()
    store._map.put(names.CONTROL, msgspec.msgpack.encode(control))
    store._map.put(names.BEATS, msgspec.msgpack.encode(beats))
    for tag, mark in marks.items():
        store._map.put(names.mark_key(tag), mark)
    for task in (plain, waning):
        if overlay is not None:
            store._map.put(names.overlay_key(task.ref, b"sk"), encode(overlay))
        if base is not None:
            store._map.put(names.base_key(control.pointer(task.ref), b"sk"), encode(base))
    return pb.App(tasks, store=store, sources=[Silent()], clock=FakeClock(NOW), silence_limit=LIMIT_S)


def judged(task, record, held):
    """Return the judgement of fence and contract on a record, computed directly."""
    silence_s = NOW - held.beats.get("source", 0.0)
    silent = dict.fromkeys(Silent.families, silence_s) if silence_s > LIMIT_S else {}
    killed = killed_by(record, held.control, held.marks, now=NOW)
    age = NOW - record.computed_at + record.meta.inputs_age_s
    found = judge(task.contract, age_s=age, killed_by=killed, pending=is_pending(record, held.marks))
    silence = longest_silence(record, silent)
    if silence is None or not (found.verdict in SERVABLE or found.is_overdue):
        return found
    return doubted(found, *silence, 0.0 if record.absent else task.contract.tolerated_silence_s)


fenced = Record(Stamp(1, 1).pack(), NOW, float("inf"), "batch", False, Meta(Tags(("a",))), msgspec.msgpack.encode("v"))


older = msgspec.structs.replace(fenced, stamp=Stamp(1, 0).pack(), payload=msgspec.msgpack.encode("older"))
promoted = Control(1, 1, pointers={PLAIN: Pointer(1, 0, 0), WANING: Pointer(1, 0, 0)})


@pytest.mark.parametrize("task", [plain, waning], ids=["plain", "waning"])
@given(stores)
@example(Held(promoted, older, fenced))
@example(Held(promoted, fenced, older))
@example(Held(Control(1, 1), fenced, marks={"a": Stamp(1, 2).pack()}))
@example(Held(Control(1, 1), fenced, marks={"a": Stamp(1, 1).pack()}))
@example(Held(Control(1, 1), fenced, beats={}))
def test_what_is_served_at_once_is_what_the_fence_and_the_contract_allow(task, held):
    """The newest record is served immediately exactly if the fence and the contract allow it, with their verdict."""
    app = stored(held)
    found = [held.overlay] if held.overlay is not None else []
    if held.base is not None and held.control.pointer(task.ref):
        found.append(held.base)
    newest = max(found, key=newness, default=None)
    served = app.engine.resolver.serve_now(app.engine.bound_task(task), "k")
    judgement = None if newest is None else judged(task, newest, held)
    is_text = newest is not None and newest.payload != msgspec.msgpack.encode(7)
    if judgement is None or judgement.verdict not in SERVABLE or newest.absent or not is_text:
        assert served is None
        return
    assert served is not None
    cause = judgement.reason and judgement.reason.cause
    assert (served.verdict, served.confidence, served.cause) == (judgement.verdict, judgement.confidence, cause)
    assert (served.value, served.lane) == (msgspec.msgpack.decode(newest.payload), newest.lane)
    assert served.stamp.pack() == newest.stamp


@pytest.mark.parametrize("task", [plain, waning], ids=["plain", "waning"])
@given(stores)
def test_the_general_way_serves_the_same(task, held):
    """A value that is served immediately is the one that the general read path chooses."""
    app = stored(held)
    plan, resolver = app.engine.bound_task(task), app.engine.resolver
    served = resolver.serve_now(plan, "k")
    if served is None:
        return
    lookup = asyncio.run(app.engine.store.read(task.ref, b"sk"))
    record, judgement = resolver._best(plan, lookup, NO_CONTEXT)
    assert served == as_served(plan, record, plan.decode(record.payload), judgement, NOW)


class Slow(MemoryStore):
    """A store without ``glimpse``, such as one behind a network."""

    glimpse = None


@pytest.mark.parametrize("store", [MemoryStore, Slow])
async def test_observers_hear_the_same_reads_either_way(store):
    """An observer hears each miss and read once, with plain strings, on both read paths."""
    seen = []

    class Watcher(pb.Plugin):
        def open(self, parts):
            parts.on.hear(self)

        def served(self, task, key, verdict, lane, seconds):
            seen.append((task, key, verdict, lane, type(verdict), seconds > 0))

        def missed(self, task, key, verdict, reason):
            seen.append((task, key, verdict, reason))

        def computed(self, *_, **__):
            seen.append("computed")

    app = pb.App(tasks, store=store(), plugins=[Watcher()])
    await app.serve(plain, "k")
    await app.serve(plain, "k")
    await app.close()
    read = ("plain", b"sk", "fresh", "realtime", str, True)
    assert seen == [("plain", b"sk", "missing", Reason(Cause.NEVER_COMPUTED)), "computed", read, read]
    assert app.counters.serves == {("plain", "fresh", "realtime"): 2}


async def test_a_request_keeps_its_steps():
    """A read that is served immediately is among the steps of its request."""
    app = pb.App(tasks)
    async with app.request() as request:
        await app.serve(plain, "k")
        await app.serve(plain, "k")
    assert [(step.task, step.verdict) for step in request.steps] == [("plain", "fresh")] * 2
    await app.close()


async def test_a_key_is_checked_before_it_is_looked_up():
    """A key of the wrong type is refused, and a long key is served."""
    app = pb.App(tasks)
    with pytest.raises(pb.BadInput, match="key"):
        await app.serve(plain, 5)
    long = "x" * 400
    assert (await app.serve(plain, long)).value == long
    assert (await app.serve(plain, long)).value == long
    assert app.counters.serves == {("plain", "fresh", "realtime"): 2}
    await app.close()
