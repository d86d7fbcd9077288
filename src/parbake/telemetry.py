"""Counts kept on the hot path: plain dictionaries, drained by the ledger and read by the metrics exporter."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

LATENCY_BUCKETS_S = (2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)
FRESH_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_KEYS = 200_000
MAX_FAMILIES = 50
"""So many unknown families are counted by name, the rest together: a publisher can invent any number."""
FROM_THE_FUTURE = "computed in the future"


class Histogram:
    """Counts per bucket and the sum, in seconds."""

    __slots__ = ("bounds", "counts", "total_s")

    def __init__(self, bounds: tuple[float, ...] = LATENCY_BUCKETS_S) -> None:
        """Start at zero."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds


class Counters:
    """What was served, computed, missed and raised since the process started (see :class:`parbake.ports.Hook`)."""

    def __init__(self) -> None:
        """Start at zero."""
        self.serves: Counter[tuple[str, str, str]] = Counter()
        self.latency: dict[str, Histogram] = {}
        self.computes: Counter[tuple[str, str, str]] = Counter()
        self.compute_s: Counter[tuple[str, str]] = Counter()
        self.misses: Counter[tuple[str, str]] = Counter()
        self.events = 0
        self.duplicates = 0
        self.tags_raised: Counter[str] = Counter()
        self.event_latency = Histogram()
        self.heat: Counter[tuple[str, bytes]] = Counter()
        self.time_to_fresh: dict[str, Histogram] = {}
        self.parked = 0
        self.clock_skew = 0
        self.gaps: Counter[str] = Counter()
        self.unknown_families: Counter[str] = Counter()
        self.source_failures: Counter[str] = Counter()

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Count a read and its key's heat."""
        self.serves[task, verdict, lane] += 1
        histogram = self.latency.get(task)
        if histogram is None:
            histogram = self.latency[task] = Histogram()
        histogram.add(seconds)
        self.heat[task, key] += 1

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str) -> None:  # noqa: ARG002 - the hook's signature
        """Count a computation."""
        self.computes[task, lane, outcome] += 1
        self.compute_s[task, lane] += seconds  # type: ignore[assignment]  # Counter's stub knows only int

    def missed(self, task: str, key: bytes, verdict: str, reason: str) -> None:  # noqa: ARG002 - the hook's signature
        """Count a miss, and a clock that must be wrong."""
        self.misses[task, verdict] += 1
        if reason.startswith(FROM_THE_FUTURE):
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

    def drain_heat(self) -> Counter[tuple[str, bytes]]:
        """Take the counts per key since the last drain."""
        taken, self.heat = self.heat, Counter()
        return taken
