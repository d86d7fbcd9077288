"""The cost of a read: ``await app.serve`` of a fresh artifact of 50 items with 2 tags, out of LMDB.

In the same run: the same read while another process commits events to the store, structs in place of strings, ten
thousand precomputed keys read by Zipf's law, and Feast's read of the same value. Beside it what the machine gives at
best: a bare LMDB get with a fresh transaction, and the same get with a typed decode; what the contract and the fence
cost is the difference. No copy is kept in memory: every read goes to the store and checks the watermarks.
"""

from __future__ import annotations

import asyncio
import platform
import tempfile
import timeit
from pathlib import Path

import _peers
import lmdb
import msgspec
from _events import paced
from _reads import (
    BLOCKS,
    KEYS,
    READS,
    Item,
    Reading,
    Times,
    bare,
    in_turn,
    precomputed,
    ranked,
    round_robin,
    served,
    skewed,
    tasks,
    titles,
)
from _report import Goal, report
from _valkey import installed

import parbake as pb

EVENTS_PER_SECOND, EVENTS_FOR_S = 200, 30
FEAST_READS = 2_000
LABELS = {
    "serve": "app.serve, 50 strings",
    "under_events": "the same, events committed beside it",
    "structs": "app.serve, 50 structs",
    "skewed": "app.serve, 10,000 precomputed keys by Zipf",
    "bare": "bare LMDB get",
    "decoded": "bare get + typed decode, 50 strings",
    "decoded_structs": "bare get + typed decode, 50 structs",
}


async def measure(folder: Path) -> tuple[dict[str, Times], float]:
    """Times of every read of ours and of what the machine gives at best, and the events per second beside one."""
    url = f"lmdb://{folder}/store"
    app = pb.App(tasks, store=url)
    for n in range(KEYS):
        await app.serve(titles, f"s{n}")
        await app.serve(ranked, f"s{n}")
    await app.materialize(precomputed)
    with lmdb.open(str(folder / "bare"), map_size=1 << 26) as env:
        strings, structs, keys = titles.fn("s1"), ranked.fn("s1"), round_robin()
        found = await in_turn({
            "serve": Reading(served(app, titles), keys),
            "structs": Reading(served(app, ranked), keys),
            "skewed": Reading(served(app, precomputed), skewed()),
            "bare": Reading(bare(env, strings, lambda raw: raw), keys),
            "decoded": Reading(bare(env, strings, msgspec.msgpack.Decoder(list[str]).decode), keys),
            "decoded_structs": Reading(bare(env, structs, msgspec.msgpack.Decoder(list[Item]).decode), keys),
        })  # fmt: skip
    with paced(url, EVENTS_PER_SECOND, EVENTS_FOR_S) as reached:
        beside = await in_turn({"under_events": Reading(served(app, titles), keys)})
    await app.close()
    return found | beside, reached[0]


def feast() -> dict[str, dict[str, float]]:
    """Feast's reads by online store; without a server on this machine, only the one in process."""
    stores = ["sqlite", *(["redis"] if installed() else [])]
    found = _peers.run("feast_read.py", "--rows", str(KEYS), "--reads", str(FEAST_READS), "--stores", *stores)
    return found["stores"]


def goals(times: dict[str, Times], figures: dict[str, float]) -> list[Goal]:
    """What is promised, with what was measured. A peer that could not be run is not counted for us."""

    def at_most(what: str, value: float, limit: float) -> Goal:
        return Goal(what, value, "us", f"<= {limit:g}", met=value <= limit)

    def at_least(what: str, name: str, unit: str, limit: float) -> Goal:
        value = figures.get(name, 0.0)
        return Goal(what, value, unit, f">= {limit:g}", met=value >= limit)

    return [
        at_most("app.serve p50", times["serve"].p50_us, 8),
        at_most("app.serve p99", times["serve"].p99_us, 25),
        at_most("the same p50 with events committed beside it", times["under_events"].p50_us, 8),
        at_least("reads per CPU-second of one core", "reads_per_cpu_second", "reads/s", 100_000),
        at_most("app.serve p50, structs", times["structs"].p50_us, 12),
        at_most("contract and fence, p50 over bare get + decode", figures["overhead_us"], 4),
        at_least("Feast on sqlite takes", "feast_sqlite_ratio", "times as long", 15),
        at_least("Feast on Redis takes", "feast_redis_ratio", "times as long", 25),
    ]


def table(times: dict[str, Times], peers: dict[str, dict[str, float]]) -> list[tuple[object, ...]]:
    """The lines for people."""
    ours = times["serve"].p50_us
    over = ours - times["decoded"].p50_us, times["structs"].p50_us - times["decoded_structs"].p50_us
    rows: list[tuple[object, ...]] = [
        (label, t.p50_us, t.p99_us, t.quiet_us, f"{t.per_cpu_second:,.0f}", f"{t.p50_us / ours:.2f} x")
        for label, t in ((label, times[name]) for name, label in LABELS.items())
    ]
    for what, took in zip(("strings", "structs"), over, strict=True):
        rows.append((f"contract and fence over bare get + decode, {what}", took, "", "", "", f"{took / ours:.2f} x"))
    for kind, found in peers.items():
        p50, rate = found["p50_us"], found["reads_per_cpu_second"]
        rows.append((f"Feast, {kind}", p50, found["p99_us"], "", f"{rate:,.0f}", f"{p50 / ours:.2f} x"))
    return rows


async def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        times, events = await measure(Path(folder))
    peers = feast()
    ours = times["serve"].p50_us
    figures = {"overhead_us": ours - times["decoded"].p50_us, "events_per_s": events, "yardstick_us": yardstick_us()}
    figures["reads_per_cpu_second"] = times["serve"].per_cpu_second
    figures |= {f"feast_{kind}_ratio": found["p50_us"] / ours for kind, found in peers.items()}
    print(f"Python {platform.python_version()}; summing a thousand squares takes it {figures['yardstick_us']:.0f} us")
    print(
        f"{READS:,} reads each, in turn by {READS // BLOCKS:,}; {events:.0f} events/s were committed beside line two\n"
    )
    columns = ("what", "p50 us", "p99 us", "p50 of the quietest block", "reads per CPU-second", "p50 to app.serve")
    spread = {f"{n}_{what}": getattr(t, what) for n, t in times.items() for what in ("p50_us", "p99_us", "quiet_us")}
    report("read", columns, table(times, peers), figures={**figures, **spread}, goals=goals(times, figures))


def yardstick_us() -> float:
    """What plain Python takes here: one interpreter is twice as fast as another, whatever it is asked to do."""
    return min(timeit.repeat("sum(n * n for n in range(1000))", number=100, repeat=20)) / 100 * 1e6


if __name__ == "__main__":
    asyncio.run(main())
