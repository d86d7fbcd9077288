"""Tells the owner of a prefix that a provider caches other than predicted, and books prefixes that nobody read."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from parbake.ports.alerts import Alert
from parbake.ports.clock import Clock
from parbake.ports.models import Usage
from parbake.process.loops import forever
from parbake.prompt.watching.prompt_watch import Drift, PromptWatch
from parbake.serving.bound import BoundTask

EVERY_S = 5.0
Wasted = Callable[[str, str, Usage], None]
"""Called with the prefix, the generator's provider, and the tokens that were written and not read."""
_log = logging.getLogger("parbake.prompt")


class PrefixAlerts:
    """Looks every few seconds at what the requests of this process have met."""

    def __init__(
        self,
        watch: PromptWatch,
        tasks: Mapping[str, BoundTask],
        clock: Clock,
        *,
        send: Callable[[Alert], Awaitable[object]],
        wasted: Wasted | None = None,
    ) -> None:
        """Keep what is looked at.

        Args:
            watch: The watch over the requests.
            tasks: The stored tasks by name, for the owners.
            clock: The source of wall time.
            send: Sends an alert.
            wasted: Books what was written and not read, if there is a ledger.
        """
        self._watch, self._tasks, self._clock = watch, tasks, clock
        self._send, self._wasted = send, wasted

    async def run(self) -> None:
        """Look until cancelled."""
        await forever(self.look, EVERY_S, what="the look at prompt prefixes", log=_log)

    async def look(self) -> None:
        """Send what has begun or ended since the last look, and book what has lapsed unread."""
        now = self._clock.now()
        for drift in self._watch.drifts():
            if (bound := self._tasks.get(drift.prefix)) is not None:
                kind = "cache_steady" if drift.is_over else "cache_drift"
                await self._send(Alert(kind, drift.prefix, bound.contract.owner, _said(drift), now))
        for held, usage in self._watch.lapsed(now=now):
            if self._wasted is not None and held.prefix:
                self._wasted(held.prefix, held.generator, usage)


def _said(drift: Drift) -> str:
    where = f"{drift.place.provider} {drift.place.model}"
    if drift.is_over:
        return f"{where} caches the prefix as predicted again"
    how = "less" if drift.share < 0 else "more"
    return f"{where} reads {abs(drift.share):.0%} of the input tokens {how} from its cache than predicted"
