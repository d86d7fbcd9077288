"""``log://``: alerts as warnings of the logger ``parbake.alerts``."""

from __future__ import annotations

import logging

from parbake.ports.alerts import Alert, AlertSink

_log = logging.getLogger("parbake.alerts")


class LogSink(AlertSink):
    """Writes alerts to the log."""

    async def send(self, alert: Alert) -> None:
        """Log one alert."""
        _log.warning("%s: %s (owner: %s)", alert.kind, alert.message, alert.owner)
