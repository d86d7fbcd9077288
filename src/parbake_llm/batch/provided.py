"""Runs a task through a provider's batch interface: collects, submits, waits, and computes from the answers.

Each step is written to the store before it is made, so that another process can go on from there. A run that waits
raises :class:`RowsPending`; the schedule comes back to it, and runs other tasks meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from parbake.errors import FailureKind, ProviderError
from parbake.lanes.batch.fingerprint import code_of
from parbake.lanes.batch.keys import KeyList
from parbake.lanes.batch.open_run import OpenRun
from parbake.lanes.batch.rows import RowParts, RowsPending
from parbake.ports.named_values import NamedValue
from parbake.protocol.control import Control
from parbake.protocol.record import unpack_stamp
from parbake.serving.bind import Context
from parbake.serving.bound import BoundTask
from parbake.tasks.task_types import Artifact
from parbake.values.duration import humanize
from parbake.values.redaction import one_line
from parbake_llm.batch.job_journal import (
    CLOCKS_S,
    REMEMBERED,
    JobRecord,
    SubmittedJob,
    journal,
    known_jobs,
    matching,
    shares,
)
from parbake_llm.batch.stand_ins import AnsweredComputer, GivenAnswer, PromptCollector, digest_of
from parbake_llm.ports.provider_jobs import BatchRequest, JobState

if TYPE_CHECKING:
    from parbake_llm.batch.provider_batch import ProviderBatch

_log = logging.getLogger("parbake.batch")
_BUSY = frozenset({FailureKind.RATE_LIMITED, FailureKind.OVERLOADED})
_REFUSED = _BUSY | {FailureKind.AUTH, FailureKind.REJECTED}
"""After these failures it is certain that a job was not submitted."""


@dataclass(frozen=True)
class _Work:
    """One task's part of a run. Times are epoch seconds.

    Attributes:
        run: The run.
        bound: The task.
        keys: The keys to compute.
        context: What they are computed within.
        via: The task's setting.
        journal: The record of its jobs.
        control: The control record.
    """

    run: OpenRun
    bound: BoundTask
    keys: KeyList
    context: Context
    via: ProviderBatch
    journal: NamedValue[JobRecord]
    control: Control

    @property
    def provider(self) -> bytes:
        """What the jobs of another provider or model differ in."""
        return digest_of(self.via.opened.name.encode(), self.via.opened.model.encode())

    @property
    def scope(self) -> bytes:
        """What the jobs of another provider, model, program or store differ in."""
        return digest_of(self.provider, code_of(self.bound.task), self.control.incarnation.to_bytes(8, "big"))

    @property
    def latest(self) -> float:
        """When the current generation is past its SLA; infinite before the first generation."""
        pointer = self.control.pointers.get(self.bound.ref)
        return float("inf") if pointer is None else pointer.started_at + self.bound.contract.freshness_sla_s

    def deadline(self, record: JobRecord) -> float:
        """When the wait for the jobs ends. What is left until the SLA is breached is for asking directly."""
        began = min([self.run.started_at, *(job.collected_at for job in record.jobs)])
        budget = self.bound.task.schedule.budget_s if self.bound.task.schedule else 0.0
        return min(began + self.via.within_s, self.latest - budget)


class ProvidedRuns:
    """Computes the tasks of runs that go through a batch interface."""

    def __init__(self, via: ProviderBatch, parts: RowParts) -> None:
        """Compute the tasks that share a setting.

        Args:
            via: The setting.
            parts: What runs work with. The store has the record of jobs.
        """
        self._via = via
        self._breathe, self._store = parts.breathe, parts.store
        self._computer, self._clock = parts.computer, parts.clock

    async def refuse_early(self, bound: BoundTask) -> None:
        """Raise :class:`RowsPending` if a task waits for a job that need not be looked at yet."""
        record = await journal(self._store, bound.ref).read()
        if record.jobs and self._clock.now() < record.next_look:
            raise self._pending(bound, record)

    async def computer_for(self, run: OpenRun, bound: BoundTask, keys: KeyList, context: Context) -> AnsweredComputer:
        """Return what computes the task's values from the provider's answers.

        Args:
            run: The run.
            bound: The task.
            keys: The keys to compute.
            context: What they are computed within.

        Raises:
            RowsPending: The answers are not there yet, and the run is one that is continued later.
            ProviderError: The provider refused a job.
            ComputeFailed: The task's function failed before it had sent its prompts.
        """
        while True:
            _, control = await self._store.stamp()
            work = _Work(run, bound, keys, context, self._via, journal(self._store, bound.ref), control)
            try:
                found = await self._answers(work)
            except RowsPending as pending:
                if not run.waits:
                    raise
                await asyncio.sleep(max(0.0, pending.next_look - self._clock.now()))
            else:
                return AnsweredComputer(self._computer, self._via.opened, found, partial(self._is_before, work.latest))

    def _is_before(self, then: float) -> bool:
        return self._clock.now() < then

    async def built(self, bound: BoundTask) -> None:
        """Note that all values of a task were computed, and so the tokens of its jobs were reported."""
        await journal(self._store, bound.ref).change(lambda old: msgspec.structs.replace(old, is_booked=bool(old.jobs)))

    async def promoted(self, bound: BoundTask) -> None:
        """Forget the jobs of a task whose generation was promoted."""
        kept = journal(self._store, bound.ref)
        record = await kept.read()
        if record.resubmitted:
            _log.warning(
                "%s: %d jobs were submitted again, since their submission had broken off and the provider did not "
                "list them; the provider may have billed them twice",
                bound.name, record.resubmitted,
            )  # fmt: skip
        await kept.change(lambda _: JobRecord())

    async def _answers(self, work: _Work) -> dict[str, GivenAnswer]:
        """Take the next steps towards the answers, as far as they can be taken now."""
        record, now = await self._usable(work), self._clock.now()
        if not record.is_collected and work.deadline(record) - now >= work.via.least_s:
            record = await self._resolved(work, record)
            record = await self._submitted(work, record)
        return await self._fetched(work, record)

    async def _usable(self, work: _Work) -> JobRecord:
        """The record, without jobs whose answers cannot become the next generation; those are cancelled."""
        record = await work.journal.read()
        oldest = self._clock.now() - work.bound.contract.freshness_sla_s
        if record.is_usable(work.scope, work.control, work.bound.ref, oldest):
            return record
        for job in record.jobs if record.provider == work.provider else ():
            if job.job and job.is_certain and not job.is_cancelled:
                with contextlib.suppress(ProviderError):
                    await work.via.opened.cancel(job.job)
        new = JobRecord(work.provider, work.scope, work.control.pointer(work.bound.ref))
        return await work.journal.change(lambda _: new)

    async def _resolved(self, work: _Work, record: JobRecord) -> JobRecord:
        """Find out what became of submissions that broke off."""
        for job in record.unresolved:
            try:
                listed = await work.via.opened.recent(job.written_at - CLOCKS_S)
            except ProviderError as error:
                raise await self._put_off(work, one_line(error)) from None
            known = {*await known_jobs(self._store).read(), *(other.job for other in record.jobs)}
            seen = matching(job, listed, known, work.via.grace_s)
            if seen is not None:
                found = msgspec.structs.replace(job, job=seen.job, is_certain=seen.intent is not None)
                record = await work.journal.change(lambda old, new=found: old.with_job(new))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                _log.info("%s: a job whose submission broke off was found again", work.bound.name)
            elif self._clock.now() < job.written_at + work.via.grace_s:
                raise await self._put_off(work, "the provider does not list a job whose submission broke off")
            else:
                record = await work.journal.change(lambda old, gone=job.intent: old.given_up(gone))  # type: ignore[misc]  # as above
        return record

    async def _submitted(self, work: _Work, record: JobRecord) -> JobRecord:
        """Collect the prompts of all keys, and submit them in jobs, except for jobs from before a crash."""
        waiting: list[BatchRequest] = []
        most = min(work.via.most, work.via.opened.most_requests)
        collector = PromptCollector(self._computer, work.via.opened, waiting.append)
        stamp, at = (await self._store.stamp())[0], self._clock.now()
        for keys in _calls(work):
            before = time.perf_counter()
            await collector.collect(work.bound, keys, work.context)
            if self._breathe is not None and not work.run.is_urgent:
                await self._breathe(time.perf_counter() - before)
            if len(waiting) >= most:
                record = await self._submit_all(work, record, waiting, (stamp.pack(), at))
                waiting.clear()
                stamp, at = (await self._store.stamp())[0], self._clock.now()
        await self._submit_all(work, record, waiting, (stamp.pack(), at))
        return await work.journal.change(lambda old: msgspec.structs.replace(old, is_collected=True, looks=0))

    async def _submit_all(
        self, work: _Work, record: JobRecord, requests: Sequence[BatchRequest], seen: tuple[bytes, float]
    ) -> JobRecord:
        """Submit requests in as many jobs as the provider's limits demand.

        Args:
            work: The task's part of the run.
            record: The record of its jobs.
            requests: The requests.
            seen: The packed stamp and the time from before the first input was read.
        """
        provider = work.via.opened
        different = list({request.custom_id: request for request in requests}.values())
        sizes = [len(msgspec.json.encode(request)) for request in different]
        for cut in shares(sizes, min(work.via.most, provider.most_requests), provider.most_bytes):
            some = different[cut]
            digest = digest_of(*sorted(request.custom_id.encode() for request in some))  # in any order
            if len(some) >= provider.least_requests and not record.has(digest):
                row = SubmittedJob(uuid.uuid4().hex, digest, len(some), *seen, self._clock.now())
                record = await self._submit(work, row, some)
        return record

    async def _submit(self, work: _Work, row: SubmittedJob, requests: Sequence[BatchRequest]) -> JobRecord:
        """Submit one job; its row is written before."""
        await work.journal.change(lambda old: old.with_job(row))
        try:
            job = await work.via.opened.submit(row.intent, requests)
        except ProviderError as error:
            failed = error
        else:
            record = await work.journal.change(lambda old: old.with_job(msgspec.structs.replace(row, job=job)))
            await known_jobs(self._store).change(lambda old: (*old, job)[-REMEMBERED:])
            return record
        if failed.kind in _REFUSED:
            await work.journal.change(lambda old: old.without(row.intent))
        if failed.kind in _REFUSED - _BUSY:
            raise failed
        raise await self._put_off(work, one_line(failed))

    async def _fetched(self, work: _Work, record: JobRecord) -> dict[str, GivenAnswer]:
        """The answers of all jobs, once they have ended or the deadline has passed."""
        found: dict[str, GivenAnswer] = {}
        try:
            running = await self._running(work, record)
            if running:
                await self._wait_or_cancel(work, record, running)
            for job in record.jobs:
                if job.job and job not in running:
                    found |= await self._fetch(work, job, is_booked=record.is_booked)
        except ProviderError as error:
            if self._clock.now() < work.deadline(record):
                raise await self._put_off(work, one_line(error)) from None
            _log.warning("%s: answers could not be fetched: %s", work.bound.name, one_line(error))
        if record.requests:
            said = "%s: %d of %d prompts were answered by %s"
            _log.info(said, work.bound.name, len(found), record.requests, work.via.opened.name)
        return found

    async def _running(self, work: _Work, record: JobRecord) -> list[SubmittedJob]:
        states = [(job, await work.via.opened.state(job.job)) for job in record.jobs if job.job]
        return [job for job, state in states if state is JobState.RUNNING]

    async def _wait_or_cancel(self, work: _Work, record: JobRecord, running: Sequence[SubmittedJob]) -> None:
        """Return if nothing more is to be hoped for: the deadline has passed, and the jobs were cancelled."""
        if self._clock.now() < work.deadline(record):
            raise await self._put_off(work)
        to_cancel = [job for job in running if job.is_certain and not job.is_cancelled]
        for job in to_cancel:
            _log.warning("%s: a job has not ended in time, and is cancelled", work.bound.name)
            await work.via.opened.cancel(job.job)
            new = msgspec.structs.replace(job, is_cancelled=True)
            await work.journal.change(lambda old, new=new: msgspec.structs.replace(old.with_job(new), looks=0))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        if to_cancel:
            raise await self._put_off(work)

    async def _fetch(self, work: _Work, job: SubmittedJob, *, is_booked: bool) -> dict[str, GivenAnswer]:
        """The answers of a job. One that was taken for a lost one, and is not, is submitted after all if there is time.

        Args:
            work: The task's part of the run.
            job: The job, which has ended.
            is_booked: Whether the tokens of the jobs were booked before.
        """
        stamp = unpack_stamp(job.stamp)
        found: dict[str, GivenAnswer] = {}
        async for answer in work.via.opened.results(job.job):
            if answer.intent not in (None, job.intent):
                record = await work.journal.change(lambda old: old.given_up(job.intent))
                if work.deadline(record) - self._clock.now() >= work.via.least_s:
                    raise await self._put_off(work, "the job of a submission that broke off is somebody else's")
                return {}
            if answer.lacking is None:
                found[answer.custom_id] = GivenAnswer(answer, stamp, job.collected_at, is_booked)
        return found

    async def _put_off(self, work: _Work, why: str = "") -> RowsPending:
        """Put off the next look, and make the error that says so."""
        now, poll_s = self._clock.now(), work.via.poll_s
        record = await work.journal.change(lambda old: old.later(now, poll_s, work.deadline(old)))
        return self._pending(work.bound, record, why)

    def _pending(self, bound: BoundTask, record: JobRecord, why: str = "") -> RowsPending:
        began = min((job.written_at for job in record.jobs), default=self._clock.now())
        since = humanize(max(0.0, self._clock.now() - began))
        said = f"{bound.name}: {record.requests} prompts wait for a provider's batch interface since {since}"
        return RowsPending(f"{said} ({why})" if why else said, field=bound.name, next_look=record.next_look)


def _calls(work: _Work) -> Iterator[list[object]]:
    """Yield the keys of each call of the function, without those of finished partitions."""
    bound, done = work.bound, work.run.finished.get(work.bound.ref, {})
    size = bound.task.chunk if isinstance(bound.task, Artifact) and bound.batched else 1
    for partition in work.keys.partitions:
        if partition.digest not in done:
            keys = [bound.keys.check(msgspec.msgpack.decode(raw)) for raw in work.keys.keys(partition)]
            yield from (keys[start : start + size] for start in range(0, len(keys), size))
