"""Kafka as an event source, on a broker that the tests start and end."""

import asyncio
import itertools
import socket
import sys

import pytest
from tests.servers import broker, launch
from tests.unit.shopfloor import contract

import parbake as pb
from parbake.adapters import open_events
from parbake.adapters.kafka import KafkaPartition, KafkaTopic
from parbake.ports.sources import Extent
from parbake.protocol import tags
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.record import Stamp
from parbake.serving.bind import NO_CONTEXT
from parbake.testing import FakeClock
from parbake.testing.event_suite import EventSourceSuite

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared():
    """Return a running broker; tests use different topics."""
    started = broker.Broker()
    yield started
    started.kill()


class Topic:
    """A topic and its readers."""

    def __init__(self, address, partitions=1):
        """Create the topic."""
        self.address, self.name = address, f"changes{next(numbers)}"
        self.ids = itertools.count(1)
        self.opened = []
        broker.create(address, self.name, partitions)

    def topic(self):
        """Return a reader of all partitions."""
        self.opened.append(KafkaTopic(self.address, self.name, families=["fact"]))
        return self.opened[-1]

    def source(self):
        """Return a reader of the only partition."""
        return self.topic().parts()[0]

    def broken(self):
        """Return a reader of a broker that does not exist."""
        self.opened.append(KafkaTopic(f"127.0.0.1:{launch.free_port()}", self.name, families=["fact"]))
        return KafkaPartition(self.opened[-1], 0)

    def tell(self, subject, partition=0):
        """Send one event in structured mode."""
        self.send(broker.event(subject, f"id-{next(self.ids)}"), partition=partition)

    def poison(self):
        """Send a message that is not a CloudEvent."""
        self.send(b"hello")

    def send(self, *messages, partition=0):
        """Send these messages."""
        broker.send(self.address, self.name, *messages, partition=partition)

    def close(self):
        """Close every reader."""
        for opened in self.opened:
            opened.close()


@pytest.fixture
def make(shared):
    """Return a function that creates topics, which are closed at the end."""
    made = []

    def create(partitions=1):
        made.append(Topic(shared.address, partitions))
        return made[-1]

    yield create
    for topic in made:
        topic.close()


class TestKafka(EventSourceSuite):
    """One partition."""

    @pytest.fixture(autouse=True)
    def _make(self, make):
        self.make = make

    def backend(self, tmp_path):
        """Return a fresh topic."""
        return self.make()


def serving(topic, **options):
    """Return an app with one fenced task that reads a topic, the task, and the values that it returns."""
    tasks, facts = pb.Registry(), {"a": "old"}

    @tasks.artifact(**contract())
    def fact(key: str) -> str:
        return facts[key]

    return pb.App(tasks, events=[topic], **options), fact, facts


async def test_an_acknowledged_change_is_never_served_stale(make):
    """After an event is acknowledged the next read returns the new value, with its stamp."""
    topic = make()
    app, fact, facts = serving(f"kafka://{topic.address}/{topic.name}?families=fact")
    await app.drain()
    assert (await app.serve(fact, "a")).value == "old"
    facts["a"] = "new"
    assert (await app.serve(fact, "a")).value == "old"
    topic.tell("fact/a")
    ack = await app.drain()
    served = await app.serve(fact, "a")
    assert (served.value, served.stamp) == ("new", ack.stamp)
    assert await app.ops.applied() == {f"kafka:{topic.name}/0": 1}
    await app.close()


async def test_binary_and_structured_mode_say_the_same(make):
    """Binary and structured messages are read alike; in binary mode the body is ignored."""
    topic = make()
    headers = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"shop"), ("ce_type", b"fact.deleted")]
    binary = (b"\xff any data", [*headers, ("ce_subject", b"fact/a"), ("other", b"\xff"), ("content-type", b"x")])
    bare = (None, [*headers, ("ce_subject", b"fact/b")])
    topic.send(binary, bare, broker.event("fact/c", "3", time="2026-01-01T00:00:00Z", data={"x": 1}))
    source = topic.source()
    rows = source.poll(0, 10)
    assert [(r.position, r.id, r.subject, r.type, r.source) for r in rows] == [
        (1, "1", "fact/a", "fact.deleted", "shop"),
        (2, "1", "fact/b", "fact.deleted", "shop"),
        (3, "3", "fact/c", "fact.changed", "shop"),
    ]
    assert rows[2].at == 1767225600.0


POISON = [
    b"",
    b"\xff\xfe",
    b"[1]",
    b"{}",
    b"[" * 60_000,
    broker.event("No Tag", "1"),
    broker.event("fact/a", "1", type="fact.seen"),
    broker.event("fact/a", "1", specversion="0.3"),
    broker.event("fact/a", "1", data="x" * 70_000),
    (b"", [("ce_id", b"\xff"), ("ce_type", b"fact.changed")]),
    (None, [("ce_id", b""), ("ce_type", b"fact.changed"), ("ce_source", b"s"), ("ce_subject", b"fact/a")]),
]


async def test_no_message_whatever_it_holds_blocks_those_behind_it(make):
    """Each malformed message is parked with its reason, and the next one is applied."""
    topic = make()
    topic.send(*POISON, broker.event("fact/last", "9"))
    app = pb.App(pb.Registry(), events=[topic.topic()])
    ack = await app.drain()
    assert {"fact", "fact/*", "fact/last"} == set(ack.raised)
    parked = await app.ops.parked()
    assert [p.position for p in parked] == list(range(1, len(POISON) + 1))
    assert all(p.reason for p in parked)
    assert "too large" in parked[8].reason
    assert app.counters.parked == len(POISON)
    assert await app.drain() is None


async def test_what_is_parked_is_understood_later(make, monkeypatch):
    """A parked event of an unknown type is applied by a retry once the type is known."""
    topic = make()
    topic.send(broker.event("fact/a", "1", type="fact.renamed"), b"never")
    app = pb.App(pb.Registry(), events=[topic.topic()])
    await app.drain()
    assert (await app.ops.retry_parked()).understood == 0
    monkeypatch.setattr(tags, "_TYPES", (*tags._TYPES, "renamed"))
    done = await app.ops.retry_parked()
    assert (done.understood, set(done.raised), len(done.kept)) == (1, {"fact/a", "fact/*"}, 1)
    assert [p.position for p in await app.ops.parked()] == [2]


async def test_all_partitions_are_heard_and_new_ones_too(make, monkeypatch):
    """Each partition has its own position, and a new one is read from its beginning."""
    topic = make(3)
    opened = topic.topic()
    app = pb.App(pb.Registry(), events=[opened])
    parts = opened.parts
    monkeypatch.setattr(opened, "parts", lambda: parts()[:2])
    for partition in range(3):
        topic.tell(f"fact/{partition}", partition=partition)
    await app.drain()
    assert await app.ops.applied() == {f"{opened.name}/0": 1, f"{opened.name}/1": 1}
    monkeypatch.setattr(opened, "parts", parts)
    ack = await app.drain()
    assert set(ack.raised) == {"fact/2", "fact/*"}
    lookup = await app.engine.store.read("x", b"y")
    assert set(lookup.heartbeats) == {opened.name}


async def test_what_retention_took_unread_raises_everything(make, monkeypatch):
    """If unread messages expired, all families are raised, a gap is counted and reading continues."""
    topic = make()
    opened = topic.topic()
    app, fact, facts = serving(opened)
    topic.tell("fact/x")
    await app.drain()
    assert (await app.serve(fact, "a")).value == "old"
    for _ in range(4):
        topic.tell("fact/x")
    facts["a"] = "new"
    extent = KafkaPartition.extent
    monkeypatch.setattr(KafkaPartition, "extent", lambda self: Extent(4, extent(self).last))
    await app.drain()
    assert (await app.serve(fact, "a")).value == "new"
    assert app.counters.gaps == {f"{opened.name}/0": 1}
    assert await app.ops.applied() == {f"{opened.name}/0": 5}
    assert await app.drain() is None


async def test_a_topic_that_does_not_exist_is_named(shared):
    """A missing topic is an error that names it, and no heartbeat is written."""
    app = pb.App(pb.Registry(), events=[f"kafka://{shared.address}/nothere?families=fact&name=feed"])
    with pytest.raises(pb.errors.SourceError, match=r"'feed'.*no topic 'nothere'"):
        await app.drain()
    assert app.counters.source_failures == {"feed": 1}
    assert not (await app.engine.store.read("x", b"y")).heartbeats
    await app.close()


async def test_a_broker_out_of_reach_is_told_within_seconds(tmp_path):
    """A broker that refuses or does not answer raises ``SourceError`` long before the client would."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        for port in (launch.free_port(), deaf.getsockname()[1]):
            app = pb.App(pb.Registry(), events=[f"kafka://127.0.0.1:{port}/x?families=fact"])
            async with asyncio.timeout(60):  # the client's own limit
                with pytest.raises(pb.errors.SourceError, match="'kafka:x'"):
                    await app.drain()
            await app.close()


async def test_a_broker_that_is_killed_makes_its_families_unknown(tmp_path):
    """After a kill acknowledged changes stay, values become unknown, and an empty topic is refused until a restart."""
    own = broker.Broker()
    clock = FakeClock()
    try:
        broker.create(own.address, "changes")
        url = f"kafka://{own.address}/changes?families=fact"
        options = {"store": f"lmdb://{tmp_path}/store?map_size=16MiB", "clock": clock}
        app, fact, facts = serving(url, **options)
        await app.drain()
        await app.serve(fact, "a")
        facts["a"] = "new"
        broker.send(own.address, "changes", broker.event("fact/a", "1"), broker.event("fact/b", "2"))
        await app.drain()
        own.kill()
        with pytest.raises(pb.errors.SourceError):
            await app.drain()
        assert (await app.serve(fact, "a")).value == "new"
        clock.advance(61)
        log = await app.ops.raised_since(Stamp(0, 0))
        assert [entry.tags[0] for entry in log] == ["fact/a", "fact/b"]
        lookup = await app.engine.store.read(fact.ref, b"sa")
        _, judgement = app.engine.resolver._best(app.engine.bound_task(fact), lookup, NO_CONTEXT)
        assert judgement.reason == Reason(Cause.SOURCE_SILENT, "fact")
        own._start()
        broker.create(own.address, "changes")
        with pytest.raises(pb.errors.ForeignSource, match="ends at 0"):
            await app.drain()
        await app.ops.restart("kafka:changes")
        broker.send(own.address, "changes", broker.event("fact/a", "3"))
        ack = await app.drain()
        assert set(ack.raised) == {"fact/a", "fact/*"}
        served = await app.serve(fact, "a")
        assert (served.verdict, served.value) == ("fresh", "new")
        await app.close()
    finally:
        own.kill()


async def test_a_connection_that_broke_is_made_again(make):
    """After the client was lost, one poll fails and the next one works."""
    topic = make()
    app = pb.App(pb.Registry(), events=[topic.topic()])
    await app.drain()
    opened = topic.opened[-1]
    opened.call(lambda consumer: consumer.stop())
    with pytest.raises(pb.errors.SourceError):
        await app.drain()
    topic.tell("fact/a")
    assert await app.drain() is not None


def test_the_client_is_named_when_it_is_missing(monkeypatch):
    """Without aiokafka the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "aiokafka", None)
    topic = open_events("kafka://127.0.0.1:1/x?families=fact")
    with pytest.raises(pb.errors.MissingDependency, match=r"\.\[kafka\]"):
        topic.parts()
    topic.close()
