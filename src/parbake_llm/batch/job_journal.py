"""The durable record of a task's jobs at a provider, and what it says must happen next.

A job's row is written before it is submitted (its intent), and gets the provider's id afterwards. A row without an id
after a crash may or may not have been submitted: the provider's listing tells.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from parbake.ports.named_values import NamedValue, NamedValues
from parbake.protocol.control import Control
from parbake_llm.ports.provider_jobs import SeenJob

CLOCKS_S = 60.0
"""How far the provider's clock may be from ours."""
_LOOKS = 10.0
"""The longest pause between two looks, as a multiple of the first."""
_SLOWER = 1.5
"""How much longer each pause is than the one before."""
REMEMBERED = 512
"""How many jobs of all tasks are remembered."""


class SubmittedJob(msgspec.Struct, frozen=True, array_like=True):
    """A job, or the intent of one. Times are epoch seconds.

    Attributes:
        intent: The id under which it is submitted.
        digest: Identifies its requests.
        requests: How many requests it has.
        stamp: The packed stamp that was read before the first input of its prompts.
        collected_at: The time when that stamp was read.
        written_at: The time when this row was written.
        job: The provider's id of the job; empty until it is known.
        is_certain: Whether the provider has confirmed that the job is this one, and not one of the same size.
        is_cancelled: Whether the provider was asked to end it.
    """

    intent: str
    digest: bytes
    requests: int
    stamp: bytes
    collected_at: float
    written_at: float
    job: str = ""
    is_certain: bool = True
    is_cancelled: bool = False


class JobRecord(msgspec.Struct, frozen=True):
    """The jobs for the next generation of a task.

    Attributes:
        provider: Identifies the provider and the model.
        scope: Identifies them, the code, and the store that the stamps come from.
        generation: The task's current generation when the prompts were collected.
        jobs: The jobs.
        is_collected: Whether the jobs have all prompts.
        is_booked: Whether the tokens of the jobs were booked, by a run that could not be promoted.
        looks: How often the provider was asked since its last news.
        next_look: When it is asked again, in epoch seconds.
        resubmitted: How many jobs were submitted again because the provider did not list them. Each of them may be a
            duplicate.
    """

    provider: bytes = b""
    scope: bytes = b""
    generation: int = 0
    jobs: tuple[SubmittedJob, ...] = ()
    is_collected: bool = False
    is_booked: bool = False
    looks: int = 0
    next_look: float = 0.0
    resubmitted: int = 0

    @property
    def unresolved(self) -> list[SubmittedJob]:
        """The intents whose submission broke off."""
        return [job for job in self.jobs if not job.job]

    @property
    def requests(self) -> int:
        """The requests of all jobs."""
        return sum(job.requests for job in self.jobs)

    def has(self, digest: bytes) -> bool:
        """Whether a job has these requests."""
        return any(job.digest == digest for job in self.jobs)

    def is_usable(self, scope: bytes, control: Control, ref: str, oldest: float) -> bool:
        """Whether the answers of these jobs may become the next generation of a task.

        Args:
            scope: The present scope.
            control: The control record.
            ref: The task's ref.
            oldest: The earliest time, in epoch seconds, at which the prompts may have been collected.
        """
        return (
            self.scope == scope
            and self.generation == control.pointer(ref)
            and all(job.stamp >= control.floor and job.collected_at >= oldest for job in self.jobs)
        )

    def later(self, now: float, poll_s: float, deadline: float) -> JobRecord:
        """Put off the next look, longer each time, but not beyond the deadline.

        Args:
            now: Epoch seconds.
            poll_s: The first pause.
            deadline: When the wait for the jobs ends, in epoch seconds.
        """
        then = now + min(poll_s * _SLOWER**self.looks, poll_s * _LOOKS)
        then = min(then, deadline) if now < deadline else then
        return msgspec.structs.replace(self, looks=self.looks + 1, next_look=then)

    def with_job(self, job: SubmittedJob) -> JobRecord:
        """Add a job, or replace the row of its intent."""
        others = [other for other in self.jobs if other.intent != job.intent]
        return msgspec.structs.replace(self, jobs=(*others, job))

    def given_up(self, intent: str) -> JobRecord:
        """Remove the row of an intent whose requests are submitted again."""
        rest = self.without(intent)
        return msgspec.structs.replace(rest, is_collected=False, looks=0, resubmitted=rest.resubmitted + 1)

    def without(self, intent: str) -> JobRecord:
        """Remove the row of an intent."""
        return msgspec.structs.replace(self, jobs=tuple(job for job in self.jobs if job.intent != intent))


def matching(job: SubmittedJob, listed: Collection[SeenJob], known: Collection[str], grace_s: float) -> SeenJob | None:
    """Find the job of an intent in a provider's listing.

    A provider that keeps no name of a job is asked for one of the same size and time that is not known otherwise.

    Args:
        job: The intent.
        listed: The listing.
        known: The provider's ids of the other jobs.
        grace_s: How long after its intent a job may have been submitted.
    """
    for seen in listed:
        if seen.intent is not None:
            if seen.intent == job.intent:
                return seen
        elif (
            seen.job not in known
            and seen.requests in (None, job.requests)
            and -CLOCKS_S <= seen.created_at - job.written_at <= grace_s + CLOCKS_S
        ):
            return seen
    return None


def journal(store: NamedValues, ref: str) -> NamedValue[JobRecord]:
    """The record of one task's jobs.

    Args:
        store: The store.
        ref: The task's ref.
    """
    return NamedValue(store, f"jobs/{ref}", JobRecord, JobRecord())


def known_jobs(store: NamedValues) -> NamedValue[tuple[str, ...]]:
    """The provider's ids of the last jobs of all tasks, which are never taken for another task's lost one."""
    return NamedValue(store, "jobs", tuple[str, ...], ())


def shares(sizes: Sequence[int], most: int, most_bytes: int) -> list[slice]:
    """Cut requests into jobs.

    Args:
        sizes: The bytes of each request.
        most: The most requests of a job.
        most_bytes: The most bytes of a job; a larger request is alone in its job.

    Returns:
        The slices, in order.
    """
    found: list[slice] = []
    start = total = 0
    for at, size in enumerate(sizes):
        if at > start and (at - start == most or total + size > most_bytes):
            found.append(slice(start, at))
            start, total = at, 0
        total += size
    if sizes:
        found.append(slice(start, len(sizes)))
    return found
