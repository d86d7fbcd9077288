"""The log of a shop file, read outside a task."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from parbake.adapters.sqlite import SqliteSource
from retail_assistant.recs.log import Log
from retail_assistant.recs.taste_view import History


class Quiet:
    """A tracker that notes nothing, for reading a view outside a task."""

    def entity(self, tag: str) -> None:
        """See the tracker port."""

    def whole_set(self, family: str) -> None:
        """See the tracker port."""

    def query(
        self, view: type[object], statement: str, parameters: Mapping[str, object], rows: Sequence[object]
    ) -> None:
        """See the tracker port."""

    def unnamed(self, view: type[object], method: str) -> None:
        """See the tracker port."""


def read_log(path: Path) -> Log:
    """Read the whole log of a shop file."""
    source = SqliteSource(path, families=("user", "product"), views=(History,))
    with contextlib.closing(source), source.open(History, Quiet()) as view:
        return view.log()
