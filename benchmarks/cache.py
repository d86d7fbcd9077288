"""What the fence costs a hit of the semantic cache: the same hits with and without an app, in turn.

Exact repeats and near questions are asked of two caches that hold the same answers: one that only knows an age, and one
that asks the fence of an app over LMDB about two tags. The embedder is a toy, so that the rest of a hit shows.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import numpy as np
from _report import Goal, report

import parbake as pb
from parbake_semantic import Reply, SemanticCache, fixed

QUESTIONS, ROUNDS, BLOCK = 100, 40, 100
SIDES = ("without", "with")
Ask = Callable[[str], Reply[str]]
tasks = pb.Registry()


@tasks.artifact(
    freshness_sla="24h", invalidated_by=[pb.fence("policy/{name}")], fallback_if_stale=pb.Recompute(), owner="bench"
)
def policy(name: str) -> str:
    """What a policy says."""
    return f"the policy of {name}"


class Words:
    """A vector per text that depends on its words, of 384 dimensions as usual models have them."""

    model_hash, dimensions = "words", 384

    def embed(self, texts: Sequence[str]) -> object:
        """One row per text."""
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row[int.from_bytes(word.encode()[:8], "big") * 2_654_435_761 % self.dimensions] += 1.0
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def timed(ask: Ask, questions: Sequence[str]) -> float:
    """Microseconds per hit."""
    began = time.perf_counter()
    for n in range(BLOCK):
        reply = ask(questions[n % len(questions)])
        assert reply.is_hit, reply.reason
    return (time.perf_counter() - began) / BLOCK * 1e6


async def measure(folder: str) -> dict[str, tuple[float, float]]:
    """The median microseconds of a hit without and with an app, by kind of question."""
    app = pb.App(tasks, store=f"lmdb://{folder}/store")
    words = Words()
    plain = SemanticCache[str](words, freshness_sla="1h", policy=lambda: fixed(0.92))
    fenced = SemanticCache[str](words, app=app, policy=lambda: fixed(0.92))

    async def answer(question: str) -> str:
        return (await app.serve(policy, question.rsplit(maxsplit=1)[-1])).unwrap()

    def asking(cache: SemanticCache[str]) -> Ask:
        return lambda question: cache.ask(question, str)  # a hit asks nobody

    exact = [f"what does the shop say about topic{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(QUESTIONS)]
    for cache in (plain, fenced):
        for question in exact:
            await cache.ask_async(question, answer)
    near = [f"{question} please" for question in exact]
    found = {}
    for kind, questions in (("exact repeat", exact), ("near question", near)):
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for cache, kept in zip((plain, fenced), times, strict=True):
                kept.append(timed(asking(cache), questions))
        found[kind] = (statistics.median(times[0]), statistics.median(times[1]))
    await app.close()
    return found


def main() -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(folder))
    rows = [(kind, without, within, within - without) for kind, (without, within) in found.items()]
    goals = [
        Goal(f"what the fence adds to a hit, {kind}", more, "us", "<= 50", met=more <= 50) for kind, _, _, more in rows
    ]
    figures = {}
    for kind, without, within, _ in rows:
        for side, value in zip(SIDES, (without, within), strict=True):
            figures[f"{kind.replace(' ', '_')}_{side}_us"] = value
    report("cache", ("hit", *(f"{side} app, us" for side in SIDES), "more, us"), rows, figures=figures, goals=goals)


if __name__ == "__main__":
    main()
