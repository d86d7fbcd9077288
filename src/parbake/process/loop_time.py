"""Whether the thread of an event loop had a moment without work, also where other processes have its processor.

A loop that is late may have too much to do, or it may be ready while another process has its processor. A timer that
fires late cannot tell these apart. Linux counts for each thread how often it gave up its processor because it had
nothing to do (``ru_nvcsw`` of getrusage(2) with ``RUSAGE_THREAD``), and how long it was ready and did not run
(``/proc/thread-self/schedstat``, second number, in nanoseconds; Documentation/scheduler/sched-stats). A container that
has used up its quota is ready, too. Elsewhere nothing is known.
"""

from __future__ import annotations

import os
import resource
import time
import weakref
from typing import NamedTuple

_SCHEDSTAT = "/proc/thread-self/schedstat"
_MOST_BYTES = 100


_ALONE_S, _ALONE_SHARE = 0.0002, 0.05
"""If the other threads of the process ran for less than this, none of them kept the loop from the interpreter; and the
share of a span of time up to which they are not what the process is busy with."""
_REST_S, _REST_SHARE = 0.001, 0.1
"""How long a loop must sleep to have rested, where other threads ran: in seconds, and of a span of time."""


class LoopTime(NamedTuple):
    """How a thread spent a span of time, in seconds."""

    passed_s: float
    worked_s: float
    kept_s: float
    """How long it was ready while other processes had the processor."""
    others_s: float
    """How long the other threads of its process ran; one of them may have held the interpreter."""
    sleeps: int
    """How often it gave up its processor."""

    @property
    def has_rested(self) -> bool:
        """Whether the loop had nothing to do for a moment, and no other thread of its process worked for it."""
        if self.others_s <= _ALONE_S:
            return self.sleeps > 0
        slept_s = self.passed_s - self.worked_s - self.kept_s - self.others_s
        return self.others_s <= _ALONE_SHARE * self.passed_s and slept_s > max(_REST_S, _REST_SHARE * self.passed_s)


class LoopClock:
    """Measures the thread that reads it. Each event loop has a clock of its own."""

    def __init__(self) -> None:
        """Open nothing yet: the thread that reads it may be another one."""
        self._file: int | None = None
        self._is_known = hasattr(resource, "RUSAGE_THREAD")
        self._before = LoopTime(0.0, 0.0, 0.0, 0.0, 0)

    def restart(self) -> None:
        """Begin a span of time."""
        if self._is_known:
            self._before = self._now() or self._before

    def read(self) -> LoopTime | None:
        """How this thread spent the time since the last :meth:`restart`; ``None`` if the system does not say."""
        now = self._now() if self._is_known else None
        if now is None:
            return None
        return LoopTime(*(after - before for before, after in zip(self._before, now, strict=True)))  # type: ignore[arg-type]  # the last one is an int

    def _now(self) -> LoopTime | None:
        try:
            if self._file is None:
                self._file = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
                weakref.finalize(self, os.close, self._file)
            kept = int(os.pread(self._file, _MOST_BYTES, 0).split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            self._is_known = False
            return None
        worked = time.thread_time()
        sleeps = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        return LoopTime(time.perf_counter(), worked, kept, time.process_time() - worked, sleeps)
