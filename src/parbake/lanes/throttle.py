"""Batch work gives way to requests: additive increase, multiplicative decrease of its share of the time.

Congestion control as in Chiu and Jain (1989): where requests are slower than without batch, or where everything waits
for a processor, the share is halved; where they are not, it grows by a step.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parbake.errors import BadInput, ParbakeError
from parbake.lanes.load import Known, LoadBoard
from parbake.settings import check_number

LOOK_EVERY_S = 1.0
STEP = 0.05
LONGEST_S = 30.0
PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True)
class Throttle:
    """How much batch may cost requests.

    ``slowdown`` is the 95th percentile of requests that is still fine, in multiples of that without batch. Where there
    are too few requests to tell, ``pressure`` is the share of the time in which something may wait for a processor of
    the batch's machine, from 0 to 1 (Linux' ``/proc/pressure/cpu``). ``least`` is the share of the time that batch gets
    in any case, so that it ends. Where nobody serves, nothing is throttled.
    """

    slowdown: float = 1.1
    pressure: float = 0.5
    least: float = 0.05

    def __post_init__(self) -> None:
        """Raise :class:`BadInput` for what cannot be meant."""
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


class Breathing:
    """Waits between pieces of batch work as long as a throttle asks for."""

    def __init__(
        self, throttle: Throttle, board: LoadBoard, *, pressure: Callable[[], float] = lambda: cpu_pressure(PRESSURE)
    ) -> None:
        """Start with the whole time."""
        self._throttle = throttle
        self._board = board
        self._pressure = pressure
        self._looked_at = float("-inf")
        self.share = 1.0

    async def __call__(self, took_s: float) -> None:
        """Wait after a piece of work that took so many seconds."""
        await self._look()
        await asyncio.sleep(min(LONGEST_S, took_s * (1 / self.share - 1)))

    async def _look(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            await self._board.compute()
            known = await self._board.read()
        except ParbakeError:
            return  # the run itself will notice when the store does not answer
        is_too_much = self._is_too_much(known, self._board.clock.now())
        self.share = max(self._throttle.least, self.share / 2) if is_too_much else min(1.0, self.share + STEP)

    def _is_too_much(self, known: Known, now: float) -> bool:
        slowdown = known.slowdown(now)
        if slowdown is not None:
            return slowdown > self._throttle.slowdown
        return known.is_serving(now) and self._pressure() > self._throttle.pressure


def cpu_pressure(path: Path) -> float:
    """The share of the last ten seconds in which something waited for a processor; 0 where the system does not say.

    The format is that of the kernel's ``Documentation/accounting/psi``.
    """
    try:
        line = path.read_text().splitlines()[0]
        return float(line.partition("avg10=")[2].partition(" ")[0]) / 100
    except (OSError, ValueError, IndexError):
        return 0.0
