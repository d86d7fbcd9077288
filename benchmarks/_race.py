"""A forced race: a computation is held between reading its input and storing its result, while the input changes.

Runs parbake and its peers alike, in either environment: the standard library only.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass

ROUNDS, READS = 20, 20
BETWEEN_READS_S = 0.002
BLOCKED_AFTER_S = 0.25
LONG_TTL_S, SHORT_TTL_S = 600, 2  # cashews cuts a TTL to whole seconds within transactions, and 0 means for ever


class Truth:
    """The one input of every computation. When armed, it holds the next reader between reading and returning."""

    def __init__(self) -> None:
        """Start at 0, not armed."""
        self.value = 0
        self.reached, self._go = threading.Event(), threading.Event()
        self._armed = False

    def arm(self) -> None:
        """Hold the next reader."""
        self.reached.clear()
        self._go.clear()
        self._armed = True

    def release(self) -> None:
        """Let the reader that is held go on."""
        self._go.set()

    def read(self) -> int:
        """The value as of now, perhaps returned later."""
        seen, held, self._armed = self.value, self._armed, False
        if held:
            self.reached.set()
            self._go.wait(10)
        return seen

    async def aread(self) -> int:
        """The same without holding the event loop."""
        return await asyncio.to_thread(self.read) if self._armed else self.read()


@dataclass(frozen=True)
class Contestant:
    """One way to use one cache. ``update`` is called once the truth has changed, with the key and the new value."""

    used: str
    get: Callable[[str], Awaitable[int]]
    update: Callable[[str, int], Awaitable[object]]
    note: str = ""


Build = Callable[[Truth, int], Contestant]


@dataclass
class Outcome:
    """What a contestant did. ``old_for_s`` is how long one old value was served with a TTL of ``SHORT_TTL_S``."""

    used: str
    forced: int = 0
    stale_rounds: int = 0
    stale_reads: int = 0
    reads: int = 0
    old_for_s: float = 0.0
    note: str = ""


async def race(truth: Truth, contestant: Contestant, key: str) -> bool:
    """Force one race on a cold key; ``False`` when the invalidation waited for the creator, so that there was none."""
    truth.arm()
    creator = asyncio.ensure_future(contestant.get(key))
    if not await asyncio.to_thread(truth.reached.wait, 5):
        raise SystemExit(f"{contestant.used}: no computation began")
    truth.value += 1
    update = asyncio.ensure_future(contestant.update(key, truth.value))
    done, _ = await asyncio.wait([update], timeout=BLOCKED_AFTER_S)
    truth.release()
    await asyncio.gather(creator, update)
    return bool(done)


async def stale_reads(truth: Truth, contestant: Contestant, key: str) -> int:
    """How many of some later reads return an old value."""
    stale = 0
    for _ in range(READS):
        stale += await contestant.get(key) != truth.value
        await asyncio.sleep(BETWEEN_READS_S)
    return stale


async def old_for_s(build: Build) -> float:
    """Seconds after the invalidation until a read returns the new value, with a short TTL; at most four of them."""
    truth = Truth()
    contestant = build(truth, SHORT_TTL_S)
    await race(truth, contestant, "short")
    started, stale = time.monotonic(), 0.0
    while await contestant.get("short") != truth.value and stale < 4 * SHORT_TTL_S:
        await asyncio.sleep(0.02)
        stale = time.monotonic() - started
    return stale


async def measure(build: Build) -> Outcome:
    """Run every round of one contestant."""
    truth = Truth()
    contestant = build(truth, LONG_TTL_S)
    outcome = Outcome(contestant.used, note=contestant.note)
    for n in range(ROUNDS):
        outcome.forced += await race(truth, contestant, f"k{n}")
        stale = await stale_reads(truth, contestant, f"k{n}")
        outcome.reads += READS
        outcome.stale_reads += stale
        outcome.stale_rounds += stale > 0
    return outcome


async def measure_all(builds: Sequence[Build]) -> list[Outcome]:
    """Run the rounds one by one, then the waits for a TTL side by side."""
    outcomes = [await measure(build) for build in builds]
    for outcome, old in zip(outcomes, await asyncio.gather(*map(old_for_s, builds)), strict=True):
        outcome.old_for_s = old
    return outcomes


def main(library: str, builds: Sequence[Build]) -> None:
    """Measure all ways to use one library and print one JSON line."""
    rows = [asdict(outcome) for outcome in asyncio.run(measure_all(builds))]
    version = importlib.metadata.version(library)
    sys.stdout.write(json.dumps({"library": library, "version": version, "rows": rows}) + "\n")
