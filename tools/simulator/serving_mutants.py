"""Mutants of reading and computing; each docstring says what the mutant gets wrong."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from unittest import mock

from msgspec import msgpack
from msgspec.structs import replace as changed

from parbake.process.flight import Flights
from parbake.protocol import check, tags, verdict
from parbake.protocol.record import Tags
from parbake.protocol.recording import Recording
from parbake.protocol.verdict import Judgement, Verdict, doubted
from parbake.serving import compute, revalidate
from parbake.serving import read as resolve
from parbake.serving.compute import Computed, Computer
from parbake.serving.lease import Held, Lease
from parbake.serving.on_demand import OnDemand, flight_of
from parbake.serving.read import Resolver
from parbake.stores.steps.base_store import EngineStore
from parbake.tasks.contract import Contract
from simulator.patches import everywhere, method, mutant
from simulator.processes.sim_sources import SimViews
from simulator.world.system_of_record import SourceSnapshot

LAG_S = 0.3


@mutant
def no_fence(stack: ExitStack) -> None:
    """Every stored value is served, without a check."""
    everywhere(stack, check.killed_by, lambda *_, **__: None)


@mutant
def silence_hides_what_is_known(stack: ExitStack) -> None:
    """A tolerant task serves a value that is known to be outdated, because its source is silent as well."""
    judge = Resolver._judge

    def hidden(self: Any, *judged: Any) -> Judgement:
        bound, record, seen, context, now = judged
        found = judge(self, *judged)
        silence = check.longest_silence(record, self.silent(seen.heartbeats, now), context.also_fenced)
        tolerated_s = min(context.tolerated_s, bound.contract.tolerated_silence_s)
        if found.verdict is Verdict.STALE and silence is not None and silence[1] <= tolerated_s:
            return Judgement(Verdict.DEGRADED, 1.0, found.reason)
        return found

    method(stack, Resolver, "_judge", hidden)


@mutant
def doubt_is_not_inherited(stack: ExitStack) -> None:
    """A task that tolerates no silence is computed from values in doubt."""
    in_silence = Resolver._in_silence

    def alone(self: Any, *judged: Any) -> Judgement:
        bound, record, judgement, context, silent = judged
        return in_silence(self, bound, record, judgement, replace(context, tolerated_s=float("inf")), silent)

    method(stack, Resolver, "_in_silence", alone)


@mutant
def doubt_without_end(stack: ExitStack) -> None:
    """A tolerant task serves a value for as long as its source is silent."""
    everywhere(stack, verdict.doubted, lambda judged, family, _, tolerated_s: doubted(judged, family, 0.0, tolerated_s))


@mutant
def reasons_read_as_words(stack: ExitStack) -> None:
    """Whether a value is only overdue is decided by the first word of its reason, which may be a family's name."""

    def by_words(self: Judgement) -> bool:
        return self.verdict is Verdict.STALE and str(self.reason).startswith(("past", "confidence"))

    stack.enter_context(mock.patch.object(Judgement, "is_overdue", property(by_words)))


@mutant
def lease_ignored(stack: ExitStack) -> None:
    """A lease is taken although another process holds it."""

    async def grab(self: Lease) -> bool:
        found = await self._store.get(self._name)
        self._mine = msgpack.encode(Held(b"thief", self._clock.now() + self._term_s))
        await self._store.swap(self._name, found, self._mine)
        return True

    method(stack, Lease, "acquire", grab)


@mutant
def stamp_after_inputs(stack: ExitStack) -> None:
    """The stamp is taken after the inputs have been read."""
    single = Computer._single

    async def late(self: Any, plan: Any, key: Any, context: Any) -> Computed:
        computed = await single(self, plan, key, context)
        stamp, _ = await self._store.stamp()
        return changed(computed, record=changed(computed.record, stamp=stamp.pack()))

    method(stack, Computer, "_single", late)


@mutant
def tags_not_inherited(stack: ExitStack) -> None:
    """A derived value has only the tags that it read itself."""
    artifact = Recording.artifact

    def forgetful(self: Recording, *args: Any, **options: Any) -> None:
        artifact(self, *args, **options)
        self.inherited.clear()
        self.inherited_refreshes.clear()
        self.inherited_tolerated.clear()

    method(stack, Recording, "artifact", forgetful)


@mutant
def input_not_fenced(stack: ExitStack) -> None:
    """An input is used as it is stored, without a check."""
    read_input = Resolver.read_input

    async def trusting(self: Any, task: Any, key: Any, recording: Recording, context: Any) -> Any:
        plan = self._plans[task.name]
        lookup = await self._store.read(plan.ref, plan.keys.encode(key))
        record = next((r for r in lookup.records if not r.absent), None)
        if record is None:
            return await read_input(self, task, key, recording, context)
        recording.artifact(plan.ref, record, now=self._clock.now())
        value = plan.decode(record.payload)
        return resolve.as_served(plan, record, value, Judgement(Verdict.FRESH, 1.0), self._clock.now())

    method(stack, Resolver, "read_input", trusting)


@mutant
def input_under_its_own_strength(stack: ExitStack) -> None:
    """An input is not checked for the tags that only its consumer fences."""
    read_input = Resolver.read_input

    async def lenient(self: Any, task: Any, key: Any, recording: Recording, context: Any) -> Any:
        return await read_input(self, task, key, recording, replace(context, also_fenced=frozenset()))

    method(stack, Resolver, "read_input", lenient)


@mutant
def replica_read(stack: ExitStack) -> None:
    """Inputs are read from a replica that lags behind."""

    def lagging(self: Any) -> SourceSnapshot:
        return SourceSnapshot(*self._system.at(asyncio.get_running_loop().time() - LAG_S))

    method(stack, SimViews, "snapshot", lagging)


@mutant
def entity_event_skips_set(stack: ExitStack) -> None:
    """A change of one entity does not invalidate values that depend on the whole family."""
    raised_by = tags.raised_by

    def narrow(subject: str, event_type: str) -> tuple[str, ...]:
        raised = raised_by(subject, event_type)
        return (subject,) if "/" in subject else raised

    everywhere(stack, raised_by, narrow)


@mutant
def bulk_skips_entities(stack: ExitStack) -> None:
    """A bulk change raises the family's tag only, and no entity's tag."""
    raised_by = tags.raised_by

    def narrow(subject: str, event_type: str) -> tuple[str, ...]:
        raised = raised_by(subject, event_type)
        return raised if "/" in subject else (f"{subject}/*",)

    everywhere(stack, raised_by, narrow)


@mutant
def follower_unchecked(stack: ExitStack) -> None:
    """A request that joins a running computation takes the result, although it began before a change."""
    join = Flights.join

    async def believing(self: Any, key: Any, start: Any) -> tuple[Any, bool]:
        result, _ = await join(self, key, start)
        return result, True

    method(stack, Flights, "join", believing)


@mutant
def soft_fence(stack: ExitStack) -> None:
    """A fence is treated as a refresh."""
    method(stack, Contract, "strength", lambda self, family: "refresh" if _declares(self, family) else None)


def _declares(contract: Contract, family: str) -> bool:
    return any(item.family == family for item in contract.invalidated_by)


@mutant
def batch_stamp_at_end(stack: ExitStack) -> None:
    """A batch run is stamped when its rows are written."""
    write_base = EngineStore.write_base

    async def late(self: Any, task: str, generation: int, rows: Any) -> None:
        stamp, _ = await self.stamp()
        await write_base(self, task, generation, [(k, changed(r, stamp=stamp.pack())) for k, r in rows])

    method(stack, EngineStore, "write_base", late)


@mutant
def absence_untagged(stack: ExitStack) -> None:
    """A negative result has no tags."""
    sealed = compute._sealed

    def bare(*args: Any, **options: Any) -> Computed:
        computed = sealed(*args, **options)
        record = computed.record
        meta = changed(record.meta, tags=Tags(built_from=record.meta.tags.built_from))
        return changed(computed, record=changed(record, meta=meta)) if record.absent else computed

    stack.enter_context(mock.patch.object(compute, "_sealed", bare))


@mutant
def last_write_wins(stack: ExitStack) -> None:
    """A write replaces a newer record."""
    everywhere(stack, check.may_replace, lambda *_, **__: True)


@mutant
def model_unchecked(stack: ExitStack) -> None:
    """A value that was made with an earlier model is still served."""
    lineage = check._lineage

    def blind(record: Any, control: Any, now: float, pointers: Any) -> Any:
        kept = tuple(changed(b, is_model=False) for b in record.meta.tags.built_from)
        loose = changed(record, meta=changed(record.meta, tags=changed(record.meta.tags, built_from=kept)))
        return lineage(loose, control, now, pointers)

    stack.enter_context(mock.patch.object(check, "_lineage", blind))


@mutant
def models_not_inherited(stack: ExitStack) -> None:
    """A derived value does not inherit the models and runs that its inputs were built from."""
    artifact = Recording.artifact

    def forgetful(self: Recording, *args: Any, **options: Any) -> None:
        kept = dict(self.built_from)
        artifact(self, *args, **options)
        self.built_from = kept

    method(stack, Recording, "artifact", forgetful)


@mutant
def valid_until_ignored(stack: ExitStack) -> None:
    """A value is served after its end."""
    lineage = check._lineage

    def blind(record: Any, control: Any, now: float, pointers: Any) -> Any:
        return lineage(changed(record, valid_until=float("inf")), control, now, pointers)

    stack.enter_context(mock.patch.object(check, "_lineage", blind))


@mutant
def valid_until_not_inherited(stack: ExitStack) -> None:
    """A derived value is valid longer than its inputs."""
    artifact = Recording.artifact

    def forgetful(self: Recording, *args: Any, **options: Any) -> None:
        kept = self.valid_until
        artifact(self, *args, **options)
        self.valid_until = kept

    method(stack, Recording, "artifact", forgetful)


@mutant
def hash_without_model(stack: ExitStack) -> None:
    """Revalidation keeps a value without checking which model it was made with."""
    everywhere(stack, revalidate.same_model, lambda *_: True)


@mutant
def hash_revives_withdrawn(stack: ExitStack) -> None:
    """Revalidation keeps a value of a withdrawn run, because its inputs are unchanged."""
    may_be_kept = revalidate.may_be_kept

    def forgiving(old: Any, plan: Any, withdrawn: Any, now: float) -> bool:
        del withdrawn
        return may_be_kept(old, plan, (), now)

    def forgetful(old: Any, plan: Any, key: Any, recording: Recording, **when: Any) -> Any:
        bare = changed(old, meta=changed(old.meta, generation=0, tags=changed(old.meta.tags, built_from=())))
        return renewed(bare, plan, key, recording, **when)

    renewed = revalidate._renewed
    everywhere(stack, may_be_kept, forgiving)
    everywhere(stack, renewed, forgetful)


@mutant
def flight_across_unknown(stack: ExitStack) -> None:
    """A request takes the result of a computation that began before the store became untrusted."""
    get = OnDemand.get

    async def credulous(self: Any, plan: Any, key: Any, context: Any) -> Any:
        place = asyncio.get_running_loop(), flight_of(plan, plan.keys.encode(key), context)
        flown = self._flights._flights.get(place)
        if flown is not None:
            computed = await asyncio.shield(flown)
            _, control = await self._store.stamp()
            if computed is not None and not control.is_trusted:
                return computed
        return await get(self, plan, key, context)

    method(stack, OnDemand, "get", credulous)
