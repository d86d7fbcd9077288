"""The reads of one computation: which view asked what, on the copy."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from parbake.ports import views
from parbake.ports.sources import Extent, OrderedSource, Source, SourceEvent
from parbake.ports.views import View
from parbake.protocol.recording import Tracker
from parbake_lab.prove.copies import Copy

ViewT = TypeVar("ViewT")


class Read(NamedTuple):
    """One query of a view's method."""

    copy: Copy
    view: type[Any]
    method: str
    statement: str
    parameters: Mapping[str, Any]
    rows: Sequence[Any]

    @property
    def place(self) -> str:
        """The view and its method."""
        return f"{self.view.__qualname__}.{self.method}"

    @property
    def query(self) -> tuple[str, str]:
        """The statement with its parameters, to compare."""
        return self.statement, repr(sorted(self.parameters.items()))

    def differs(self) -> bool:
        """Whether the query finds something else now."""
        try:
            return list(self.copy.rows(self.statement, self.parameters)) != list(self.rows)
        except self.copy.refusals:
            return True


class CopySource(OrderedSource):
    """A source of views on a copy, whose log of events is empty."""

    is_gapless = True

    def __init__(self, source: Source, copy: Copy, reads: list[Read]) -> None:
        """Open the views of a source on its copy.

        Args:
            source: The source.
            copy: The copy.
            reads: Where each query is noted.
        """
        self.name = source.name
        self._source, self._copy, self._reads = source, copy, reads

    @property
    def families(self) -> Collection[str]:
        return self._source.families

    def provides(self, view: type[Any]) -> bool:
        return self._source.provides(view)

    @contextlib.contextmanager
    def open(self, view: type[ViewT], tracker: Tracker) -> Iterator[ViewT]:
        yield cast("ViewT", cast("type[View]", view)(self._copy, _Noting(tracker, self._copy, self._reads)))

    def extent(self) -> Extent:
        return Extent(0, 0)

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        del after, limit
        return []

    def close(self) -> None:
        """Leave the copy open: it outlasts the app."""


class _Noting:
    """Passes on what a view reads, and notes the queries."""

    def __init__(self, tracker: Tracker, copy: Copy, reads: list[Read]) -> None:
        self._copy, self._reads = copy, reads
        self.entity, self.whole_set, self.unnamed = tracker.entity, tracker.whole_set, tracker.unnamed
        self._query = tracker.query

    def query(self, view: type[Any], statement: str, parameters: Mapping[str, Any], rows: Sequence[Any]) -> None:
        self._query(view, statement, parameters, rows)
        self._reads.append(Read(self._copy, view, _method(), statement, dict(parameters), rows))


def _method() -> str:
    """The outermost method of a view that is running; the view's wrappers of methods are looked for."""
    found, frame = "rows", inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_filename == views.__file__ and "method" in frame.f_locals:
            found = frame.f_locals["method"].__name__
        frame = frame.f_back
    return found
