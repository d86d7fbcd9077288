"""Feast's side of publishing: ``write_to_online_store`` of rows of 50 strings, sqlite in process and Redis."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time

import pandas as pd
from _feast import STORES, frame, opened


def measure(kind: str, rows: int, batch: int) -> dict[str, float]:
    """Rows per second, in one call for all and in calls of ``batch`` rows; the frames are made beforehand."""
    whole, others = frame(rows), frame(rows, start=rows)
    parts = [others.iloc[start : start + batch] for start in range(0, rows, batch)]
    with opened(kind) as store:
        store.write_to_online_store("shelves", frame(1))  # what is only done once is not what is measured

        def per_second(frames: list[pd.DataFrame]) -> float:
            started = time.perf_counter()
            for part in frames:
                store.write_to_online_store("shelves", part)
            return rows / (time.perf_counter() - started)

        return {"rows_per_s": per_second([whole]), "rows_per_s_in_batches": per_second(parts), "batch": batch}


def main() -> None:
    """Measure the stores that were asked for and print one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=2_000)
    options.add_argument("--batch", type=int, default=100)
    options.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    chosen = options.parse_args()
    stores = {kind: measure(kind, chosen.rows, chosen.batch) for kind in chosen.stores}
    version = importlib.metadata.version("feast")
    sys.stdout.write(json.dumps({"library": "feast", "version": version, "stores": stores}) + "\n")


if __name__ == "__main__":
    main()
