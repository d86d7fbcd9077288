"""Sends alerts to every sink, and repeats none that this process has sent a moment ago."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from parbake.ports.alerts import KINDS, REPEATED_S, Alert, AlertSink

_WAIT_S, _CLOSE_S = 0.1, 10.0
"""Seconds that a sender waits for sinks, and that a process that ends does."""
_log = logging.getLogger("parbake.alerts")


class Notifier:
    """Sends alerts to every sink. If a sink fails, the failure is logged and the others still get the alert."""

    def __init__(self, sinks: Sequence[AlertSink], of: str = "") -> None:
        """Send to ``sinks``, one after the other; ``of`` tells alerts of this app's store from those of others."""
        self._sinks = tuple(sinks)
        self._of = blake2b(of.encode(), digest_size=4).hexdigest()  # the address of a store may have a password
        self._sent: dict[str, tuple[str, float]] = {}  # of this process, because the store may be what is lost
        self._outgoing: deque[Alert] = deque()
        self._sending: asyncio.Task[None] | None = None
        self.lost = 0
        """How often a sink has failed."""

    @property
    def waiting(self) -> int:
        """How many alerts are not delivered yet: here, and in the queues of sinks."""
        return len(self._outgoing) + sum(getattr(sink, "waiting", 0) for sink in self._sinks)

    async def send(self, alert: Alert) -> None:
        """Send an alert to all sinks, unless this process has just sent the same; never raises an error of a sink.

        Alerts are sent one after the other. A sink that hangs is waited for only for a moment: who sends alerts has to
        look at the next trouble.
        """
        alert = alert if alert.dedupe_key else msgspec.structs.replace(alert, dedupe_key=_key(alert))
        kind, at = self._sent.get(alert.dedupe_key, ("", 0.0))
        if kind == alert.kind and abs(alert.at - at) < REPEATED_S:
            return
        self._sent[alert.dedupe_key] = alert.kind, alert.at
        self._outgoing.append(msgspec.structs.replace(alert, dedupe_key=f"{self._of}/{alert.dedupe_key}"))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_all())
        await asyncio.wait({self._sending}, timeout=_WAIT_S)

    async def close(self) -> None:
        """Wait until the alerts that are on their way were sent, or long enough."""
        if self._sending is not None and not self._sending.done():
            await asyncio.wait({self._sending}, timeout=_CLOSE_S)

    async def _send_all(self) -> None:
        while self._outgoing:
            alert = self._outgoing.popleft()
            for sink in self._sinks:
                try:
                    await sink.send(alert)
                except Exception:  # noqa: BLE001 - whatever a sink raises, the others must get the alert
                    self.lost += 1
                    _log.exception("alert sink %s failed", type(sink).__name__)

    def over(self, kind: str, task: str, owner: str) -> None:
        """Forget a trouble that has ended without an alert, so that the next one of its kind is sent.

        Args:
            kind: The kind of the alert that was sent.
            task: Its task.
            owner: Its owner.
        """
        self._sent.pop(f"{kind}/{task}/{owner}", None)


def _key(alert: Alert) -> str:
    known = KINDS.get(alert.kind)
    begun = known.ends if known and known.ends else alert.kind
    return f"{begun}/{alert.task}/{alert.owner}"
