"""Does the assistant find what another shop sells? A shop of another domain is imported, and asked for its products.

Shop and queries were written by people who knew only the page on how a shop is imported. Half of the queries use words
that the products' texts do not have. Each names the products that a strict and fair person would call good.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
from _report import Goal, percentile, report, show
from _shop import Client, environment, prepare, serving
from rich.progress import track

SHOPS = Path(__file__).parent / "_any_shop"
LEAST = 80.0
"""The share of queries, in percent, for which a good product must be among the shown."""


class Query(msgspec.Struct, frozen=True):
    """A message that looks for products, and the asins of the good ones."""

    n: int
    text: str
    good: list[str]


class Asked(msgspec.Struct, frozen=True):
    """A query with the products that were shown, the reply, and how long it took."""

    query: Query
    shown: list[str]
    reply: str
    ms: float

    @property
    def is_found(self) -> bool:
        """Whether a good product is among the shown."""
        return not set(self.shown).isdisjoint(self.query.good)

    @property
    def place(self) -> int:
        """The place of the first good product from 1; 0 if none is shown."""
        return next((n for n, asin in enumerate(self.shown, 1) if asin in self.query.good), 0)


def imported(shop: Path, home: str) -> None:
    """Import a shop's tables and compute every first generation."""
    words = ["--item", "product", "--currency", "€"]
    command = [sys.executable, "-m", "retail_assistant", "import", "--from", str(shop / "import"), *words]
    subprocess.run(command, env=environment(home), check=True, stdout=subprocess.DEVNULL)
    prepare(home)


def ask(client: Client, query: Query) -> Asked:
    """Send a query as the first message of a conversation."""
    body = {"messages": [{"role": "user", "content": query.text}]}
    started = time.perf_counter()
    answer = client.send("POST", "/v1/chat/completions", body)
    ms = (time.perf_counter() - started) * 1e3
    shown = [card["asin"] for card in answer["parbake"]["cards"]]
    return Asked(query, shown, answer["choices"][0]["message"]["content"], ms)


def main() -> None:
    """Import, ask and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shop", default="kitchen", help="a shop of the benchmark, or a folder (kitchen)")
    parser.add_argument("--out", type=Path, help="a file for the replies, as JSON Lines")
    options = parser.parse_args()
    shop = Path(options.shop) if os.sep in options.shop else SHOPS / options.shop
    queries = [msgspec.json.decode(line, type=Query) for line in (shop / "queries.jsonl").read_bytes().splitlines()]
    with tempfile.TemporaryDirectory() as home:
        imported(shop, home)
        with serving(home) as (_, address), contextlib.closing(Client(address)) as client:
            asked = [ask(client, query) for query in track(queries, description="queries")]
    if options.out:
        options.out.write_bytes(b"\n".join(map(msgspec.json.encode, asked)))
    found = [one for one in asked if one.is_found]
    figures = {
        "queries": float(len(asked)),
        "found": 100 * len(found) / len(asked),
        "first": 100 * sum(one.place == 1 for one in asked) / len(asked),
        "shown": sum(len(one.shown) for one in asked) / len(asked),
        "p50_ms": percentile([one.ms for one in asked], 50),
        "p99_ms": percentile([one.ms for one in asked], 99),
    }
    show(["n", "a query for which no good product is shown"],
         [[one.query.n, one.query.text] for one in asked if not one.is_found])  # fmt: skip
    goal = Goal(
        "a good product is among the shown", figures["found"], "%", f">= {LEAST:.0f}", figures["found"] >= LEAST
    )
    report("any_shop", ["figure", "value"], list(figures.items()), figures=figures, goals=[goal])


if __name__ == "__main__":
    main()
