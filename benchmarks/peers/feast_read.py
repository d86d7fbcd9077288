"""Feast's side of the read: ``get_online_features`` of one entity row, sqlite in process and Redis on this machine."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time

from _feast import STORES, FeatureStore, frame, opened, titles
from _report import percentile


def read(store: FeatureStore, shelf: str) -> list[str]:
    """One row, as a dictionary: what an application reads."""
    found = store.get_online_features(features=["shelves:titles"], entity_rows=[{"shelf": shelf}]).to_dict()
    return found["titles"][0]


def measure(kind: str, rows: int, reads: int) -> dict[str, float]:
    """Microseconds per read, and reads per second of this process's CPU (the server's own is not counted)."""
    with opened(kind) as store:
        store.write_to_online_store("shelves", frame(rows))
        if read(store, "s0") != titles("s0"):
            raise SystemExit(f"{kind}: what was written is not what is read")
        for n in range(max(10, reads // 10)):
            read(store, f"s{n % rows}")
        times, cpu = [], time.process_time()
        for n in range(reads):
            before = time.perf_counter()
            read(store, f"s{n % rows}")
            times.append(time.perf_counter() - before)
        cpu = time.process_time() - cpu
    return {
        "p50_us": percentile(times, 50) * 1e6,
        "p99_us": percentile(times, 99) * 1e6,
        "reads_per_cpu_second": reads / cpu,
    }


def main() -> None:
    """Measure the stores that were asked for and print one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=200)
    options.add_argument("--reads", type=int, default=2_000)
    options.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    chosen = options.parse_args()
    stores = {kind: measure(kind, chosen.rows, chosen.reads) for kind in chosen.stores}
    version = importlib.metadata.version("feast")
    sys.stdout.write(json.dumps({"library": "feast", "version": version, "stores": stores}) + "\n")


if __name__ == "__main__":
    main()
