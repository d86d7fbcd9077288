"""Read traces of model requests from CSV and JSON Lines files, by the names of their columns."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from parbake.errors import BadInput
from parbake_llm.caching.asked import MOST_TOKENS, TOKENS_A_BLOCK, PromptTrace, TraceRow, traced
from parbake_planner.forecast.text_files import opened
from parbake_planner.logs.records import HEAD

Unit = Literal["s", "ms"]
_TIME = ("timestamp", "timestamp_s", "timestamp_ms", "time", "arrived_at")
INPUT = ("input_length", "input_tokens", "prompt_tokens", "contexttokens")
_OUTPUT = ("output_length", "output_tokens", "completion_tokens", "generatedtokens")
SESSION = ("session", "session_id", "conversation", "conversation_id")
_IDS = ("hash_ids",)
"""Names of columns, in lower case. A column of the first names must be there; the others may be missing."""
MILLISECONDS = 1e11
"""Epoch seconds of the year 5138; a greater number is in milliseconds."""
MOST_ROWS = 5_000_000
"""More requests are refused."""


def read_trace(path: Path, *, size: int = TOKENS_A_BLOCK, unit: Unit | None = None) -> PromptTrace:
    """Read a trace: JSON Lines if it begins as JSON, otherwise CSV with a header; also packed with gzip.

    Times are ISO 8601 or numbers. A number is in milliseconds if ``unit`` or the column's name says so, if it is too
    great for seconds since 1970, or if the columns are those of Mooncake's traces (``input_length`` and ``hash_ids``);
    otherwise it is in seconds. The trace's notes say which.

    Args:
        path: The file.
        size: The tokens of a block that an id stands for.
        unit: What numbers in the column of times count.

    Raises:
        BadInput: The file cannot be read, is empty, lacks a column, or has a row that cannot be used; the error names
            the column and the row.
    """
    with opened(path, field="trace") as file:
        is_json = file.head(HEAD).lstrip().startswith((b"{", b"["))
        records = _json_lines(file.text(), path) if is_json else _table(file.text(), path)
        return _read(records, path, size, unit)


def _read(records: Iterator[tuple[int, Mapping[str, Any]]], path: Path, size: int, unit: Unit | None) -> PromptTrace:
    rows: list[TraceRow] = []
    columns: _Columns | None = None
    for number, record in records:
        columns = columns or _Columns(record, path, unit)
        rows.append(columns.row(record, number))
        if len(rows) > MOST_ROWS:
            raise BadInput(f"{path}: more than {MOST_ROWS:,} requests; give a shorter trace", field="trace")
    return traced(rows, size=size, notes=columns.notes() if columns else ())


def _json_lines(file: Any, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {number}: not JSON ({error})", field="trace") from error
        if not isinstance(found, dict):
            raise BadInput(f"{path}, line {number}: not a JSON object", field="trace")
        yield number, {str(name).strip().lower(): value for name, value in found.items()}


def _table(file: Any, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = csv.reader(file)
    header = [name.strip().lower() for name in next(lines, [])]
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        if len(line) != len(header):
            raise BadInput(f"{path}, line {number}: {len(line)} fields, not {len(header)}", field="trace")
        yield number, dict(zip(header, line, strict=True))


class _Columns:
    """Finds a trace's columns by name, and reads its rows."""

    def __init__(self, record: Mapping[str, Any], path: Path, unit: Unit | None) -> None:
        self._path = path
        self._time, self._input = self._needed(record, _TIME), self._needed(record, INPUT)
        self._output, self._session, self._ids = (_first(record, names) for names in (_OUTPUT, SESSION, _IDS))
        is_mooncake = self._input == "input_length" and self._ids is not None and self._time == "timestamp"
        named = {"timestamp_s": "s", "timestamp_ms": "ms"}.get(self._time)
        self._unit = unit or named or ("ms" if is_mooncake else None)
        self._is_stated = unit is not None or named is not None
        self._seen: set[str] = set()

    def row(self, record: Mapping[str, Any], number: int) -> TraceRow:
        """Read one row; raises :class:`BadInput` that names its line and column."""
        where = f"{self._path}, line {number}"
        return TraceRow(
            at=self._at(record.get(self._time), where),
            tokens=_count(record.get(self._input), self._input, where),
            output=_count(record.get(self._output), self._output, where) if self._output else 0,
            session=_session(record.get(self._session), self._session, where) if self._session else None,
            ids=_ids(record.get(self._ids), where) if self._ids else None,
            where=where,
        )

    def notes(self) -> list[str]:
        """How times were read, unless that was stated."""
        if self._is_stated or "number" not in self._seen:
            return ["times have no time zone and are taken as UTC"] if "none" in self._seen else []
        word = {"ms": "milliseconds", "s": "seconds"}
        return ["times are taken as " + " and ".join(word[unit] for unit in sorted(self._seen & set(word)))]

    def _needed(self, record: Mapping[str, Any], names: tuple[str, ...]) -> str:
        found = _first(record, names)
        if found is None:
            raise BadInput(
                f"{self._path}: no column {names[0]!r} ({', '.join(names[1:])} would do); the columns are "
                f"{', '.join(record) or 'missing'}",
                field=names[0],
            )
        return found

    def _at(self, value: Any, where: str) -> float:
        number = _number(value)
        if number is None:
            return self._moment(value, where)
        if not math.isfinite(number) or number < 0:
            raise BadInput(f"{where}: {self._time}={value} must be a time that is not negative", field=self._time)
        unit = self._unit or ("ms" if number > MILLISECONDS else "s")
        self._note({"number", unit}, where)
        return number / 1000 if unit == "ms" else number

    def _moment(self, value: Any, where: str) -> float:
        try:
            found = dt.datetime.fromisoformat(str(value).strip())
        except ValueError:
            shown = str(value)[:40]
            raise BadInput(f"{where}: {self._time}={shown!r} must be a number or ISO 8601", field=self._time) from None
        self._note({"zone" if found.tzinfo else "none"}, where)
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp()

    def _note(self, kinds: set[str], where: str) -> None:
        self._seen |= kinds
        if len(self._seen & {"number", "zone", "none"}) > 1:
            raise BadInput(
                f"{where}: numbers, times with a time zone and times without one are mixed in {self._time}",
                field=self._time,
            )


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in record), None)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _count(value: Any, name: str, where: str) -> int:
    number = _number(value)
    if number is None or not math.isfinite(number) or not 0 <= number <= MOST_TOKENS or number != int(number):
        shown = "missing" if value in (None, "") else str(value)[:40]
        raise BadInput(f"{where}: {name} is {shown}; it must be a whole number from 0 to {MOST_TOKENS:,}", field=name)
    return int(number)


def _session(value: Any, name: str, where: str) -> str:
    if value in (None, ""):
        raise BadInput(f"{where}: {name} is missing; a request of no session needs a name of its own", field=name)
    return str(value)


def _ids(value: Any, where: str) -> tuple[object, ...]:
    """The ids of a row: a JSON list, or words in a CSV field."""
    found = value
    if isinstance(value, str):
        found = value.replace(",", " ").strip("[] ").split()
    if not isinstance(found, list) or not all(isinstance(one, str | int) for one in found):
        raise BadInput(f"{where}: hash_ids must be a list of numbers or words", field="hash_ids")
    return tuple(found)
