"""Batch work gives way to requests: additive increase, multiplicative decrease of its share of the time.

Congestion control as in Chiu and Jain (1989): if requests are too slow compared with times without batch, or too much
waits for a processor, the share is halved. If both are well below their bounds, it grows by a step.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from parbake.errors import BadInput, ParbakeError
from parbake.lanes.batch.load import LoadBoard, LoadState
from parbake.values.checks import check_number

LOOK_EVERY_S = 1.0
STEP = 0.05
_HALF = 0.5 + 1e-9
"""The share grows only while less than half of the bound is used up; otherwise it would settle at the bound itself."""
LONGEST_S = 30.0
_LEAST_OF_LISTING = 0.25
_PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True)
class Throttle:
    """How much batch may cost requests.

    ``slowdown`` is the highest acceptable 95th percentile of requests, as a multiple of that without batch. If there
    are too few requests for a percentile, ``pressure`` applies: the share of the time, from 0 to 1, in which something
    may wait for a processor of the batch's machine (Linux' ``/proc/pressure/cpu``). ``least`` is the share of the time
    that batch always gets, so that it ends. Without a server that has requests, nothing is throttled.
    """

    slowdown: float = 1.1
    pressure: float = 0.5
    least: float = 0.05

    def __post_init__(self) -> None:
        """Raise :class:`BadInput` for a bound or share outside its range."""
        check_number(
            self.slowdown,
            field="throttle.slowdown",
            error=BadInput,
            expected="a finite number above 1",
            fits=lambda times: times > 1,
        )
        for name in ("pressure", "least"):
            check_number(
                getattr(self, name),
                field=f"throttle.{name}",
                error=BadInput,
                expected="a share, above 0 and at most 1",
                fits=lambda share: 0 < share <= 1,
            )


class Pacer:
    """Waits between pieces of batch work, as the throttle demands; each process has a share of its own."""

    def __init__(
        self, throttle: Throttle, board: LoadBoard, *, pressure: Callable[[], float] = lambda: cpu_pressure(_PRESSURE)
    ) -> None:
        """Start with a share of 1: no waiting."""
        self._throttle = throttle
        self._board = board
        self._pressure = pressure
        self._looked_at = float("-inf")
        self.share = 1.0

    async def __call__(self, took_s: float) -> None:
        """Wait after a piece of work that took so many seconds."""
        await self._look()
        await asyncio.sleep(min(LONGEST_S, took_s * (1 / self.share - 1)))

    @contextlib.asynccontextmanager
    async def listing(self) -> AsyncIterator[Callable[[float], None]]:
        """Yield a function for a thread that lists keys: it calls it after some seconds of work, and waits in it.

        The views that the keys are read through stay open meanwhile. A listing therefore waits less than other work.
        """
        looking = asyncio.create_task(self._keep_looking())
        try:
            yield lambda took_s: time.sleep(took_s * (1 / max(self.share, _LEAST_OF_LISTING) - 1))
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _keep_looking(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            known = await self._board.read()
        except ParbakeError:
            return  # if the store does not answer, the run itself notices
        strain = self._strain(known, self._board.clock.now())
        if strain > 1.0:
            self.share = max(self._throttle.least, self.share / 2)
        elif strain <= _HALF:
            self.share = min(1.0, self.share + STEP)

    def _strain(self, known: LoadState, now: float) -> float:
        """The share of the acceptable slowdown that is used up; above 1 it is too much."""
        slowdown = known.slowdown(now)
        if slowdown is not None:
            return (slowdown - 1) / (self._throttle.slowdown - 1)
        return self._pressure() / self._throttle.pressure if known.is_serving(now) else 0.0


def cpu_pressure(path: Path) -> float:
    """The share of the last ten seconds in which something waited for a processor; 0 if the system does not report it.

    The format is that of the kernel's ``Documentation/accounting/psi``.
    """
    try:
        line = path.read_text().splitlines()[0]
        return float(line.partition("avg10=")[2].partition(" ")[0]) / 100
    except (OSError, ValueError, IndexError):
        return 0.0
