"""Reads the requests of a log of any kind, and what the log says about their cost."""

from __future__ import annotations

import datetime as dt
import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from parbake.errors import BadInput
from parbake_planner.forecast.log_file import REPORT_EVERY, Progress, read
from parbake_planner.forecast.request_log import RequestLog, checked
from parbake_planner.forecast.text_files import LogFile, opened
from parbake_planner.logs.access_log import LONGEST_LINE, AccessLines
from parbake_planner.logs.calls import CUT, Call, Unusable, counted, in_words
from parbake_planner.logs.langfuse_log import NO_INPUT, langfuse_call
from parbake_planner.logs.litellm_log import NO_KEY, litellm_call
from parbake_planner.logs.recognition import ACCESS, FORMS, LANGFUSE, LITELLM, TABLE, recognise
from parbake_planner.logs.records import Record, records

_KINDS = (TABLE, ACCESS, LITELLM, LANGFUSE)
_CALLS: dict[str, tuple[Callable[[Record], Call], str]] = {
    LITELLM: (litellm_call, NO_KEY), LANGFUSE: (langfuse_call, NO_INPUT),
}  # fmt: skip
"""The reader of each log of calls, and why a call of it may have no key."""
_IN_A_SECOND = 1024
"""Requests of one key within a second that are told apart."""
_MONTH = 30.0


@dataclass(frozen=True, slots=True)
class LogRead:
    """A log that was read.

    Attributes:
        log: The requests.
        kind: The kind of the log.
        rows: The rows that it has.
        skipped: How many of them were left out, by the reason.
        usd: The median cost of computing one answer, in US dollars; ``None`` if the log has no costs.
        measured: The requests whose cost the log has.
        spent: What these have cost, in US dollars.
    """

    log: RequestLog
    kind: str = TABLE
    rows: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    usd: float | None = None
    measured: int = 0
    spent: float = 0.0

    @property
    def spent_a_month(self) -> float | None:
        """What was spent in 30 days; ``None`` if nothing was measured, or for less than a day."""
        return self.spent / self.log.days * _MONTH if self.measured and self.log.days >= 1 else None


@dataclass(slots=True)
class _Found:
    """Requests as they are read: key positions, epoch seconds and costs."""

    codes: dict[str, int] = field(default_factory=dict)
    key: array[int] = field(default_factory=lambda: array("i"))
    time: array[float] = field(default_factory=lambda: array("d"))
    usd: array[float] = field(default_factory=lambda: array("d"))
    skipped: Counter[str] = field(default_factory=Counter)
    offsets: set[dt.timedelta | None] = field(default_factory=set)
    last: dict[int, tuple[float, int]] = field(default_factory=dict)
    cut: int = 0

    def add_call(self, call: Call) -> None:
        self._add(call.key, call.at)
        self.cut += call.is_cut
        if call.usd is not None:
            self.usd.append(call.usd)

    def add_hit(self, moment: dt.datetime, key: str) -> None:
        """Add a request of a log in whole seconds, where several of one key in a second are different requests."""
        at, code = moment.timestamp(), self._add(key, moment.timestamp())
        self.offsets.add(moment.utcoffset())
        before, count = self.last.get(code, (0.0, 0))
        self.last[code] = at, count + 1 if before == at else 0
        self.time[-1] += min(self.last[code][1], _IN_A_SECOND - 1) / _IN_A_SECOND

    def _add(self, key: str, at: float) -> int:
        code = self.codes.setdefault(key, len(self.codes))
        self.key.append(code)
        self.time.append(at)
        return code


def read_requests(
    path: Path, *, now: float, given: str = "", key_pattern: str | None = None, population: int | None = None,
    progress: Progress | None = None,
) -> LogRead:  # fmt: skip
    """Read a log.

    Args:
        path: The file.
        now: The current time, in epoch seconds; later timestamps are rejected.
        given: The kind of the log; told by its content if empty.
        key_pattern: What the key of an access log is, see :class:`AccessLines`.
        population: Number of keys that exist, active or not; ``None`` if it is not known.
        progress: Called with the bytes that are done and their total.

    Raises:
        BadInput: The file cannot be read, or has no request.
        MissingDependency: The file is Parquet and ``pyarrow`` is not installed.
    """
    kind = recognise(path, among=_KINDS, given=given)
    if key_pattern is not None and kind != ACCESS:
        raise BadInput(f"--key-pattern is for an access log; {path} is {FORMS[kind]}", field="key_pattern")
    if kind == TABLE:
        log = read(path, now=now, population=population, progress=progress)
        return LogRead(log, rows=len(log.key))
    found = _Found()
    with opened(path, field="log") as file:
        for number, _ in enumerate(_rows_of(file, path, kind, key_pattern, found), start=1):
            if progress and number % REPORT_EVERY == 0:
                progress(file.done(), file.size)
    rows = len(found.key) + found.skipped.total()
    if not found.key:
        why = in_words(found.skipped)
        raise BadInput(f"{path}: none of {rows:,} rows is a request that can be used: {why}", field="log")
    log = checked(
        np.frombuffer(found.key, np.int32), np.frombuffer(found.time, np.float64), keys=len(found.codes),
        names=list(found.codes), now=now, population=population, notes=_notes(found, kind, rows),
    )  # fmt: skip
    usd = statistics.median(found.usd) if found.usd else None
    return LogRead(log, kind, rows, dict(found.skipped), usd, len(found.usd), sum(found.usd))


def _rows_of(file: LogFile, path: Path, kind: str, key_pattern: str | None, found: _Found) -> Iterator[None]:
    """Add the requests of a file, and yield after each row."""
    if kind == ACCESS:
        lines = AccessLines(key_pattern)
        whole = (line for line in file.lines(LONGEST_LINE) if line is None or line.strip())
        return counted(whole, lambda line: found.add_hit(*lines.hit(line)), found.skipped)
    read_call, without_key = _CALLS[kind]

    def add(record: Record) -> None:
        call = read_call(record)
        if not call.key:
            raise Unusable(without_key)
        found.add_call(call)

    return counted(records(file, path, found.skipped), add, found.skipped)


def _notes(found: _Found, kind: str, rows: int) -> tuple[str, ...]:
    notes = [f"read as {FORMS[kind]}: {rows:,} rows, of which {len(found.key):,} are requests that count"]
    if found.skipped:
        notes.append(f"left out: {in_words(found.skipped)}")
    if len(found.offsets) > 1:
        notes.append(f"times in {len(found.offsets)} UTC offsets were converted to UTC")
    if found.cut:
        notes.append(CUT.format(found.cut))
    return tuple(notes)
