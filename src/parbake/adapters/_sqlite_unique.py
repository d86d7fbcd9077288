"""The unique keys of a table of SQLite, by which ``REPLACE`` finds the rows that it deletes.

No trigger sees these rows (https://www.sqlite.org/lang_conflict.html), so that triggers look them up before. They can
do so only by the keys that the table had when they were made.
"""

from __future__ import annotations

import re
import sqlite3
from hashlib import blake2b
from typing import NamedTuple

import msgspec

_INDEXES = """
SELECT i.name, i.origin, x.cid, x.name, x.coll, x.key FROM pragma_index_list(?) i, pragma_index_xinfo(i.name) x
WHERE i."unique" ORDER BY i.name, x.seqno
"""
_ROWID_NAMES = ("rowid", "_rowid_", "oid")
_ROWID_CID = -1
_GUARD = re.compile(r"AS SELECT '([0-9a-f]{16})'$")


class KeyColumn(NamedTuple):
    """A column of a unique key.

    Attributes:
        name: The column.
        collation: How the key compares texts; empty for a whole number that is the rowid.
        default: What SQLite writes in place of ``NULL`` when it replaces, as SQL; empty if it writes ``NULL``.
    """

    name: str
    collation: str
    default: str


class UniqueKeys(NamedTuple):
    """The unique keys of a table.

    Attributes:
        keys: Those that consist of columns.
        expressions: The statements that make the unique indexes on an expression.
        rowid: The name by which a statement can set the rowid; empty if none can, or if it is a column.
        columns: The columns of the table if there are expressions.
    """

    keys: tuple[tuple[KeyColumn, ...], ...]
    expressions: tuple[str, ...]
    rowid: str
    columns: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """A text of 16 characters that differs for other keys. New columns of a table leave it as it is."""
        keys = (self.keys, self.expressions, self.rowid)
        return blake2b(msgspec.json.encode(keys), digest_size=8).hexdigest()


def unique_keys(connection: sqlite3.Connection, relation: str) -> UniqueKeys:
    """The unique keys that a table has now.

    Args:
        connection: A connection to the file.
        relation: The table.
    """
    columns = connection.execute(
        'SELECT name, "notnull", dflt_value, pk FROM pragma_table_xinfo(?)', (relation,)
    ).fetchall()
    defaults = {name: default or "" for name, is_required, default, _ in columns if is_required}
    rows = connection.execute(_INDEXES, (relation,)).fetchall()
    parts: dict[str, list[KeyColumn]] = {}
    expressions: list[str] = []
    for index, _, _, name, collation, is_key in rows:
        if is_key and name is None:
            expressions.append(index)
        elif is_key:
            parts.setdefault(index, []).append(KeyColumn(name, collation.upper(), defaults.get(name, "")))
    keys = {tuple(key) for index, key in parts.items() if index not in expressions}
    names = tuple(name for name, _, _, _ in columns)
    primary = [name for name, _, _, place in columns if place]
    in_index = [cid for _, origin, cid, _, _, _ in rows if origin == "pk"]
    if primary and not in_index:
        keys.add((KeyColumn(primary[0], "", ""),))
    has_own_rowid = _ROWID_CID in in_index or not primary
    return UniqueKeys(
        tuple(sorted(keys)),
        tuple(sorted({_statement(connection, index) for index in expressions})),
        _rowid_name(names) if has_own_rowid else "",
        names if expressions else (),
    )


def keys_of_guard(statement: str) -> str:
    """The fingerprint of the keys for which the triggers before a guard were made; empty if the guard has none.

    Args:
        statement: The statement that makes the guard.
    """
    match = _GUARD.search(statement)
    return match[1] if match else ""


def _rowid_name(columns: tuple[str, ...]) -> str:
    """The first name of the rowid that no column has."""
    names = {name.lower() for name in columns}
    return next((name for name in _ROWID_NAMES if name not in names), "")


def _statement(connection: sqlite3.Connection, index: str) -> str:
    (statement,) = connection.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", (index,)
    ).fetchone()
    return str(statement)
