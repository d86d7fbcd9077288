"""Which rows ``REPLACE`` is about to delete, as conditions of SQL in a trigger before an insert or update."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from parbake.adapters._sqlite_columns import quoted
from parbake.adapters._sqlite_unique import KeyColumn, UniqueKeys

PIECES = re.compile(
    r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$]+|[^\w$\s]", re.DOTALL
)
"""Comments, texts, quoted names, words and other characters of a statement of SQL."""
_LITERAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?0x[0-9a-f]+|x?'(?:[^']|'')*'", re.IGNORECASE)
"""A default that is the same in a trigger as where SQLite writes it. Others may read the clock, or be random."""
_WORD = re.compile(r"[\w$]+")


class Conflicts(NamedTuple):
    """Conditions on ``NEW``, on ``OLD`` in an update, and on a row ``r`` of the table.

    Attributes:
        rows: The row is deleted if another one replaces it; empty if nothing can replace one.
        is_other: In an update, the row is not the one that is updated; empty if every row has to be looked at.
        unknown_inserted: An insert may delete a row that the first condition does not find; empty if it never does.
        unknown_updated: The same for an update.
    """

    rows: str
    is_other: str
    unknown_inserted: str
    unknown_updated: str


def conflicts_of(unique: UniqueKeys) -> Conflicts:
    """The conditions for a table.

    Args:
        unique: Its unique keys.
    """
    rows = ["(" + " AND ".join(map(_is_equal, key)) + ")" for key in unique.keys]
    if unique.rowid:
        rows.append(f"r.{unique.rowid} = NEW.{unique.rowid}")
    columns = sorted({column for key in unique.keys for column in key if column.default and not _has_literal(column)})
    unknown = list(dict.fromkeys(f"NEW.{quoted(column.name)} IS NULL" for column in columns))
    identity = unique.rowid or next((quoted(key[0].name) for key in unique.keys if not key[0].collation), "")
    is_altered = [_is_altered(name) for name in _columns_in(unique)]
    return Conflicts(
        " OR ".join(rows),
        f"r.{identity} <> OLD.{identity}" if identity else "",
        "1" if unique.expressions else " OR ".join(unknown),
        " OR ".join([*unknown, *is_altered]),
    )


def _has_literal(column: KeyColumn) -> bool:
    return _LITERAL.fullmatch(column.default) is not None


def _is_equal(column: KeyColumn) -> str:
    """The condition that a row has the value that a column of a key is about to get."""
    name = quoted(column.name)
    value = f"coalesce(NEW.{name}, {column.default})" if column.default and _has_literal(column) else f"NEW.{name}"
    return f"r.{name} = {value}" + (f" COLLATE {quoted(column.collation)}" if column.collation else "")


def _is_altered(column: str) -> str:
    """The condition that an update changes a column, by its bytes: an expression may tell equal values apart."""
    new, old = f"NEW.{quoted(column)}", f"OLD.{quoted(column)}"
    return f"{new} IS NOT {old} COLLATE BINARY OR typeof({new}) <> typeof({old})"


def _columns_in(unique: UniqueKeys) -> Iterator[str]:
    """The columns that occur in unique indexes on expressions; too many rather than too few."""
    words = {piece.strip("\"'`[]").lower() for statement in unique.expressions for piece in PIECES.findall(statement)}
    for name in unique.columns:
        if name.lower() in words or not _WORD.fullmatch(name):
            yield name
