"""Whether a tag that a view names is that of the row it read.

A trigger spells the value of a column. A view spells what its caller gave it, which may be another spelling of the same
row: ``'07'`` finds the row 7 of an integer column, and ``lower(topic) = lower(:topic)`` finds a row by another topic. A
change of that row would then not outdate what was computed from it. So a named tag must be the value of a column: of
one that the statement compares with the parameter by ``=``, without conversion, or of one in a row that was found.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from parbake.protocol.tag_parts import refused_type, spell_part
from parbake.protocol.tags import family, spelled_entity

_PARAMETER = re.compile(r"(?<!:):([A-Za-z_]\w*)")
_EQUAL = re.compile(
    r"(?:\bwhere|\band|\bon|\()\s*(?:\"?\w+\"?\.)*\"?(\w+)\"?\s*=\s*:(\w+)"
    r"(?=\s*(?:$|[;)]|\b(?:and|order|limit|group|having|for|union|offset|fetch|except|intersect)\b))",
    re.IGNORECASE,
)
"""A condition of its own that a column equals a parameter."""
_LOOSE = re.compile(r"\b(?:or|not|case)\b", re.IGNORECASE)
_NOT_NULL = re.compile(r"\bis\s+not\s+null\b", re.IGNORECASE)
_MOST_ROWS = 1000
"""A method that returns more rows than this and names few entities does not read by key."""
_MOST_TAGS = 8
"""More entities of one family are bound as the whole family, whatever they are called."""
_KINDS: Mapping[type, str] = {str: "text", int: "integer", uuid.UUID: "uuid", dt.date: "date"}


class Columns(NamedTuple):
    """What a database says of its columns.

    Attributes:
        kinds: For each table, and each view of the database, the kind of each column: ``text``, ``integer``, ``uuid``
            or ``date``, or the name of another type.
        captured: The families whose tags triggers spell from columns, each with the kinds of the columns of which one
            alone is what follows the slash.
    """

    kinds: Mapping[str, Mapping[str, str]]
    captured: Mapping[str, Collection[str]]

    @classmethod
    def of(cls, kinds: Mapping[str, Mapping[str, str]], templates: Iterable[tuple[str, str]]) -> Columns:
        """Describe a database.

        Args:
            kinds: The kinds of its columns.
            templates: The tables that are captured, each with the template of a tag.
        """
        captured: dict[str, set[str]] = {}
        for relation, template in templates:
            if "{" not in template:
                continue
            own = captured.setdefault(family(template), set())
            column = template.partition("/")[2]
            table = relation.rpartition(".")[2].strip('"')
            kind = kinds.get(table, {}).get(column[1:-1])
            if column.startswith("{") and column.find("}") == len(column) - 1 and kind is not None:
                own.add(kind)
        return cls(kinds, captured)


NO_COLUMNS = Columns({}, {})


class Query(NamedTuple):
    """A query of a view's method."""

    statement: str
    parameters: Mapping[str, Any]
    rows: Sequence[Any]

    def with_few_rows(self) -> Query:
        """The query without the rows that are looked at no more."""
        return self._replace(rows=self.rows[: _MOST_ROWS + 1])


class KeyLookup(NamedTuple):
    """What the methods of a view have read without naming tags, and what the database says of its columns."""

    families: Sequence[str]
    queries: list[Query]
    columns: Columns


def kind_of_key(key: Any) -> str:
    """The kind of a column of which a key is a value; empty if there is none."""
    return next((kind for type_, kind in _KINDS.items() if isinstance(key, type_)), "")


def misnamed(tags: Sequence[str], queries: Sequence[Query], columns: Columns) -> str:
    """Why a tag that a method named may not be that of the row it read; empty if all are.

    Args:
        tags: The entities that the method named.
        queries: What it read.
        columns: The columns of the database.
    """
    if not queries:
        return ""
    for name in dict.fromkeys(map(family, tags)):
        own = list(dict.fromkeys(tag for tag in tags if family(tag) == name))
        if len(own) > _MOST_TAGS:
            continue
        problems = [_problem(tag, queries, columns) for tag in own]
        unmatched = [problem for problem in problems if problem is not None]
        known = [problem for problem in unmatched if problem]
        if known:
            return known[0]
        if unmatched and len(unmatched) == len(own) and _has_rows_by_key(queries) and name in columns.captured:
            return f"names {own[0]!r}, and no row that it found has this value in a column that it selects"
    return ""


def _has_rows_by_key(queries: Sequence[Query]) -> bool:
    """Whether a method found rows, and few enough to have looked them up."""
    return 0 < sum(len(query.rows) for query in queries) <= _MOST_ROWS


def _problem(tag: str, queries: Sequence[Query], columns: Columns) -> str | None:
    """Why a tag may not be that of the row: ``None`` if it is, and empty if nothing tells."""
    part = tag.partition("/")[2]
    problem = ""
    parameters = [(query, *item) for query in queries for item in query.parameters.items()]
    for query, name, value in parameters:
        if value is not None and str(value) == part and (refused := refused_type(type(value))):
            problem = f"names {tag!r} by {name}={value!r}: {refused}"
        if _spelled(value) != spelled_entity(part):
            continue
        is_plain, compared = _compared(query.statement, name, columns)
        wrong = [f"of type {kind}, {column!r}" for column, kind in compared if kind != _KINDS[_plain(value)]]
        if is_plain and compared and not wrong:
            return None
        if wrong:
            problem = f"names {tag!r}, and compares a column {wrong[0]}, with {value!r}"
        elif not is_plain:
            problem = f'names {tag!r}, and uses {name!r} otherwise than in a condition "column = :{name}"'
    spellings = [_spelled(value) for _, _, value in parameters]
    is_composed = sum(bool(text) and str(text) in part for text in spellings) > 1
    return None if is_composed or _is_in_rows(part, queries) else problem


def _is_in_rows(part: str, queries: Sequence[Query]) -> bool:
    wanted = spelled_entity(part)
    return any(
        _spelled(value) == wanted
        for query in queries
        for row in query.rows[:_MOST_ROWS]
        for value in (row if isinstance(row, tuple | list) else ())
    )


def _spelled(value: Any) -> str | None:
    """A value as a part of a tag; ``None`` if it cannot be one."""
    kind = type(value)
    if kind is str:
        return spelled_entity(value)
    return None if value is None or refused_type(kind) else spelled_entity(spell_part(value))


def _plain(value: Any) -> type:
    return next(kind for kind in _KINDS if isinstance(value, kind))


def _compared(statement: str, parameter: str, columns: Columns) -> tuple[bool, Sequence[tuple[str, str]]]:
    """Whether a statement only compares a parameter with columns by ``=``, and these columns, each with its kind.

    The columns are none if the database does not know one of them.
    """
    names, is_plain = _equalities(statement).get(parameter, ((), False))
    words = set(re.findall(r"\w+", statement))
    found: list[tuple[str, str]] = []
    for name in names:
        kinds = {kinds[name] for table, kinds in columns.kinds.items() if table in words and name in kinds}
        if not kinds:
            return is_plain, ()
        found += [(name, kind) for kind in sorted(kinds)]
    return is_plain, found


@lru_cache(1024)
def _equalities(statement: str) -> Mapping[str, tuple[tuple[str, ...], bool]]:
    """For each parameter, the columns that equal it, and whether it is used for nothing else."""
    uses: dict[str, int] = {}
    for name in _PARAMETER.findall(statement):
        uses[name] = uses.get(name, 0) + 1
    equal: dict[str, list[str]] = {}
    for column, name in _EQUAL.findall(statement):
        equal.setdefault(name, []).append(column)
    is_loose = _LOOSE.search(_NOT_NULL.sub("", statement)) is not None
    return {
        name: (tuple(equal.get(name, ())), not is_loose and len(equal.get(name, ())) == count)
        for name, count in uses.items()
    }
