"""A synthetic catalogue of any size whose candidate lists parbake keeps in LMDB."""

from __future__ import annotations

import importlib
import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from parbake.tasks.task_types import Artifact
from retail_assistant.recs.als import AlsModel

from .data import Ints, Rows
from .features import Shelf, make_rows
from .models import DIMS, fold_in, make_model
from .station import best

SHOPPERS, PAST, TAGS = 1_000, 50, 19
CONFIDENCE, REGULARIZATION = 4.0, 30.0
_PART = 128
tasks = pb.Registry()


class Stored(msgspec.Struct, frozen=True):
    """A list as it is kept: int32 positions of items and their float32 scores, best first."""

    items: bytes
    scores: bytes


def everybody() -> list[str]:
    """The shoppers whose lists are made ahead."""
    return [f"u{n}" for n in range(SHOPPERS)]


@dataclass
class Catalogue:
    """Factors with what a request needs beside them; ``count`` is how long the lists are."""

    model: AlsModel
    shelf: Shelf
    pasts: list[Ints]
    count: int
    index: Any = None

    @classmethod
    def make(cls, items: int, count: int) -> Catalogue:
        """Draw factors whose lengths are spread like those of ALS: few items are popular."""
        rng = np.random.default_rng(7)
        lengths = rng.lognormal(-2.0, 1.0, (items, 1))
        directions = rng.standard_normal((items, DIMS))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        model = make_model((directions * lengths).astype(np.float32), REGULARIZATION)
        tags = np.zeros((items, TAGS), dtype=np.float32)
        tags[np.arange(items), rng.integers(0, TAGS, items)] = 1.0
        table = np.hstack((directions, tags, rng.random((items, 4)), lengths), dtype=np.float32)
        shelf = Shelf(table, DIMS, np.arange(items))
        pasts = [rng.choice(items, PAST, replace=False) for _ in range(SHOPPERS)]
        return cls(model, shelf, pasts, count, exact_index(model.matrix))

    @property
    def shoppers(self) -> int:
        """How many shoppers have a list."""
        return len(self.pasts)

    @property
    def task(self) -> Artifact[str, Stored]:
        """The task that makes the lists."""
        return candidates

    def vector(self, shopper: int) -> Rows:
        """Fold one history in."""
        return fold_in(self.model, [self.pasts[shopper]], CONFIDENCE)[0]

    def retrieve(self, shopper: int, vector: Rows) -> tuple[Ints, Rows]:
        """Score every item with BLAS and take the best that are not owned."""
        scores = self.model.matrix @ vector
        scores[self.pasts[shopper]] = -np.inf
        return best(scores, self.count)

    def retrieve_indexed(self, shopper: int, vector: Rows) -> tuple[Ints, Rows]:
        """The same through the assistant's exact index."""
        hidden = np.zeros(len(self.model.matrix), dtype=np.bool_)
        return self.index.top(vector[None], [self.pasts[shopper]], hidden=hidden, count=self.count)[0]

    def without_owned(self, shopper: int, stored: Stored) -> tuple[Ints, Rows]:
        """Return a stored list without what the shopper has."""
        items, scores = np.frombuffer(stored.items, np.int32), np.frombuffer(stored.scores, np.float32)
        owned = np.sort(self.pasts[shopper])
        at = np.minimum(owned.searchsorted(items), len(owned) - 1)
        kept = owned[at] != items
        return items[kept], scores[kept]

    def rows(self, shopper: int, items: Ints, listed: Rows, vector: Rows) -> Rows:
        """Describe a list."""
        return make_rows(self.shelf, items, listed, self.pasts[shopper], vector)


def exact_index(matrix: Rows) -> Any:
    """Return the assistant's exact top-k index over item factors; ``None`` where it has none."""
    if importlib.util.find_spec("retail_assistant.recs.topk") is None:
        return None
    return importlib.import_module("retail_assistant.recs.topk").Index(matrix)


@tasks.artifact(
    freshness_sla="8h",
    refresh=pb.every("6h"),
    invalidated_by=[pb.refresh("user/{user}")],
    fallback_if_stale=pb.ServeStale("2h"),
    owner="recs",
    keys=everybody,
)
def candidates(users: pb.Keys[str], *, catalogue: pb.Resource[Catalogue] = pb.GIVEN) -> dict[str, Stored]:
    """The best items of the whole catalogue for each shopper."""
    found: dict[str, Stored] = {}
    for start in range(0, len(users), _PART):
        part = users[start : start + _PART]
        pasts = [catalogue.pasts[int(user[1:])] for user in part]
        scores = fold_in(catalogue.model, pasts, CONFIDENCE) @ catalogue.model.matrix.T
        for user, past, row in zip(part, pasts, scores, strict=True):
            row[past] = -np.inf
            items, kept = best(row, catalogue.count)
            found[user] = Stored(items.astype(np.int32).tobytes(), kept.tobytes())
    return found


def open_app(folder: Path, catalogue: Catalogue) -> pb.App:
    """Open parbake over an LMDB store in a folder."""
    return pb.App(tasks, store=f"lmdb://{folder}/store", resources={Catalogue: catalogue})


async def build_ahead(app: pb.App, catalogue: Catalogue) -> float:
    """Make every list; return the CPU microseconds that each took, writing it included."""
    before = time.process_time()
    await app.materialize(candidates)
    return (time.process_time() - before) / catalogue.shoppers * 1e6
