"""The jobs of the box's batch interfaces: each ends after a time on the box's clock, with some answers or all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from parbake_llm.testing.prefixes import CacheUsage
from parbake_llm.testing.script import DialectName, ScriptedReply

DAY_S = 86_400.0


class LineOutcome(StrEnum):
    """What became of one request of a job."""

    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class SubmitFault(StrEnum):
    """What goes wrong with the next submission."""

    REFUSED = "refused"
    """The job is refused as invalid."""
    LOST = "lost"
    """The connection ends before the job is made."""
    UNHEARD = "unheard"
    """The connection ends after the job was made, so that its id is not heard."""


@dataclass(frozen=True)
class JobLine:
    """One request of a job: its id, the document, and the model that it names."""

    custom_id: str
    body: Mapping[str, Any]
    model: str


@dataclass(frozen=True)
class LineResult:
    """What became of one request; there is a reply if it succeeded."""

    line: JobLine
    outcome: LineOutcome
    reply: ScriptedReply = field(default_factory=ScriptedReply)
    usage: CacheUsage = field(default_factory=lambda: CacheUsage(0))


@dataclass
class BoxJob:
    """A job. Times are epoch seconds on the box's clock.

    Attributes:
        id: Its id.
        dialect: The protocol.
        lines: Its requests.
        created_at: When it was submitted.
        takes_s: How many seconds its requests take together; they are answered one after the other.
        expires_s: After how many seconds it ends in any case.
        named: What the client called it, such as metadata.
        cancelled_at: When the client ended it, if it did.
    """

    id: str
    dialect: DialectName
    lines: Sequence[JobLine]
    created_at: float
    takes_s: float
    expires_s: float
    named: Mapping[str, Any]
    cancelled_at: float | None = None
    results: list[LineResult] | None = None

    @property
    def ends_at(self) -> float:
        """When it ends."""
        ends = self.created_at + min(self.takes_s, self.expires_s)
        return ends if self.cancelled_at is None else min(ends, self.cancelled_at)

    @property
    def is_expired(self) -> bool:
        """Whether it ends before all requests are answered, without having been cancelled."""
        return self.takes_s > self.expires_s and not self.is_cancelled

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled before its end."""
        return self.cancelled_at is not None and self.cancelled_at <= self.ends_at

    def outcome(self, position: int) -> LineOutcome:
        """What becomes of a request by the end, apart from faults of its reply."""
        answered_at = self.created_at + self.takes_s * (position + 1) / len(self.lines)
        if answered_at <= self.ends_at:
            return LineOutcome.SUCCEEDED
        return LineOutcome.CANCELLED if self.is_cancelled else LineOutcome.EXPIRED


Answered = Callable[[DialectName, JobLine], tuple[ScriptedReply, CacheUsage]]
"""Chooses the reply to a request of a job, and counts its tokens."""


class JobBoard:
    """All jobs of a box. Safe for many threads.

    Attributes:
        jobs: The jobs, in the order of their submission.
        takes_s: How many seconds the next jobs take.
        expires_s: After how many seconds the next jobs end in any case.
        fault: What goes wrong with the next submission; only once.
        lists_after_s: How many seconds after its submission a job appears in a listing.
        submit_s: How many seconds of real time a submission takes: the job is made in the middle of them.
    """

    def __init__(self, now: Callable[[], float], answered: Answered) -> None:
        """Begin without jobs.

        Args:
            now: The clock.
            answered: Chooses replies.
        """
        self.jobs: list[BoxJob] = []
        self.takes_s, self.expires_s = 3600.0, DAY_S
        self.fault: SubmitFault | None = None
        self.lists_after_s = self.submit_s = 0.0
        self._now, self._answered = now, answered
        self._lock = threading.Lock()

    def now(self) -> float:
        """The time on the box's clock."""
        return self._now()

    def take_fault(self) -> SubmitFault | None:
        """The fault of the submission that begins now."""
        with self._lock:
            found, self.fault = self.fault, None
            return found

    def submit(self, dialect: DialectName, lines: Sequence[JobLine], named: Mapping[str, Any]) -> BoxJob:
        """Make a job.

        Args:
            dialect: The protocol.
            lines: Its requests.
            named: What the client calls it.
        """
        with self._lock:
            number = len(self.jobs) + 1
            made = BoxJob(f"{dialect}-job-{number}", dialect, lines, self.now(), self.takes_s, self.expires_s, named)
            self.jobs.append(made)
            return made

    def find(self, dialect: DialectName, job_id: str) -> BoxJob | None:
        """A job by its id."""
        return next((job for job in list(self.jobs) if job.id == job_id and job.dialect == dialect), None)

    def listed(self, dialect: DialectName) -> list[BoxJob]:
        """The jobs of a protocol that its listing shows, the newest first."""
        before = self.now() - self.lists_after_s
        return [job for job in reversed(list(self.jobs)) if job.dialect == dialect and job.created_at <= before]

    def has_ended(self, job: BoxJob) -> bool:
        """Whether a job has ended."""
        return job.ends_at <= self.now()

    def cancel(self, job: BoxJob) -> None:
        """End a job now, unless it has ended."""
        with self._lock:
            if job.cancelled_at is None and not self.has_ended(job):
                job.cancelled_at = self.now()

    def results(self, job: BoxJob) -> list[LineResult]:
        """What became of each request of an ended job; the replies are chosen at the first call."""
        with self._lock:
            if job.results is None:
                job.results = [self._result(job, at) for at in range(len(job.lines))]
            return job.results

    def _result(self, job: BoxJob, position: int) -> LineResult:
        line, outcome = job.lines[position], job.outcome(position)
        if outcome is not LineOutcome.SUCCEEDED:
            return LineResult(line, outcome)
        reply, usage = self._answered(job.dialect, line)
        if reply.fault is not None:
            return LineResult(line, LineOutcome.ERRORED)
        return LineResult(line, outcome, reply, usage)
