"""Read request logs from CSV and Parquet files: ``key,timestamp[,signal]``."""

from __future__ import annotations

import csv
import datetime as dt
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from parbake.errors import BadInput, MissingDependency
from parbake_planner.forecast.request_log import RequestLog, checked
from parbake_planner.forecast.text_files import LogFile, opened

KEY, TIMESTAMP, _SIGNAL = "key", "timestamp", "signal"
MILLISECONDS = 1e11
"""Epoch seconds of the year 5138; a greater number is in milliseconds."""
NO = frozenset(("", "0", "false", "no", "request"))
REPORT_EVERY = 100_000
"""Rows between two reports of progress."""
Progress = Callable[[int, int], None]
"""Called with the bytes that are done and their total."""


@dataclass
class _Rows:
    """Rows as they are read: key positions, epoch seconds and signals."""

    codes: dict[str, int] = field(default_factory=dict)
    key: array[int] = field(default_factory=lambda: array("i"))
    time: array[float] = field(default_factory=lambda: array("d"))
    signal: bytearray = field(default_factory=bytearray)
    zones: set[str] = field(default_factory=set)


def read(path: Path, *, now: float, population: int | None = None, progress: Progress | None = None) -> RequestLog:
    """Read a log: Parquet if the name ends in ``.parquet``, otherwise CSV with a header, also packed with gzip.

    Times are epoch seconds, epoch milliseconds or ISO 8601. Either all ISO times have a UTC offset, or none has (they
    are UTC then).

    Args:
        path: The file.
        now: The current time, in epoch seconds; later timestamps are rejected.
        population: Number of keys that exist, active or not; ``None`` if it is not known.
        progress: Called with the bytes that are done and their total.

    Returns:
        The log, ordered by time.

    Raises:
        BadInput: The file cannot be read, lacks a column, has an invalid row, or mixes times with and without offset.
        MissingDependency: The file is Parquet and ``pyarrow`` is not installed.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, now=now, population=population)
    rows = _Rows()
    with opened(path, field="log") as file:
        _fill(rows, file, path, progress)
    return checked(
        np.frombuffer(rows.key, dtype=np.int32) if rows.key else np.empty(0, np.int32),
        np.frombuffer(rows.time, dtype=np.float64) if rows.time else np.empty(0),
        np.frombuffer(rows.signal, dtype=np.bool_) if rows.signal else np.empty(0, np.bool_),
        keys=len(rows.codes), names=list(rows.codes), now=now, population=population, notes=_zone_notes(rows.zones),
    )  # fmt: skip


def _fill(rows: _Rows, file: LogFile, path: Path, progress: Progress | None) -> None:
    lines = csv.reader(file.text())
    header = [name.strip().lower() for name in next(lines, [])]
    for name in (KEY, TIMESTAMP):
        if name not in header:
            raise BadInput(f"{path}: no column {name!r}; the header is {','.join(header) or 'missing'}", field="log")
    key_at, time_at = header.index(KEY), header.index(TIMESTAMP)
    signal_at = header.index(_SIGNAL) if _SIGNAL in header else None
    codes, keys, times, signals = rows.codes, rows.key, rows.time, rows.signal
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            name, text = line[key_at], line[time_at]
            flag = signal_at is not None and line[signal_at].strip().lower() not in NO
        except IndexError:
            raise BadInput(f"{path}, line {number}: {len(line)} fields, not {len(header)}", field="log") from None
        if not name:
            raise BadInput(f"{path}, line {number}: the key is empty", field="key")
        times.append(_seconds(text, rows.zones, path, number))
        keys.append(codes.setdefault(name, len(codes)))
        signals.append(flag)
        if progress and number % REPORT_EVERY == 0:
            progress(file.done(), file.size)


def _seconds(text: str, zones: set[str], path: Path, number: int) -> float:
    try:
        value = float(text)
    except ValueError:
        return _iso(text, zones, path, number)
    _note(zones, "number", path, number)
    return value / 1000 if value > MILLISECONDS else value


def _iso(text: str, zones: set[str], path: Path, number: int) -> float:
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{path}, line {number}: timestamp {text[:40]!r} must be an epoch time or ISO 8601"
        raise BadInput(message, field="timestamp") from None
    _note(zones, "none" if moment.tzinfo is None else str(moment.tzinfo), path, number)
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _note(zones: set[str], kind: str, path: Path, number: int) -> None:
    if kind in zones:
        return
    zones.add(kind)
    if len(zones) > 1 and zones & {"none", "number"}:
        raise BadInput(
            f"{path}, line {number}: times with and without a time zone are mixed; give all or none an offset",
            field="timestamp",
        )


def _zone_notes(zones: set[str]) -> tuple[str, ...]:
    if zones == {"none"}:
        return ("times have no time zone and are taken as UTC",)
    return (f"times in {len(zones)} UTC offsets were converted to UTC",) if len(zones) > 1 else ()


def _parquet(path: Path, *, now: float, population: int | None) -> RequestLog:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as missing:
        raise MissingDependency.of("reading Parquet", "plan", field="pyarrow") from missing
    try:
        table = pq.read_table(path)
        for name in (KEY, TIMESTAMP):
            if name not in table.column_names or table[name].null_count:
                raise BadInput(f"{path}: column {name!r} is missing or has empty fields", field="log")
        keys = table[KEY].cast(pa.string()).combine_chunks().dictionary_encode()
        time, notes = _times(table[TIMESTAMP], path)
        texts = table[_SIGNAL].cast(pa.string()).to_pylist() if _SIGNAL in table.column_names else None
    except (OSError, pa.ArrowException) as error:
        raise BadInput(f"{path}: {error}", field="log") from error
    names = keys.dictionary.to_pylist()
    if "" in names:
        raise BadInput(f"{path}: a key is empty", field="key")
    signal = None if texts is None else np.asarray([(text or "").strip().lower() not in NO for text in texts])
    return checked(
        np.asarray(keys.indices, dtype=np.int32), time, signal, keys=len(names), names=names, now=now,
        population=population, notes=notes,
    )  # fmt: skip


def _times(column: Any, path: Path) -> tuple[Any, tuple[str, ...]]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind):
        seconds = np.asarray(column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())) / 1e6
        return seconds, () if kind.tz else _zone_notes({"none"})
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = np.asarray(column, dtype=np.float64)
        return np.where(values > MILLISECONDS, values / 1000, values), ()
    zones: set[str] = set()
    found = [_seconds(str(text), zones, path, n) for n, text in enumerate(column.to_pylist(), start=1)]
    return np.asarray(found, dtype=np.float64), _zone_notes(zones)
