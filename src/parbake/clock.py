"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Wall time of this machine."""

    now = staticmethod(time.time)
