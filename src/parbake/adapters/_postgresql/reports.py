"""What a process has reported to a database, and for how long writers wait for a store that has fallen silent.

A store trusts what it holds for its silence limit after the last heartbeat. Heartbeats are written only for a short
time after a report that was accepted. So a store whose reports have ended trusts nothing any more once that time, and
its silence limit, have passed since the last one: this is how long the database counts it. Pure; the simulator uses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from parbake.adapters._postgresql.outbox import Cursor, went_back
from parbake.errors import SourceError, StoreWentBack

REPORT_S = 2.0
"""Seconds between two reports without news."""
LASTING_S = 10.0
"""Seconds between two reports that outlast a crash."""
BEATS = 2.0
"""For how many pauses between reports heartbeats may be written after a report."""
_CLOCK_RATE = 1.01
"""By how much faster the clock of the database may run than that of a store's host."""
CLOCKS_APART_S = 1.0
"""By how many seconds the clocks of the hosts that share a store may differ."""


def trusted_for_s(silence_s: float) -> float:
    """For how many seconds after a report a store may trust what it holds, by the clock of the database.

    Args:
        silence_s: For how many seconds after a heartbeat it does.
    """
    return (silence_s + CLOCKS_APART_S + BEATS * REPORT_S) * _CLOCK_RATE


@dataclass(slots=True)
class Reports:
    """What a process has reported under one name. Times are those of a monotonic clock, in seconds.

    Attributes:
        run: The run of the server that the last report went to.
        at: When the last report that was accepted was sent.
        tried_at: When the last report was sent.
        error: Why that one was refused.
        lasting_at: When the last report was sent that outlasts a crash.
        serial: The number of that report.
    """

    run: str = ""
    at: float = float("-inf")
    tried_at: float = float("-inf")
    error: SourceError | None = None
    lasting_at: float = float("-inf")
    serial: int = 0

    def is_due(self, run: str, now: float) -> bool:
        """Whether a report has to be sent although there is no news.

        Args:
            run: The present run of the server.
            now: The time.
        """
        return run != self.run or now - self.tried_at >= REPORT_S

    def may_beat(self, run: str, now: float) -> bool:
        """Whether a heartbeat may be written.

        Args:
            run: The present run of the server.
            now: The time.
        """
        return self.error is None and run == self.run and now - self.at <= BEATS * REPORT_S

    def report(self, cursor: Cursor, send: Callable[[bool], int], now: float, *, has_news: bool, source: str) -> None:
        """Send a report, unless there is no news and none is due.

        Args:
            cursor: What the store keeps.
            send: Sends it; told whether it has to outlast a crash, it returns the highest number under this name.
            now: The time.
            has_news: Whether events were applied since the last report.
            source: The name of the source, for errors.

        Raises:
            StoreWentBack: Another state of the store has reported more. A report of its present state is due at once.
            SourceError: The report was refused, now or when it was sent last.
        """
        run = cursor.server.run
        if not has_news and not self.is_due(run, now):
            if self.error is not None:
                raise self.error
            return
        is_lasting = now - self.lasting_at >= LASTING_S
        try:
            number = send(is_lasting)
            if number > cursor.number:
                raise went_back(source, f"number {number} was reported, and it knows {cursor.number}")
        except StoreWentBack:
            raise
        except SourceError as error:
            self.run = run
            self.tried_at = now
            self.error = error
            raise
        self.run = run
        self.tried_at = now
        self.at = now
        self.error = None
        if is_lasting:
            self.lasting_at = now
            self.serial = number
