"""The cost of a read: ``await app.serve`` of a fresh artifact of 50 strings with 2 tags, out of LMDB.

Beside it, in the same run, what the machine gives at best: a bare LMDB get with a fresh transaction, and the same get
with a typed decode. No copy is kept in memory: every read goes to the store and checks the watermarks.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lmdb
import msgspec
from _report import Goal, percentile, report

import parbake as pb

READS, WARM = 20_000, 2_000
tasks = pb.Registry()


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("shelf/{shelf}")], fallback_if_stale=pb.Recompute(), owner="bench"
)
def titles(shelf: str) -> list[str]:
    """Fifty short strings."""
    return [f"{shelf} title {n:03d}" for n in range(50)]


async def serve_times(app: pb.App) -> list[float]:
    """Seconds per read, after a warm-up."""
    for n in range(200):
        await app.serve(titles, f"s{n}")
    times = []
    for n in range(READS + WARM):
        before = time.perf_counter()
        await app.serve(titles, f"s{n % 200}")
        times.append(time.perf_counter() - before)
    return times[WARM:]


def bare_times(path: Path, read: Callable[[bytes], object]) -> list[float]:
    """Seconds per bare get of a value of the same size, each with a fresh transaction."""
    with lmdb.open(str(path), map_size=1 << 26) as env:
        payload = msgspec.msgpack.encode([f"s1 title {n:03d}" for n in range(50)])
        with env.begin(write=True) as txn:
            txn.put(b"key", payload)
        times = []
        for _ in range(READS):
            before = time.perf_counter()
            with env.begin() as txn:
                read(txn.get(b"key"))
            times.append(time.perf_counter() - before)
        return times


async def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        app = pb.App(tasks, store=f"lmdb://{folder}/store")
        cpu = time.process_time()
        times = await serve_times(app)
        per_cpu_second = (READS + WARM) / (time.process_time() - cpu)
        bare = bare_times(Path(folder, "bare"), lambda raw: raw)
        decoded = bare_times(Path(folder, "decoded"), msgspec.msgpack.Decoder(list[str]).decode)
        await app.close()
    p50, p99 = percentile(times, 50) * 1e6, percentile(times, 99) * 1e6
    rows = [
        ("app.serve", p50, p99),
        ("bare LMDB get", percentile(bare, 50) * 1e6, percentile(bare, 99) * 1e6),
        ("bare get + typed decode", percentile(decoded, 50) * 1e6, percentile(decoded, 99) * 1e6),
    ]
    report(
        "read",
        ("what", "p50 us", "p99 us"),
        rows,
        figures={"p50_us": p50, "p99_us": p99, "reads_per_cpu_second": per_cpu_second, "bare_p50_us": rows[1][1]},
        goals=[Goal("app.serve p50", p50, "us", "<= 12", met=p50 <= 12)],
    )


if __name__ == "__main__":
    asyncio.run(main())
