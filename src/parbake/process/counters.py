"""What is counted: cheap on the hot path, drained by the ledger and read by the metrics exporter."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from functools import partial

from parbake.fence.cause import Cause, Reason
from parbake.values.statistics import percentile

LATENCY_BUCKETS_S = (2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)
FRESH_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_KEYS = 200_000
"""Keys of a task whose reads are counted; where no ledger drains them, the counting starts anew past that."""
NOTED = 256
"""Reads that are noted before they are counted; one of them is kept as a sample."""
SAMPLES = 1_000
"""Samples of a task between two drains."""
BATCH = "batch"
Read = tuple[bytes, str, str, float]
"""Key, verdict, lane and seconds of a read."""
MAX_FAMILIES = 50
"""So many unknown families are counted by name, the rest together: a publisher can invent any number."""
RECENT, RECENT_S = 2000, 3.0
"""So many requests, and so many seconds of them, are what is called recent."""


class Histogram:
    """Counts per bucket and the sum, in seconds."""

    __slots__ = ("bounds", "counts", "total_s")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BUCKETS_S) -> None:
        """Start at zero."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def add(self, *seconds: float) -> None:
        """Count observations."""
        if len(seconds) == 1:
            self.counts[bisect_left(self.bounds, seconds[0])] += 1
            self.total_s += seconds[0]
            return
        for bucket, count in Counter(map(partial(bisect_left, self.bounds), seconds)).items():
            self.counts[bucket] += count
        self.total_s += sum(seconds)


class Reads:
    """What was served of one task. A read is only noted; a few hundred notes are counted together, in half the time."""

    __slots__ = ("_ahead", "_heat", "_latency", "_lock", "_noted", "_outcomes", "_samples")

    def __init__(self) -> None:
        """Start at zero."""
        self._noted: list[Read] = []
        self._lock = threading.Lock()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._latency = Histogram()
        self._heat: Counter[bytes] = Counter()
        self._ahead: Counter[bytes] = Counter()
        self._samples: list[tuple[Read, int]] = []

    def add(self, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Note a read of a key."""
        noted = self._noted
        noted.append((key, verdict, lane, seconds))
        if len(noted) >= NOTED:
            self._count()

    @property
    def outcomes(self) -> dict[tuple[str, str], int]:
        """Reads by verdict and lane."""
        self._count()
        return dict(self._outcomes)

    @property
    def latency(self) -> Histogram:
        """How long they took."""
        self._count()
        return self._latency

    def drain_heat(self) -> dict[bytes, tuple[int, int]]:
        """Take the reads per key since the last drain, and how many of them a batch run had made ready."""
        self._count()
        with self._lock:
            heat, self._heat = self._heat, Counter()
            ahead, self._ahead = self._ahead, Counter()
        return {key: (count, ahead[key]) for key, count in heat.items()}

    def drain_samples(self) -> list[tuple[Read, int]]:
        """Take a sample of the reads since the last drain, each with how many it stands for."""
        self._count()
        with self._lock:
            taken, self._samples = self._samples, []
        return taken

    def _count(self) -> None:
        """Count what was noted; another thread may ask for it, while this one's goes on noting."""
        with self._lock:
            count = len(self._noted)
            if not count:
                return
            keys, verdicts, lanes, seconds = zip(*self._noted[:count], strict=True)
            if len(self._samples) < SAMPLES:
                self._samples.append((self._noted[count - 1], count))
            del self._noted[:count]
            self._outcomes.update(zip(verdicts, lanes, strict=True))
            self._latency.add(*seconds)
            if len(self._heat) >= MAX_KEYS:
                self._heat.clear()
                self._ahead.clear()
            self._heat.update(keys)
            if BATCH in lanes:
                self._ahead.update(key for key, lane in zip(keys, lanes, strict=True) if lane == BATCH)


class Requests:
    """How long whole requests took, apart for times in which a batch run was under way and others."""

    def __init__(self) -> None:
        """Start at zero."""
        self.by_batch = {False: Histogram(), True: Histogram()}
        self.is_batch_on = False
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Count a request that has been answered."""
        self.by_batch[self.is_batch_on].add(seconds)
        self._recent.append((time.monotonic(), seconds))

    def recent(self) -> tuple[int, float]:
        """How many requests the last seconds had, and their 95th percentile in seconds (0 without any)."""
        since = time.monotonic() - RECENT_S
        took = [seconds for at, seconds in list(self._recent) if at >= since]
        return len(took), percentile(took, 95) or 0.0


class Counters:
    """What was served, computed, missed and raised since the start (see :class:`parbake.ports.hooks.Hook`)."""

    def __init__(self) -> None:
        """Start at zero."""
        self.restart()

    def restart(self) -> None:
        """Start at zero again: in a process that was forked."""
        self.reads: defaultdict[str, Reads] = defaultdict(Reads)
        self.computes: Counter[tuple[str, str, str]] = Counter()
        self.compute_s: Counter[tuple[str, str]] = Counter()
        self.misses: Counter[tuple[str, str, str]] = Counter()
        self.damaged: Counter[str] = Counter()
        self.leases: Counter[tuple[str, str]] = Counter()
        self.requests = Requests()
        self.events = 0
        self.duplicates = 0
        self.tags_raised: Counter[str] = Counter()
        self.event_latency = Histogram()
        self.time_to_fresh: dict[str, Histogram] = {}
        self.parked = 0
        self.clock_skew = 0
        self.gaps: Counter[str] = Counter()
        self.unknown_families: Counter[str] = Counter()
        self.source_failures: Counter[str] = Counter()
        self.workers: int | None = None
        self.worker_silence_s = 0.0

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Count a read and its key's heat."""
        self.reads[task].add(key, verdict, lane, seconds)

    def computed(
        self,
        task: str,
        key: bytes,  # noqa: ARG002 - the hook's signature
        lane: str,
        seconds: float,
        *,
        outcome: str,
        cpu_s: float = 0.0,  # noqa: ARG002 - the hook's signature
    ) -> None:
        """Count a computation."""
        self.computes[task, lane, outcome] += 1
        self.compute_s[task, lane] += seconds  # type: ignore[assignment]  # Counter's stub knows only int

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:  # noqa: ARG002 - the hook's signature
        """Count a miss by its cause, and a clock that must be wrong."""
        self.misses[task, verdict, reason.cause.value] += 1
        if reason.cause is Cause.FROM_THE_FUTURE:
            self.clock_skew += 1

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Count an acknowledged event."""
        self.events += 1
        self.duplicates += duplicates
        self.event_latency.add(seconds)
        for tag in tags:
            self.tags_raised[tag.partition("/")[0]] += 1

    def refreshed(self, task: str, seconds: float) -> None:
        """Count a key that the event lane has made anew, by the time since its event was raised."""
        self.time_to_fresh.setdefault(task, Histogram(FRESH_BUCKETS_S)).add(max(0.0, seconds))

    def unknown(self, families: Iterable[str]) -> None:
        """Count families that no task and no source knows."""
        for family in families:
            known = family in self.unknown_families or len(self.unknown_families) < MAX_FAMILIES
            self.unknown_families[family if known else "other"] += 1

    @property
    def serves(self) -> dict[tuple[str, str, str], int]:
        """Reads by task, verdict and lane."""
        tasks = list(self.reads.items())
        return {(task, *outcome): count for task, reads in tasks for outcome, count in reads.outcomes.items()}

    def drain_heat(self) -> dict[tuple[str, bytes], tuple[int, int]]:
        """Take the reads per task and key since the last drain, and how many of them a batch run had made ready."""
        tasks = list(self.reads.items())
        return {(task, key): counts for task, reads in tasks for key, counts in reads.drain_heat().items()}

    def drain_samples(self) -> list[tuple[str, Read, int]]:
        """Take a sample of the reads since the last drain: task, read, and how many it stands for."""
        tasks = list(self.reads.items())
        return [(task, *sample) for task, reads in tasks for sample in reads.drain_samples()]
