"""Everything changes while a local model words replies: does any of them state what was not true?

Conversations of two turns with the local model: a question on a policy that no bank answers, and one about a product.
Meanwhile prices, stock, promotions and the numbers of policies change all the time. Every amount, number of days and
percentage of a reply must be a value that its product, promotion or policy had at some moment of the turn. A sentence
that the model worded must not deny what the quoted section affirms, nor the reverse: that is judged by negations alone,
and not by the guard that let the sentence pass.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import random
import re
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from _report import Goal, percentile, report
from _shop import Client, prepare, serving, working
from rich.progress import track

from parbake_semantic.guard import claims, sentences
from retail_assistant.live import LiveShop, day
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.prices import reduced_cents

CONVERSATIONS, ASKERS, PAUSE_S = 500, 2, 0.05
SETS = Path(__file__).parent / "_answers"
ABOUT = ("What does {} cost?", "Is {} in stock?", "Is there a promotion for {}?", "Tell me the price of {}, please.")
NEGATION = re.compile(r"\b(?:not|no|never|cannot|without|none|nor)\b|n't\b|n\u2019t\b", re.IGNORECASE)


class Truth:
    """The claims that each fact has made true, with the time until which they held (``inf`` for the present ones)."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._held: defaultdict[str, list[tuple[set[str], float]]] = defaultdict(list)
        self._lock = threading.Lock()

    def begins(self, fact: str, claimed: set[str]) -> None:
        """A fact is about to make some claims true."""
        with self._lock:
            self._held[fact].append((claimed, float("inf")))

    def replaced(self, fact: str) -> None:
        """The newest claims of a fact are acknowledged, so the ones before do not hold any more."""
        with self._lock:
            held, moment = self._held[fact], time.monotonic()
            self._held[fact] = [(claimed, min(until, moment)) for claimed, until in held[:-1]] + held[-1:]

    def since(self, began: float) -> set[str]:
        """Every claim that was true at some moment since then."""
        with self._lock:
            return {one for held in self._held.values() for claimed, until in held if until >= began for one in claimed}


@dataclass
class Board:
    """What was replied."""

    seconds: list[float] = field(default_factory=list)
    worded: int = 0
    numbers: int = 0
    untrue: list[str] = field(default_factory=list)
    polarity: list[str] = field(default_factory=list)
    judged: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def stated(text: str) -> set[str]:
    """The amounts, days, percentages and other numbers that a text claims, as the guard reads them."""
    return {f"{claim.kind} {claim.value}" for claim in claims(text)}


def judge(board: Board, text: str, made: dict[str, object], truth: set[str], policy: str) -> None:
    """Hold a reply against what was true during its turn."""
    with board.lock:
        for claim in stated(text):
            board.numbers += 1
            if claim not in truth:
                board.untrue.append(f"{claim}: {text}")
        if not made["worded"]:
            return
        board.worded += 1
        for sentence in sentences(text):
            board.judged += 1
            is_denied, may_deny = bool(NEGATION.search(sentence)), bool(NEGATION.search(policy))
            if is_denied and not may_deny:
                board.polarity.append(sentence)


def ask(board: Board, truth: Truth, shop: LiveShop, address: str, questions: list[str]) -> None:
    """Hold conversations until no question is left."""
    rng = random.Random(len(questions))
    titles = [product.title for product in shop.ever_sold(asins(shop))]
    with contextlib.closing(Client(address)) as client:
        while True:
            with board.lock:
                if not questions:
                    return
                question = questions.pop()
            for said in (question, rng.choice(ABOUT).format(rng.choice(titles))):
                began, before = time.monotonic(), time.perf_counter()
                text, made = client.ask(said)
                policies = " ".join(policy.text for policy in shop.rules.policies())
                judge(board, text, made, truth.since(began), policies)
                with board.lock:
                    board.seconds.append(time.perf_counter() - before)


def asins(shop: LiveShop) -> list[str]:
    """Some products."""
    return [row[0] for row in shop.conn.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin LIMIT 40")]


def know(truth: Truth, shop: LiveShop) -> None:
    """Note everything that the shop states at the beginning."""
    for policy in shop.rules.policies():
        truth.begins(f"policy/{policy.id}", stated(policy.text))
    for asin, title, description in shop.conn.execute("SELECT asin, title, description FROM products"):
        truth.begins(f"product/{asin}", stated(f"{title}. {description}"))
        truth.begins(f"price/{asin}", prices(shop, shop.cents(asin)))
        truth.begins(f"stock/{asin}", stated(f"There are {shop.stock(asin)} copies."))
    for name, title, percent, ends_at in shop.conn.execute("SELECT id, title, percent, ends_at FROM promotions"):
        truth.begins(f"promotion/{name}", stated(f"{title}: {percent} % off, until {day(ends_at)}."))


def prices(shop: LiveShop, cents: int) -> set[str]:
    """What a product of this price may cost: with each promotion, and without any."""
    percents = [row[0] for row in shop.conn.execute("SELECT DISTINCT percent FROM promotions")]
    each = [cents, *(reduced_cents(cents, percent) for percent in percents)]
    return {claim for one in each for claim in stated(f"It costs {shop.money(one)}.")}


def change(truth: Truth, shop: LiveShop, address: str, going: threading.Event) -> None:
    """Change prices, stock and policies by turns until told to end. No number is ever used a second time."""
    rng, products = random.Random(5), asins(shop)
    policies = [p.id for p in shop.rules.policies() if any(isinstance(v, int) for v in p.facts.values())]
    with contextlib.closing(Client(address)) as client:
        for n in itertools.count(100):
            if not going.is_set():
                return
            asin, policy = rng.choice(products), shop.rules.policy(rng.choice(policies))
            assert policy is not None
            if n % 3 == 0:
                made = (f"price/{asin}", prices(shop, n * 7), f"/shop/prices/{asin}", {"cents": n * 7})
            elif n % 3 == 1:
                made = (f"stock/{asin}", stated(f"There are {n} copies."), f"/shop/inventory/{asin}", {"quantity": n})
            else:
                fact = rng.choice([name for name, value in policy.facts.items() if isinstance(value, int)])
                after = Policy(policy.id, policy.title, policy.body, {**policy.facts, fact: n}, policy.updated_at)
                made = (f"policy/{policy.id}", stated(after.text), f"/shop/policies/{policy.id}", {"facts": {fact: n}})
            name, claimed, path, body = made
            truth.begins(name, claimed)
            client.send("PUT", path, body)
            truth.replaced(name)
            time.sleep(PAUSE_S)


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=CONVERSATIONS, help=f"how many ({CONVERSATIONS})")
    wanted = parser.parse_args().conversations
    known = [json.loads(line)["text"] for name in ("building", "fresh_building")
             for line in (SETS / f"sections_{name}.jsonl").read_text().splitlines()]  # fmt: skip
    questions = list(itertools.islice(itertools.cycle(known), wanted))
    board, truth, going = Board(), Truth(), threading.Event()
    going.set()
    with tempfile.TemporaryDirectory() as home:
        prepare(home)
        shop = LiveShop(Path(home) / "shop.db")
        know(truth, shop)
        with working(home), serving(home, LLM="llama") as (_, address):
            askers = [threading.Thread(target=ask, args=(board, truth, shop, address, questions))
                      for _ in range(ASKERS)]  # fmt: skip
            changer = threading.Thread(target=change, args=(truth, shop, address, going))
            for thread in (*askers, changer):
                thread.start()
            for begun in track(range(wanted), description="conversations"):
                while len(questions) > wanted - begun - 1 and any(thread.is_alive() for thread in askers):
                    time.sleep(0.05)
            for thread in askers:
                thread.join()
            going.clear()
            changer.join()
        shop.close()
    for line in (*board.untrue[:10], *board.polarity[:20]):
        print(line)
    polarity = 100 * len(board.polarity) / max(1, board.judged)
    report(
        "changing_shop",
        ("what", "count"),
        [("turns", len(board.seconds)), ("worded by the model", board.worded), ("numbers stated", board.numbers),
         ("numbers that were not true", len(board.untrue)), ("worded sentences", board.judged),
         ("denials that no policy has", len(board.polarity))],
        figures={"turns": len(board.seconds), "worded": board.worded, "numbers": board.numbers,
                 "p50_s": percentile(board.seconds, 50), "p99_s": percentile(board.seconds, 99)},
        goals=[
            Goal("numbers that were not true", float(len(board.untrue)), "", "<= 0", not board.untrue),
            Goal("worded sentences of wrong polarity", polarity, "%", "<= 1", polarity <= 1),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
