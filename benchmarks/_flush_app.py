"""A model, and a batch of 5,000 keys that reads it and is slow: what an emptied store takes long to get back.

``FLUSH_HOME`` is the folder, ``FLUSH_STORE`` the store's URL, ``FLUSH_KEYS`` how many keys there are.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import parbake as pb
from parbake.adapters.sqlite import SqliteSource

HOME, COUNT = Path(os.environ["FLUSH_HOME"]), int(os.environ["FLUSH_KEYS"])
SLOW_S = 0.005
CONTRACT: dict[str, Any] = {
    "freshness_sla": "8h", "invalidated_by": [pb.fence("weight")], "fallback_if_stale": pb.Recompute(),
    "owner": "bench", "refresh": pb.every("6h"),
}  # fmt: skip


class Weights(pb.View):
    """What the model is trained on."""

    families = ("weight",)

    def total(self) -> int:
        """The sum of all."""
        self.whole_set("weight")
        return int(self.rows("SELECT sum(weight) FROM weights")[0][0])


tasks = pb.Registry()


@tasks.model(**CONTRACT)
def taste(*, weights: pb.Source[Weights]) -> dict[str, int]:
    """What is learned from the database."""
    return {"total": weights.total()}


def users() -> list[str]:
    """Everybody."""
    return [f"u{n}" for n in range(COUNT)]


@tasks.artifact(**CONTRACT, keys=users, chunk=64)
def suggestion(some: pb.Keys[str], *, model: dict[str, int] = pb.Model(taste)) -> dict[str, str]:
    """One text per user, five milliseconds each."""
    time.sleep(SLOW_S * len(some))
    return {user: f"{user} {model['total']}" for user in some}


source = SqliteSource(HOME / "weights.sqlite", families=["weight"], views=[Weights])
app = pb.App(tasks, store=os.environ["FLUSH_STORE"], sources=[source])
