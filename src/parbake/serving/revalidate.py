"""Keeps an old value under a new stamp if all its inputs read the same, so that it is not computed again.

For tasks that are expensive to run (an answer written by a model), and whose events often change no input.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import Any, Protocol, cast

import msgspec

from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.process.threads import in_thread
from parbake.protocol.control import Control
from parbake.protocol.record import Built, Lane, Record
from parbake.protocol.recording import MAX_TAGS, Recording
from parbake.protocol.trace import Trace, decode
from parbake.serving.bind import Binder, Context, Reading
from parbake.serving.bound import BoundTask
from parbake.tasks.served import Served
from parbake.tasks.task_types import Artifact, ModelTask


class Inputs(Protocol):
    """The part of the resolver that a computation uses: it reads derived inputs and models through the fence."""

    async def read_input(
        self, task: Artifact[Any, Any], key: Any, recording: Recording, context: Context
    ) -> Served[Any]:
        """Return another artifact's value, recorded as read.

        Args:
            task: The artifact.
            key: The key.
            recording: Where the reads are recorded.
            context: What the reader was asked within.
        """
        ...

    async def read_model(self, task: ModelTask[Any], control: Control, recording: Recording, context: Context) -> Any:
        """Return a trained model, recorded as read.

        Args:
            task: The model.
            control: The control record that the reader began with.
            recording: Where the reads are recorded.
            context: What the reader was asked within.
        """
        ...


class Revalidation:
    """Decides whether a stored value may be kept."""

    def __init__(self, store: Store, binder: Binder, clock: Clock) -> None:
        """Use ``binder`` to repeat the old reads. Only the functions of stale inputs are called."""
        self._store = store
        self._binder = binder
        self._clock = clock

    async def kept(self, bound: BoundTask, key: Any, reading: Reading, inputs: Inputs) -> Record | None:
        """Return the old record under a new stamp, if all its reads give the same results again.

        All reads are repeated through the fence, after the recording's stamp. A store that is not trusted may have lost
        withdrawals, so nothing is kept then.

        Args:
            bound: The task.
            key: The key.
            reading: The recording with the new stamp, and the context of the computation.
            inputs: Reads inputs and models.

        Returns:
            The record, or ``None`` if a read gave another result.
        """
        recording, context = reading.recording, reading.context
        lookup = await self._store.read(bound.ref, bound.keys.encode(key))
        now = self._clock.now()
        for old in lookup.records if lookup.control.is_trusted else ():
            if not may_be_kept(old, bound, lookup.control.withdrawn, now):
                continue
            trace = decode(old.meta.trace)
            if await self._is_unchanged(bound, trace, reading, inputs):
                return _renewed(old, bound, key, recording, lane=context.lane, now=now)
            return None
        return None

    async def _is_unchanged(self, bound: BoundTask, trace: Trace, reading: Reading, inputs: Inputs) -> bool:
        recording, control, context = reading.recording, reading.control, reading.context
        models = {t.ref: t for t in bound.task.inputs if isinstance(t, ModelTask)}
        for ref, generation in trace.models:
            if ref not in models or not same_model(control, context.pointers, ref, generation):
                return False
            await inputs.read_model(models[ref], control, recording, context)
        if not await in_thread(self._binder.pool_of(bound.task), self._queries_agree, bound, trace, recording):
            return False
        artifacts = {t.ref: t for t in bound.task.inputs if isinstance(t, Artifact)}
        for taken in trace.taken:
            if taken.task not in artifacts:
                return False
            await inputs.read_input(artifacts[taken.task], msgspec.msgpack.decode(taken.key), recording, context)
            if not recording.complete or recording.trace is None or recording.trace.taken[-1:] != [taken]:
                return False
        return True

    def _queries_agree(self, bound: BoundTask, trace: Trace, recording: Recording) -> bool:
        """Whether every query returns the same rows again, in transactions that begin now; blocking."""
        probe = Recording(recording.stamp, trace=Trace())
        with ExitStack() as stack:
            opened = self._binder.open_views(bound.task, probe, stack)
            views = {type(view).__qualname__: view for view in opened.values()}
            for asked in trace.queried:
                if asked.view not in views:
                    return False
                views[asked.view].rows(asked.statement, **msgspec.msgpack.decode(asked.parameters))
                if probe.trace is None or probe.trace.queried[-1:] != [asked]:
                    return False
        return True


def may_be_kept(old: Record, bound: BoundTask, withdrawn: Collection[int], now: float) -> bool:
    """Whether a record has its trace, comes from this version of the task, and used no withdrawn generation.

    Args:
        old: The record.
        bound: Its task.
        withdrawn: The generations that were withdrawn.
        now: Epoch seconds.
    """
    meta = old.meta
    generations = {meta.generation, *(b.generation for b in meta.tags.built_from if not b.is_model)}
    return (
        bool(meta.trace)
        and meta.version == bound.task.version
        and old.valid_until > now
        and len(meta.tags.named) <= MAX_TAGS
        and generations.isdisjoint(withdrawn)
    )


def same_model(control: Control, pointers: Mapping[str, int], ref: str, generation: int) -> bool:
    """Whether the generation of a model that a value was made with is still the current one.

    Args:
        control: The control record now.
        pointers: The generations of the present run, which uses its own before they are promoted.
        ref: The model's ref.
        generation: The generation that the value was made with.
    """
    return (pointers.get(ref) or control.pointer(ref)) == generation


def _renewed(old: Record, bound: BoundTask, key: Any, recording: Recording, *, lane: str, now: float) -> Record:
    """The old value, bound by its old tags and by the present tags of its inputs."""
    meta = old.meta
    recording.direct.update(dict.fromkeys(tag for tag, _ in meta.tags.named))
    for built in meta.tags.built_from:
        if not built.is_model:
            recording.built_from.setdefault((built.task, built.generation), built)
    if meta.generation:  # a value from a batch run is withdrawn together with the run
        recording.built_from[bound.ref, meta.generation] = Built(bound.ref, meta.generation, is_model=False)
    tags = recording.seal(bound.contract, bound.names(key), (), bound.reach)
    renewed = msgspec.structs.replace(meta, tags=tags, generation=0, inputs_age_s=recording.inputs_age_s)
    valid_until = min(old.valid_until, recording.valid_until)
    return Record(recording.stamp.pack(), now, valid_until, cast("Lane", lane), old.absent, renewed, old.payload)
