"""The bodies of the core's own answers, as the OpenAPI document describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from parbake.lanes.batch.runs import Ended
from parbake.lanes.worker.freshness import FreshnessRow
from parbake.protocol.cause import Cause
from parbake.protocol.record import Lane
from parbake.protocol.verdict import Verdict
from parbake.tasks.task_table import TaskRow


class Health(msgspec.Struct):
    """The process is alive."""

    status: str


class ReadyReply(msgspec.Struct):
    """``ready`` or ``not ready``, what this server lacks, and what is degraded at all servers of the store.

    ``tasks`` says what degrades each task; it is left out unless ``?verbose`` asks for it.
    """

    status: str
    lacking: list[str]
    degraded: list[str]
    tasks: Mapping[str, list[str]] | msgspec.UnsetType = msgspec.UNSET


class ServedReply(msgspec.Struct):
    """A value with its verdict, its lane and its origin; ``age_s`` is in seconds, ``confidence`` from 0 to 1.

    ``over`` is the lane of the base of a refined value.
    """

    task: str
    value: Any
    verdict: Verdict
    lane: Lane
    age_s: float
    confidence: float
    stamp: int
    incarnation: int
    generation: int
    reason: str
    cause: Cause | None
    over: Lane | None


class Published(msgspec.Struct):
    """What publishing raised: sequence numbers by tag, duplicates, families that nothing uses, and the ticket."""

    acked: dict[str, int]
    duplicates: int
    stamp: int
    incarnation: int
    unknown: tuple[str, ...]
    ticket: str


class ParkedEvent(msgspec.Struct):
    """An event that could not be read, with the reason and the time (epoch seconds); bytes become text."""

    source: str
    position: int
    reason: str
    at: float
    event: str


class ParkedEvents(msgspec.Struct):
    """The parked events, by source and position."""

    parked: list[ParkedEvent]


class ReadAgain(msgspec.Struct):
    """How many parked events were understood, what they raised, and those that stay parked."""

    understood: int
    acked: dict[str, int]
    kept: list[ParkedEvent]


class TaskTable(msgspec.Struct):
    """A row for each task."""

    tasks: list[TaskRow]


class FreshnessTable(msgspec.Struct):
    """A row for each stored task."""

    tasks: list[FreshnessRow]


class RunProgress(msgspec.Struct):
    """A run that goes on, waits, or has failed for ``reason``; times are epoch seconds."""

    run: str
    generation: int
    started_at: float
    until: float
    chain: tuple[str, ...]
    partitions: int
    rows: int
    absent: int
    state: str
    reason: str


class TaskRuns(msgspec.Struct):
    """The run of a task that is under way, and the last ones, newest first."""

    under_way: RunProgress | None
    ended: tuple[Ended, ...]


class InQuarantine(msgspec.Struct):
    """A task in quarantine since a complaint; ``since`` is in epoch seconds, the SLA that is proposed in seconds."""

    task: str
    since: float
    reason: str
    proposed_sla_s: float


class Quarantined(msgspec.Struct):
    """The tasks in quarantine."""

    quarantined: list[InQuarantine]


class Cleared(msgspec.Struct):
    """A task that was released from quarantine."""

    task: str
    cleared: bool


class SignedIn(msgspec.Struct):
    """For how many seconds a browser keeps an operator's session; 0 once it has ended."""

    lasts_s: int
