"""Whether a tag that a view names is that of the row it read.

A trigger spells the values of columns. A view spells what its caller gave it, which may be another spelling of the same
row: ``'07'`` finds the row 7 of an integer column, and ``lower(topic) = lower(:topic)`` finds a row by another topic. A
change of that row would then not outdate what was computed from it. So a named tag must be made as the trigger makes
it, from values of columns: of those that the statement compares with parameters by ``=``, without conversion, or of
some in rows that were found.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from string import Formatter
from typing import Any, NamedTuple

from parbake.ports.sql_text import ColumnName, SelectItem, Statement, read_statement
from parbake.protocol.table_names import table_name
from parbake.protocol.tag_parts import refused_type, spell_part
from parbake.protocol.tags import family, spelled_entity

_MOST_ROWS = 1000
"""A method that returns more rows than this and names few entities does not read by key."""
_MOST_TAGS = 8
"""More entities of one family are bound as the whole family, whatever they are called."""
_KINDS: Mapping[type, str] = {str: "text", int: "integer", uuid.UUID: "uuid", dt.date: "date"}
_SAME_AS_TEXT = {"text", "integer", "uuid"}
"""The kinds of columns whose text is spelled as they are, whatever the session says."""


class TagShape(NamedTuple):
    """How the part of a tag behind its family is made: from texts and from columns of one table.

    Attributes:
        table: The table; empty if any will do.
        pieces: A text and the column behind it, one after the other; an empty column stands for any, and ``None`` for
            none.
    """

    table: str
    pieces: Sequence[tuple[str, str | None]]

    @classmethod
    def of(cls, relation: str, template: str) -> TagShape:
        """How triggers of a table make a tag.

        Args:
            relation: The table, with or without its schema.
            template: The template of the tag.
        """
        pieces = [(text, column) for text, column, *_ in Formatter().parse(template.partition("/")[2])]
        return cls(table_name(relation), pieces)

    @property
    def is_sole(self) -> bool:
        """Whether one column is all of it."""
        return len(self.pieces) == 1 and not self.pieces[0][0] and self.pieces[0][1] is not None


class Columns(NamedTuple):
    """What a database says of its columns.

    Attributes:
        kinds: For each table, and each view of the database, the kind of each column: ``text``, ``integer``, ``uuid``
            or ``date``, or the name of another type.
        captured: The families whose tags triggers spell from columns, each with the shapes of its tags.
    """

    kinds: Mapping[str, Mapping[str, str]]
    captured: Mapping[str, Sequence[TagShape]]

    @classmethod
    def of(cls, kinds: Mapping[str, Mapping[str, str]], templates: Iterable[tuple[str, str]]) -> Columns:
        """Describe a database.

        Args:
            kinds: The kinds of its columns.
            templates: The tables that are captured, each with the template of a tag.
        """
        captured: dict[str, list[TagShape]] = {}
        for relation, template in templates:
            if "{" in template:
                captured.setdefault(family(template), []).append(TagShape.of(relation, template))
        return cls(kinds, captured)

    def sole_kinds(self, name: str) -> list[str]:
        """The kinds of the columns of which one alone is what follows the slash in the tags of a family."""
        shapes = [shape for shape in self.captured.get(name, ()) if shape.is_sole]
        kinds = {self.kinds.get(shape.table, {}).get(shape.pieces[0][1] or "") for shape in shapes}
        return sorted(kind for kind in kinds if kind is not None)


NO_COLUMNS = Columns({}, {})


class Query(NamedTuple):
    """A query of a view's method.

    Attributes:
        statement: Its statement.
        parameters: Its parameters, by name.
        rows: The rows that it returned.
        origins: For each column of the rows, whether it is the column of a table; ``None`` if the database does not
            tell, so that the text of the statement has to.
    """

    statement: str
    parameters: Mapping[str, Any]
    rows: Sequence[Any]
    origins: Sequence[bool] | None = None

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
    reads = _Reads(queries, columns)
    for name in dict.fromkeys(map(family, tags)):
        own = list(dict.fromkeys(tag for tag in tags if family(tag) == name))
        if len(own) > _MOST_TAGS:
            continue
        problems = [problem for tag in own if (problem := reads.problem(tag)) is not None]
        known = [problem for problem in problems if problem]
        if known:
            return known[0]
        if len(problems) == len(own) and (problem := reads.without_row(own[0])):
            return problem
    return ""


def misnamed_by_all(tags: Sequence[str], queries: Sequence[Query], columns: Columns) -> str:
    """Why none of some tags of one family may be that of a row that was read; empty if one is.

    Some of many keys may have no row, and a parameter of another meaning may equal one of them.

    Args:
        tags: The entities that the keys of one computation name.
        queries: What was read for all of them.
        columns: The columns of the database.
    """
    reads = _Reads(queries, columns)
    if not queries or any(reads.problem(tag) is None for tag in tags):
        return ""
    return reads.without_row(tags[0])


class _Value(NamedTuple):
    """A value that may stand in a tag, and why it may not stand there: empty if it may, ``None`` if nothing tells."""

    text: str
    objection: str | None


class _Reads:
    """What a method has read, with which the tags that it named are compared."""

    def __init__(self, queries: Sequence[Query], columns: Columns) -> None:
        self._queries = [(query, read_statement(query.statement)) for query in queries]
        self._columns = columns

    def problem(self, tag: str) -> str | None:
        """Why a tag may not be that of the row: ``None`` if it is, and empty if nothing tells."""
        name, _, part = tag.partition("/")
        objections: list[str] = []
        for shape in self._shapes(name, part):
            values = partial(self._values, part, shape)
            if _composition(shape, part, partial(values, is_certain=True)) is not None:
                return None
            suspected = _composition(shape, part, partial(values, is_certain=False))
            objections += [value.objection for value in suspected or () if value.objection]
        return f"names {tag!r}{objections[0]}" if objections else ""

    def without_row(self, tag: str) -> str:
        """What is said of a tag whose value was not found; empty if nothing was looked up by key."""
        has_rows_by_key = 0 < sum(len(query.rows) for query, _ in self._queries) <= _MOST_ROWS
        if not has_rows_by_key or family(tag) not in self._columns.captured:
            return ""
        return f"names {tag!r}, and no row that it found has this value in a column that it selects"

    def _shapes(self, name: str, part: str) -> Sequence[TagShape]:
        """How a tag may be made: as triggers make those of its family, or of whatever stands between slashes."""
        captured = self._columns.captured.get(name, ())
        tables = {shape.table for shape in captured}
        if any(not statement.tables.isdisjoint(tables) for _, statement in self._queries):
            return captured
        pieces = [("/" if position else "", "") for position in range(part.count("/") + 1)]
        lengths = sorted({1, len(pieces)})
        return [TagShape("", shape.pieces) for shape in captured] + [TagShape("", pieces[:n]) for n in lengths]

    def _values(self, part: str, shape: TagShape, column: str, *, is_certain: bool) -> Iterator[_Value]:
        """What may stand in the place of a column: parameters, without the doubtful ones if need be, and values."""
        for value in self._compared(part, shape, column):
            if value.objection == "" or not is_certain:
                yield value
        yield from self._selected

    def _compared(self, part: str, shape: TagShape, column: str) -> Iterator[_Value]:
        """The parameters that may stand in a part of a tag, in the place of a column."""
        for query, statement in self._queries:
            for parameter, given in query.parameters.items():
                for value in (given, *(given if isinstance(given, list | tuple) else ())):
                    problem = "" if value is None else refused_type(type(value))
                    text = str(value) if problem else _text(value)
                    if text is None or not _may_stand(text, part, shape):
                        continue
                    if problem:
                        yield _Value(text, f" by {parameter}={value!r}: {problem}")
                    else:
                        place = (shape.table, column) if shape.table else None
                        yield _Value(text, self._objection(statement, parameter, value, place))

    def _objection(self, statement: Statement, parameter: str, value: Any, place: tuple[str, str] | None) -> str | None:
        """Why a parameter may not be the value of the column that a trigger spells.

        Args:
            statement: The statement that has the parameter.
            parameter: The name of the parameter.
            value: Its value.
            place: The table and the column; ``None`` if any will do.
        """
        if parameter not in statement.exact:
            return f', and uses {parameter!r} otherwise than in a condition "column = :{parameter}"'
        compared = [(column.name, self._tables(statement, column)) for column in statement.equal_columns[parameter]]
        if not all(tables for _, tables in compared):
            return None
        for column, tables in compared:
            for kind in sorted({self._columns.kinds[table][column] for table in tables}):
                if kind != kind_of_key(value):
                    return f", and compares a column of type {kind}, {column!r}, with {value!r}"
        nodes = {(table, column) for column, tables in compared for table in tables}
        if place is not None and place not in self._equal_columns(statement, nodes):
            return f", and compares the column {compared[0][0]!r}, while triggers spell the tag from {place[1]!r}"
        return ""

    def _tables(self, statement: Statement, column: ColumnName) -> set[str]:
        """The tables of a statement whose column may be meant; none if the database does not know it."""
        kinds = self._columns.kinds
        named = {column.qualifier, *statement.tables_by_alias.get(column.qualifier, ())} if column.qualifier else set()
        found = {table for table in named if column.name in kinds.get(table, ())}
        found = found or {table for table in statement.tables if column.name in kinds.get(table, ())}
        return found or {table for table in statement.words if column.name in kinds.get(table, ())}

    def _equal_columns(self, statement: Statement, columns: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """The columns of tables that a statement joins with some columns, with these."""
        joins = [
            {(table, column.name) for column in pair for table in self._tables(statement, column)}
            for pair in statement.joined
        ]
        joins += [
            {(table, name) for table in self._tables(statement, ColumnName("", name))} for name in statement.using
        ]
        found = set(columns)
        for _ in joins:  # each round adds at least one join, or none is left
            found.update(*(join for join in joins if not join.isdisjoint(found)))
        return found

    @cached_property
    def _selected(self) -> Sequence[_Value]:
        """The values of columns in the rows that were found."""
        texts: dict[str, None] = {}
        for query, statement in self._queries:
            rows = [row for row in query.rows[:_MOST_ROWS] if isinstance(row, tuple | list)]
            places = self._value_places(query, statement, len(rows[0])) if rows else ()
            texts.update((text, None) for row in rows for place in places if (text := _text(row[place])) is not None)
        return [_Value(text, "") for text in texts]

    def _value_places(self, query: Query, statement: Statement, width: int) -> list[int]:
        """The places in a row at which values of columns stand."""
        return [
            place
            for place, item in enumerate(statement.items(width))
            if (
                item.is_value if query.origins is None else _is_value(item, statement, is_of_table=query.origins[place])
            )
            and (not item.is_text or self._is_spelled_as_text(statement, item.column))
        ]

    def _is_spelled_as_text(self, statement: Statement, column: str) -> bool:
        kinds = {self._columns.kinds[table][column] for table in self._tables(statement, ColumnName("", column))}
        return bool(kinds) and kinds <= _SAME_AS_TEXT


def _is_value(item: SelectItem, statement: Statement, *, is_of_table: bool) -> bool:
    """Whether an item is the value of a column, where the database says of which table the column is, if of any."""
    return is_of_table or (item.is_value and (statement.is_compound or not item.is_itself))


def _may_stand(text: str, part: str, shape: TagShape) -> bool:
    return spelled_entity(text) == spelled_entity(part) if shape.is_sole else text in part


def _composition(shape: TagShape, part: str, values: Callable[[str], Iterable[_Value]]) -> Sequence[_Value] | None:
    """The values of which a part of a tag is made; ``None`` if it is not made of such.

    Args:
        shape: How it is made.
        part: The part behind the family.
        values: Returns the values that may stand in the place of a column.
    """
    if not shape.is_sole:
        return _fill(shape.pieces, part, values)
    wanted = spelled_entity(part)  # a long one is spelled by its digest
    found = (value for value in values(shape.pieces[0][1] or "") if spelled_entity(value.text) == wanted)
    return next(([value] for value in found), None)


def _fill(
    pieces: Sequence[tuple[str, str | None]], part: str, values: Callable[[str], Iterable[_Value]]
) -> list[_Value] | None:
    """The values that make a text of pieces; ``None`` if none do."""
    if not pieces:
        return None if part else []
    (text, column), *rest = pieces
    if not part.startswith(text):
        return None
    part = part[len(text) :]
    if column is None:
        return _fill(rest, part, values)
    for value in values(column):
        if part.startswith(value.text) and (filled := _fill(rest, part[len(value.text) :], values)) is not None:
            return [value, *filled]
    return None


def _text(value: Any) -> str | None:
    """A value as a part of a tag, before it is encoded; ``None`` if it cannot be one."""
    if type(value) is str:
        return value
    return None if value is None or refused_type(type(value)) else spell_part(value)
