"""What tells whether the triggers of a captured table of SQLite were ever away: the order in which things were made.

SQLite keeps no history of its triggers. But what is made gets a higher rowid in ``sqlite_master`` than all that is
there, and neither maintenance nor a VACUUM changes the order of views and triggers. So each captured table has a view,
its guard, which is made behind its triggers and has a random word in its name. While the guard of that name is behind
them, none of them was made again. The guard also records the unique keys for which they were made.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import defaultdict
from collections.abc import Collection
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from parbake.adapters._sqlite_unique import keys_of_guard, unique_keys
from parbake.protocol.tags import family


class CapturedTable(NamedTuple):
    """A captured table, and whether its triggers were away.

    Attributes:
        relation: The table.
        tags: The templates of its tags.
        state: Differs from an earlier one if changes may not have been told in between.
        problem: What keeps its changes from being told; empty if nothing does.
        advice: What an operator should do although its changes are told; empty if that is nothing.
    """

    relation: str
    tags: tuple[str, ...]
    state: str
    problem: str
    advice: str

    @property
    def families(self) -> frozenset[str]:
        """The families of its tags."""
        return frozenset(map(family, self.tags))


class _Made(NamedTuple):
    """What stands in the schema: its rowid, kind, name, table and statement."""

    rowid: int
    kind: str
    name: str
    table: str
    statement: str


def guard_prefix(relation: str) -> str:
    """How the names of a table's guards begin."""
    return f"parbake_guard_{blake2b(relation.encode(), digest_size=8).hexdigest()}_"


def new_guard(relation: str) -> str:
    """The name of a guard that never was: who has seen another one knows that triggers may have been away."""
    return guard_prefix(relation) + secrets.token_hex(8)


def guards(connection: sqlite3.Connection, relation: str) -> list[str]:
    """The names of the guards that a table has; several if it was captured twice at once."""
    return [each.name for each in _guards(_schema(connection), relation)]


def has_guard(made: Collection[str]) -> bool:
    """Whether there is a guard among those of a table; an earlier version has made none."""
    return bool(made)


def is_in_order(triggers: Collection[int], made: Collection[int]) -> bool:
    """Whether no trigger was made behind a guard.

    Args:
        triggers: The rowids of the triggers.
        made: The rowids of the guards.
    """
    return max(triggers, default=0) < min(made)


def state_of(names: Collection[str], statement: str) -> str:
    """The state of a table whose triggers are in place.

    Args:
        names: The names of its guards.
        statement: The statement that makes the table. It differs if a column was dropped, which no trigger sees.
    """
    words = sorted(name.rpartition("_")[2] for name in names)
    return f"{' '.join(words)} {blake2b(statement.encode(), digest_size=8).hexdigest()}"


def captured_tables(connection: sqlite3.Connection) -> list[CapturedTable]:
    """All captured tables of a file, in the order of their names."""
    schema = _schema(connection)
    if not any(each.name == "parbake_capture" for each in schema):
        return []
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    rows = connection.execute("SELECT relation, tags, triggers FROM parbake_capture ORDER BY relation, app").fetchall()
    tags, triggers = defaultdict[str, list[str]](list), dict[str, dict[str, str]]()
    for relation, listed, recorded in rows:
        tags[relation] += msgspec.json.decode(listed)
        triggers.setdefault(relation, msgspec.json.decode(recorded))
    return [
        _captured(
            CapturedTable(relation, tuple(dict.fromkeys(tags[relation])), f"schema {version}", "", ""),
            wanted,
            schema,
            unique_keys(connection, relation).fingerprint,
        )
        for relation, wanted in triggers.items()
    ]


def _captured(table: CapturedTable, wanted: dict[str, str], schema: list[_Made], keys: str) -> CapturedTable:
    """Judge one table.

    Args:
        table: The table, with the version of the schema, which is its state if it has no guard.
        wanted: The statements of its triggers, by name.
        schema: All that is in the schema.
        keys: The fingerprint of its unique keys.
    """
    relation = table.relation
    own = {each.name: each for each in schema if each.kind == "trigger" and each.table == relation}
    tables = [each for each in schema if each.kind == "table" and each.name == relation]
    made = _guards(schema, relation)
    state = problem = advice = ""
    if not tables:
        problem = f"the captured table {relation} does not exist"
    elif any(name not in own or own[name].statement != statement for name, statement in wanted.items()):
        problem = f"the triggers of {relation} are missing or altered"
    elif not has_guard([each.name for each in made]):
        state = table.state
        advice = (
            f"the triggers of {relation} have no guard, as an earlier version made them, so that each change of the "
            "schema raises its families: run 'parbake capture install DATABASE --apply'"
        )
    elif not is_in_order([own[name].rowid for name in wanted], [each.rowid for each in made]):
        problem = f"the triggers of {relation} were made again by another hand, and changes may have gone untold"
    elif any(keys_of_guard(each.statement) != keys for each in made):
        problem = (
            f"the unique indexes of {relation}, or the defaults of their columns, are others than those for which its "
            "triggers were made, and rows that REPLACE deletes may go untold"
        )
    else:
        state = state_of([each.name for each in made], tables[0].statement)
    return table._replace(state=state, problem=problem, advice=advice)


def _schema(connection: sqlite3.Connection) -> list[_Made]:
    rows = connection.execute("SELECT rowid, type, name, tbl_name, coalesce(sql, '') FROM sqlite_master")
    return [_Made(*row) for row in rows.fetchall()]


def _guards(schema: list[_Made], relation: str) -> list[_Made]:
    return [each for each in schema if each.kind == "view" and each.name.startswith(guard_prefix(relation))]
