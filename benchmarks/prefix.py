"""How much of what a model is sent does it read from its prefix cache, and is that known beforehand?

Real conversations with the local model, eight at once: the share of input tokens that the engine reads from its slots,
with every policy in the prefix, with the prompts that the shop sends, and with the clock first. Beside it stands what
the best cache could read: one that keeps every prefix of every earlier prompt. Then the time to the first token with a
cold and a warm prefix, and in a new process with a slot file.

``--full`` holds 500 turns of each kind, which takes some twenty minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _prefix.talk import AT_ONCE, Customers, prompt
from _report import Goal, report
from rich.progress import track

from parbake.ports.usage import Usage
from parbake_llm.generators._hosted.chat import messages
from parbake_llm.generators.llama import LlamaGenerator
from parbake_llm.ports.prompts import Block, Prediction, Prompt
from parbake_llm.prefix_caches import reconcile
from retail_assistant.live import LiveShop
from retail_assistant.world import generate

KINDS = ("all policies", "shop", "clock first")
REPLY_TOKENS = 12
TURNS, FULL = 40, 500
HANGS_S = 900.0
CLOCKED = 8
"""Turns with the clock first: each computes the whole prefix."""
FIRST_TOKEN = """
import asyncio, sys, time
sys.path.insert(0, {here!r})
from parbake_llm.generators.llama import LlamaGenerator
from prefix import first_token, of_600
async def main():
    model = LlamaGenerator(prefixes={folder!r})
    await asyncio.to_thread(model.load)
    print(await first_token(model, of_600("What now?")))
asyncio.run(main())
"""


@dataclass
class Measured:
    """What the turns of one kind have used."""

    usage: list[Usage] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    best: int = 0

    @property
    def input(self) -> int:
        """All input tokens."""
        return sum(one.input or 0 for one in self.usage)

    @property
    def read_share(self) -> float:
        """The share of the input tokens that was read, in percent."""
        return 100 * sum(one.cache_read or 0 for one in self.usage) / self.input

    @property
    def best_share(self) -> float:
        """The share that the best cache would read, in percent."""
        return 100 * self.best / self.input

    @property
    def exact_share(self) -> float:
        """The share of turns whose report is the prediction, in percent."""
        pairs = zip(self.usage, self.predictions, strict=True)
        return 100 * sum(one.cache_read == told.read for one, told in pairs) / len(self.usage)

    def causes(self) -> Counter[str]:
        """The causes of misses; one without a cause is ``none``."""
        pairs = zip(self.usage, self.predictions, strict=True)
        found = [reconcile(told, one) for one, told in pairs]
        return Counter(one.miss.cause.value if one.miss else "none" for one in found if one.miss or one.drift)


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the common prefix."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


async def reply(model: LlamaGenerator, sent: Prompt) -> tuple[str, Usage, Prediction]:
    """One reply with its tokens."""
    text, last = "", None
    async for delta in model.stream(sent, max_tokens=REPLY_TOKENS, timeout_s=HANGS_S):
        text += delta.text
        last = delta
    assert last is not None
    assert last.usage is not None
    assert last.prediction is not None
    return text, last.usage, last.prediction


async def converse(kind: str, shop: LiveShop, turns: int, folder: str) -> Measured:
    """Hold so many turns of one kind."""
    customers, found = Customers(shop, seed=11), Measured()
    model = LlamaGenerator(slots=AT_ONCE, prefixes=folder)
    earlier: dict[str, list[int]] = {}
    prefix: list[int] = []
    for at, talk in enumerate(track(customers.conversations(turns), description=kind, total=turns)):
        question, evidence = customers.question()
        sent = prompt(kind, customers, talk, (question, evidence), at)
        text, usage, prediction = await reply(model, sent)
        found.usage.append(usage)
        found.predictions.append(prediction)
        tokens = await asyncio.to_thread(model.tokens, messages(sent))
        known = [each for each in (earlier.get(talk.name), prefix) if each]
        found.best += min(len(tokens) - 1, max((common(tokens, each) for each in known), default=0))
        earlier[talk.name], prefix = tokens, prefix or tokens
        talk.turns += [("user", question), ("assistant", text.strip() or "Yes.")]
    await model.aclose()
    return found


def of_600(question: str) -> Prompt:
    """A prompt with a prefix of some 600 tokens."""
    sections = (
        f"Section {n}. You can return a book within {n + 20} days of delivery when it is sealed." for n in range(30)
    )
    return Prompt(blocks=(Block("rules", " ".join(sections)),), question=question, session=question)


async def first_token(model: LlamaGenerator, sent: Prompt) -> float:
    """Seconds until the first piece of text."""
    began = time.perf_counter()
    stream = model.stream(sent, max_tokens=4, timeout_s=HANGS_S)
    async for delta in stream:
        if delta.text:
            return time.perf_counter() - began
    return time.perf_counter() - began


async def warm_and_cold(folder: str) -> tuple[float, float]:
    """Seconds to the first token with a cold prefix, and the median with a warm one."""
    model = LlamaGenerator(prefixes=folder)
    await asyncio.to_thread(model.load)
    cold = await first_token(model, of_600("What now?"))
    warm = [await first_token(model, of_600(f"What now? {n}")) for n in range(9)]
    await model.aclose()
    return cold, statistics.median(warm)


def new_process(folder: str) -> float:
    """Median seconds to the first token in a new process with a slot file."""
    code = FIRST_TOKEN.format(here=str(Path(__file__).parent), folder=folder)
    done = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
        for _ in range(5)
    ]
    return statistics.median(float(one.stdout) for one in done)


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS, help=f"turns of each kind ({TURNS})")
    parser.add_argument("--full", dest="turns", action="store_const", const=FULL, help=f"{FULL} turns of each kind")
    options = parser.parse_args()
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "shop.db", seed=7, products=60, shoppers=60, messages=100, now=time.time())
        shop = LiveShop(Path(folder) / "shop.db")
        for kind in KINDS:
            turns = min(CLOCKED, math.ceil(options.turns / 20)) if kind == "clock first" else options.turns
            found[kind] = asyncio.run(converse(kind, shop, turns, str(Path(folder) / "files")))
        shop.close()
        cold, warm = asyncio.run(warm_and_cold(str(Path(folder) / "slots")))
        fresh = new_process(str(Path(folder) / "slots"))
    rows = [
        (kind, len(one.usage), one.input // len(one.usage), one.read_share, one.best_share, one.exact_share,
         ", ".join(f"{cause} {count}" for cause, count in one.causes().items()))
        for kind, one in found.items()
    ]  # fmt: skip
    ours = [found["all policies"], found["shop"]]
    read = found["all policies"].read_share
    exact = statistics.mean(one.exact_share for one in ours)
    causes = sum((one.causes() for one in ours), Counter[str]())
    named = 100 * (1 - causes["none"] / max(1, causes.total()))
    goals = [
        Goal(
            "input tokens read, all policies",
            read,
            "%",
            ">= 94",
            read >= 94,
        ),
        Goal("predictions that are exact", exact, "% of turns", ">= 99.5", exact >= 99.5),
        Goal("misses with a cause", named, "%", ">= 99", named >= 99),
        Goal("time to the first token, cold / warm", cold / warm, "x", ">= 30", cold / warm >= 30),
        Goal("first token in a new process with a slot file", fresh, "s", "<= .3", fresh <= 0.3),
    ]
    figures = {"cold_s": cold, "warm_s": warm, "new_process_s": fresh}
    for kind, one in found.items():
        figures |= {f"{kind}: read %": one.read_share, f"{kind}: best %": one.best_share}
    columns = ("prompts", "turns", "tokens a turn", "read %", "best %", "exact %", "misses")
    report("prefix", columns, rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
