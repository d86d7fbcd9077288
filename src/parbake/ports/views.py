"""Versioned views: tasks read a source through them, and their reads become the tags of the result."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, ClassVar, Protocol

from parbake.errors import DeclarationError
from parbake.ports.row_keys import Columns, KeyLookup, Query, misnamed
from parbake.protocol.recording import Tracker
from parbake.protocol.table_names import table_name
from parbake.protocol.tags import family as family_of

_MOST_QUERIES = 100
"""Of more queries than these, a view that names no tags has read more than one key."""
_READS = re.compile(r"\b(?:FROM|JOIN)\s+(?:ONLY\s+|LATERAL\s+)?((?:[\w\".]+)(?:\s*,\s*[\w\".]+)*)", re.IGNORECASE)
"""The names behind FROM and JOIN."""


class Session(Protocol):
    """One read transaction on a source's primary. Statements use ``:name`` parameters.

    It may have a method ``columns()``, which returns the :class:`parbake.ports.row_keys.Columns` of the database. The
    tags that views name are then compared with the rows that they read. It may also have a method
    ``origins(statement)``, which returns for each column of the rows of a query whether it is the column of a table.
    """

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """All rows of a query, as tuples."""
        ...


class View:
    """Base of a source's views. A subclass declares its ``families``, reads through ``rows`` and names its reads.

    ``entity`` binds the result to one entity (even if it was not found), ``whole_set`` to every member of a family.
    Each method that calls ``rows`` names its own reads. If it does not, the task's contract must name the tags by a
    template or ignore the view's families; otherwise the computation fails.

    Live data such as price, stock and cart is not versioned, and must not be read through a view.

    Attributes:
        families: The tag families whose changes outdate the view's rows. A view of data without events declares none:
            ``families = ()``.
    """

    families: ClassVar[Sequence[str]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Wrap each public method, those of mixins too, to check that it names its reads."""
        super().__init_subclass__(**kwargs)
        names = {name for base in cls.__mro__ for name in vars(base) if not name.startswith("_")}
        for name in names.difference(_NOTES):
            base, method = _definition(cls, name)
            if not inspect.isfunction(method):
                continue
            if base is cls or not issubclass(base, View):
                wrapper = _noted(method)
                wrapper.__dict__[_FROM_BASE] = base is not cls
                setattr(cls, name, wrapper)
            elif inspect.getattr_static(cls, name) is not method:  # a wrapper of a later base hides it
                setattr(cls, name, method)

    def __init__(self, session: Session, tracker: Tracker) -> None:
        """Create the view; the source does that for each computation."""
        self._session = session
        self._tracker = tracker
        self._reads = _Reads(type(self), tracker, session)

    def rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """All rows of a query, as tuples."""
        found = self._session.rows(statement, parameters)
        self._tracker.query(type(self), statement, parameters, found)
        self._reads.ask(statement, parameters, found)
        return found

    def entity(self, tag: str) -> None:
        """Bind the result to ``family/entity``, which was read or looked up in vain."""
        self._check_declared(family_of(tag))
        self._reads.name(tag)
        self._tracker.entity(tag)

    def whole_set(self, family: str) -> None:
        """Bind the result to every member of a family."""
        self._check_declared(family)
        self._reads.name()
        self._tracker.whole_set(family)

    def _check_declared(self, family: str) -> None:
        if family not in self.families:
            name = type(self).__qualname__
            known = ", ".join(map(repr, self.families)) or "none"
            raise DeclarationError(
                f"the view {name} names {family!r}, which is not among its families ({known}): correct it, such as "
                f"self.entity('{next(iter(self.families), 'policy')}/returns'), or add the family to families",
                field="families",
            )


_NOTES = ("rows", "entity", "whole_set")
_FROM_BASE = "_parbake_from_base"
"""Marks the wrapper of a mixin's method. The mixin itself keeps its method unwrapped."""


def _definition(view: type[Any], name: str) -> tuple[type[Any], Any]:
    """The class that defines an attribute of a view, and the attribute, as if no wrapper stood before it."""
    for base in view.__mro__:
        attribute = vars(base).get(name)
        if attribute is not None and not getattr(attribute, _FROM_BASE, False):
            return base, attribute
    return view, None


class _Method:
    """One call of a view's method: whether it called ``rows``, and whether it named its reads, and how."""

    __slots__ = ("asked", "named", "queries", "tags")

    def __init__(self) -> None:
        self.asked = False
        self.named = False
        self.queries: list[Query] = []
        self.tags: list[str] = []


class _Reads:
    """Follows a view's reads method by method, and reports rows without a tag to the tracker."""

    def __init__(self, view: type[View], tracker: Tracker, session: Session) -> None:
        self._view, self._tracker = view, tracker
        self._read_columns: Callable[[], Columns] | None = getattr(session, "columns", None)
        self._origins: Callable[[str], Sequence[bool] | None] = getattr(session, "origins", _unknown_origins)
        self._columns: Columns | None = None
        self._outside = self._current = _Method()

    @property
    def is_within(self) -> bool:
        """Whether a method of the view is running."""
        return self._current is not self._outside

    def name(self, tag: str = "") -> None:
        self._current.named = True
        if tag:
            self._current.tags.append(tag)

    def ask(self, statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        self._current.asked = True
        if self.is_within:
            self._current.queries.append(Query(statement, parameters, rows, self._origins(statement)))
        elif not self._outside.named:  # the task itself called it, so no tag can follow
            self._tracker.unnamed(self._view, "rows")

    @contextlib.contextmanager
    def within(self, method: _Method) -> Iterator[None]:
        outer, self._current = self._current, method
        try:
            yield
        finally:
            self._current = outer

    def _note(self, method: _Method, columns: Columns) -> None:
        """Let the tracker know what was read without a tag, so that the tags of templates can be compared with it."""
        lookups = getattr(self._tracker, "lookups", None)
        if lookups is None:
            return
        lookup = lookups.setdefault(self._view, KeyLookup(self._view.families, [], columns))
        if not method.named and len(lookup.queries) < _MOST_QUERIES:
            lookup.queries.extend(query.with_few_rows() for query in method.queries)

    def judge(self, method: _Method, name: str) -> None:
        if method.asked and not method.named:
            self._tracker.unnamed(self._view, name)

    def check(self, method: _Method, name: str) -> None:
        """Compare what a method named with what it read, once it has ended without an error."""
        if not method.queries or self._read_columns is None:
            return
        if self._columns is None:  # they stay as they are during the transaction of the view
            self._columns = self._read_columns()
        self._note(method, self._columns)
        if problem := misnamed(method.tags, method.queries, self._columns):
            raise DeclarationError(
                f"{self._view.__qualname__}.{name} {problem}: a change of the row would not outdate it. Name the value "
                "of the row's own column (select it), compare the column with it by '=' and with its type, or bind the "
                "whole family with self.whole_set(...)",
                field="families",
            )


def _noted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a method so that it reports rows without a tag to the tracker when it ends.

    A method is judged together with the methods that it calls; a generator is judged by itself.
    """
    if inspect.isgeneratorfunction(method):

        @functools.wraps(method)
        def streamed(self: View, *args: Any, **kwargs: Any) -> Iterator[Any]:
            own, items = _Method(), method(self, *args, **kwargs)
            try:
                while True:
                    with self._reads.within(own):
                        item = next(items, _END)
                    if item is _END:
                        self._reads.check(own, method.__name__)
                        return
                    yield item
            except GeneratorExit:  # what was read until here may have been used
                self._reads.check(own, method.__name__)
                raise
            finally:
                items.close()
                self._reads.judge(own, method.__name__)

        return streamed

    @functools.wraps(method)
    def called(self: View, *args: Any, **kwargs: Any) -> Any:
        if self._reads.is_within:
            return method(self, *args, **kwargs)
        own = _Method()
        try:
            with self._reads.within(own):
                returned = method(self, *args, **kwargs)
        finally:
            self._reads.judge(own, method.__name__)
        self._reads.check(own, method.__name__)
        return returned

    return called


_END: Any = object()


def _unknown_origins(_: str) -> None:
    """Stand in for a session that does not know of which table a column of its rows is."""


def tables_read(statement: str) -> set[str]:
    """The names behind FROM and JOIN in a statement, without schema and quotes; some may be no tables."""
    listed = [name for found in _READS.findall(statement) for name in found.split(",")]
    return {table_name(name.strip()) for name in listed}


def untold(
    views: Collection[type[View]],
    captured: Collection[str],
    uncaptured: Collection[str],
    views_of: Mapping[str, set[str]],
) -> list[str]:
    """A sentence for each table that a view reads and whose changes nobody tells; none if nothing is captured.

    Args:
        views: The views. One that has no families reads what has no events.
        captured: The tables whose changes are told by triggers.
        uncaptured: The tables of which no trigger need tell.
        views_of: The tables of the database, each with itself, and its views, each with the tables that it reads.
    """
    told = {*captured, *uncaptured}
    found: list[str] = []
    for view in views if captured else ():
        names = {name for statement in _statements(view) for name in tables_read(statement)} if view.families else set()
        read = {table for name in names for table in views_of.get(name, ())}
        found += [
            f"the view {view.__qualname__} reads the table {table}, and nothing tells of its changes: capture it with "
            "'parbake capture install', or, if its writers emit or no change matters, name it in uncaptured="
            for table in sorted(read - told)
        ]
    return found


def families_not_captured(
    wanted: Mapping[str, Collection[str]], told: Mapping[str, Collection[str]]
) -> dict[str, set[str]]:
    """The tables whose triggers do not raise all that is wanted, each with the families that may change untold.

    Args:
        wanted: The templates of the tags by table, as the owner of the source declares them.
        told: Those that triggers raise, by table; its name may have a schema before it.
    """
    known: dict[str, set[str]] = {}
    for relation, tags in told.items():
        known.setdefault(table_name(relation), set()).update(tags)
    return {
        table: {family_of(tag) for tag in tags}
        for table, tags in wanted.items()
        if not known.get(table, set()) >= {*tags}
    }


def said_of_not_captured(table: str) -> str:
    """What keeps the changes of a table from being told whose triggers are not the wanted ones."""
    return f"no trigger tells of the changes of {table} as this app declares it"


def _statements(view: type[View]) -> Iterator[str]:
    """The texts in the code of a view's methods."""
    for kind in view.__mro__:
        for method in vars(kind).values() if issubclass(kind, View) and kind is not View else ():
            code = getattr(getattr(method, "__wrapped__", method), "__code__", None)
            if code is not None:
                yield from _texts(code)


def _texts(code: CodeType) -> Iterator[str]:
    constants: tuple[Any, ...] = code.co_consts
    for constant in constants:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _texts(constant)
