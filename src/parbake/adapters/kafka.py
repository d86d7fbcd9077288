"""``kafka://host:port,host:port/topic?families=policy,product``: CloudEvents from a Kafka topic.

No consumer group is used. The applied position of each partition is stored in parbake's store, in the same commit as
the raised tags, so that reading resumes exactly there. Each partition is a separate ordered log, named
``kafka:topic/0``; a message's position is its offset + 1. The topic counts as heard once every partition has been read
to its end.

Offsets may be skipped (by transaction markers or compaction), so a gap means nothing. Messages that the broker's
retention removed before they were read are detected by the earliest offset that it still has.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from parbake.errors import BadInput, MissingDependency, SourceError
from parbake.ports.cloudevents import MAX_EVENT, CloudEvent, from_attributes, read_time, structured, trace_of
from parbake.ports.sources import Extent, SourceEvent
from parbake.process import forks
from parbake.process.portal import Portal
from parbake.protocol.tags import family_names
from parbake.values.redaction import without_credentials
from parbake.values.schemes import split_url

T = TypeVar("T")
REQUEST_S = 3.0
"""Time limit for one answer of the broker, in seconds."""
CALL_S = 6.0
"""Time limit for any use, including connecting, in seconds."""
_FETCH_WAIT_MS = 10
"""Wait of a fetch without data: fetches are made only if there is data, and must not delay the next request."""
_PREFIX = "ce_"
_OPTIONS = {"families", "name"}


def open_url(url: str) -> KafkaTopic:
    """The topic at a URL; ``families`` are the tag families whose changes it reports, separated by commas."""
    parts = split_url(url, setting="events", error=SourceError)
    options = parse_qs(parts.query)
    topic = parts.path.strip("/")
    families = [family for text in options.get("families", []) for family in text.split(",") if family]
    if not parts.netloc or not topic or "/" in topic or not families or set(options) - _OPTIONS:
        raise SourceError(
            f"events={without_credentials(url)!r}: expected "
            "kafka://host:port/topic?families=policy,product (and at most name=)",
            field="events",
        )
    return KafkaTopic(parts.netloc, topic, families=families, name=options.get("name", [""])[0])


class KafkaTopic(forks.Forkable):
    """One topic (see :class:`parbake.ports.sources.Topic`).

    The client runs on its own loop, so that the topic can be used from any thread, like an outbox.
    """

    def __init__(self, brokers: str, topic: str, *, families: Collection[str], name: str = "") -> None:
        """Create the topic, without connecting yet. ``brokers`` are ``host:port``, separated by commas."""
        self.topic = topic
        self.name = name or f"kafka:{topic}"
        self.families = family_names(families, of=f"topic {topic!r}")
        self._brokers = brokers.split(",")
        self._begin()
        forks.watch(self)

    def _begin(self) -> None:
        self._portal: Portal | None = None
        self._consumer: Any = None
        self._starting = threading.Lock()
        self._turn: asyncio.Lock | None = None

    def after_fork_in_child(self) -> None:
        """Connect with a new client at the next use."""
        forks.abandon(self._portal, self._consumer)
        self._begin()

    def parts(self) -> Sequence[KafkaPartition]:
        """Return the partitions as the broker reports them now."""

        async def ask(consumer: Any) -> list[int]:
            await consumer._client.force_metadata_update()  # noqa: SLF001 - the client has no public way to ask again
            return sorted(consumer.partitions_for_topic(self.topic) or ())

        found = self.call(ask)
        if not found:
            raise SourceError(f"source {self.name!r}: the broker has no topic {self.topic!r}", field=self.name)
        return [KafkaPartition(self, number) for number in found]

    def close(self) -> None:
        with self._starting:
            portal, self._portal = self._portal, None
        if portal is not None:
            portal.call(self._disconnect())
            portal.close()

    def call(self, use: Callable[[Any], Awaitable[T]]) -> T:
        """Use the connected client, one caller at a time; any failure becomes a :class:`SourceError`."""
        with self._starting:
            if self._portal is None:
                self._portal, self._turn = Portal(), asyncio.Lock()
        return self._portal.call(self._use(use))

    async def _use(self, use: Callable[[Any], Awaitable[T]]) -> T:
        client = _client()
        assert self._turn is not None  # noqa: S101 - made with the portal, on whose loop this runs
        try:
            async with self._turn, asyncio.timeout(CALL_S):
                if self._consumer is None:
                    self._consumer = await self._connect(client)
                return await use(self._consumer)
        except (client.errors.KafkaError, OSError, TimeoutError, AssertionError) as error:
            await self._disconnect()
            raise SourceError(f"source {self.name!r}: {error or 'no answer'}", field=self.name) from error

    async def _connect(self, client: Any) -> Any:
        consumer = client.AIOKafkaConsumer(
            bootstrap_servers=self._brokers,
            client_id="parbake",
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=int(REQUEST_S * 1000),
        )
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _disconnect(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(consumer.stop(), REQUEST_S)


class KafkaPartition:
    """One partition (see :class:`parbake.ports.sources.EventSource`)."""

    is_gapless = False

    def __init__(self, topic: KafkaTopic, number: int) -> None:
        """Create a partition that uses the topic's connection."""
        self.name = f"{topic.name}/{number}"
        self.families = topic.families
        self._topic = topic
        self._number = number

    def extent(self) -> Extent:

        async def ask(consumer: Any) -> Extent:
            place = self._place()
            first = (await consumer.beginning_offsets([place]))[place]
            return Extent(first, (await consumer.end_offsets([place]))[place])

        return self._topic.call(ask)

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """Return the next events that are committed up to the current end."""

        async def ask(consumer: Any) -> Sequence[Any]:
            place = self._place()
            end = (await consumer.end_offsets([place]))[place]
            if after >= end:
                return ()
            consumer.assign([place])
            try:
                consumer.seek(place, after)
                # Transaction markers have offsets, too, so an empty answer is the end only at the end offset.
                while await consumer.position(place) < end:
                    wait = int(REQUEST_S * 1000)
                    found = await consumer.getmany(place, timeout_ms=wait, max_records=limit)
                    if found:
                        return list(found[place])
                return ()
            finally:
                consumer.unsubscribe()

        return [read(record) for record in self._topic.call(ask)]

    def close(self) -> None:
        """Do nothing: the connection belongs to the topic."""

    def _place(self) -> Any:
        return _client().TopicPartition(self._topic.topic, self._number)


def read(record: Any) -> SourceEvent:
    """Convert a message to an event; a message that is not a CloudEvent carries its problem."""
    position, value = record.offset + 1, record.value or b""
    attributes = {
        name.removeprefix(_PREFIX): (raw or b"").decode(errors="backslashreplace")
        for name, raw in record.headers
        if name.startswith(_PREFIX)
    }
    is_binary = "id" in attributes or "type" in attributes
    raw = msgspec.json.encode(attributes) if is_binary else value
    try:
        event = _event(attributes if is_binary else None, value)
    except BadInput as error:
        return SourceEvent(position, "", "", "", at=record.timestamp / 1000, problem=str(error), raw=raw[:MAX_EVENT])
    at, trace = read_time(event.time), trace_of(event)
    return SourceEvent(position, event.id, event.subject, event.type, event.source, at, raw=raw, trace=trace)


def _event(attributes: Mapping[str, str] | None, value: bytes) -> CloudEvent:
    """Decode an event. In binary mode the data is not read, so its size does not matter."""
    if attributes is not None:
        return from_attributes(attributes)
    if len(value) > MAX_EVENT:
        raise BadInput(f"too large: {len(value)} bytes, at most {MAX_EVENT} are read", field="body")
    return structured(value)


def _client() -> Any:
    try:
        import aiokafka
    except ModuleNotFoundError as error:
        raise MissingDependency.of("a Kafka topic", "kafka", field="aiokafka") from error
    return aiokafka
