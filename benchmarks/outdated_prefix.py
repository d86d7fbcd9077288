"""Policies change while a hosted model is asked: is a prefix with an older policy ever sent after the acknowledgement?

Two servers and a worker over one shop, whose provider is a box that notes every prompt. Four threads ask questions that
reach the model, while a fact of a policy changes, each time to a greater value. A prompt of a turn that began after a
change was acknowledged must have that value, and so must the reply. ``in flight`` counts prompts that arrived after an
acknowledgement although their turn had begun before.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import re
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial

from _report import Goal, percentile, report
from _shop import Client, change_beside, prepare, serving, working

from parbake_llm.testing import BoxRequest, ProviderBox

TURNS, CHANGES, ASKERS = 1_000, 100, 4
FIRST = 100
STATED = re.compile(r"return a book within (\d+) days")
NUMBER = re.compile(r"number (\d+)")
QUESTION = "Tell me something about that, would you? It is number {}."
"""A question that neither the bank nor a rule answers, so that the model is asked."""


@dataclass
class Board:
    """What was acknowledged, what was sent, and what was replied, by all threads."""

    acked: int = 0
    asked: int = 0
    least: dict[int, int] = field(default_factory=dict)
    prompts: int = 0
    outdated: list[str] = field(default_factory=list)
    in_flight: int = 0
    replies: int = 0
    stale: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> int | None:
        """The number of the next turn; ``None`` after the last."""
        with self.lock:
            self.asked += 1
            self.least[self.asked] = self.acked
            return self.asked if self.asked <= TURNS else None

    def sent(self, request: BoxRequest) -> str:
        """Judge the prefix of a prompt, and reply with a reference to the policy."""
        text = json.dumps(request.body)
        told, number = STATED.search(text), NUMBER.search(text)
        with self.lock:
            if told and number:
                self.prompts += 1
                least = self.least[int(number[1])]
                if int(told[1]) < least:
                    self.outdated.append(f"turn {number[1]}: {told[1]} after {least} was acknowledged")
                elif int(told[1]) < self.acked:
                    self.in_flight += 1
        return "[returns#return-window]"

    def replied(self, number: int, text: str, took: float) -> None:
        """Judge a reply."""
        told = STATED.search(text)
        with self.lock:
            self.seconds.append(took)
            if told:
                self.replies += 1
                if int(told[1]) < self.least[number]:
                    self.stale.append(f"turn {number}: {told[1]} after {self.least[number]} was acknowledged")


def ask(board: Board, address: str) -> None:
    """Ask until all turns are over."""
    with contextlib.closing(Client(address)) as client:
        while (number := board.take()) is not None:
            before = time.perf_counter()
            text, _ = client.ask(QUESTION.format(number))
            board.replied(number, text, time.perf_counter() - before)


def change(board: Board, addresses: tuple[str, str], asking: threading.Event) -> None:
    """Change the fact, spread over the turns, through either server by turns."""
    clients = [Client(address) for address in addresses]
    for n, client in zip(range(CHANGES), itertools.cycle(clients), strict=False):
        while board.asked < n * TURNS / CHANGES and asking.is_set():
            time.sleep(0.001)
        client.send("PUT", "/shop/policies/returns", {"facts": {"window_days": FIRST + n}})
        with board.lock:
            board.acked = FIRST + n
    for client in clients:
        client.close()


def main() -> None:
    """Run and report."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    board = Board()
    with tempfile.TemporaryDirectory() as home, ProviderBox() as box:
        box.reply(board.sent)
        model = {"LLM": "anthropic", "ANTHROPIC_API_KEY": box.key, "ANTHROPIC_BASE_URL": box.anthropic_url}
        prepare(home)
        with working(home), serving(home, **model) as (_, first), serving(home, **model) as (_, second):
            addresses = (first, second)
            asks = [partial(ask, board, addresses[n % 2]) for n in range(ASKERS)]
            change_beside(asks, partial(change, board, addresses))
        read = sum(one.usage.read for one in box.requests if one.usage)
        whole = sum(one.usage.read + one.usage.written + one.usage.written_hour + one.usage.uncached
                    for one in box.requests if one.usage)  # fmt: skip
    for line in (*board.outdated, *board.stale)[:10]:
        print(f"OUTDATED {line}")
    report(
        "outdated_prefix",
        ("prompts", "count"),
        [("of turns", board.prompts), ("with an older policy than acknowledged", len(board.outdated)),
         ("in flight during an acknowledgement", board.in_flight), ("replies with the fact", board.replies),
         ("older replies", len(board.stale))],
        figures={"turns": len(board.seconds), "changes": CHANGES, "prompts": board.prompts,
                 "in_flight": board.in_flight, "p50_ms": percentile(board.seconds, 50) * 1e3,
                 "cached_share_of_input": read / whole if whole else 0.0},
        goals=[
            Goal("prefixes with an older policy", float(len(board.outdated)), "", "<= 0", not board.outdated),
            Goal("older replies", float(len(board.stale)), "", "<= 0", not board.stale),
            Goal("prompts that were judged", float(board.prompts), "", ">= 900", board.prompts >= 900),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
