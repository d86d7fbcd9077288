"""Which workers are alive: each increments a count of its own in the store, and others watch whether it moves.

Clocks of different machines are never compared. A worker is silent if its count has not moved for a while by the clock
of the observing process, whatever the reason: it ended, hangs, or cannot reach the store.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from parbake.errors import StoreError
from parbake.ports.clock import Clock
from parbake.ports.named_values import NamedValue
from parbake.ports.store import Store
from parbake.process.identity import is_gone
from parbake.process.identity import name as holder_name
from parbake.process.loops import forever
from parbake.process.system_clock import monotonic
from parbake.values.redaction import one_line

_BEAT_S = 1.0
SILENT_S = 15.0
_LEAVE_S = 2.0
_FORGOTTEN_S = 600.0
"""A worker that was killed stays listed as silent for this long, and is then forgotten."""
_log = logging.getLogger("parbake.workers")


class Workers(msgspec.Struct, frozen=True):
    """The store's record: when a worker first reported (epoch seconds, 0 for never), and each worker's count."""

    first_at: float = 0.0
    beats: dict[str, int] = {}


@dataclass(slots=True)
class Pulse:
    """Which counts one process has seen moving lately; seconds are of the running loop's clock."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _moved: set[str] = field(default_factory=set)
    _since: float | None = None
    _moved_at: float | None = None

    def observe(self, beats: Mapping[str, int]) -> None:
        """Take in the counts that were read just now."""
        now = monotonic()
        is_first_look, self._since = self._since is None, now if self._since is None else self._since
        for name, count in beats.items():
            if name not in self._seen or self._seen[name][0] != count:
                self._seen[name] = count, now
                if not is_first_look:  # at the first look, the time of the last change is unknown
                    self._moved.add(name)
                    self._moved_at = now
        for name in self._seen.keys() - beats.keys():
            del self._seen[name]
            self._moved.discard(name)

    def unmoved_s(self, name: str) -> float:
        """The seconds for which this process has not seen a worker's count move; 0 for a new worker."""
        now = monotonic()
        return now - self._seen.get(name, (0, now))[1]

    def maybe_alive(self) -> list[str]:
        """The workers whose count moved within the limit, or was first seen within it."""
        return [name for name in self._seen if self.unmoved_s(name) <= SILENT_S]

    def heard(self) -> list[str]:
        """The workers whose count was seen to move within the limit."""
        return [name for name in self.maybe_alive() if name in self._moved]

    @property
    def has_moved(self) -> bool:
        """Whether any count was ever seen to move."""
        return self._moved_at is not None

    def silence_s(self) -> float:
        """The seconds for which no count has moved, at most since this process began to look."""
        now = monotonic()
        began = self._since if self._moved_at is None else self._moved_at
        return 0.0 if began is None else now - began


class WorkerBoard:
    """One worker's entry in the store's list of workers, written about once per second."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Nothing is written before the first :meth:`beat`."""
        self._noted = NamedValue(store, "workers", Workers, Workers())
        self._clock = clock
        self._name = holder_name()
        self._pulse = Pulse()

    @property
    def has_others(self) -> bool:
        """Whether another worker was alive when the list was last read."""
        return any(name != self._name for name in self._pulse.maybe_alive())

    async def read(self) -> Workers:
        """Read the counts of all workers."""
        return await self._noted.read()

    async def beat(self) -> None:
        """Increment this worker's count, drop workers that have long been silent, and note which others are alive."""

        def beaten(known: Workers) -> Workers:
            kept = {name: count for name, count in known.beats.items() if not self._is_forgotten(name)}
            mine = {self._name: known.beats.get(self._name, 0) + 1}
            return Workers(known.first_at or self._clock.now(), {**kept, **mine})

        self._pulse.observe((await self._noted.change(beaten)).beats)

    async def join(self) -> None:
        """Report for the first time; if other workers are alive, wait until they have seen this one.

        From then on they share the keys to refresh with this worker. If the store cannot be reached, :meth:`run` tries
        again.
        """
        try:
            await self.beat()
        except StoreError as error:
            _log.error("this worker could not report yet: %s", one_line(error))
        if self.has_others:
            await asyncio.sleep(2 * _BEAT_S)

    async def leave(self) -> None:
        """Remove this worker's count, so that nobody takes its orderly end for silence."""
        await self._noted.change(
            lambda known: Workers(known.first_at, {n: c for n, c in known.beats.items() if n != self._name})
        )

    async def run(self) -> None:
        """Beat until cancelled, and leave then."""
        try:
            await forever(self.beat, _BEAT_S, what="this worker's report that it is alive", log=_log)
        finally:
            try:
                async with asyncio.timeout(_LEAVE_S):
                    await self.leave()
            except Exception as error:  # noqa: BLE001 - an entry that stays is dropped after a while
                _log.info("this worker could not sign off: %s", one_line(error))

    def _is_forgotten(self, name: str) -> bool:
        return is_gone(name) or self._pulse.unmoved_s(name) > _FORGOTTEN_S
