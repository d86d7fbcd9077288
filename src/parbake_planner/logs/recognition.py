"""Tells by the content of a file which kind of log it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from parbake.errors import BadInput
from parbake_planner.forecast.text_files import LogFile, opened
from parbake_planner.logs.access_log import is_access_line
from parbake_planner.logs.records import HEAD, Record, plain, records

TABLE, ACCESS, LITELLM, LANGFUSE, TRACE = "table", "access", "litellm", "langfuse", "trace"
FORMS = {
    TABLE: "a table with key and timestamp",
    ACCESS: "an access log in the common or combined format",
    LITELLM: "spend logs of LiteLLM",
    LANGFUSE: "an export of Langfuse",
    TRACE: "a trace with timestamp and input_tokens",
}
"""The kinds of logs, for people."""
_FIELDS: dict[str, tuple[tuple[str, ...], ...]] = {
    TABLE: (("key",), ("timestamp",)),
    LITELLM: (("requestid",), ("starttime",), ("spend", "calltype", "cachekey")),
    LANGFUSE: (("id",), ("starttime", "timestamp"), ("type", "name"), ("traceid", "input", "sessionid", "userid")),
    TRACE: (
        ("timestamp", "timestamps", "timestampms", "time", "arrivedat"),
        ("inputlength", "inputtokens", "prompttokens", "contexttokens"),
    ),
}
"""One field of each group must be there. Names are as :func:`parbake_planner.logs.records.plain` gives them."""
_PARQUET, _LINES = b"PAR1", 20


def recognise(path: Path, *, among: Sequence[str], given: str = "", field: str = "log") -> str:
    """Tell which kind of log a file is.

    Args:
        path: The file.
        among: The kinds that can be used.
        given: The kind that is stated; it is not checked.
        field: What the file is, for errors.

    Raises:
        BadInput: The file cannot be read, is of no or of another kind, or could be of several.
    """
    if given:
        if given not in among:
            raise BadInput(f"--format {given} must be one of {', '.join(among)}", field="format")
        return given
    with opened(path, field=field) as file:
        found, seen = _kinds(file, path, field)
    usable = [kind for kind in found if kind in among]
    if len(usable) == 1:
        return usable[0]
    readable = "; ".join(f"{FORMS[kind]} ({kind})" for kind in among)
    if usable:
        raise BadInput(
            f"{path}: could be {' or '.join(FORMS[kind] for kind in usable)}; say which with --format "
            f"{' or --format '.join(usable)}",
            field="format",
        )
    if found:
        raise BadInput(f"{path}: is {FORMS[found[0]]}; what can be read here is {readable}", field=field)
    raise BadInput(f"{path}: {seen}; what can be read is {readable}; state one with --format", field=field)


def _kinds(file: LogFile, path: Path, field: str) -> tuple[list[str], str]:
    """The kinds that a file may be, and what was seen in it."""
    head = file.head(HEAD)
    if head.startswith(_PARQUET):
        return [TABLE], ""
    if not head.strip():
        raise BadInput(f"{path}: the file is empty", field=field)
    if b"\0" in head:
        raise BadInput(f"{path}: not a text in UTF-8", field=field)
    lines = [line for line in head.splitlines()[:_LINES] if line.strip()]
    if 2 * sum(map(is_access_line, lines)) >= len(lines):
        return [ACCESS], ""
    if not head.lstrip().startswith((b"{", b"[")):
        # Of a table the header is enough, which may be all that there is.
        names = lines[0].decode("utf-8", "replace").split(",")
        return _by_fields({plain(name.strip().strip('"')): None for name in names})
    record = next(records(file, path, Counter()), None)
    return _by_fields(record) if record is not None else ([], "no record could be read")


def _by_fields(record: Record) -> tuple[list[str], str]:
    kinds = [kind for kind, groups in _FIELDS.items() if all(any(one in record for one in group) for group in groups)]
    return kinds, f"of an unknown kind; its fields are {', '.join(record)[:300] or 'missing'}"
