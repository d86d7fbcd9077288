"""The story's table "Fully Real-Time vs Hybrid", measured: quality by the age of the list, CPU per request, money.

Quality: NDCG@5 and hit rate@5 over rolling folds in time, on MovieLens (``--movielens``), the generated shop
(``--shop``) or any file of interactions (``--ratings FILE``: user,item,timestamp[,rating]). Cost: CPU of the real steps
over synthetic catalogues of 10,000, 50,000 and 200,000 items, lists read out of LMDB by ``app.serve``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from _hybrid import pictures, table
from _hybrid.cost import COMBINATIONS, Costs, measure
from _hybrid.data import Data, Unusable, movielens, ratings
from _hybrid.models import Reranker
from _hybrid.prices import DEFAULT, read_prices
from _hybrid.quality import slices
from _hybrid.rolling import GRID, Plan, Tick, run, steps
from _hybrid.shop import shop
from _report import report
from rich.console import Console
from rich.progress import Progress
from threadpoolctl import threadpool_limits

SHARED = Path(os.environ.get("PARBAKE_DATA") or Path(__file__).parents[2] / "shared" / "data")
SIZES = (10_000, 50_000, 200_000)
TEST_FOLDS, ROUNDS = 10, 12


def arguments() -> argparse.Namespace:
    """What can be chosen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = parser.add_mutually_exclusive_group()
    data.add_argument(
        "--movielens", type=Path, default=SHARED / "movielens_small", help="folder of ratings.csv, movies.csv"
    )
    data.add_argument("--shop", action="store_true", help="measure the generated shop")
    data.add_argument("--ratings", type=Path, metavar="FILE", help="a CSV file of user,item,timestamp[,rating]")
    parser.add_argument(
        "--delay", type=float, default=10.0, metavar="S", help="what a refresh on an event takes (10 s)"
    )
    parser.add_argument("--prices", type=Path, default=DEFAULT, metavar="FILE", help="prices in place of prices.json")
    parser.add_argument(
        "--shoppers", type=int, nargs="+", default=[100_000, 1_000_000], help="how many get lists ahead"
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events a day that refresh a list")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where pictures go; a temporary folder by default")
    parser.add_argument("--quick", action="store_true", help="see that it runs: few requests, one small catalogue")
    return parser.parse_args()


def load(chosen: argparse.Namespace) -> Data:
    """Read what was chosen."""
    if chosen.shop:
        return shop(products=500, shoppers=300 if chosen.quick else 1_500)
    return ratings(chosen.ratings) if chosen.ratings else movielens(chosen.movielens)


@contextmanager
def bar(total: int) -> Iterator[Tick]:
    """A progress bar on stderr."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        begun = False

        def tick(what: str) -> None:
            nonlocal begun
            progress.update(task, description=what, advance=int(begun))
            begun = True

        yield tick


def measure_costs(reranker: Reranker, sizes: Sequence[int], rounds: int, tick: Tick) -> list[Costs]:
    """Measure every catalogue with each scorer."""
    found = []
    for items in sizes:
        for scorer, count in COMBINATIONS:
            tick(f"cost, {items:,} items, {scorer}")
            with tempfile.TemporaryDirectory() as folder:
                found.append(asyncio.run(measure(items, scorer, count, reranker, Path(folder), rounds=rounds)))
    return found


def main() -> None:
    """Measure and report."""
    chosen = arguments()
    sizes, rounds = (SIZES[:1], 2) if chosen.quick else (SIZES, ROUNDS)
    plan = Plan(3, 1, chosen.delay, GRID[1:2]) if chosen.quick else Plan(20, TEST_FOLDS, chosen.delay)
    prices, data = read_prices(chosen.prices), load(chosen)
    with threadpool_limits(1, "blas"), bar(steps(plan) + len(sizes) * len(COMBINATIONS)) as tick:
        outcome = run(data, plan, tick)
        costs = measure_costs(outcome.reranker, sizes, rounds, tick)
    parts = slices(outcome)
    judged = parts.get("warm", parts["all"])
    table.about(data, outcome, parts, plan.delay_s)
    table.quality(parts)
    table.counts(judged)
    table.ages(judged)
    at = [cost for cost in costs if cost.items == sizes[len(sizes) // 2]]
    table.costs(costs)
    for cost in at:
        table.money(cost, prices, chosen.shoppers, chosen.events)
    out = chosen.out or Path(tempfile.mkdtemp(prefix="hybrid-"))
    print("pictures:", *pictures.draw(out, judged, at), sep="\n  ", end="\n\n")
    stated, figures = table.goals(parts["all"], judged, costs)
    print(f"in one table: {at[0].items:,} items, {chosen.shoppers[0]:,} shoppers, lists {table.AGE} interactions old")
    rows = table.summary(parts["all"], at, prices, chosen.shoppers[0], chosen.events)
    report("hybrid", table.SUMMARY, rows, figures=figures, goals=stated)


if __name__ == "__main__":
    try:
        main()
    except Unusable as error:
        sys.exit(str(error))
