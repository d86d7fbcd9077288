"""The port for delivering alerts."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Alert(msgspec.Struct, frozen=True):
    """A message to a contract's owner.

    ``kind`` is ``stale``, ``recovered``, ``gate_failed``, ``run_failed``, ``quarantined``, ``reversed``, ``complained``
    and ``held_back`` (of answers), ``worker_silent`` or ``worker_back``. The last two have no ``task``, and go to every
    owner once.
    """

    kind: str
    task: str
    owner: str
    message: str
    at: float


class AlertSink(Protocol):
    """Delivers alerts."""

    async def send(self, alert: Alert) -> None:
        """Deliver one alert. The caller logs a failure and goes on."""
        ...
