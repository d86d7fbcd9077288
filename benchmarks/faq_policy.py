"""Policies change while shoppers ask: is anything that was acknowledged as changed ever told as it was before?

Two servers and a worker over one shop. Four threads ask mixed questions: of a fact that changes in known and unseen
wordings, of other policies, and for recommendations. Meanwhile the facts change, each to a value it never had, through
either server by turns. A reply that was asked for after a change was acknowledged must not state an older value.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import re
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from _report import Goal, percentile, report
from _shop import Client, change_beside, prepare, serving, working

QUESTIONS, CHANGES, ASKERS = 10_000, 200, 4
FIRST = 100
"""Every value from here on is stated by one version of one fact only."""


@dataclass(frozen=True)
class Fact:
    """A fact of a policy that changes, and how shoppers ask for it."""

    policy: str
    name: str
    stated: re.Pattern[str]
    wordings: tuple[str, ...]


FACTS = (
    Fact("returns", "window_days", re.compile(r"return a book within (\d+) days"), (
        "what is the return window", "How long do I have to return a manga I bought?",
        "How many days do I have to send a book back?", "Until which day am I able to give back an unread novel?",
    )),
    Fact("refunds", "processing_days", re.compile(r"refund within (\d+) working days"), (
        "when is my refund paid", "How long does a refund take?", "how many days until the money arrives back",
    )),
    Fact("preorders", "limit_per_title", re.compile(r"(\d+) copies"), ("how many copies can I pre-order?",)),
)  # fmt: skip
OTHERS = (
    "Recommend me something", "any promotions right now?", "what is popular right now?", "do you ship abroad",
    "how can I pay", "can I cancel an order", "show me a mystery novel", "thanks a lot",
)  # fmt: skip


@dataclass
class Board:
    """What was acknowledged and what was seen, by all threads."""

    acked: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    stale: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """Whether one more question is to be asked."""
        with self.lock:
            self.asked += 1
            return self.asked <= QUESTIONS

    def judge(self, fact: Fact | None, least: int, reply: str, made: dict[str, object], took: float) -> None:
        """Count a reply to a question that was asked when ``least`` was acknowledged."""
        told = fact.stated.search(reply) if fact else None
        with self.lock:
            self.seconds.append(took)
            self.seen["from the bank" if made["faq"] else "from retrieval or live"] += 1
            if fact and told:
                self.seen["with the fact"] += 1
                if int(told[1]) < least:
                    self.stale.append(f"{fact.policy}.{fact.name}: {told[1]} after {least} was acknowledged")


def ask(board: Board, address: str, seed: int) -> None:
    """Ask until all questions are asked."""
    rng = random.Random(seed)
    with contextlib.closing(Client(address)) as client:
        while board.take():
            fact = rng.choice(FACTS) if rng.random() < 0.7 else None
            question = rng.choice(fact.wordings if fact else OTHERS)
            least = board.acked.get(fact.name, 0) if fact else 0
            before = time.perf_counter()
            reply, made = client.ask(question)
            board.judge(fact, least, reply, made, time.perf_counter() - before)


def change(board: Board, addresses: tuple[str, str], asking: threading.Event) -> None:
    """Change the facts by turns, spread over the questions."""
    clients = [Client(address) for address in addresses]
    for n, fact, client in zip(range(CHANGES), itertools.cycle(FACTS), itertools.cycle(clients), strict=False):
        while board.asked < n * QUESTIONS / CHANGES and asking.is_set():
            time.sleep(0.002)
        client.send("PUT", f"/shop/policies/{fact.policy}", {"facts": {fact.name: FIRST + n}})
        board.acked[fact.name] = FIRST + n
    for client in clients:
        client.close()


def main() -> None:
    """Run and report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    board = Board()
    with tempfile.TemporaryDirectory() as home:
        prepare(home)
        with working(home), serving(home) as (_, first), serving(home) as (_, second):
            addresses = (first, second)
            asks = [partial(ask, board, addresses[n % 2], n) for n in range(ASKERS)]
            change_beside(asks, partial(change, board, addresses))
    for line in board.stale[:10]:
        print(f"STALE {line}")
    rows = [(name, count) for name, count in sorted(board.seen.items())]
    enough = board.seen["with the fact"]
    report(
        "faq_policy",
        ("replies", "count"),
        [*rows, ("older than an acknowledged change", len(board.stale))],
        figures={
            "questions": len(board.seconds),
            "changes": CHANGES,
            "from_the_bank": board.seen["from the bank"],
            "with_the_fact": enough,
            "p50_ms": percentile(board.seconds, 50) * 1e3,
        },
        goals=[
            Goal("stale replies", float(len(board.stale)), "", "<= 0", not board.stale),
            Goal("replies that state a changing fact", float(enough), "", ">= 1000", enough >= 1000),
        ],
    )


if __name__ == "__main__":
    main()
