"""Counters: cheap on the hot path, drained by the ledger and read by the metrics exporter."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any
from weakref import WeakSet

from parbake.errors import SourceError
from parbake.protocol.cause import Cause, Reason
from parbake.values.statistics import percentile

LATENCY_BUCKETS_S = (2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)
_FRESH_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MAX_KEYS = 200_000
"""Keys of a task whose reads are counted. If nobody drains the counts, they are reset beyond this number."""
_NOTED = 256
"""Reads that are buffered before they are counted; one of them is kept as a sample."""
_SAMPLES = 1_000
"""Samples of a task between two drains."""
BATCH = "batch"
NO_ROUTE = "none"
Read = tuple[bytes, str, str, float]
"""Key, verdict, lane and seconds of a read."""
MAX_FAMILIES = 50
"""Unknown families that are counted by name; further ones are counted together, as a publisher can send any number."""
RECENT, _RECENT_S = 2000, 3.0
"""Number of requests, and seconds of them, that count as recent."""


class Histogram:
    """Counts per bucket, and the sum in seconds."""

    __slots__ = ("bounds", "counts", "total_s")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BUCKETS_S) -> None:
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
    """The reads of one task. A read is only buffered; counting a few hundred together takes half the time."""

    __slots__ = ("_ahead", "_by_key", "_heat", "_latency", "_lock", "_noted", "_outcomes", "_samples")

    def __init__(self, *, by_key: bool = False) -> None:
        """Count nothing yet; reads are counted per key, and sampled, only if ``by_key`` asks for it."""
        self._by_key = by_key
        self._noted: list[Read] = []
        self._lock = threading.Lock()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._latency = Histogram()
        self._heat: Counter[bytes] = Counter()
        self._ahead: Counter[bytes] = Counter()
        self._samples: list[tuple[Read, int]] = []

    def add(self, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Record a read of a key.

        Args:
            key: The encoded key.
            verdict: The verdict on the served value.
            lane: The lane that computed it.
            seconds: Duration of the read, in seconds.
        """
        noted = self._noted
        noted.append((key, verdict, lane, seconds))
        if len(noted) >= _NOTED:
            self._count()

    @property
    def outcomes(self) -> dict[tuple[str, str], int]:
        """Number of reads by verdict and lane."""
        self._count()
        return dict(self._outcomes)

    @property
    def latency(self) -> Histogram:
        """Histogram of the durations."""
        self._count()
        return self._latency

    def drain_heat(self) -> dict[bytes, tuple[int, int]]:
        """Take the reads per key since the last drain, and how many of them a batch run had prepared."""
        self._count()
        with self._lock:
            heat, self._heat = self._heat, Counter()
            ahead, self._ahead = self._ahead, Counter()
        return {key: (count, ahead[key]) for key, count in heat.items()}

    def drain_samples(self) -> list[tuple[Read, int]]:
        """Take a sample of the reads since the last drain, each with the number of reads that it represents."""
        self._count()
        with self._lock:
            taken, self._samples = self._samples, []
        return taken

    def _count(self) -> None:
        """Count the buffered reads. Another thread may call this while this thread keeps recording."""
        with self._lock:
            count = len(self._noted)
            if not count:
                return
            keys, verdicts, lanes, seconds = zip(*self._noted[:count], strict=True)
            if self._by_key and len(self._samples) < _SAMPLES:
                self._samples.append((self._noted[count - 1], count))
            del self._noted[:count]
            self._outcomes.update(zip(verdicts, lanes, strict=True))
            self._latency.add(*seconds)
            if not self._by_key:
                return
            if len(self._heat) >= _MAX_KEYS:
                self._heat.clear()
                self._ahead.clear()
            self._heat.update(keys)
            if BATCH in lanes:
                self._ahead.update(key for key, lane in zip(keys, lanes, strict=True) if lane == BATCH)


class Requests:
    """Durations of whole requests, separately for times with and without an active batch run."""

    def __init__(self) -> None:
        self.by_batch = {False: Histogram(), True: Histogram()}
        self.is_batch_on = False
        self._recent: deque[tuple[float, float]] = deque(maxlen=RECENT)

    def add(self, seconds: float) -> None:
        """Record an answered request and its duration in seconds."""
        self.by_batch[self.is_batch_on].add(seconds)
        self._recent.append((time.monotonic(), seconds))

    def recent(self) -> tuple[int, float]:
        """Number of requests in the last seconds, and their 95th percentile in seconds (0 if there are none)."""
        since = time.monotonic() - _RECENT_S
        took = [seconds for at, seconds in list(self._recent) if at >= since]
        return len(took), percentile(took, 95) or 0.0


class Counters:
    """Counts reads, computations, misses and events since the start; see :class:`parbake.ports.observers.Observers`."""

    def __init__(self) -> None:
        self._by_key = False
        self.measured: dict[str, Callable[[], float]] = {}
        """What is asked for at each scrape, by the name of its metric."""
        self.caches: WeakSet[Any] = WeakSet()
        """The semantic caches that the questions are asked of. ``keeps_s`` of each is how long its answers stay."""
        self.restart()

    def count_keys(self) -> None:
        """Count reads per key, and keep samples of them, from now on. That costs memory for each key."""
        self._by_key = True
        self.reads.clear()

    def restart(self) -> None:
        """Reset to zero, in a forked process."""
        self.reads: defaultdict[str, Reads] = defaultdict(lambda: Reads(by_key=self._by_key))
        self.computes: Counter[tuple[str, str, str]] = Counter()
        self.compute_s: Counter[tuple[str, str]] = Counter()
        self.misses: Counter[tuple[str, str, str]] = Counter()
        self.damaged: Counter[str] = Counter()
        self.leases: Counter[tuple[str, str]] = Counter()
        self.requests = Requests()
        self.responses: Counter[tuple[str, int]] = Counter()
        """Answers by the path of their route (:data:`NO_ROUTE` without one), and the first digit of their status."""
        self.waits = Histogram()
        self.loop_lag = Histogram()
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
        self.source_troubles: dict[str, SourceError] = {}
        self.untold: dict[str, str] = {}
        """What keeps a source from telling every change, by the name of the source; empty if nothing does."""
        self.advice: dict[str, str] = {}
        """What an operator should do for a source that tells every change, by its name; empty if that is nothing."""
        self.turned_away = 0
        self.asked: Counter[str] = Counter()
        """Questions to semantic caches by the reason why none of their answers was served; empty for a hit."""
        self.store_full = ""
        self.degraded: tuple[tuple[str, str], ...] = ()
        self.workers: int | None = None
        self.worker_silence_s = 0.0

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Count a read, and the key's serves.

        Args:
            task: The task's name.
            key: The encoded key.
            verdict: The verdict on the served value.
            lane: The lane that computed it.
            seconds: Duration of the read, in seconds.
        """
        self.reads[task].add(key, verdict, lane, seconds)

    def answered(self, task: str, verdict: str, lane: str, seconds: float) -> None:
        """Count a read of a task whose values are not stored, and therefore not counted per key.

        Args:
            task: The task's name.
            verdict: The verdict on the value.
            lane: The lane that made the value.
            seconds: Duration, in seconds.
        """
        reads = self.reads.get(task) or self.reads.setdefault(task, Reads())
        reads.add(b"", verdict, lane, seconds)

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
        """Count a computation.

        Args:
            task: The task's name.
            key: The encoded key.
            lane: The lane that computed.
            seconds: Duration, in seconds.
            outcome: How the computation ended.
            cpu_s: CPU seconds.
        """
        self.computes[task, lane, outcome] += 1
        self.compute_s[task, lane] += seconds  # type: ignore[assignment]  # Counter's stub allows only int

    def missed(self, task: str, key: bytes, verdict: str, reason: Reason) -> None:  # noqa: ARG002 - the hook's signature
        """Count a miss by its cause, and detect a clock that must be wrong.

        Args:
            task: The task's name.
            key: The encoded key.
            verdict: The verdict on the stored value.
            reason: Why it was not served.
        """
        self.misses[task, verdict, reason.cause.value] += 1
        if reason.cause is Cause.FROM_THE_FUTURE:
            self.clock_skew += 1

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Count an acknowledged event.

        Args:
            tags: The tags that the event raised.
            duplicates: How many of its changes were known already.
            seconds: Duration until the acknowledgement, in seconds.
        """
        self.events += 1
        self.duplicates += duplicates
        self.event_latency.add(seconds)
        for tag in tags:
            self.tags_raised[tag.partition("/")[0]] += 1

    def refreshed(self, task: str, seconds: float) -> None:
        """Count a key that the event lane has recomputed; ``seconds`` is the time since its event was raised."""
        self.time_to_fresh.setdefault(task, Histogram(_FRESH_BUCKETS_S)).add(max(0.0, seconds))

    def unknown(self, families: Iterable[str]) -> None:
        """Count families that no task and no source declares."""
        for family in families:
            known = family in self.unknown_families or len(self.unknown_families) < MAX_FAMILIES
            self.unknown_families[family if known else "other"] += 1

    @property
    def serves(self) -> dict[tuple[str, str, str], int]:
        """Number of reads by task, verdict and lane."""
        tasks = list(self.reads.items())
        return {(task, *outcome): count for task, reads in tasks for outcome, count in reads.outcomes.items()}

    def drain_heat(self) -> dict[tuple[str, bytes], tuple[int, int]]:
        """Take the reads per task and key since the last drain, and how many of them a batch run had prepared."""
        tasks = list(self.reads.items())
        return {(task, key): counts for task, reads in tasks for key, counts in reads.drain_heat().items()}

    def drain_samples(self) -> list[tuple[str, Read, int]]:
        """Take a sample of the reads since the last drain: task, read, and the number of reads that it represents."""
        tasks = list(self.reads.items())
        return [(task, *sample) for task, reads in tasks for sample in reads.drain_samples()]
