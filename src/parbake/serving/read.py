"""The resolver finds a record, judges it, and falls back if needed, for requests as well as derived inputs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import msgspec

from parbake.errors import ComputeFailed, NotMaterialized, StoreError
from parbake.ports.clock import Clock
from parbake.ports.observers import Observers, tell
from parbake.ports.records import Lookup, RecordSnapshot, RecordSnapshots
from parbake.ports.sources import Log, Topic
from parbake.ports.store import Store
from parbake.process.counters import Counters
from parbake.protocol.acks import NO_ACKS, Acks, joined
from parbake.protocol.cause import OVERDUE, UNTRUSTED, Cause, Reason, graver_doubt
from parbake.protocol.check import is_pending, killed_by, longest_silence, newness
from parbake.protocol.control import Control
from parbake.protocol.listening import LISTENER, listener
from parbake.protocol.record import Header, Record, Stamp
from parbake.protocol.recording import Recording
from parbake.protocol.since_outage import SinceOutage
from parbake.protocol.verdict import SERVABLE, Judgement, Verdict, doubted, judge
from parbake.serving.bind import NO_CONTEXT, Binder, Context
from parbake.serving.bound import BoundTask
from parbake.serving.compute import NO_WRAPS, Computed, Computer, Wrap
from parbake.serving.lease import Turns
from parbake.serving.model_reads import ModelReads
from parbake.serving.on_demand import OnDemand
from parbake.serving.request import Deadline, is_bounded
from parbake.tasks.contract import Recompute, ServeStale, Use
from parbake.tasks.served import Served
from parbake.tasks.task_types import Artifact, ModelTask
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.serving")
_FRESH = str(Verdict.FRESH)
_NEVER_COMPUTED = Reason(Cause.NEVER_COMPUTED)
_MISSING = Judgement(Verdict.MISSING, 0.0, _NEVER_COMPUTED)
_DAMAGED = Judgement(Verdict.MISSING, 0.0, Reason(Cause.DAMAGED))
_decode_reason = msgspec.msgpack.Decoder(str).decode


class ReadResult(msgspec.Struct, frozen=True):
    """The result of a read: the answer, and the records that bind it, by task ref (none if it was refused).

    ``doubt`` names the silent source if changes of the answer may not have been heard, or says that it was computed
    without the store.
    """

    served: Served[Any]
    bound: tuple[tuple[str, Record], ...] = ()
    doubt: Reason | None = None


class Resolver:
    """Serves stored tasks for one app."""

    def __init__(
        self,
        *,
        store: Store,
        binder: Binder,
        clock: Clock,
        counters: Counters,
        on: Observers,
        bound_tasks: Mapping[str, BoundTask],
        silence_limit_s: float,
        wraps: Mapping[Any, Sequence[Wrap]] = NO_WRAPS,
    ) -> None:
        """``bound_tasks`` are by task name; a source without a heartbeat for ``silence_limit_s`` is not trusted.

        ``on`` are called for reads, misses and computations; ``wraps`` are applied to resources that tasks get.
        """
        self._store = store
        self._glimpse = store.glimpse if isinstance(store, RecordSnapshots) else None
        self._clock = clock
        self._counters, self._reads = counters, counters.reads
        self._served, self._answered, self._missed = tuple(on.served), tuple(on.answered), (counters.missed, *on.missed)
        self._is_heard = bool(self._served or self._answered)
        self._bound_tasks = bound_tasks
        self._silence_limit_s = silence_limit_s
        self._sources = binder.heard
        self.models = ModelReads(store, clock, self._judge_model)
        self.computer = Computer(store, binder, clock, lambda: self, wraps)
        turns = Turns(store, clock, counters)
        self.since_outage = SinceOutage()
        self.demand = OnDemand(
            store,
            self.computer,
            clock,
            counters=counters,
            on=on,
            turns=turns,
            look=self._look,
            since_outage=self.since_outage,
        )

    def serve_now(self, bound: BoundTask, key: Any, acks: Acks = NO_ACKS) -> Served[Any] | None:
        """Serve a key at once if the store returns its record without waiting and the record may be served as it is.

        Args:
            bound: The task.
            key: The key, not checked yet.
            acks: What the caller was told has happened.

        Returns:
            The value, or ``None`` if more work is needed. Then call :meth:`serve`, which follows the same rules.
        """
        if self._glimpse is None or LISTENER.get() is not None:
            return None
        started = perf_counter()
        raw = bound.keys.place(key)
        try:
            found = self._glimpse(bound.ref, raw)
        except StoreError:  # :meth:`serve` does what the contract says of a store that is away
            return None
        if found is None or found.header.absent:
            return None
        now = self._clock.now()
        judgement = self._judge(bound, found.header, found, Context(acks=acks) if acks else NO_CONTEXT, now)
        if judgement.verdict not in SERVABLE:
            return None
        try:
            value = bound.decode(found.payload)
        except msgspec.DecodeError:
            return None
        served = as_served(bound, found.header, value, judgement, now)
        self._count(bound, raw, served, started)
        return served

    async def serve(self, bound: BoundTask, key: Any, context: Context = NO_CONTEXT) -> ReadResult:
        """Serve a key of an artifact within the caller's deadline, by its fallback if necessary.

        Args:
            bound: The task.
            key: The key, checked.
            context: What it was asked within.

        Returns:
            The answer, with the records that bind it.
        """
        started = perf_counter()
        raw = bound.keys.encode(key)
        found = await self._resolve(bound, key, raw, context)
        self._count(bound, raw, found.served, started)
        if (heard := listener()) is not None:
            self._note(found, heard)
        return found

    def _note(self, found: ReadResult, recording: Recording) -> None:
        """Record an answer in its reader's recording. One with stamps of another store becomes incomplete."""
        if recording.origin is not None and recording.origin is not self._store:
            recording.complete = False
            return
        recording.complete = recording.complete and bool(found.bound)
        recording.doubt = graver_doubt(recording.doubt, found.doubt)
        for ref, record in found.bound:
            recording.artifact(ref, record, now=self._clock.now())

    def _count(self, bound: BoundTask, raw: bytes, served: Served[Any], started: float) -> None:
        verdict = _FRESH if served.verdict is Verdict.FRESH else str(served.verdict)  # nearly every read
        took = perf_counter() - started
        self._reads[bound.name].add(raw, verdict, served.lane, took)
        if self._is_heard:
            if self._served:
                tell(self._served, bound.name, raw, verdict, served.lane, took)
            tell(self._answered, served, took)

    async def _resolve(self, bound: BoundTask, key: Any, raw: bytes, context: Context) -> ReadResult:
        if not is_bounded():
            return await self._look_and_judge(bound, key, raw, context)
        async with Deadline(bound.name):  # waiting for the store counts against the deadline, too
            return await self._look_and_judge(bound, key, raw, context)

    async def _look_and_judge(self, bound: BoundTask, key: Any, raw: bytes, context: Context) -> ReadResult:
        """Serve what the store has; while it is away, compute from the sources what the contract lets compute."""
        if not context.is_without_store:
            try:
                return await self._from_store(bound, key, raw, context)
            except StoreError as error:
                if not (error.is_outage and context.may_do_without_store):
                    raise
            context = replace(context, is_without_store=True)
        away = Reason(Cause.WITHOUT_STORE)
        tell(self._missed, bound.name, raw, Verdict.UNKNOWN.value, away)
        return await self._fall_back(bound, key, None, Judgement(Verdict.UNKNOWN, 0.0, away), context)

    async def _from_store(self, bound: BoundTask, key: Any, raw: bytes, context: Context) -> ReadResult:
        lookup = await self._store.read(bound.ref, raw, generation=context.pointers.get(bound.ref, 0))
        if lookup.damaged:
            self._counters.damaged[bound.name] += lookup.damaged
        record, judgement = self._best(bound, lookup, context)
        if record is not None and judgement.verdict in SERVABLE:
            return await self._from_record(bound, key, record, judgement, context)
        why = judgement.reason or _NEVER_COMPUTED
        tell(self._missed, bound.name, raw, judgement.verdict.value, why)
        return await self._fall_back(bound, key, record, judgement, context)

    def _best(self, bound: BoundTask, lookup: Lookup, context: Context) -> tuple[Record | None, Judgement]:
        """The record with the highest stamp among those that pass, or else why the newest one does not pass."""
        now, best, why = self._clock.now(), None, _DAMAGED if lookup.damaged else _MISSING
        for record in lookup.records:
            judgement = self._judge(bound, record, lookup, context, now)
            if judgement.verdict in SERVABLE:
                if best is None or newness(record) > newness(best[0]):
                    best = (record, judgement)
            elif why.verdict is Verdict.MISSING:
                why = judgement
        if best is not None:
            return best
        return (lookup.records[0] if lookup.records else None), why

    def _judge(
        self, bound: BoundTask, record: Header, seen: Lookup | RecordSnapshot, context: Context, now: float
    ) -> Judgement:
        """Judge a record by the snapshot in which it was read. Every read is judged here, whichever way it was made.

        Args:
            bound: The record's task.
            record: Its header.
            seen: The control record, the watermarks and the heartbeats.
            context: The further families that the reader fences, its acknowledgements, and the run that it is part of.
            now: Epoch seconds.
        """
        if seen.control.quarantined and (reason := _quarantined(bound, record, seen.control)):
            return Judgement(Verdict.STALE, 0.0, reason)
        marks = joined(seen.marks, context.acks) if context.acks else seen.marks
        killed = killed_by(
            record,
            seen.control,
            marks,
            now=now,
            also_fenced=context.also_fenced,
            pointers=context.pointers,
        )
        meta = record.meta
        awaits_refresh = bool(meta.tags.refreshes) and is_pending(record, marks)
        age = now - record.computed_at + meta.inputs_age_s
        judgement = judge(bound.contract, age_s=age, killed_by=killed, pending=awaits_refresh)
        if self._sources and (silent := self.silent(seen.heartbeats, now)):
            return self._in_silence(bound, record, judgement, context, silent)
        return judgement

    def _in_silence(
        self, bound: BoundTask, record: Header, judgement: Judgement, context: Context, silent: Mapping[str, float]
    ) -> Judgement:
        """Judge a record that nothing known forbids to serve, while sources are silent."""
        found = longest_silence(record, silent, context.also_fenced)
        if found is None or not (judgement.verdict in SERVABLE or judgement.is_overdue):
            return judgement
        # The reader of an absence sees no mark, so an absence in doubt is unknown.
        tolerated_s = 0.0 if record.absent else min(context.tolerated_s, bound.contract.tolerated_silence_s)
        return doubted(judgement, *found, tolerated_s)

    def silent(self, heartbeats: Mapping[str, float], now: float) -> dict[str, float]:
        """The families whose source is silent, with the seconds since it was heard.

        After an outage of the store each source counts as silent until it is heard again.
        """
        silences = self.silences(heartbeats, now)
        if self.since_outage.was_away:
            silences += self._unheard(heartbeats, now)
        return {name: silence_s for source, silence_s in silences for name in source.families} if silences else {}

    def silences(self, heartbeats: Mapping[str, float], now: float) -> list[tuple[Log | Topic, float]]:
        """The sources without a heartbeat within the limit, each with the seconds since it was heard.

        A heartbeat from the future says nothing about the present: the silence counts as endless.
        """
        found: list[tuple[Log | Topic, float]] = []
        for source in self._sources:
            silence_s = now - heartbeats.get(source.name, 0.0)
            if abs(silence_s) > self._silence_limit_s:
                found.append((source, silence_s if silence_s > 0 else float("inf")))
        return found

    def _unheard(self, heartbeats: Mapping[str, float], now: float) -> list[tuple[Log | Topic, float]]:
        """The sources that were not heard since a value was computed without the store, as :meth:`silences` does."""
        unheard = [source for source in self._sources if self.since_outage.is_unheard(source.name, heartbeats)]
        silences = [(source, now - heartbeats.get(source.name, 0.0)) for source in unheard]
        return [(source, silence_s if silence_s > 0 else float("inf")) for source, silence_s in silences]

    async def _from_record(
        self, bound: BoundTask, key: Any, record: Record, judgement: Judgement, context: Context
    ) -> ReadResult:
        if record.absent:
            return await self._absent(bound, key, record, context)
        try:
            value = bound.decode(record.payload)
        except msgspec.DecodeError:  # stored when the task had another type; treated as missing
            return await self._on_demand(bound, key, context)
        served = as_served(bound, record, value, judgement, self._clock.now())
        return ReadResult(served, ((bound.ref, record),), judgement.doubt)

    async def _fall_back(
        self, bound: BoundTask, key: Any, record: Record | None, judgement: Judgement, context: Context
    ) -> ReadResult:
        """Apply the contract's fallback to a value that may not be served as it is."""
        fallback = bound.contract.fallback_if_stale
        if bound.off:
            judgement = Judgement(Verdict.MISSING, 0.0, Reason(Cause.OFF, f"{bound.name} is off: {bound.off}"))
            if not isinstance(fallback, Use):
                return await self._refused(bound, judgement, context)
            return await self._use(bound, key, fallback, judgement, context)
        if judgement.verdict is Verdict.MISSING and isinstance(fallback, Use):
            try:
                return await self._on_demand(bound, key, context)
            except (ComputeFailed, NotMaterialized) as error:
                _log.warning(
                    "%s could not be computed, so %s is used: %s", bound.name, fallback.task.name, one_line(error)
                )
                about = f"{bound.name} could not be computed"  # the logged error may quote private values
                failed = Judgement(Verdict.MISSING, 0.0, Reason(Cause.COMPUTE_FAILED, about))
                return await self._use(bound, key, fallback, failed, context)
        if judgement.verdict is Verdict.MISSING or isinstance(fallback, Recompute):
            return await self._on_demand(bound, key, context)
        if isinstance(fallback, ServeStale):
            if record is not None and self._overdue_within(bound, record, judgement):
                late = Judgement(Verdict.DEGRADED, judgement.confidence, judgement.reason, judgement.doubt)
                return await self._from_record(bound, key, record, late, context)
            return await self._on_demand(bound, key, context)
        if isinstance(fallback, Use):
            return await self._use(bound, key, fallback, judgement, context)
        return await self._refused(bound, judgement, context)

    def _overdue_within(self, bound: BoundTask, record: Record, judgement: Judgement) -> bool:
        """Whether a stale record is only overdue, not killed, and still within the contract's extra time."""
        fallback = bound.contract.fallback_if_stale
        if not judgement.is_overdue or not isinstance(fallback, ServeStale):
            return False
        age = self._clock.now() - record.computed_at + record.meta.inputs_age_s
        return age <= bound.contract.freshness_sla_s + fallback.within_s

    async def _on_demand(self, bound: BoundTask, key: Any, context: Context) -> ReadResult:
        """Compute now, or serve the record that another caller stored meanwhile."""
        made = await self.demand.get(bound, key, context)
        if not isinstance(made, Computed):
            return await self._from_record(bound, key, *made, context)
        if made.record.absent:
            if made.doubt is not None and made.doubt.cause in UNTRUSTED:
                return await self._refused(bound, Judgement(Verdict.UNKNOWN, 0.0, made.doubt), context)
            return await self._absent(bound, key, made.record, context)
        confidence = bound.contract.confidence.c0 if bound.contract.confidence else 1.0
        judgement = Judgement(Verdict.FRESH, confidence)
        if made.doubt is not None:
            judgement = Judgement(Verdict.DEGRADED, confidence, made.doubt, made.doubt)
        served = as_served(bound, made.record, made.value, judgement, self._clock.now())
        return ReadResult(served, ((bound.ref, made.record),) if made.storable else (), judgement.doubt)

    async def _look(self, bound: BoundTask, raw: bytes, context: Context) -> tuple[Record, Judgement] | None:
        """Return a key's record if it may be served now and decodes as the task's type; otherwise ``None``."""
        lookup = await self._store.read(bound.ref, raw, generation=context.pointers.get(bound.ref, 0))
        record, judgement = self._best(bound, lookup, context)
        if record is None or judgement.verdict not in SERVABLE or bound.unreadable(record):
            return None
        return record, judgement

    async def stored(self, bound: BoundTask) -> AsyncIterator[tuple[Any, Any]]:
        """Yield the keys and values that are stored and may be served now, without absences."""
        async for raw, lookup in self._store.scan(bound.ref):
            record, judgement = self._best(bound, lookup, NO_CONTEXT)
            if record is None or record.absent or judgement.verdict not in SERVABLE:
                continue
            yield bound.keys.decode(raw, record.meta.key), bound.decode(record.payload)

    async def _absent(self, bound: BoundTask, key: Any, record: Record, context: Context) -> ReadResult:
        """Serve a known absence: by the declared substitute, or as a missing value with the reason."""
        reason = _decode_reason(record.payload)
        fallback = bound.contract.fallback_if_stale
        judgement = Judgement(Verdict.MISSING, 0.0, Reason(Cause.ABSENT, reason))
        if isinstance(fallback, Use):
            used = await self._use(bound, key, fallback, judgement, context)
            return ReadResult(used.served, (*used.bound, (bound.ref, record)) if used.bound else (), used.doubt)
        return ReadResult(as_served(bound, record, None, judgement, self._clock.now()), ((bound.ref, record),))

    async def _use(
        self, bound: BoundTask, key: Any, fallback: Use, judgement: Judgement, context: Context
    ) -> ReadResult:
        """Serve another task's value under this task's name, with the reason."""
        if not isinstance(fallback.task, Artifact):  # it has no key: whoever asks serves that task instead
            return await self._refused(bound, judgement, context, f"use {fallback.task.name}: ")
        other = self._bound_tasks[fallback.task.name]
        other_key = other.keys.check(fallback.key(key) if fallback.key else key)
        found = await self.serve(other, other_key, context)
        verdict = Verdict.DEGRADED if found.served.has_value else judgement.verdict
        reason, cause = _said(judgement)
        served = msgspec.structs.replace(found.served, task=bound.name, verdict=verdict, reason=reason, cause=cause)
        return ReadResult(served, found.bound, found.doubt)

    async def _refused(self, bound: BoundTask, judgement: Judgement, context: Context, prefix: str = "") -> ReadResult:
        """Return an answer without a value, with the present stamp. ``prefix`` is put before the reason's sentence."""
        stamp = Stamp(0, 0) if context.is_without_store else (await self._store.stamp())[0]
        reason, cause = _said(judgement)
        served: Served[Any] = Served(
            bound.name, None, judgement.verdict, "realtime", stamp=stamp, reason=prefix + reason, confidence=0.0,
            cause=cause,
        )  # fmt: skip
        return ReadResult(served)

    async def read_input(
        self, task: Artifact[Any, Any], key: Any, recording: Recording, context: Context
    ) -> Served[Any]:
        """Serve an input of a computation under the consumer's own strengths, and record what binds it.

        Args:
            task: The input.
            key: The key.
            recording: Where the consumer's reads are recorded.
            context: What the consumer was asked within.
        """
        bound = self._bound_tasks[task.name]
        found = await self.serve(bound, bound.keys.check(key), context)
        if recording.trace is not None:
            recording.trace.take(bound.ref, key, [record.payload for _, record in found.bound])
        self._note(found, recording)
        return found.served

    async def read_model(self, task: ModelTask[Any], control: Control, recording: Recording, context: Context) -> Any:
        """Return a model's current generation and record it.

        Args:
            task: The model.
            control: The control record that the consumer began with.
            recording: Where the consumer's reads are recorded.
            context: What the consumer was asked within.

        Raises:
            NotMaterialized: The model has no generation that may be used.
        """
        return await self.models.read(self._bound_tasks[task.name], control, recording, context)

    def _judge_model(
        self, bound: BoundTask, record: Record, lookup: Lookup, context: Context
    ) -> tuple[Judgement, bool]:
        judgement = self._judge(bound, record, lookup, context, self._clock.now())
        return judgement, self._overdue_within(bound, record, judgement)


def _quarantined(bound: BoundTask, record: Header, control: Control) -> Reason | None:
    """Why a complaint about its task forbids serving a record; ``None`` if it does not."""
    entry = control.quarantined.get(bound.name)
    return None if entry is None else entry.kills(record.stamp)


def as_served(bound: BoundTask, record: Header, value: Any, judgement: Judgement, now: float) -> Served[Any]:
    """Build the answer to a read of a record.

    Args:
        bound: The record's task.
        record: The header of the record.
        value: Its value, decoded.
        judgement: The judgement of the record under its contract.
        now: Epoch seconds, for the age.
    """
    age, meta = now - record.computed_at, record.meta
    reason, cause = _said(judgement) if judgement.reason is not None else _NOTHING_SAID
    return Served(
        bound.name,
        value,
        judgement.verdict,
        record.lane,
        age if age > 0 else 0.0,
        judgement.confidence,
        record.as_of,
        reason,
        meta.cost_s,
        meta.generation,
        cause,
    )


_NOTHING_SAID: tuple[str, Cause | None] = ("", None)


def _said(judgement: Judgement) -> tuple[str, Cause | None]:
    """The sentence that a person reads, and its cause."""
    found = judgement.reason
    if found is None:
        return _NOTHING_SAID
    is_late = judgement.verdict is Verdict.DEGRADED and found.cause in OVERDUE
    return f"served stale: {found}" if is_late else str(found), found.cause
