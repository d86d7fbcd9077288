"""A shop of any size for the benchmark of runs: candidates by exact search, as the assistant makes them, no database.

``BATCH_STORE`` names the store, ``BATCH_SHOPPERS`` and ``BATCH_ITEMS`` the sizes. With ``BATCH_LOG`` each call of the
function adds a line with its first key, so that it can be counted what was computed twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.recs.als import Candidate
from retail_assistant.recs.topk import Index

APP = "_batch_app:build"
TOP, DIMS, OWNED, CHUNK = 50, 64, 20, 1024
CONTRACT: dict[str, Any] = {
    "freshness_sla": "8h", "invalidated_by": [], "fallback_if_stale": pb.Recompute(), "owner": "bench",
}  # fmt: skip
tasks = pb.Registry()


class Items(msgspec.Struct, frozen=True, dict=True):
    """Item factors, float32 in row order, with lengths as unequal as real ones."""

    count: int
    factors: memoryview

    @cached_property
    def index(self) -> Index:
        """Laid out for search."""
        return Index(np.frombuffer(self.factors, dtype=np.float32).reshape(self.count, DIMS))

    @cached_property
    def names(self) -> list[str]:
        """Names by position."""
        return [f"B{n:09}" for n in range(self.count)]


@tasks.model(**CONTRACT, refresh=pb.every("6h"))
def items() -> Items:
    """Factors whose lengths fall off as those of a trained model do."""
    count = int(os.environ["BATCH_ITEMS"])
    draw = np.random.default_rng(7)
    lengths = (1 + np.arange(count)) ** -0.35
    factors = draw.standard_normal((count, DIMS)) * lengths[:, None]
    return Items(count, memoryview(factors.astype(np.float32).tobytes()))


def shoppers() -> Iterator[str]:
    """Everybody, one by one."""
    for number in range(int(os.environ["BATCH_SHOPPERS"])):
        yield f"u{number:08}"


@tasks.artifact(**CONTRACT, refresh=pb.every("6h"), keys=shoppers, chunk=CHUNK)
def candidates(users: pb.Keys[str], *, model: Items = pb.Model(items)) -> dict[str, list[Candidate]]:
    """The fifty best items of each shopper, without those that are owned."""
    if log := os.environ.get("BATCH_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{users[0]}\n")
    return compute(users, model)


def compute(users: pb.Keys[str], model: Items) -> dict[str, list[Candidate]]:
    """What :func:`candidates` returns, without any engine around it."""
    draw = np.random.default_rng(int(users[0][1:]))
    vectors = draw.standard_normal((len(users), DIMS)).astype(np.float32)
    owned = list(draw.integers(0, model.count, (len(users), OWNED)))
    hidden = np.zeros(model.count, dtype=np.bool_)
    best = model.index.top(vectors, owned, hidden=hidden, count=TOP)
    names = model.names
    return {
        user: [Candidate(names[n], score) for n, score in zip(found.tolist(), scores.tolist(), strict=True)]
        for user, (found, scores) in zip(users, best, strict=True)
    }


def build() -> pb.App:
    """The app."""
    return pb.App(tasks, store=os.environ["BATCH_STORE"])


def build_rude() -> pb.App:
    """The same, which gives way to nothing."""
    return pb.App(tasks, store=os.environ["BATCH_STORE"], batch=pb.Batch(throttle=None))
