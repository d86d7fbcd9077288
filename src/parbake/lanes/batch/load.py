"""Serving processes and batch runs report to each other through the store: how slow requests are, and who computes.

One small named value holds the reports. A process with requests or a run renews its own once per second; an older
report is ignored.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec

from parbake.errors import ParbakeError
from parbake.ports.clock import Clock
from parbake.ports.store import Store

NAME = "load"
OLD_S, TELL_EVERY_S = 5.0, 1.0
ENOUGH = 20
"""A server's percentile over fewer requests than this is ignored."""
TRIES = 3


class Serving(msgspec.Struct, frozen=True, array_like=True):
    """One server's requests in the last seconds. ``idle_p95_s`` is the 95th percentile at times without a batch run."""

    at: float
    requests: int
    p95_s: float
    idle_p95_s: float


class LoadState(msgspec.Struct, frozen=True):
    """All servers by name, and until when a batch run is under way (epoch seconds)."""

    servers: dict[str, Serving] = {}
    batch_until: float = 0.0

    def is_serving(self, now: float) -> bool:
        """Whether some server has requests."""
        return any(abs(now - s.at) <= OLD_S for s in self.servers.values())

    def slowdown(self, now: float) -> float | None:
        """The slowdown of the slowest server, as a multiple of its time without batch; ``None`` if unknown."""
        ratios = [
            s.p95_s / s.idle_p95_s
            for s in self.servers.values()
            if abs(now - s.at) <= OLD_S and s.requests >= ENOUGH and s.idle_p95_s > 0
        ]
        return max(ratios, default=None)

    def is_batch_on(self, now: float) -> bool:
        """Whether any process has reported a batch run that is under way."""
        return now < self.batch_until <= now + 2 * OLD_S


@dataclass(slots=True)
class LoadBoard:
    """Reads the load state, and writes the reports of this process."""

    store: Store
    clock: Clock
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    async def read(self) -> LoadState:
        """Read the load state; empty before the first report."""
        return _decoded(await self.store.get(NAME))

    async def serve(self, mine: Serving) -> LoadState:
        """Report this server's requests; returns the load state, without old reports."""

        def told(known: LoadState) -> LoadState:
            young = {n: s for n, s in known.servers.items() if abs(mine.at - s.at) <= OLD_S}
            return msgspec.structs.replace(known, servers={**young, self.name: mine})

        return await self._change(told)

    @contextlib.asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Report every second, until the body ends, that a batch run is under way, however long its pieces take."""
        telling = asyncio.create_task(self._keep_telling())
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _keep_telling(self) -> None:
        while True:
            with contextlib.suppress(ParbakeError):  # if the store does not answer, the run itself notices
                await self.compute()
            await asyncio.sleep(TELL_EVERY_S)

    async def compute(self) -> None:
        """Report that a batch run is under way; the report holds for the next seconds."""
        until = self.clock.now() + OLD_S
        await self._change(lambda known: msgspec.structs.replace(known, batch_until=until))

    async def _change(self, to: Callable[[LoadState], LoadState]) -> LoadState:
        known = LoadState()
        for _ in range(TRIES):  # a process that loses every time reports again a second later
            raw = await self.store.get(NAME)
            known = to(_decoded(raw))
            if await self.store.swap(NAME, raw, msgspec.msgpack.encode(known)):
                break
        return known


def _decoded(raw: bytes | None) -> LoadState:
    return LoadState() if raw is None else msgspec.msgpack.decode(raw, type=LoadState)
