"""Builds one task's generation: several partitions at a time, skipping those that are already finished."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from parbake.errors import BadInput, ComputeFailed, OtherStore
from parbake.lanes.batch.keys import KeyList, Partition
from parbake.lanes.batch.open_run import OpenRun
from parbake.lanes.batch.partition import (
    Computes,
    PartitionAnswer,
    PartitionDone,
    PartitionWork,
    PartitionWorker,
    key_bytes,
)
from parbake.lanes.batch.runs import Part, Runs
from parbake.lanes.batch.throttle import Pacer
from parbake.ports.executors import Executor
from parbake.ports.observers import Progress
from parbake.serving.bound import BoundTask
from parbake.tasks.gates import Profile
from parbake.tasks.task_types import Task
from parbake.values.redaction import one_line

_log = logging.getLogger("parbake.batch")
Breathe = Callable[[float], Awaitable[None]]
Pause = Callable[[float], None]
"""Both take the seconds that the last piece of work took, and wait as long as real-time work needs the machine."""
PIECE = 4096
"""A run that lists keys pauses after this many of them."""


@dataclass(slots=True)
class Finished:
    """The result of one task's part of a run; ``kept`` counts the partitions that an earlier process had finished."""

    profile: Profile
    rows: int = 0
    absent: int = 0
    size_bytes: int = 0
    partitions: int = 0
    kept: int = 0
    took_s: float = 0.0
    cpu_s: float = 0.0

    def add(self, part: Part) -> None:
        """Add the counts of a partition that this process has finished."""
        self.rows += part.rows
        self.absent += part.absent
        self.size_bytes += part.size_bytes
        self.partitions += 1


async def _at_once(_took_s: float) -> None:
    """Return without waiting."""


class KeysChanged(Exception):
    """The list of keys has changed since a partition was finished; some of its rows may have lost their key."""


class Builder:
    """Builds generations here, or in the processes of an executor."""

    def __init__(self, worker: PartitionWorker, runs: Runs, executor: Executor | None, breathe: Pacer | None) -> None:
        """``executor`` computes in other processes; ``breathe`` is awaited after each chunk computed in this one.

        The processes of an executor pause by themselves, since a pause after a whole partition would come too late.
        """
        self._worker = worker
        self._runs = runs
        self._executor = executor
        self._breathe: Breathe = breathe or _at_once

    async def build(
        self,
        run: OpenRun,
        bound: BoundTask,
        keys: KeyList,
        pointers: Mapping[str, int],
        progress: Progress,
        *,
        computer: Computes | None = None,
    ) -> Finished:
        """Compute the partitions that a task's generation still lacks; the generation is durable when this returns.

        Args:
            run: The run.
            bound: The task.
            keys: The keys to compute.
            pointers: The generations of the run by task ref, for tasks that read another task's output.
            progress: Called with the task's name, the rows done, and the rows in all.
            computer: Computes the task here, in place of the app's own computer or an executor.

        Raises:
            KeysChanged: A partition that an earlier process finished holds keys that are not listed any more.
        """
        if run.finished.get(bound.ref, {}).keys() - {partition.digest for partition in keys.partitions}:
            raise KeysChanged
        began, kept = time.perf_counter(), run.finished.get(bound.ref, {})
        found = Finished(run.profiles.get(bound.ref) or Profile())
        for partition in keys.partitions:
            if partition.digest in kept:
                found.add(kept[partition.digest])
        found.kept = found.partitions
        done = sum(p.keys for p in keys.partitions if p.digest in kept)
        missing = [p for p in keys.partitions if p.digest not in kept]
        bar = _Bar(progress, bound.name, done, keys.total)
        breathe = _at_once if run.is_urgent else self._breathe

        async def one(partition: Partition) -> None:
            work = PartitionWork(
                bound.name,
                run.generations[bound.ref],
                run.incarnation,
                dict(pointers),
                keys.keys(partition),
                run.is_urgent,
            )
            made = await self._attempt(bound, work, bar, breathe, computer)
            part = Part(made.profile.rows, made.profile.absent, made.profile.size_bytes)
            await self._runs.finish(bound.ref, run.holder, partition.digest, (part, made.profile))
            found.add(part)
            found.profile = found.profile.merged(made.profile)
            found.cpu_s += made.cpu_s
            _log.info(
                "%s: partition %d of %d, %d keys in %.1f s",
                bound.name, found.partitions, len(keys.partitions), partition.keys, made.took_s,
            )  # fmt: skip

        await _several(map(one, missing), self._executor.width if self._executor and computer is None else 1)
        found.profile.rows, found.profile.absent = found.rows, found.absent  # of the keys that are listed now
        found.took_s = time.perf_counter() - began
        return found

    async def _attempt(
        self, bound: BoundTask, work: PartitionWork, bar: _Bar, breathe: Breathe, computer: Computes | None
    ) -> PartitionDone:
        try:
            return await self._perform(bound, work, bar, breathe, computer)
        except OtherStore:
            await self._worker.refuse_lost(work.incarnation)
            raise

    async def _perform(
        self, bound: BoundTask, work: PartitionWork, bar: _Bar, breathe: Breathe, computer: Computes | None
    ) -> PartitionDone:
        if self._executor is None or computer is not None:
            worker = self._worker if computer is None else dataclasses.replace(self._worker, computer=computer)

            async def moved(keys: int, took_s: float) -> None:
                bar.move(keys)
                await breathe(took_s)

            return await worker.perform(bound, work, moved)
        answer = await self._executor.run(msgspec.msgpack.encode(work))
        bar.move(len(work.keys))
        return msgspec.msgpack.decode(answer, type=PartitionAnswer).unwrap()


def warn_of_nothing(bound: BoundTask, generation: int, found: Finished) -> None:
    """Log a warning if a generation without rows is promoted. The gates let it pass if there is no earlier generation.

    Args:
        bound: The task.
        generation: The number of the generation.
        found: The counts of the rows that the run computed.
    """
    if not found.rows:
        why = f"none of its {found.absent} keys has a value" if found.absent else "keys= lists no key"
        _log.warning("%s: generation %d has no row: %s", bound.name, generation, why)


class _Bar:
    """Counts a task's finished keys and reports them to ``progress``."""

    def __init__(self, progress: Progress, name: str, done: int, total: int) -> None:
        self._progress, self._name, self._done, self._total = progress, name, done, total
        progress(name, done, total)

    def move(self, keys: int) -> None:
        self._done += keys
        self._progress(self._name, self._done, self._total)


async def _several(works: Iterator[Coroutine[Any, Any, None]], width: int) -> None:
    """Run at most ``width`` coroutines at once; the first failure cancels the others, whose own failures are logged."""
    running: list[asyncio.Task[None]] = []
    failures: list[Exception] = []

    async def step() -> None:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        failures.extend(_failures(task for task in running if task in done))
        running[:] = [task for task in running if task not in done]
        if failures:
            raise failures.pop(0)

    try:
        for work in works:
            running.append(asyncio.create_task(work))
            if len(running) >= width:
                await step()
        while running:
            await step()
    finally:
        for task in running:
            task.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
        for error in (*failures, *(e for e in ended if isinstance(e, Exception))):
            _log.error("another partition of the run failed: %s", one_line(error))


def _failures(tasks: Iterable[asyncio.Task[None]]) -> Iterator[Exception]:
    """Yield the failures of ended tasks, self-cancellation included; exceptions that end a process are raised."""
    for task in tasks:
        try:
            task.result()
        except asyncio.CancelledError:
            yield ComputeFailed("a function that a partition called cancelled it")
        except Exception as error:  # noqa: BLE001 - the caller raises or logs it
            yield error


def filling(
    lister: Task,
    keys: KeyList,
    bound: BoundTask,
    wants: Callable[[bytes], bool] | None = None,
    pause: Pause | None = None,
) -> Task:
    """Wrap a task's lister so that it fills ``keys`` while its views are open; it may therefore return an iterator.

    Args:
        lister: The task's own lister.
        keys: The list to fill.
        bound: The task whose keys are listed.
        wants: Whether to take the key with these bytes; by default every key is taken.
        pause: Called repeatedly while a ``def`` lister runs in its thread, so that the lister gives way to requests.
    """
    fn = lister.fn

    def is_wanted(key: Any) -> bool:
        try:
            return wants is None or wants(bound.keys.place(key))
        except BadInput:
            return True  # filling the list reports the error

    def take(found: Iterable[Any], *, paces: bool) -> None:
        if isinstance(found, str | bytes):
            raise BadInput(
                f"{bound.name}: keys= returned a string or bytes, not a list of keys; put it into a list", field="keys"
            )
        if pause is not None and paces:
            found = _paced(found, pause)
        keys.fill(found if wants is None else filter(is_wanted, found), lambda key: key_bytes(bound, key))
        if keys.repeated:
            _log.warning(
                "%s: keys= lists keys more than once (%d too many); each is computed and counted once",
                bound.name, keys.repeated,
            )  # fmt: skip

    async def fill_here(**named: Any) -> None:
        take(await fn(**named), paces=False)

    def fill(**named: Any) -> None:
        take(fn(**named), paces=True)

    return dataclasses.replace(lister, fn=fill_here if inspect.iscoroutinefunction(fn) else fill)


def _paced(found: Iterable[Any], pause: Pause) -> Iterator[Any]:
    before = time.perf_counter()
    for number, key in enumerate(found, 1):
        yield key
        if number % PIECE == 0:
            pause(time.perf_counter() - before)
            before = time.perf_counter()


def spread(keys: KeyList, bound: BoundTask, size: int) -> list[Any]:
    """Return at most ``size`` keys, spread evenly over the keys of a run.

    Args:
        keys: The keys of the run.
        bound: The task.
        size: How many keys to return at most.
    """
    return [bound.keys.check(msgspec.msgpack.decode(raw)) for raw in keys.sample(size)]
