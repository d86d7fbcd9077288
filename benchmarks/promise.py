"""Whether a shared semantic cache keeps both promises at once: nothing outdated, and few wrong answers.

Two processes share a cache in one LMDB store. They are asked BANKING77's questions in a random order, with repetitions
in between; an answer is the label of its question with the version of the label's source. Meanwhile sources change,
each change is acknowledged, and in each order one process is killed and starts again. A hit is outdated if it tells an
older version than was acknowledged before the question was asked, and wrong if it tells of another label. The same
orders are asked of a cache that no change outdates, for the hits that the fence costs.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from _faq.data import Known, Questions, banking77
from _report import Goal, report
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

import parbake as pb
from parbake_semantic import SemanticCache
from parbake_semantic.embedders.minilm import MiniLm

SHARED = Path(os.environ.get("PARBAKE_DATA") or Path(__file__).parents[2] / "shared" / "data")
ORDERS, ASKED, CHANGES = 20, 50_000, 50
LOOKED = 200
_FORK = multiprocessing.get_context("fork")


class Board(NamedTuple):
    """What the processes of one order share: versions of the sources, and what they count.

    Attributes:
        told: The newest version of each label.
        acknowledged: The newest version of each label whose change was acknowledged.
        counts: Questions, hits, wrong hits, outdated hits, changes; and entries looked at after a change, and alive.
        places: How far each process has come.
    """

    told: Any
    acknowledged: Any
    counts: Any
    places: Any


QUESTIONS, HIT, WRONG, OUTDATED, CHANGED, LOOKED_AT, ALIVE = range(7)


def plan(data: Questions, seed: int, asked: int) -> list[int]:
    """The questions of an order: each for the first time, and repetitions of earlier ones, rare ones seldom."""
    rng = random.Random(seed)
    fresh = list(range(len(data.texts)))
    rng.shuffle(fresh)
    numbers: list[int] = []
    for at in range(asked):
        is_new = rng.random() < len(fresh) / max(1, asked - at)
        known = numbers[int(len(numbers) * rng.random() ** 3)] if numbers else 0
        numbers.append(fresh.pop() if fresh and (is_new or not numbers) else known)
    return numbers


class Order(NamedTuple):
    """An order of questions.

    Attributes:
        folder: Where the store is.
        data: The questions.
        numbers: Which one is asked, one after the other.
        board: What the processes share.
        changes: How many sources change.
    """

    folder: str
    data: Questions
    numbers: list[int]
    board: Board
    changes: int


def work(number: int, order: Order) -> None:
    """Ask one process's share of an order, from where it was, and change sources in between if it is the first."""
    folder, data, numbers, board, changes = order
    app = pb.App(pb.Registry(), store=f"lmdb://{folder}/store", open=["source"])
    cache: SemanticCache[str] = SemanticCache(Known(data), app=app)
    rng, mine = random.Random(number), numbers[number::2]
    pause = len(mine) // (changes + 1) if changes and number == 0 else 0
    with threadpool_limits(1):
        while (at := board.places[number]) < len(mine):
            ask(cache, data, mine[at], board)
            board.places[number] = at + 1
            if pause and at % pause == pause - 1:
                change(app, cache, data, rng, board)
    app.sync.close()


def ask(cache: SemanticCache[str], data: Questions, question: int, board: Board) -> None:
    """Ask a question, and judge what comes back by what was acknowledged before."""
    label = int(data.labels[question])
    before = list(board.acknowledged)

    def answer(_: str) -> str:
        return f"{label} {board.told[label]}"

    asked = cache.begin_sync(data.texts[question])
    reply = asked.reply  # tags at the lookup would tell the answer
    if reply is None:
        reply = asked.finish_sync(answer(data.texts[question]), tags=[f"source/{label}"])
    told, version = map(int, reply.value.split())
    with board.counts.get_lock():
        board.counts[QUESTIONS] += 1
        board.counts[HIT] += reply.is_hit
        board.counts[WRONG] += reply.is_hit and told != label
        board.counts[OUTDATED] += version < before[told]


def change(app: pb.App, cache: SemanticCache[str], data: Questions, rng: random.Random, board: Board) -> None:
    """Change a source, and look at answers that were made from others."""
    label = rng.randrange(len(data.answers))
    others = [n for n in rng.sample(range(len(data.texts)), LOOKED) if data.labels[n] != label]
    held = [n for n in others if is_stored(cache, data.texts[n])]
    board.told[label] += 1
    app.sync.run(app.touch(f"source/{label}"))
    board.acknowledged[label] = board.told[label]
    alive = sum(is_stored(cache, data.texts[n]) for n in held)
    with board.counts.get_lock():
        board.counts[CHANGED] += 1
        board.counts[LOOKED_AT] += len(held)
        board.counts[ALIVE] += alive


def is_stored(cache: SemanticCache[str], text: str) -> bool:
    """Whether a text has an answer that may be served."""
    return cache.begin_sync(text).reply is not None


def run(data: Questions, seed: int, asked: int, changes: int) -> list[int]:
    """Play one order with two processes, of which the second is killed on its way; returns the counts."""
    numbers, labels = plan(data, seed, asked), len(data.answers)
    board = Board(_FORK.Array("q", labels), _FORK.Array("q", labels), _FORK.Array("q", 7), _FORK.Array("q", 2))
    with tempfile.TemporaryDirectory() as folder:
        order = Order(folder, data, numbers, board, changes)
        processes = [start(n, order) for n in range(2)]
        kill_at = len(numbers) // 4 if changes else None
        while any(process.is_alive() for process in processes):
            time.sleep(0.02)
            if kill_at is not None and board.places[1] >= kill_at:
                kill_at = None
                os.kill(processes[1].pid or 0, signal.SIGKILL)
                processes[1].join()
                processes[1] = start(1, order)
        if any(process.exitcode for process in processes):
            raise SystemExit("a process failed")
    return list(board.counts)


def start(number: int, order: Order) -> Any:
    """Start a process of an order."""
    made = _FORK.Process(target=work, args=(number, order))
    made.start()
    return made


def main() -> None:
    """Play the orders, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--asked", type=int, default=ASKED, help="questions of an order")
    parser.add_argument("--changes", type=int, default=CHANGES, help="changes of an order")
    given = parser.parse_args()
    data = banking77(SHARED / "banking77", MiniLm())
    rows: list[tuple[object, ...]] = []
    fenced, plain = [], []
    for seed in range(given.orders):
        fenced.append(run(data, seed, given.asked, given.changes))
        plain.append(run(data, seed, given.asked, 0))
        print(f"\rorder {seed + 1} of {given.orders}", end="", file=sys.stderr)
    print("\r", end="", file=sys.stderr)
    for seed, (one, other) in enumerate(zip(fenced, plain, strict=True)):
        hits = [100.0 * each[HIT] / each[QUESTIONS] for each in (one, other)]
        rows.append((seed, one[QUESTIONS], *hits, 100.0 * one[WRONG] / one[QUESTIONS], one[OUTDATED], one[CHANGED]))
    wrong = [100.0 * one[WRONG] / one[QUESTIONS] for one in fenced]
    spread = statistics.stdev(wrong) / len(wrong) ** 0.5 if len(wrong) > 1 else 0.0
    upper = float(statistics.mean(wrong) + (student.ppf(0.95, len(wrong) - 1) * spread if spread else 0.0))
    ratio = statistics.median(one[HIT] / max(1, other[HIT]) for one, other in zip(fenced, plain, strict=True))
    total = [sum(one[at] for one in fenced) for at in range(7)]
    alive = 100.0 * total[ALIVE] / max(1, total[LOOKED_AT])
    goals = [
        Goal(
            f"outdated of {total[QUESTIONS]:,} after {total[CHANGED]:,} changes",
            total[OUTDATED],
            "",
            "0",
            met=not total[OUTDATED],
        ),
        Goal("wrong, upper limit over the orders", upper, "% of requests", "<= 1", met=upper <= 1.0),
        Goal("hits against a cache without a fence", ratio, "", ">= .9", met=ratio >= 0.9),
        Goal("untouched answers that survive a change", alive, "%", ">= 95", met=alive >= 95.0),
    ]
    figures = {
        "questions": float(total[QUESTIONS]),
        "changes": float(total[CHANGED]),
        "outdated": float(total[OUTDATED]),
        "wrong_upper": upper,
        "wrong": statistics.mean(wrong),
        "hits_ratio": ratio,
        "survive": alive,
    }
    columns = ("order", "questions", "hits %", "without a fence %", "wrong %", "outdated", "changes")
    report("promise", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
