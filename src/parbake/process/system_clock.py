"""The system's clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Wall time of this machine."""

    now = staticmethod(time.time)


def monotonic() -> float:
    """The running event loop's clock, in seconds. It never goes back, and a simulation can control it."""
    return asyncio.get_running_loop().time()
