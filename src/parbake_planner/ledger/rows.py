"""What a ledger's tables hold: one row per event, hourly sums, and serves per minute; how it is written and trimmed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from parbake_planner.ledger.database import Connection
from parbake_planner.ledger.told import Told, trim_told, write_told

ENTRIES_KEPT = 200_000
MOST_HELD = 1_000_000
"""Entries of a kind that are held in memory until they are written; the oldest beyond them are dropped."""
DAYS_KEPT = 35
ANSWERS_KEPT, ANSWERS_DAYS_KEPT = 200_000, 7
_MINUTES_A_DAY = 1440
TOKEN_KINDS = ("input", "output", "cached", "written", "written_hour", "reasoning")
PREFIX = "prefix"
"""The lane of what a prompt's cached prefix costs."""
SAVED = "saved"
"""The kind of a request that was answered without its generator; its tokens were not spent."""
UNREPORTED = "unreported"
"""The kind of a request of which no tokens were reported, so that nobody knows what it cost."""
_SUMMED = ("calls", "seconds", "cpu_s", "rows", "bytes", *TOKEN_KINDS)
_UNSUMMED = frozenset({"event", "serve"})
"""Kinds that are not summed as usage: events have no task, and serves are counted separately (rows are samples)."""
_BATCH = (
    "INSERT INTO writers VALUES (?, ?, ?) ON CONFLICT(id) DO UPDATE SET batch = excluded.batch, at = excluded.at "
    "WHERE writers.batch < excluded.batch"
)
_COUNT = (
    "INSERT INTO serves VALUES (?,?,?,?,?) ON CONFLICT(minute, task, key) DO UPDATE SET "
    "count = serves.count + excluded.count, ahead = serves.ahead + excluded.ahead"
)
_ADD = (
    f"INSERT INTO hourly VALUES (?,?,?,?,?{',?' * len(_SUMMED)}) "  # noqa: S608 - names of ours
    "ON CONFLICT(hour, kind, task, lane, model) DO UPDATE SET "
    + ", ".join(f"{name} = hourly.{name} + excluded.{name}" for name in _SUMMED)
)
_PACE = (
    "INSERT INTO pace VALUES (?,?,?,?) ON CONFLICT(hour, batch) DO UPDATE SET "
    "samples = pace.samples + excluded.samples, seconds = pace.seconds + excluded.seconds"
)
_LONGEST, _GREATEST = 200, 2**40
"""The longest text and the greatest number of a row. Models are named by clients, and tokens counted by providers."""
_NO_TOKENS = (0,) * len(TOKEN_KINDS)
_RUN = "kind = 'compute' AND lane = 'batch'"


class LedgerEntry(NamedTuple):
    """One row: what happened, when, to which task, and what it used.

    Attributes:
        ts: Time, in epoch seconds.
        kind: ``compute``, ``tokens``, ``saved`` tokens of a request that was answered without its generator,
            ``miss``, ``expire``, ``event``, ``waste``, ``serve``, ``cache_miss`` of a provider's cache, or
            ``unreported`` tokens of a request.
        task: The task's name.
        key: Hash of the key.
        lane: The lane.
        outcome: How a computation ended.
        seconds: Duration, in seconds.
        cpu_s: CPU seconds.
        rows: Number of rows; for a ``serve``, the serves that it represents; for ``waste``, the rows never served.
        bytes: Size of the values, in bytes.
        model: The generator's name.
        input: Input tokens that were neither ``cached`` nor ``written``.
        output: Output tokens.
        cached: Input tokens read from a cache.
        trigger: What started a batch run.
        plan: The strategy of the plan that a run followed.
        p_hat: Mean predicted probability that the run's keys are requested.
        theta: The probability above which the run computed ahead.
        written: Input tokens written to a cache that lives for minutes.
        written_hour: Input tokens written to a cache that lives for an hour.
        reasoning: Those of the output tokens that are not shown.
    """

    ts: float
    kind: str
    task: str
    key: bytes = b""
    lane: str = ""
    outcome: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    rows: int = 0
    bytes: int = 0
    model: str = ""
    input: int = 0
    output: int = 0
    cached: int = 0
    trigger: str = ""
    plan: str = ""
    p_hat: float | None = None
    theta: float | None = None
    written: int = 0
    written_hour: int = 0
    reasoning: int = 0

    @property
    def is_run(self) -> bool:
        """Whether the row is a task's part of a batch run."""
        return (self.kind, self.lane) == ("compute", "batch")


_INSERT = f"INSERT INTO spending VALUES (?{',?' * (len(LedgerEntry._fields) - 1)})"  # noqa: S608 - names of ours


class PromptRequest(NamedTuple):
    """One request to a generator with a declared prefix.

    Attributes:
        ts: Time, in epoch seconds.
        prefix: The task of the prefix.
        generator: The generator's name.
        session: Hash of the conversation; empty if it has no name.
        digest: Hash of the prefix's bytes.
        prefix_tokens: Its tokens.
        stable_tokens: The tokens of prefix and conversation, which the conversation's next request repeats.
        tokens: All input tokens.
    """

    ts: float
    prefix: str
    generator: str
    session: bytes
    digest: str
    prefix_tokens: int
    stable_tokens: int
    tokens: int


def _storable(value: Any) -> Any:
    """A value of a row as every table can hold it: shorter or smaller, and with replaced letters if need be."""
    if isinstance(value, str):
        return value[:_LONGEST].replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return max(-_GREATEST, min(_GREATEST, value)) if isinstance(value, int) else value


@dataclass
class Pending:
    """Entries that have been recorded but not written yet.

    Attributes:
        rows: The rows.
        heat: Serves by minute, task and key, and how many of them a batch run had prepared.
        hour: The current hour since the epoch.
        paces: p95 latencies in seconds, by the hour, with and without an active batch run.
        live: Usage of live tasks by hour and task: calls, seconds and CPU seconds.
        answers: Answers: id, time in epoch seconds, and document.
        prompts: Requests with a declared prefix.
        told: What the answers have stated.
    """

    rows: list[LedgerEntry] = field(default_factory=list)
    heat: dict[tuple[int, str, bytes], tuple[int, int]] = field(default_factory=dict)
    hour: int = 0
    paces: defaultdict[tuple[int, bool], list[float]] = field(default_factory=lambda: defaultdict(list))
    live: dict[tuple[int, str], tuple[int, float, float]] = field(default_factory=dict)
    answers: list[tuple[str, float, bytes]] = field(default_factory=list)
    prompts: list[PromptRequest] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.rows or self.heat or self.paces or self.live or self.answers or self.prompts or self.told)

    def used_live(self, task: str, seconds: float, cpu_s: float) -> None:
        """Add to the usage of a live task.

        Args:
            task: The task.
            seconds: Its seconds.
            cpu_s: Its CPU seconds.
        """
        calls, before_s, before_cpu_s = self.live.get((self.hour, task), (0, 0.0, 0.0))
        self.live[self.hour, task] = (calls + 1, before_s + seconds, before_cpu_s + cpu_s)

    def forget(self) -> None:
        """Drop the oldest entries if writing has failed for long."""
        del self.rows[: max(0, len(self.rows) - MOST_HELD)]
        del self.prompts[: max(0, len(self.prompts) - MOST_HELD)]
        del self.answers[: max(0, len(self.answers) - ANSWERS_KEPT)]
        del self.told[: max(0, len(self.told) - MOST_HELD)]
        for key in list(self.heat)[: max(0, len(self.heat) - MOST_HELD)]:
            del self.heat[key]


def write(connection: Connection, pending: Pending, batch: tuple[str, int], now: float) -> None:
    """Write rows, their sums, and the serves by minute, unless this batch was written before.

    A commit may succeed although its answer is lost. The number of a writer's last batch is therefore kept in the same
    transaction. Rows that several hosts add to are written last and in one order, so that no two hosts wait for each
    other, and those that wait do so for a short time.

    Args:
        connection: The ledger's database, in a transaction.
        pending: What to write.
        batch: The writer's name, and the number of its batch.
        now: The current time, in epoch seconds.
    """
    if not connection.execute(_BATCH, (*batch, now)).rowcount:
        return
    connection.executemany("INSERT INTO answers VALUES (?, ?, ?, NULL) ON CONFLICT DO NOTHING", sorted(pending.answers))
    write_told(connection, pending.told)
    connection.executemany(
        "INSERT INTO prompts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [tuple(map(_storable, asked)) for asked in pending.prompts],
    )
    reads = [(*place, *counts) for place, counts in sorted(pending.heat.items())]
    entries: list[LedgerEntry] = []
    written = 0
    for row in (LedgerEntry(*map(_storable, noted)) for noted in pending.rows):
        if row.is_run:  # it may replace one of this batch, whose reads count, too
            connection.executemany(_INSERT, entries[written:])
            connection.executemany(_COUNT, reads)
            written, reads = len(entries), []
            entries += _ended(connection, row)
        entries.append(row)
    connection.executemany(_INSERT, entries[written:])
    connection.executemany(_COUNT, reads)
    connection.executemany(_ADD, [(*place, *used) for place, used in sorted(_sums(pending, entries).items())])
    paces = sorted(pending.paces.items())
    connection.executemany(_PACE, [(hour, int(on), len(took), sum(took)) for (hour, on), took in paces])


def trim(connection: Connection, may_trim: str, now: float) -> None:
    """Delete rows beyond the limit and rows that are too old; rows of runs are kept for their own time.

    Args:
        connection: The ledger's database, in a transaction.
        may_trim: A query whose answer is false while another host does this.
        now: The current time, in epoch seconds.
    """
    if not connection.execute(may_trim).fetchone()[0]:
        return
    oldest = now - DAYS_KEPT * _MINUTES_A_DAY * 60
    connection.execute(
        f"DELETE FROM spending WHERE rowid <= (SELECT MAX(rowid) FROM spending) - ? AND NOT ({_RUN})",  # noqa: S608 - of ours
        (ENTRIES_KEPT,),
    )
    connection.execute("DELETE FROM spending WHERE ts < ?", (oldest,))
    connection.execute("DELETE FROM serves WHERE minute < ?", (int(oldest // 60),))
    connection.execute("DELETE FROM writers WHERE at < ?", (oldest,))
    connection.execute("DELETE FROM pace WHERE hour < ?", (int(oldest // 3600),))
    since = now - ANSWERS_DAYS_KEPT * _MINUTES_A_DAY * 60
    newest = connection.execute("SELECT at FROM answers ORDER BY at DESC LIMIT 1 OFFSET ?", (ANSWERS_KEPT,)).fetchone()
    connection.execute("DELETE FROM answers WHERE at <= ?", (max(since, newest[0]) if newest else since,))
    connection.execute("DELETE FROM complaints WHERE at < ?", (since,))
    trim_told(connection, now)
    connection.execute(
        "DELETE FROM prompts WHERE ts < ? OR rowid <= (SELECT MAX(rowid) FROM prompts) - ?", (oldest, ENTRIES_KEPT)
    )


def _ended(connection: Connection, run: LedgerEntry) -> list[LedgerEntry]:
    """The waste of the run that this one replaces: its rows minus the keys that were served from it."""
    before = connection.execute(
        f"SELECT ts, rows, trigger, plan FROM spending WHERE task = ? AND {_RUN} AND ts <= ? ORDER BY ts DESC LIMIT 1",  # noqa: S608 - of ours
        (run.task, run.ts),
    ).fetchone()
    if before is None:
        return []
    began, made, trigger, plan = before
    served = connection.execute(
        "SELECT COUNT(DISTINCT key) FROM serves WHERE task = ? AND ahead > 0 AND minute BETWEEN ? AND ?",
        (run.task, int(began // 60), int(run.ts // 60)),
    ).fetchone()[0]
    wasted = max(0, made - served)
    return [LedgerEntry(run.ts, "waste", run.task, b"", "batch", "replaced", rows=wasted, trigger=trigger, plan=plan)]


def _sums(pending: Pending, entries: list[LedgerEntry]) -> dict[tuple[Any, ...], list[Any]]:
    """What to add to the hours: the sums of all entries, and the usage of live tasks."""
    sums = {
        (hour, "compute", task, "realtime", ""): [calls, seconds, cpu_s, calls, 0, *_NO_TOKENS]
        for (hour, task), (calls, seconds, cpu_s) in pending.live.items()
    }
    for row in entries:
        if row.kind not in _UNSUMMED:
            used = (1, *(getattr(row, name) for name in _SUMMED[1:]))
            place = (int(row.ts // 3600), row.kind, row.task, row.lane, row.model)
            known = sums.get(place)
            sums[place] = list(used) if known is None else [a + b for a, b in zip(known, used, strict=True)]
    return sums
