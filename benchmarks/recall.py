"""Recall over a million answers and a thousand changes: is everybody found who was told the value, and nobody else?

The answers go through the ledger of an app, and the changes through its store. Each answer states one to five of the
tags, most often the frequent ones. A dictionary in memory knows which version of each tag an answer told.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from _report import Goal, report
from rich.progress import track

import parbake as pb
from parbake_planner import Ledger

TAGS, MOST_STATED = 400, 5
MOST_S, MOST_BYTES = 1.0, 300
A_PART = 20_000
"""Answers between two waits for the ledger."""


def shop(folder: Path) -> pb.App:
    """Return an app whose answers state policies."""
    tasks = pb.Registry()

    @tasks.artifact(
        freshness_sla="1d", invalidated_by=[pb.fence("policy")], fallback_if_stale=pb.Recompute(), owner="t"
    )
    def policy(key: str) -> str:
        return key

    return pb.App(tasks, store=f"lmdb://{folder}/store", plugins=[Ledger(folder / "ledger.sqlite")])


async def tell(app: pb.App, answers: int, changes: int) -> tuple[dict[Any, set[str]], list[tuple[str, int, int]]]:
    """Answer and change; return who told each version of each tag, and the changes with the next one of their tag."""
    chance, book = random.Random(31), app.plugins[Ledger]
    tags = [f"policy/{n:03d}" for n in range(TAGS)]
    weights = [1 / (n + 1) for n in range(TAGS)]
    version: dict[str, int] = {}
    who: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    ended: list[tuple[str, int, int]] = []
    every = answers // changes
    as_of = await app.stamp()
    for number in track(range(answers), description="answers", transient=True):
        if number % every == 0:
            (tag,) = chance.choices(tags, weights)
            ack = await app.touch(tag)
            if tag in version:
                ended.append((tag, version[tag], ack.raised[tag]))
            version[tag], as_of = ack.raised[tag], await app.stamp()
        stated = set(chance.choices(tags, weights, k=chance.randint(1, MOST_STATED)))
        async with app.request() as request:
            answer = book.answers.note(request, sources=stated, recipient=f"u{number % 9999:05d}", as_of=as_of)
        for tag in stated & version.keys():
            who[tag, version[tag]].add(answer.id)
        if number % A_PART == 0 and not await asyncio.to_thread(book.file.settle, timeout_s=60):
            raise SystemExit("the ledger does not keep up")
    return who, ended


def size(path: Path) -> int:
    """The bytes of the index: the pages that are free once it is dropped."""
    with sqlite3.connect(path) as connection:
        before = connection.execute("PRAGMA freelist_count").fetchone()[0]
        for table in ("told", "told_tags"):
            connection.execute(f"DROP TABLE {table}")
        freed = connection.execute("PRAGMA freelist_count").fetchone()[0] - before
        found: int = freed * connection.execute("PRAGMA page_size").fetchone()[0]
        connection.rollback()
    return found


async def measure(folder: Path, answers: int, changes: int) -> dict[str, float]:
    """Tell, recall after each change, and compare."""
    app = shop(folder)
    who, ended = await tell(app, answers, changes)
    book, took = app.plugins[Ledger], []
    if not await asyncio.to_thread(book.file.settle, timeout_s=60):
        raise SystemExit("the ledger does not keep up")
    found = right = wanted = 0
    for tag, since, before in track(ended, description="recalls", transient=True):
        began = time.perf_counter()
        recalled = {one.answer_id for one in await book.answers.recall(tag, since=since, before=before)}
        took.append(time.perf_counter() - began)
        expected = who[tag, since]
        found, right, wanted = found + len(recalled), right + len(recalled & expected), wanted + len(expected)
    await app.close()
    figures: dict[str, float] = {"answers": answers, "changes": len(ended), "recalled": found}
    figures |= {"recall": right / wanted, "precision": right / found}
    figures |= {"median_s": statistics.median(took), "slowest_s": max(took)}
    return figures | {"bytes_an_answer": size(folder / "ledger.sqlite") / answers}


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--changes", type=int, default=1_300, help="those with a later one of their tag count")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="parbake-recall-") as folder:
        figures = asyncio.run(measure(Path(folder), options.answers, options.changes))
    report(
        "recall",
        ["what", "value"],
        [[name.replace("_", " "), f"{value:,.4g}"] for name, value in figures.items()],
        figures=figures,
        goals=[
            Goal("recall", figures["recall"], "", ">= 1", figures["recall"] >= 1),
            Goal("precision", figures["precision"], "", ">= 1", figures["precision"] >= 1),
            Goal("the slowest recall", figures["slowest_s"], "s", f"< {MOST_S}", figures["slowest_s"] < MOST_S),
            Goal("index, an answer", figures["bytes_an_answer"], "bytes", f"<= {MOST_BYTES}",
                 figures["bytes_an_answer"] <= MOST_BYTES),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
