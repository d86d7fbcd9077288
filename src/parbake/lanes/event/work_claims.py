"""Which of several workers refreshes which keys, so that each key is computed once and not once per worker.

The keys of a task are cut into parts, and a worker takes the lease of a part for as long as it works on its keys. A
single worker takes no leases. A lease only avoids double work: if it is lost, or its worker dies, a key is computed
twice or a little later, and the fence serves no old value meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from parbake.errors import StoreError
from parbake.ports.clock import Clock
from parbake.ports.store import Store
from parbake.serving.lease import NAME, Lease

PARTS = 16
_TERM_S, RENEW_S = 10.0, 3.0
"""The lease of a dead worker passes on after this term; a living worker renews its own in time."""


class OtherWorkers(Protocol):
    """Knows whether other workers are alive."""

    @property
    def has_others(self) -> bool:
        """Whether a worker besides this one is alive."""
        ...


class KeyPart(NamedTuple):
    """One of the parts into which a task's keys are divided."""

    ref: str
    number: int


def part_of(ref: str, raw: bytes) -> KeyPart:
    """The part that a key belongs to, the same in every process."""
    return KeyPart(ref, zlib.crc32(raw) % PARTS)


class WorkClaims:
    """One worker's leases on parts of tasks."""

    def __init__(self, store: Store, clock: Clock, workers: OtherWorkers) -> None:
        """Hold no lease until :meth:`take`."""
        self._store = store
        self._clock = clock
        self._workers = workers

    @property
    def are_needed(self) -> bool:
        """Whether another worker is alive."""
        return self._workers.has_others

    @contextlib.asynccontextmanager
    async def take(self, part: KeyPart) -> AsyncIterator[bool]:
        """Lease a part for the length of the block; yield ``False`` if another worker holds it."""
        lease = Lease(self._store, self._clock, f"{NAME}refresh/{part.ref}/{part.number}", _TERM_S)
        if not await lease.acquire():
            yield False
            return
        renewing = asyncio.create_task(_renewed(lease))
        try:
            yield True
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            await lease.release()


async def _renewed(lease: Lease) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        with contextlib.suppress(StoreError):  # the next renewal may succeed before the term is over
            await lease.renew()
