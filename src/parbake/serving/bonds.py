"""Binds values outside the store, such as the entries of a cache, to the same fence as stored records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager

from parbake.errors import BadInput, DeclarationError, StoreError
from parbake.ports.clock import Clock
from parbake.ports.event_log import Ack
from parbake.ports.records import Lookup, RecordSnapshots
from parbake.ports.store import Store
from parbake.protocol.acks import joined
from parbake.protocol.cause import Cause, Reason
from parbake.protocol.check import killed_by, longest_silence
from parbake.protocol.listening import listener, listening
from parbake.protocol.record import Header, Meta, Record, bond
from parbake.protocol.recording import Recording
from parbake.protocol.tags import check_tag, family
from parbake.serving.request import current
from parbake.tasks.contract import Contract, Refuse, fence
from parbake.values.duration import humanize

Silent = Callable[[Mapping[str, float], float], Mapping[str, float]]
Acknowledged = Callable[[Callable[[], Awaitable[Ack]]], Awaitable[Ack]]


class Bonds:
    """Makes records without a value from the reads of a computation, and checks them against the fence."""

    def __init__(
        self, store: Store, clock: Clock, known: Collection[str], silent: Silent, acknowledged: Acknowledged
    ) -> None:
        """Bind nothing yet.

        Args:
            store: What bound values may be kept in.
            clock: The source of wall time.
            known: The families that tags may name.
            silent: Returns the silent families with their silence.
            acknowledged: Applies a change that no outbox holds, so that its acknowledgement outlives a loss.
        """
        self.store, self.clock = store, clock
        self.acknowledged = acknowledged
        self._known, self._silent = frozenset(known), silent
        self.is_immediate = isinstance(store, RecordSnapshots)
        """Whether reads of the store return at once: it is embedded."""

    async def begin(self) -> Recording:
        """Start a recording. Its stamp is read before anything else.

        What the running task has read before may influence the answer, so these reads bind it, too. While the store is
        away, nothing binds it, and it cannot be sealed.
        """
        try:
            stamp, _ = await self.store.stamp()
        except StoreError as error:
            if not error.is_outage:
                raise
            return Recording.without_store()
        recording = Recording(stamp, origin=self.store)
        if (outer := listener()) is not None and outer.origin is self.store:
            recording.join(outer)
        return recording

    def tell(self, record: Record | None) -> None:
        """Add an answer's record to the recording that listens, if any; ``None`` for an answer that cannot be bound."""
        outer = listener()
        if outer is None:
            return
        if record is None or outer.origin is not self.store:
            outer.complete = False
        else:
            outer.artifact("", record, now=self.clock.now())

    def listening(self, recording: Recording) -> AbstractContextManager[None]:
        """Record in ``recording`` all reads through the app within the block."""
        return listening(recording)

    def check(self, tags: Sequence[str]) -> None:
        """Raise :class:`BadInput` for a tag that the app could never raise."""
        for tag in [tags] if isinstance(tags, str) else tags:
            check_tag(tag, field="tags")
            if isinstance(tags, str) or family(tag) not in self._known:
                known = ", ".join(sorted(self._known)) or "none"
                raise BadInput(
                    f"tags={tags!r}: expected a list of tags of families that the app declares ({known}), such as "
                    f"['{min(self._known, default='policy')}']",
                    field="tags",
                )

    def seal(self, recording: Recording, tags: Sequence[str], started: float) -> Record | None:
        """Make a record without a value, bound by what was recorded.

        Args:
            recording: What was read.
            tags: Further tags that bind it.
            started: When the value's computation began, in epoch seconds.

        Returns:
            The record, or ``None`` if a read cannot be bound (an input that refused, or rows without a tag), or if it
            was in doubt.
        """
        families = {family(tag) for tag in (*recording.direct, *tags)}
        contract = Contract(0.0, tuple(map(fence, sorted(families))), Refuse(), owner="")
        if not recording.complete or recording.doubt is not None:
            return None
        try:
            bound = recording.seal(contract, {}, tags)
        except DeclarationError:
            return None
        meta = Meta(bound, inputs_age_s=recording.inputs_age_s)
        return bond(recording.stamp.pack(), started, meta, valid_until=recording.valid_until)

    def now(self) -> float:
        """Seconds since the epoch."""
        return self.clock.now()

    async def reason(self, record: Record, sla_s: float) -> Reason | None:
        """Why the record is not valid any more; ``None`` while it is.

        Args:
            record: The record.
            sla_s: The greatest age in seconds.
        """
        return self.judged(record, await self.store.look_again(record), sla_s)

    def judged(self, record: Header, lookup: Lookup, sla_s: float) -> Reason | None:
        """Do the same as :meth:`reason` with what was read together with the record.

        Args:
            record: The record, or its header.
            lookup: What it is judged by.
            sla_s: The greatest age in seconds.
        """
        now, request = self.clock.now(), current()
        marks = joined(lookup.marks, request.acks) if request is not None and request.acks else lookup.marks
        if reason := killed_by(record, lookup.control, marks, now=now):
            return reason
        if found := longest_silence(record, self._silent(lookup.heartbeats, now)):
            return Reason(Cause.SOURCE_SILENT, found[0])
        if now - record.computed_at + record.meta.inputs_age_s > sla_s:
            return Reason(Cause.PAST_SLA, humanize(sla_s))
        return None
