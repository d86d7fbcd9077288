"""The same search by libraries: ``implicit``'s own, and faiss with a flat index of inner products. One thread each."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import time
from collections.abc import Callable

import faiss
from _factors import TOP, made
from implicit.cpu.topk import topk


def per_cpu_second(search: Callable[[], object], users: int) -> float:
    """Users per second of this process's CPU."""
    before = time.process_time()
    search()
    return users / (time.process_time() - before)


def main() -> None:
    """Search once with each and print one JSON line."""
    options = argparse.ArgumentParser()
    options.add_argument("kind")
    options.add_argument("--users", type=int, required=True)
    options.add_argument("--items", type=int, required=True)
    chosen = options.parse_args()
    vectors, factors = made(chosen.kind, chosen.users, chosen.items)
    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(factors.shape[1])
    index.add(factors)
    sides = {
        "implicit": lambda: topk(factors, vectors, TOP, num_threads=1),
        "faiss": lambda: index.search(vectors, TOP),
    }
    rates = {name: per_cpu_second(search, chosen.users) for name, search in sides.items()}
    versions = {name: importlib.metadata.version(name) for name in ("implicit", "faiss-cpu")}
    sys.stdout.write(json.dumps({"versions": versions, "rates": rates}) + "\n")


if __name__ == "__main__":
    main()
