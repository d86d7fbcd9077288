"""Versioned views: how tasks read a source, and how what they read becomes the tags of their result."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from parbake.errors import DeclarationError
from parbake.fence.recording import Tracker
from parbake.fence.tags import family as family_of


class Session(Protocol):
    """One read transaction on a source's primary. Statements use ``:name`` parameters."""

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """All rows of a query, as tuples."""
        ...


class View:
    """Base of a source's views. A subclass declares its ``families``, reads through ``rows`` and says what it read.

    ``entity`` binds the result to one entity (also when it was not found); ``whole_set`` to every member of a family.
    Each method that asks ``rows`` says so itself; where it does not, the task's contract must name what is read by a
    template or ignore the view's families, or the computation fails.
    A view leaves out what is live: price, stock and cart are not versioned and must not be read through one.

    Attributes:
        families: The tag families whose changes outdate what is read here. A view of data that no event tells of
            declares none: ``families = ()``.
    """

    families: ClassVar[Sequence[str]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Have each public method note whether it said what it read."""
        super().__init_subclass__(**kwargs)
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method) and not name.startswith("_") and name not in _NOTES:
                setattr(cls, name, _noted(method))

    def __init__(self, session: Session, tracker: Tracker) -> None:
        """Opened by the source for the length of one computation."""
        self._session = session
        self._tracker = tracker
        self._reads = _Reads(type(self), tracker)

    def rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """All rows of a query, as tuples."""
        found = self._session.rows(statement, parameters)
        self._tracker.query(type(self), statement, parameters, found)
        self._reads.ask()
        return found

    def entity(self, tag: str) -> None:
        """Note that ``family/entity`` was read, or looked for."""
        self._check_declared(family_of(tag))
        self._reads.name()
        self._tracker.entity(tag)

    def whole_set(self, family: str) -> None:
        """Note that the result depends on the whole family."""
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


class _Method:
    """What one call of a view's method did: whether it asked for rows, and whether it said of what."""

    __slots__ = ("asked", "named")

    def __init__(self) -> None:
        self.asked = False
        self.named = False


class _Reads:
    """What a view has read, method by method; rows that nothing named are told to the tracker."""

    def __init__(self, view: type[View], tracker: Tracker) -> None:
        self._view, self._tracker = view, tracker
        self._outside = self._current = _Method()

    @property
    def is_within(self) -> bool:
        """Whether a method of the view is being run."""
        return self._current is not self._outside

    def name(self) -> None:
        self._current.named = True

    def ask(self) -> None:
        self._current.asked = True
        if not self.is_within and not self._outside.named:  # called by the task itself: nothing comes after
            self._tracker.unnamed(self._view, "rows")

    @contextlib.contextmanager
    def within(self, method: _Method) -> Iterator[None]:
        outer, self._current = self._current, method
        try:
            yield
        finally:
            self._current = outer

    def judge(self, method: _Method, name: str) -> None:
        if method.asked and not method.named:
            self._tracker.unnamed(self._view, name)


def _noted(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method; when it ends, it tells the tracker of rows that it did not name.

    A method that calls others is judged together with them, a generator by itself.
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
                        return
                    yield item
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
                return method(self, *args, **kwargs)
        finally:
            self._reads.judge(own, method.__name__)

    return called


_END: Any = object()
