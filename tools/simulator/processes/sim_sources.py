"""The connection of a simulated process to a system of record."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any

from parbake.errors import SourceError
from parbake.ports.sources import Extent, SourceEvent
from parbake.ports.views import View
from parbake.protocol.recording import Tracker
from simulator.world.process_state import ProcessState
from simulator.world.system_of_record import SourceSnapshot, SystemOfRecord


class SimSource:
    """One process's connection to a system of record."""

    is_gapless = True

    def __init__(self, system: SystemOfRecord, views: Collection[type[View]], process: ProcessState) -> None:
        """Create the connection. Every use fails while the process is cut off from the system."""
        self.name = system.name
        self.families: Collection[str] = tuple(system.told)
        self._system = system
        self._views = views
        self._process = process

    def provides(self, view: type[Any]) -> bool:
        """Whether a view reads this system."""
        return view in self._views

    @contextlib.contextmanager
    def open(self, view: type[Any], tracker: Tracker) -> Iterator[Any]:
        """Begin a transaction on the primary."""
        self._check()
        yield view(self.snapshot(), tracker)

    def snapshot(self) -> SourceSnapshot:
        """The primary's state now."""
        return SourceSnapshot(self._system.facts, self._system.sets)

    def extent(self) -> Extent:
        """The whole outbox, which is never pruned."""
        self._check_feed()
        return Extent(0, len(self._system.outbox))

    def poll(self, after: int, limit: int) -> list[SourceEvent]:
        """Return outbox rows after a position."""
        self._check_feed()
        rows = self._system.outbox[after : after + limit]
        return [SourceEvent(r.position, f"{self.name}-{r.position}", r.subject, f"sim.{r.kind}") for r in rows]

    def close(self) -> None:
        """Do nothing: a simulated connection holds no resource."""

    def _check_feed(self) -> None:
        self._check()
        if self._system.is_feed_down:
            raise SourceError(f"the outbox of {self.name} cannot be polled", field=self.name)

    def _check(self) -> None:
        if self._process.is_cut_from_sources or not self._process.is_alive:
            raise SourceError(f"{self.name} cannot be reached", field=self.name)
