"""Runs a task's function: it takes the stamp first, then reads the inputs, then seals the reads into the record."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, cast

import msgspec

from parbake.errors import ComputeFailed, DeclarationError, ParbakeError, StoreError
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.process.signals import is_of_a_signal, is_ours
from parbake.process.threads import Escaped, in_thread
from parbake.protocol.cause import Reason
from parbake.protocol.control import Control
from parbake.protocol.listening import listening
from parbake.protocol.record import Lane, Meta, Record, Tags
from parbake.protocol.recording import Reach, Recording, Sealing, from_templates
from parbake.protocol.tags import family
from parbake.protocol.trace import Trace
from parbake.serving.bind import Binder, Context, Reading, TaskReader
from parbake.serving.bound import BoundTask
from parbake.serving.cpu_time import is_metered, metered, working
from parbake.serving.key_spelling import check_key_spelling
from parbake.serving.revalidate import Inputs, Revalidation
from parbake.serving.strays import Strays, stray_families
from parbake.tasks.roles import Role
from parbake.tasks.served import Absent, Served, Value
from parbake.tasks.task_types import Artifact, ModelTask, Refine, Task
from parbake.values.redaction import described

MANY_KEYS = 64
"""From this number of keys in one call on, a warning is logged if one tag binds all of them."""
_NO_CONTROL = Control(0, 0)
"""What is known without the store: no model has a generation."""
_log = logging.getLogger("parbake.compute")


class Computed(msgspec.Struct, frozen=True):
    """One key's result: the record to store, and the value (``None`` when absent).

    ``doubt`` names the silent source if changes of an input may not have been heard.
    """

    key: Any
    record: Record
    value: Any
    storable: bool = True
    doubt: Reason | None = None


Wrap = Callable[[Any, Task, str], Any]
"""Called with a resource, the task whose function gets it, and the lane; returns what the function gets."""
NO_WRAPS: Mapping[Any, Sequence[Wrap]] = {}


class ResourceChoice(Protocol):
    """Decides which resource of one type the functions of a computer get.

    Attributes:
        kind: The type by which tasks ask for it.
    """

    kind: Any

    def given(self, found: Any, task: Task, context: Context) -> Any:
        """Return the resource to hand to a function.

        Args:
            found: The app's resource.
            task: The task whose function is called.
            context: What the computation was asked within.
        """
        ...

    def begun(self, recording: Recording) -> None:
        """Learn where the reads of a computation are recorded, before its function is called."""
        ...


class Computer:
    """Computes the values of tasks, without storing them."""

    def __init__(
        self,
        store: Store,
        binder: Binder,
        clock: Clock,
        inputs: Callable[[], Inputs],
        wraps: Mapping[Any, Sequence[Wrap]] = NO_WRAPS,
    ) -> None:
        """Create one; ``wraps`` are applied to resources, by their type, before a function gets them.

        ``inputs`` returns the resolver, which in turn holds this computer.
        """
        self._wraps = wraps
        self.choice: ResourceChoice | None = None
        """Decides which resource of a type functions get; without one, they get the app's."""
        self._store = store
        self._binder = binder
        self._clock = clock
        self._inputs = inputs
        self._revalidation = Revalidation(store, binder, clock)
        self._strays = Strays(store)
        self._warned: defaultdict[str, set[str]] = defaultdict(set)

    def sources_of(self, task: Task) -> frozenset[str]:
        """The names of the sources that a task reads, itself or through others."""
        return self._binder.sources_of(task)

    def concerning(self, bound: BoundTask) -> list[str]:
        """The names of the sources whose changes concern a task: those that it reads, and those that tell of them."""
        read, minded = self.sources_of(bound.task), bound.fenced_throughout.union(bound.reach.viewed)
        return [one.name for one in self._binder.heard if one.name in read or not minded.isdisjoint(one.families)]

    def choosing(self, choice: ResourceChoice) -> Computer:
        """The same computer, except for a resource that functions get. Inputs are computed by the original one."""
        found = copy.copy(self)
        found.choice = choice
        return found

    async def compute(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        """Compute some keys of an artifact, or the one value of a model.

        Inputs are read under the strengths of this task as well as its consumers'.

        Args:
            bound: The task.
            keys: The keys; ``[""]`` for a model.
            context: What the computation was asked within.

        Raises:
            ComputeFailed: The function raised an exception, which is the cause; parbake's own errors pass through.
        """
        context = replace(
            context,
            also_fenced=context.also_fenced | bound.fenced_families,
            tolerated_s=min(context.tolerated_s, bound.contract.tolerated_silence_s),
        )
        with listening(None):  # a listener gets the result itself, with all that binds it
            if bound.batched:
                return await self._group(bound, keys, context)
            return [await self._single(bound, key, context) for key in keys]

    async def begin(self, context: Context, trace: Trace | None = None) -> Reading:
        """Read the stamp and the control record, which comes before everything else that a computation reads.

        Args:
            context: What the computation was asked within.
            trace: Records its queries, if the value may later be kept because they return the same rows.
        """
        found = await self._begun(context, trace)
        if self.choice is not None:
            self.choice.begun(found.recording)
        return found

    async def _begun(self, context: Context, trace: Trace | None) -> Reading:
        """Read the stamp, or find that the store is away; that is decided here, before the first input, for good."""
        if not context.is_without_store:
            try:
                stamp, control = await self._store.stamp()
            except StoreError as error:
                if not (error.is_outage and context.may_do_without_store):
                    raise
                context = replace(context, is_without_store=True)
            else:
                return Reading(Recording(stamp, origin=self._store, trace=trace), control, context)
        return Reading(Recording.without_store(trace), _NO_CONTROL, context)

    async def _single(self, bound: BoundTask, key: Any, context: Context) -> Computed:
        reading = await self.begin(context, Trace() if bound.revalidates else None)
        recording = reading.recording
        if bound.revalidates and not reading.context.is_without_store:
            probe = Recording(recording.stamp, trace=Trace())
            kept = await self._revalidation.kept(bound, key, reading._replace(recording=probe), self._inputs())
            if kept is not None:
                return Computed(key, kept, None if kept.absent else bound.decode(kept.payload), doubt=probe.doubt)
        started, before = self._clock.now(), time.perf_counter()
        arguments = () if isinstance(bound.task, ModelTask) else (key,)
        result = await self.invoke(bound.task, arguments, reading, {})
        cost = time.perf_counter() - before
        check_key_spelling(bound, [key], recording)
        named = from_templates(bound.contract, bound.names(key)) if recording.direct else ()
        await self._note_strays(bound, recording, named)
        return _seal(
            bound, key, result, _Call(bound, recording, bound.reach, started=started, cost=cost, lane=context.lane)
        )

    async def _group(self, bound: BoundTask, keys: Sequence[Any], context: Context) -> list[Computed]:
        reading = await self.begin(context)
        recording = reading.recording
        started, before = self._clock.now(), time.perf_counter()
        asked = list(keys)  # a copy, because the function may change it
        results = await self.invoke(bound.task, (asked,), reading, {})
        check_key_spelling(bound, keys, recording)
        if not isinstance(results, Mapping):
            raise ComputeFailed(
                f"{bound.name} returned {type(results).__name__}, not a mapping by key", field=bound.name
            )
        if unasked := results.keys() - set(keys):
            raise ComputeFailed(
                f"{bound.name} returned a value for {next(iter(unasked))!r}, a key that it did not receive; return "
                "values for the received keys only, and leave the keys unchanged",
                field=bound.name,
            )
        cost = (time.perf_counter() - before) / max(1, len(keys))
        absent = Absent("no row computed")
        read = keys if recording.direct else ()  # without reads through views, all keys are bound alike
        named = _own_tags(bound, read)
        await self._note_strays(bound, recording, named)
        self._warn_of_shared(bound, len(keys), recording, named)
        reach = replace(bound.reach, siblings=named)
        made = _Call(bound, recording, reach, started=started, cost=cost, lane=context.lane)
        return [_seal(bound, key, results.get(key, absent), made) for key in keys]

    async def _note_strays(self, bound: BoundTask, recording: Recording, named: Collection[str]) -> None:
        """Note tags outside of the templates, before a record with them is written."""
        if recording.complete:
            await self._strays.note(bound.ref, stray_families(bound.contract, recording, named))

    def _warn_of_shared(self, bound: BoundTask, keys: int, recording: Recording, named: set[str]) -> None:
        """Log once if a tag was read for many keys together, because one change then outdates all of them."""
        shared = {family(tag) for tag in recording.bound(bound.contract) if tag not in named}
        new = sorted(shared - self._warned[bound.ref])
        if new and keys >= MANY_KEYS:
            self._warned[bound.ref].update(new)
            _log.warning(
                "%s: its reads of %s bind all %d keys of a call, so that one change outdates them together; "
                "name what a key depends on by a template, or ignore the family with pb.ignore()",
                bound.name, ", ".join(new), keys,
            )  # fmt: skip

    async def invoke(self, task: Task, arguments: Sequence[Any], reading: Reading, live: Mapping[str, Any]) -> Any:
        """Bind a task's parameters and call it; views stay open exactly as long as the call.

        Args:
            task: The task.
            arguments: Its arguments by position: a key, keys, or the base of a refine.
            reading: What the computation reads within.
            live: Its live values by name.

        Returns:
            What the function returned.

        Raises:
            ComputeFailed: The function raised something, which is the cause; parbake's own errors pass through.
        """
        recording, control, context = reading.recording, reading.control, reading.context
        with listening(recording):  # records its reads through the app or a cache
            named = dict(live)
            for parameter in task.parameters:
                if parameter.role is Role.RESOURCE:
                    found = self._binder.resource(parameter)
                    named[parameter.name] = self._given(parameter.type, found, task, context)
                elif parameter.role is Role.MODEL:
                    model = cast("ModelTask[Any]", parameter.task)
                    named[parameter.name] = await self._inputs().read_model(model, control, recording, context)
                elif parameter.role is Role.INPUT and isinstance(parameter.task, Artifact):
                    named[parameter.name] = self._reader(parameter.task, recording, context)
            return await self._called(task, arguments, named, recording)

    async def _called(
        self, task: Task, arguments: Sequence[Any], named: Mapping[str, Any], recording: Recording
    ) -> Any:
        """Call ``async def`` here, ``def`` in a worker thread; an error that it raises, or an exit, is its failure."""
        try:
            if not task.is_async:
                pool = self._binder.pool_of(task)
                return await in_thread(pool, metered, self._binder.call, task, recording, arguments, named)
            if not task.of(Role.SOURCE):
                return await _awaited(task.fn(*arguments, **named))
            async with self._binder.opened_aside(task, recording) as views:
                return await _awaited(task.fn(*arguments, **named, **views))
        except BaseException as error:
            if _passes(task, error):
                raise
            raise _failed(task, error) from (error.__cause__ if isinstance(error, Escaped) else error)

    def wrapped(self, kind: Any, found: Any, task: Task, lane: str) -> Any:
        """Wrap a resource as the plugins do it for a task's function.

        Args:
            kind: The type by which tasks ask for the resource.
            found: The resource.
            task: The task that it is for.
            lane: The lane that computes the task.
        """
        for wrap in (*self._wraps.get(kind, ()), *self._wraps.get(object, ())):
            found = wrap(found, task, lane)
        return found

    def _given(self, kind: Any, found: Any, task: Task, context: Context) -> Any:
        if self.choice is not None and self.choice.kind is kind:
            return self.choice.given(found, task, context)
        return self.wrapped(kind, found, task, context.lane)

    def _reader(self, task: Artifact[Any, Any], recording: Recording, context: Context) -> TaskReader:
        def get(key: Any) -> Awaitable[Served[Any]]:
            return self._inputs().read_input(task, key, recording, context)

        return TaskReader(get, asyncio.get_running_loop())


async def _awaited(call: Awaitable[Any]) -> Any:
    if not is_metered():
        return await call
    with working():
        return await call


def _passes(task: Task, error: BaseException) -> bool:
    """Whether what a task raised is not its failure: our own errors, a signal, a cancellation, a refine's budget."""
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return is_of_a_signal(error)  # an exit raised in a thread does not end the process
    if isinstance(error, TimeoutError):
        return isinstance(task, Refine)
    return isinstance(error, ParbakeError) or (not isinstance(error, Exception) and is_ours(error))


def _failed(task: Task, error: BaseException) -> ComputeFailed:
    what = str(error) if isinstance(error, Escaped) else described(error)
    return ComputeFailed(f"{task.name}: {what}", field=task.name)


class _Call:
    """What the results of one call have in common; ``cost`` is in seconds per key."""

    def __init__(
        self, bound: BoundTask, recording: Recording, reach: Reach, *, started: float, cost: float, lane: str
    ) -> None:
        """Create it after the call, when all reads are recorded."""
        self.recording, self.started, self.cost, self.lane = recording, started, cost, lane
        self.stamp = recording.stamp.pack()
        self.trace = recording.trace.encode() if recording.trace else b""
        self._bound, self._reach = bound, reach
        self._sealing: Sealing | None = None
        self._tags: Tags | None = None

    def tags(self, key: Any, extra: tuple[str, ...]) -> Tags:
        """The tags that bind one key's record; the same for all keys if no tag depends on the key."""
        contract = self._bound.contract
        sealing = self._sealing = self._sealing or Sealing(self.recording, contract, self._reach)
        if extra or contract.names_keys:
            return sealing.tags(self._bound.names(key), extra)
        if self._tags is None:
            self._tags = sealing.tags({})
        return self._tags


def _own_tags(bound: BoundTask, keys: Sequence[Any]) -> set[str]:
    """The tags of templates that bind one key of a call and no other.

    There are none of a family that the contract also names as a whole: a key may then read another key's entity.
    """
    whole = {item.family for item in bound.contract.binding if not item.is_template}
    found = {tag for key in keys for tag in from_templates(bound.contract, bound.names(key))}
    return {tag for tag in found if family(tag) not in whole}


def _seal(bound: BoundTask, key: Any, result: Any, made: _Call) -> Computed:
    """Turn a function's result into a record that is bound by the recorded reads."""
    try:
        return _sealed(bound, key, result, made)
    except DeclarationError as error:
        raise DeclarationError(f"{bound.name}: {error}", field=error.field) from error
    except Exception as error:
        raise _failed(bound.task, error) from error


def _sealed(bound: BoundTask, key: Any, result: Any, made: _Call) -> Computed:
    recording = made.recording
    extra: tuple[str, ...] = ()
    valid_until = recording.valid_until
    if isinstance(result, Value):
        extra = result.tags
        valid_until = min(valid_until, result.valid_until or float("inf"))
        result = result.value
    absent = isinstance(result, Absent)
    payload = msgspec.msgpack.encode(result.reason) if absent else bound.encode(result)
    meta = Meta(
        tags=made.tags(key, extra),
        version=bound.task.version,
        cost_s=made.cost,
        key=bound.keys.spell_out(key),
        inputs_age_s=recording.inputs_age_s,
        trace=made.trace,
    )
    record = Record(made.stamp, made.started, valid_until, cast("Lane", made.lane), absent, meta, payload)
    return Computed(key, record, None if absent else result, storable=recording.complete, doubt=recording.doubt)
