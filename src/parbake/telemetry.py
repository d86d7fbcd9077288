"""Counts kept on the hot path: plain dictionaries, drained by the ledger and read by the metrics exporter."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable

LATENCY_BUCKETS_S = (2e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5)
MAX_KEYS = 200_000
"""Keys of a task whose heat is counted; past that, or where no ledger drains it, the counting starts anew."""


class Histogram:
    """Counts per bucket and the sum, in seconds."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        """Start at zero."""
        self.counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(LATENCY_BUCKETS_S, seconds)] += 1
        self.total_s += seconds


class Heat(dict[bytes, int]):
    """How often each key was read."""

    def __missing__(self, key: bytes) -> int:
        """A key that was not read yet."""
        if len(self) >= MAX_KEYS:
            self.clear()
        return 0


class Reads:
    """What was served of one task; the hot path counts here and nowhere else."""

    __slots__ = ("by_outcome", "heat", "latency")

    def __init__(self) -> None:
        """Start at zero."""
        self.by_outcome: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.latency = Histogram()
        self.heat = Heat()

    def add(self, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Count a read and its key's heat."""
        self.by_outcome[verdict, lane] += 1
        self.heat[key] += 1
        self.latency.add(seconds)


class Counters:
    """What was served, computed, missed and raised since the process started (see :class:`parbake.ports.Hook`)."""

    def __init__(self) -> None:
        """Start at zero."""
        self.reads: defaultdict[str, Reads] = defaultdict(Reads)
        self.computes: Counter[tuple[str, str, str]] = Counter()
        self.compute_s: Counter[tuple[str, str]] = Counter()
        self.misses: Counter[tuple[str, str]] = Counter()
        self.events = 0
        self.duplicates = 0
        self.tags_raised: Counter[str] = Counter()
        self.event_latency = Histogram()

    def served(self, task: str, key: bytes, verdict: str, lane: str, seconds: float) -> None:
        """Count a read and its key's heat."""
        self.reads[task].add(key, verdict, lane, seconds)

    def computed(self, task: str, key: bytes, lane: str, seconds: float, *, outcome: str) -> None:  # noqa: ARG002 - the hook's signature
        """Count a computation."""
        self.computes[task, lane, outcome] += 1
        self.compute_s[task, lane] += seconds  # type: ignore[assignment]  # Counter's stub knows only int

    def missed(self, task: str, key: bytes, verdict: str, reason: str) -> None:  # noqa: ARG002 - the hook's signature
        """Count a miss."""
        self.misses[task, verdict] += 1

    def event(self, tags: Iterable[str], *, duplicates: int, seconds: float) -> None:
        """Count an acknowledged event."""
        self.events += 1
        self.duplicates += duplicates
        self.event_latency.add(seconds)
        for tag in tags:
            self.tags_raised[tag.partition("/")[0]] += 1

    @property
    def serves(self) -> dict[tuple[str, str, str], int]:
        """Reads by task, verdict and lane."""
        return {
            (t, *outcome): n for t, reads in list(self.reads.items()) for outcome, n in list(reads.by_outcome.items())
        }

    def drain_heat(self) -> dict[tuple[str, bytes], int]:
        """Take the counts per task and key since the last drain."""
        drained: dict[tuple[str, bytes], int] = {}
        for task, reads in list(self.reads.items()):
            taken, reads.heat = reads.heat, Heat()
            drained.update(((task, key), count) for key, count in taken.items())
        return drained
