"""Reads rows from CSV, JSON, JSON lines and Parquet files."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parbake as pb

ENDINGS = (".csv", ".json", ".jsonl", ".parquet")
Row = dict[str, Any]


def find(folder: Path, table: str) -> Path | None:
    """The file of a table; ``None`` if there is none. Raises :class:`parbake.BadInput` for two files."""
    found = [folder / f"{table}{ending}" for ending in ENDINGS if (folder / f"{table}{ending}").is_file()]
    if len(found) > 1:
        raise pb.BadInput(f"{table} comes twice: {found[0].name} and {found[1].name}; keep one", field=table)
    return found[0] if found else None


def parsed(text: str, what: str) -> Any:
    """Parse JSON from outside; raises :class:`parbake.BadInput` in one line, in which ``what`` names the origin."""
    try:
        return json.loads(text)
    except RecursionError:
        why = "it is nested too deeply"
    except json.JSONDecodeError as error:
        why = str(error)
    except ValueError:  # a limit of Python, whose own message would not help the user
        why = "a number has too many digits"
    raise pb.BadInput(f"{what} cannot be read: {why}", field=what.partition(",")[0])


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file as dictionaries; empty CSV cells are left out. Raises :class:`parbake.BadInput`."""
    try:
        yield from _READERS[path.suffix](path)
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise pb.BadInput(f"{path.name} cannot be read: {error}", field=path.name) from error


def _csv(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            yield {name: value for name, value in row.items() if name and value not in ("", None)}


def _json(path: Path) -> Iterator[Row]:
    loaded = parsed(path.read_text(encoding="utf-8"), path.name)
    if not isinstance(loaded, list):
        raise pb.BadInput(f"{path.name} must hold a list of objects", field=path.name)
    yield from map(_object, loaded)


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield _object(parsed(line, f"{path.name}, line {number},"))


def _object(row: Any) -> Row:
    """Turn a value that is not an object into one that every table rejects."""
    return row if isinstance(row, dict) else {"": row}


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches():
                yield from ({n: _plain(v) for n, v in row.items() if v is not None} for row in batch.to_pylist())
    except pa.ArrowInvalid as error:
        raise pb.BadInput(f"{path.name} is not Parquet: {error}", field=path.name) from error


def _plain(value: Any) -> Any:
    """Convert Parquet's times to the texts that other files contain."""
    return value.isoformat() if isinstance(value, dt.date) else value


_READERS = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet}
