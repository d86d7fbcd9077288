"""Versioned views: how tasks read a source, and how what they read becomes the tags of their result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from parbake.ports import Tracker


class Session(Protocol):
    """One read transaction on a source's primary. Statements use ``:name`` parameters."""

    def rows(self, statement: str, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """All rows of a query, as tuples."""
        ...


class View:
    """Base of a source's views. Subclasses read through ``rows`` and say what they read.

    ``entity`` binds the result to one entity (also when it was not found); ``whole_set`` to every member of a family.
    A view leaves out what is live: price, stock and cart are not versioned and must not be read through one.
    """

    def __init__(self, session: Session, tracker: Tracker) -> None:
        """Opened by the source for the length of one computation."""
        self._session = session
        self._tracker = tracker

    def rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """All rows of a query, as tuples."""
        found = self._session.rows(statement, parameters)
        self._tracker.query(type(self), statement, parameters, found)
        return found

    def entity(self, tag: str) -> None:
        """Note that ``family/entity`` was read, or looked for."""
        self._tracker.entity(tag)

    def whole_set(self, family: str) -> None:
        """Note that the result depends on the whole family."""
        self._tracker.whole_set(family)
