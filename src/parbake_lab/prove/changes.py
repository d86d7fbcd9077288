"""Which changes of single rows could show that a value depends on more than it says."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import itertools
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from parbake.errors import ParbakeError
from parbake.protocol.tags import family, read_entity, spelled
from parbake_lab.prove.copies import Column, Copy, Row, Table
from parbake_lab.prove.reads import Read
from parbake_lab.prove.statements import Compared, TableRead

_ROWS, _OTHERS, _LISTED = 6, 4, 200
"""Rows that a result is made of, and other rows, that are changed for one query; and how many are listed."""
_PEERS, _COMBINED = 3, 4
"""Values of other rows that a column is set to; combinations of values that fit."""
_FAR, _DAYS = 100_000, (1, -1, 4000, -4000)
"""How far numbers and dates are moved."""
Kind = Literal["updated", "deleted", "inserted"]


class Change(NamedTuple):
    """A change of one row: a column with its new value, the row's deletion, or a new row with some values of its own.

    Attributes:
        table: The table.
        kind: What happens.
        rows: The row; of an insertion, the one that is copied. Only deletions may take several.
        column: The column; empty unless a value is updated.
        value: Its new value.
        values: The values of a new row that are not copied; of an update, those of several columns.
        is_within: Whether the result is made of the row.
    """

    table: Table
    kind: Kind
    rows: Sequence[Row]
    column: str = ""
    value: Any = None
    values: Mapping[str, Any] = {}
    is_within: bool = True

    @property
    def what(self) -> str:
        """The column, or what happens to the row."""
        return self.column or f"(row{'s' if len(self.rows) > 1 else ''} {self.kind})"

    def apply(self, copy: Copy) -> None:
        """Make the change, which the database may refuse."""
        if self.kind == "inserted":
            copy.insert(self.table, self.rows[0] if self.rows else None, self.values)
        for row in self.rows if self.kind != "inserted" else ():
            if self.kind == "deleted":
                copy.delete(self.table, row)
            else:
                copy.update(self.table, row, {self.column: self.value} if self.column else self.values)


class Changes:
    """Picks changes for one query of a value."""

    def __init__(self, read: Read, is_outdated: Callable[[Collection[str]], bool], rng: random.Random) -> None:
        """Know the query, and which tags outdate the value.

        Args:
            read: The query.
            is_outdated: Whether some tags outdate the value.
            rng: What draws rows and values.
        """
        self._read, self._copy, self._is_outdated, self._rng = read, read.copy, is_outdated, rng

    def of(self, part: TableRead, rest: Sequence[TableRead], *, is_brief: bool = False) -> Iterator[Change]:
        """The changes of one table, those first that are most likely to show something.

        Args:
            part: How the query reads the table.
            rest: How it reads its tables.
            is_brief: Whether only what the result is made of is changed, all of it at once.
        """
        table, made_of = part.table, self._made_of(part, rest)
        ids = {_id(table, row) for row in made_of}
        others = [row for row in self._copy.pool(table) if _id(table, row) not in ids]
        if not any(self._is_loose(table, row) for row in (*made_of, *others)) and (made_of or others):
            return
        names = [name for name in part.columns if not table.columns[name].is_key]
        yield from self._of_many(table, [row for row in made_of if self._is_loose(table, row)], names)
        if is_brief:
            return
        within, beside = self._drawn(table, made_of, _ROWS), self._drawn(table, others, _OTHERS)
        fitting = {name: self._fitting(name, part, rest) for name in dict.fromkeys(o.column for o in part.compared)}
        for row in within:
            yield Change(table, "deleted", [row])
        free = {name: values for name, values in fitting.items() if not table.columns[name].is_key}
        for row, values in itertools.product(beside, _combined(free) if len(free) > 1 else ()):
            yield Change(table, "updated", [row], values=values, is_within=False)
        yield from self._insertions(table, within or beside, fitting)
        known = {name: [row[name] for row in (*others, *made_of) if row[name] is not None] for name in names}
        for row, name in itertools.product((*within, *beside), names):
            for value in self._values(table.columns[name], row[name], known[name], fitting.get(name, ())):
                yield Change(table, "updated", [row], name, value, is_within=row in within)

    @staticmethod
    def _of_many(table: Table, rows: Sequence[Row], names: Sequence[str]) -> Iterator[Change]:
        """Changes of all rows that a result is made of, as one of many may not be missed."""
        if rows:
            yield Change(table, "deleted", rows)
        for name in names if rows else ():
            for value in altered(rows[0][name]):
                yield Change(table, "updated", rows, name, value)

    def _made_of(self, part: TableRead, rest: Sequence[TableRead] = ()) -> list[Row]:
        """The rows of a table that the result is made of, as far as that is known."""
        found = self._copy.found(part.table, part.rows, self._read.parameters) if part.rows else []
        found = found or (self._mentioned(part.table) if part.is_guess else self._alike(part, rest))
        return self._rng.sample(found, _LISTED) if len(found) > _LISTED else found

    def _mentioned(self, table: Table) -> list[Row]:
        """The rows of a table that hold a parameter of the query, or a part of its result."""
        values = [*self._read.parameters.values(), *(value for row in self._read.rows for value in row)]
        texts = {str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)}
        return [row for row in self._copy.pool(table) if texts.intersection(map(str, row.values()))]

    def _alike(self, part: TableRead, rest: Sequence[TableRead]) -> list[Row]:
        """The rows of a table whose columns equal what the query compares them with."""
        wanted = {one.column: self._values_of(one, rest)[:_PEERS] for one in part.compared if one.sign == "="}
        if not wanted or not all(wanted.values()):
            return []
        texts = {column: set(map(str, values)) for column, values in wanted.items()}
        rows = self._copy.pool(part.table)
        return [row for row in rows if all(str(row[column]) in known for column, known in texts.items())]

    def _values_of(self, one: Compared, rest: Sequence[TableRead]) -> list[Any]:
        """What a column is compared with."""
        if one.other is None:
            value = self._read.parameters.get(one.parameter) if one.parameter else one.literal
            return [] if value is None else [value]
        name, place = one.other
        others = [other for other in rest if other.table.name == name and place in other.table.columns]
        return _distinct(
            [row[place] for other in others for row in self._made_of(other)[:_PEERS] if row[place] is not None]
        )

    def _fitting(self, column: str, part: TableRead, rest: Sequence[TableRead]) -> list[Any]:
        """The values with which a column does what the query asks for."""
        found: list[Any] = []
        known = [row[column] for row in self._copy.pool(part.table) if row[column] is not None]
        for one in (one for one in part.compared if one.column == column):
            values = self._values_of(one, rest)
            found += [fitting for value in values for fitting in _satisfying(one.sign, value, known)]
            if not (values or one.parameter or one.other):
                found += [None] if one.sign == "=" else known[:1]
        return _distinct(found)

    def _is_loose(self, table: Table, row: Row) -> bool:
        """Whether a change of the row would not outdate the value, by what is known of the triggers."""
        templates = self._copy.templates.get(table.name, ())
        return not self._is_outdated([tag for template in templates for tag in _raised(template, row)])

    def _drawn(self, table: Table, rows: Sequence[Row], most: int) -> list[Row]:
        """Some rows, among them one that the tags cover; most of them are not covered."""
        loose: list[Row] = []
        bound: list[Row] = []
        for row in self._rng.sample(rows, len(rows)):
            (loose if self._is_loose(table, row) else bound).append(row)
        return [*loose[: most - 1], *bound[:1]]

    def _values(self, column: Column, old: Any, known: Sequence[Any], fitting: Sequence[Any]) -> Iterator[Any]:
        """New values for a column: those that match, those of other rows, a little more, the ends, none."""
        drawn = self._rng.sample(known, min(len(known), 4 * _PEERS))
        candidates = [*fitting, *altered(old), *_distinct(drawn)[:_PEERS], *_ends(known)]
        for value in (*_distinct(candidates), *([None] if column.is_nullable and old is not None else ())):
            if value != old:
                yield value

    def _insertions(self, table: Table, rows: Sequence[Row], fitting: Mapping[str, Sequence[Any]]) -> Iterator[Change]:
        """New rows: copies with another key, and with values that match what the query looks for."""
        own = [column for column in table.columns.values() if column.is_key]
        unique = [column for column in table.columns.values() if column.is_unique and not column.is_key]
        for row in (*rows[:2], *rows[-1:]) or (None,):
            fresh = {c.name: self._fresh(table, c, row) for c in (*own, *unique)}
            rest = {c.name: self._fresh(table, c, None) for c in table.columns.values()} if row is None else {}
            referring = {
                c.name: self._referred(c) for c in table.columns.values() if c.parent and (c in own or not row)
            }
            bases = [
                {**rest, **{c.name: fresh[c.name] for c in (*own, *one)}} for one in (unique, *([u] for u in unique))
            ]
            bases += [{**base, **referring} for base in bases] if referring else []
            for matching in _combined(fitting):
                for base in bases:
                    yield Change(table, "inserted", [row] if row else [], values={**base, **matching})
            for base in bases:
                yield Change(table, "inserted", [row] if row else [], values=base)

    def _fresh(self, table: Table, column: Column, row: Row | None) -> Any:
        """A value that no row has yet."""
        known = [one[column.name] for one in self._copy.pool(table) if one[column.name] is not None]
        like = row[column.name] if row is not None else next(iter(known), None)
        if isinstance(like, int | float | decimal.Decimal) and not isinstance(like, bool):
            return max(known, default=0) + 1
        if like is None:
            return 1 if any(word in column.kind for word in ("int", "num", "real", "float")) else "new"
        return f"{like}~new" if isinstance(like, str) else like

    def _referred(self, column: Column) -> Any:
        """A value that a foreign key may have."""
        name, place = column.parent or ("", "")
        table = self._copy.tables.get(name.lower())
        rows = self._copy.pool(table) if table else []
        return self._rng.choice(rows)[place if place in rows[0] else table.key[0]] if table and rows else None


def _combined(fitting: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Some combinations of one value for each column."""
    names = [name for name, values in fitting.items() if values]
    chosen = itertools.product(*(fitting[name][:_PEERS] for name in names))
    return (dict(zip(names, values, strict=True)) for values in itertools.islice(chosen, _COMBINED if names else 0))


def _satisfying(sign: str, value: Any, known: Sequence[Any]) -> list[Any]:
    """Values that fulfil a comparison with a value."""
    if sign == "<>":
        return [one for one in _distinct(known) if one != value][:_PEERS]
    with contextlib.suppress(TypeError):
        if sign == ">":
            return [one for one in altered(value) if one > value][:1]
        if sign == "<":
            return [one for one in altered(value) if one < value][:1]
    return [value]


def _raised(template: str, row: Row) -> tuple[str, ...]:
    """The tags that a change of a row raises by a template, as a value that it binds would have them."""
    name = family(template)
    try:
        return (f"{name}/*", *(read_entity(spelled(template.format_map(row)))[:1] if "/" in template else (name,)))
    except (KeyError, ParbakeError):
        return (f"{name}/*", name)


def _id(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in table.key)


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Values without repetition, also of those that cannot be hashed."""
    return list({repr(value): value for value in values}.values())


def _ends(values: Sequence[Any]) -> list[Any]:
    """Values near the first and the last one, and beyond them."""
    try:
        return [*altered(max(values)), *altered(min(values))]
    except (TypeError, ValueError, ArithmeticError):  # such as of texts and numbers together
        return []


def altered(value: Any) -> list[Any]:
    """Values of the same form: one that is a little different, and for numbers and dates some that are far away."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float | decimal.Decimal):
        return [value + 1, *([1 - value] if value in (0, 1) else []), value - 1, value + _FAR, value - _FAR]
    if isinstance(value, dt.date):
        return [value + dt.timedelta(days=days) for days in _DAYS if 1 < value.year + days // 365 < dt.MAXYEAR]
    if isinstance(value, dict | list):
        return [json.dumps(_deeper(value)), _deeper(value)]
    return _texts(value) if isinstance(value, str) else []


def _texts(value: str) -> list[Any]:
    for kind in (dt.date, dt.datetime):
        try:
            return [one.isoformat() for one in altered(kind.fromisoformat(value))]
        except (ValueError, OverflowError):
            continue
    try:
        return [json.dumps(_deeper(json.loads(value)))]
    except ValueError:
        return [f"{value}~"]


def _deeper(value: Any) -> Any:
    """A value of JSON in which each number and each text is a little different."""
    if isinstance(value, dict):
        return {name: _deeper(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_deeper(one) for one in value]
    found = altered(value) if not isinstance(value, str) else [f"{value}~"]
    return found[0] if found else value
