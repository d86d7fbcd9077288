"""What a statement reads: its tables and columns, the rows that it is made of, and what it compares columns with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from parbake.errors import MissingDependency
from parbake.ports.views import tables_read
from parbake_lab.prove.copies import Copy, Table

_SHAPES = ("group", "having", "distinct", "order", "limit", "offset")
"""The clauses that decide which rows of a result are seen, or in which form."""


_SIGNS = {
    "eq": "=",
    "in": "=",
    "is": "=",
    "like": "~",
    "ilike": "~",
    "neq": "<>",
    "gt": ">",
    "gte": ">=",
    "lt": "<",
    "lte": "<=",
}
_TURNED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_DENIED = {"=": "<>", "~": "<>", "<>": "=", ">": "<=", ">=": "<", "<": ">=", "<=": ">"}


class Compared(NamedTuple):
    """A column that is compared with something: a parameter, a literal, or a column of another table.

    Attributes:
        column: The column.
        sign: How; ``~`` if only something that is made of the column or the other side is equal.
        parameter: The parameter.
        literal: The literal; ``None`` stands for NULL.
        other: The table and the column.
    """

    column: str
    sign: str
    parameter: str = ""
    literal: str | float | None = None
    other: tuple[str, str] | None = None


class TableRead(NamedTuple):
    """How a statement reads one table.

    Attributes:
        table: The table.
        columns: The columns that it reads.
        rows: The statement that lists the rows that the result is made of; empty if it is not known.
        compared: What its columns have to equal.
        is_guess: Whether it is only possible that the statement reads the table.
    """

    table: Table
    columns: tuple[str, ...]
    rows: str = ""
    compared: tuple[Compared, ...] = ()
    is_guess: bool = False


def sqlglot() -> Any:
    """The parser; raises :class:`MissingDependency` without it."""
    try:
        found = import_module("sqlglot")
        import_module("sqlglot.optimizer.qualify")
    except ModuleNotFoundError as error:
        raise MissingDependency.of("parbake prove", "prove", field="sqlglot") from error
    return found


@lru_cache(maxsize=4096)
def reads_of(statement: str, copy: Copy) -> tuple[TableRead, ...]:
    """How a statement reads each table; all columns of the tables that it names, if it cannot be parsed."""
    try:
        tree = _qualified(statement, copy)
        scopes = sqlglot().optimizer.scope.traverse_scope(tree)
        found = [read for scope in scopes for read in _Scope(scope, tree, copy).reads()]
    except Exception:  # noqa: BLE001 - whatever the parser stumbles over, the names of the tables are known
        found = []
    seen = {read.table.name for read in found}
    named = {table.name for table in map(copy.tables.get, map(str.lower, tables_read(statement))) if table}
    # What a function or a full-text index reads is not known.
    is_open = not seen | named or any(f"{name}(" in _spelled_out(statement, copy) for name in copy.functions)
    rest = {table.name: table for table in copy.tables.values() if table.name not in seen}
    found += [TableRead(table, tuple(table.columns)) for name, table in rest.items() if name in named]
    guessed = [
        TableRead(t, tuple(t.columns), is_guess=True) for name, t in rest.items() if is_open and name not in named
    ]
    return (*found, *guessed)


def _spelled_out(statement: str, copy: Copy) -> str:
    """A statement together with the queries behind the views that it names, directly or through others."""
    found, rest = statement, dict(copy.views)
    while named := [name for name in rest if name in found]:
        found = " ".join([found, *(rest.pop(name) for name in named)])
    return found


def _qualified(statement: str, copy: Copy) -> Any:
    """The tree of a statement, with the table of each column, and with the queries behind the database's views."""
    glot = sqlglot()
    tree = glot.parse_one(statement, dialect=copy.dialect)
    views = {name: glot.parse_one(made, dialect=copy.dialect) for name, made in copy.views.items()}
    tree = glot.exp.expand(tree, views, dialect=copy.dialect)
    schema = {t.name: {c.name: c.kind or "text" for c in t.columns.values()} for t in copy.tables.values()}
    try:
        return glot.optimizer.qualify.qualify(
            tree.copy(),
            schema=schema,
            dialect=copy.dialect,
            validate_qualify_columns=False,
            allow_partial_qualification=True,
            quote_identifiers=False,
        )
    except glot.errors.SqlglotError:
        return tree  # its columns may be of any of its tables


class _Scope:
    """One SELECT of a statement."""

    def __init__(self, scope: Any, tree: Any, copy: Copy) -> None:
        self._exp, self._scope, self._tree, self._copy = sqlglot().exp, scope, tree, copy
        self._tables: dict[str, Table] = {}
        around: Any = scope
        while around is not None:
            for alias, source in around.sources.items():
                table = copy.tables.get(source.name.lower()) if isinstance(source, self._exp.Table) else None
                if table is not None:
                    self._tables.setdefault(alias, table)
            around = around.parent if around.is_correlated_subquery else None

    def reads(self) -> Iterator[TableRead]:
        """How it reads each of its own tables."""
        if not isinstance(self._scope.expression, self._exp.Select):
            return
        for alias, table in self._tables.items():
            if alias in self._scope.sources:
                known = {name.lower(): name for name in table.columns}
                own = [c for c in self._scope.columns if c.table in (alias, "")]
                read = dict.fromkeys(known[c.name.lower()] for c in own if c.name.lower() in known)
                is_whole = any(c.name == alias or (c.table and c.name.lower() not in known) for c in own)
                if is_whole or any(c.is_star for c in self._scope.expression.selects):
                    read = dict.fromkeys(table.columns)  # such as of a whole row, or of what is computed from it
                yield TableRead(table, tuple(read), self._rows(alias, table), tuple(self._compared(alias, table)))

    def _rows(self, alias: str, table: Table) -> str:
        """The statement that lists the rows of one table; it is joined to the query around it if it depends on that."""
        select = self._scope.expression.copy()
        is_grouped = bool(select.args.get("group")) or any(s.find(self._exp.AggFunc) for s in select.selects)
        for part in _SHAPES if is_grouped else _SHAPES[:3]:
            select.set(part, None)
        select.set("expressions", [self._exp.Var(this=table.listed(alias))])
        if self._scope.is_correlated_subquery:
            outer = self._scope.parent.expression
            if isinstance(outer, self._exp.Select):
                select = _within(select, outer.copy())
        if self._tree.ctes and not select.ctes:
            select.set(*_part(self._tree, "with"))

        def as_written(node: Any) -> Any:
            return self._exp.Var(this=f":{node.name}") if isinstance(node, self._exp.Placeholder) else node

        return str(select.transform(as_written).sql(dialect=self._copy.dialect))

    def _compared(self, alias: str, table: Table) -> Iterator[Compared]:
        """What the columns of one table are compared with."""
        known = {name.lower(): name for name in table.columns}
        for one, sign, other in self._comparisons():
            columns = [one] if isinstance(one, self._exp.Column) else list(one.find_all(self._exp.Column))
            for own in columns if len(columns) == 1 and not one.find(self._exp.Select) else ():
                if own.table in (alias, "") and own.name.lower() in known:
                    is_plain = one is own or sign != "="
                    yield from self._operand(known[own.name.lower()], sign if is_plain else "~", other)

    def _comparisons(self) -> Iterator[tuple[Any, str, Any]]:
        """The sides of each comparison, from both ends."""
        for one in self._scope.expression.find_all(self._exp.Predicate):
            others = [(_SIGNS.get(one.key, ""), other) for other in (*one.args.get("expressions", ()), one.expression)]
            if one.key == "between":
                others = [(">=", one.args["low"]), ("<=", one.args["high"])]
            if one.key == "in" and one.args.get("query"):
                others = [("=", other) for other in one.args["query"].selects]
            for sign, other in ((sign, other.unalias()) for sign, other in others if sign and other):
                meant = _DENIED[sign] if isinstance(one.parent, self._exp.Not) else sign
                yield one.this, meant, other
                yield other, _TURNED.get(meant, meant), one.this

    def _named(self, column: Any) -> Table | None:
        """The table of a column, also of a query within this one."""
        own = self._tables.get(column.table)
        within = (source for source in self._tree.find_all(self._exp.Table) if source.alias_or_name == column.table)
        return own or next((t for t in (self._copy.tables.get(s.name.lower()) for s in within) if t), None)

    def _operand(self, column: str, sign: str, other: Any) -> Iterator[Compared]:
        while isinstance(other, self._exp.Cast | self._exp.Paren):
            other = other.this
        if isinstance(other, self._exp.Null):
            yield Compared(column, sign)
        elif isinstance(other, self._exp.Literal):
            yield Compared(column, sign, literal=other.this if other.is_string else float(other.this))
        elif isinstance(other, self._exp.Column):
            if table := self._named(other):
                yield Compared(column, sign, other=(table.name, other.name))
        elif given := other.find(self._exp.Placeholder):
            is_plain = other is given or sign != "="
            yield Compared(column, sign if is_plain else "~", parameter=given.name)


def _within(inner: Any, outer: Any) -> Any:
    """A subquery, joined to the query that it depends on."""
    for part in _SHAPES:
        outer.set(part, None)
    outer.set("expressions", inner.expressions)
    outer = outer.join(_part(inner, "from")[1].this, join_type="cross")
    for join in inner.args.get("joins") or ():
        outer.append("joins", join)
    where = inner.args.get("where")
    return outer.where(where.this) if where else outer


def _part(node: Any, name: str) -> tuple[str, Any]:
    """A clause whose name is a word of Python, which versions of the parser spell differently."""
    spelled = f"{name}_" if f"{name}_" in node.args else name
    return spelled, node.args[spelled]
