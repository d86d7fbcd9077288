"""Records of a file, one after another: JSON Lines, an array of JSON, pages of an API, or CSV with a header."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from parbake.errors import BadInput
from parbake_planner.forecast.text_files import LogFile

Record = dict[str, Any]
"""A record, its fields' names in lower case and without underscores: exports of one product differ in that."""
HEAD = 65_536
_LONGEST = 64 * 2**20
"""A longer record is not read, so that memory stays bounded."""
_CHUNK = 2**20
_BETWEEN = re.compile(r"[\s,]*")


def records(file: LogFile, path: Path, skipped: Counter[str]) -> Iterator[Record]:
    """Yield the records of a file without holding all of it.

    Args:
        file: The open file.
        path: Its path, for errors.
        skipped: Counts what is left out, by the reason.

    Raises:
        BadInput: The file is not JSON where it must be.
    """
    head = file.head(HEAD).lstrip()
    if head.startswith(b"["):
        return _named(_elements(file.text(), path, opening="["), skipped)
    if head.startswith(b"{"):
        first = head.partition(b"\n")[0].rstrip()
        is_spread = first != head.rstrip() and not first.endswith(b"}")
        return _named(_elements(file.text(), path) if is_spread else _lines(file, skipped), skipped)
    return _rows(file.text(), skipped)


def plain(name: str) -> str:
    """A field's name in lower case, without underscores and blanks around."""
    return name.strip().replace("_", "").lower()


def _named(values: Iterable[Any], skipped: Counter[str]) -> Iterator[Record]:
    """Name the fields of objects; a page of an API is an object with the records in ``data``."""
    for value in values:
        inner = value.get("data") if isinstance(value, dict) else None
        for one in inner if isinstance(inner, list) else [value]:
            if isinstance(one, dict):
                yield {plain(name): content for name, content in one.items()}
            else:
                skipped["not a JSON object"] += 1


def _lines(file: LogFile, skipped: Counter[str]) -> Iterator[Any]:
    for line in file.lines(_LONGEST):
        if line is None:
            skipped[f"longer than {_LONGEST // 2**20} MiB"] += 1
            continue
        try:
            text = line.decode("utf-8-sig").strip()
            if text:
                yield json.loads(text)
        except UnicodeDecodeError:
            skipped["not UTF-8"] += 1
        except (ValueError, RecursionError):
            skipped["not JSON"] += 1


def _elements(text: TextIO, path: Path, *, opening: str = "") -> Iterator[Any]:
    """Decode one value after another from a window onto the text, which grows until a value fits."""
    decode, window = json.JSONDecoder().raw_decode, text.read(_CHUNK).lstrip().removeprefix(opening)
    at = number = 0
    while True:
        at = _BETWEEN.match(window, at).end()  # type: ignore[union-attr] # it also matches nothing
        if window.startswith("]", at):
            return
        try:
            value, at = decode(window, at)
        except RecursionError:
            raise BadInput(f"{path}: record {number + 1} is nested too deeply", field="log") from None
        except ValueError as error:
            window, at = window[at:], 0
            more = text.read(max(_CHUNK, len(window))) if len(window) < _LONGEST else ""
            if not more and not window and not opening:
                return
            if not more:
                raise BadInput(
                    f"{path}: record {number + 1} is not JSON ({error}); is the file complete?", field="log"
                ) from None
            window += more
            continue
        number += 1
        yield value


def _rows(text: TextIO, skipped: Counter[str]) -> Iterator[Record]:
    csv.field_size_limit(_LONGEST)
    lines = csv.reader(text)
    header = [plain(name) for name in next(lines, [])]
    for line in lines:
        if len(line) == len(header):
            yield dict(zip(header, line, strict=True))
        elif line:
            skipped["fields that do not fit the header"] += 1
