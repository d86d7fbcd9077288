"""What a process has reported to a database, and for how long writers wait for a store that has fallen silent.

A store trusts what it holds for its silence limit after the last heartbeat. Heartbeats are written only for a short
time after a report that was accepted. So a store whose reports have ended trusts nothing any more once that time, and
its silence limit, have passed since the last one: this is how long the database counts it. Pure; the simulator uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

from parbake.errors import SourceError

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

    def must_last(self, now: float) -> bool:
        """Whether the next report has to outlast a crash."""
        return now - self.lasting_at >= LASTING_S

    def may_beat(self, run: str, now: float) -> bool:
        """Whether a heartbeat may be written.

        Args:
            run: The present run of the server.
            now: The time.
        """
        return self.error is None and run == self.run and now - self.at <= BEATS * REPORT_S

    def note(self, run: str, sent_at: float, *, error: SourceError | None = None, lasting_number: int = 0) -> None:
        """Note a report.

        Args:
            run: The run of the server that it went to.
            sent_at: When it was sent.
            error: Why it was refused.
            lasting_number: Its number, if it was accepted and outlasts a crash.
        """
        self.run = run
        self.tried_at = sent_at
        self.error = error
        if error is None:
            self.at = sent_at
        if lasting_number:
            self.lasting_at = sent_at
            self.serial = lasting_number
