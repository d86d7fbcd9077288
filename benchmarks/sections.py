"""Which policy section answers a question? Chosen by the assistant, and by vectors fused with words.

The questions were written by people who knew only the policies, each with the section that answers it, or as one that
none answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import msgspec
from _answers.shop import prepared
from _report import Goal, percentile, report

from retail_assistant.answers.policy.gate import policy_sections
from retail_assistant.answers.policy.sections import Found, section_name
from retail_assistant.chat.understanding import Understanding
from retail_assistant.compose import build
from retail_assistant.knowledge.retrieval import retrieval
from retail_assistant.live import LiveShop
from retail_assistant.settings import Settings
from retail_assistant.shop import index
from retail_assistant.shop.policies import slug
from retail_assistant.understand.plain_words import bare, plain
from retail_assistant.understand.said.sayings import in_shop_words

SETS = Path(__file__).parent / "_answers"
SETS_OF_QUESTIONS = ("building", "blind", "fresh_building", "fresh_blind")
RRF_K, DEPTH = 60, 20


class Question(msgspec.Struct):
    """A question with the policy and the section that answer it; ``also`` lists others that do, as "Policy/Section"."""

    text: str
    policy: str = ""
    section: str = ""
    also: list[str] = []


def read(name: str) -> list[Question]:
    """Read a set."""
    return [msgspec.json.decode(line, type=Question) for line in (SETS / f"{name}.jsonl").read_bytes().splitlines()]


class Judge:
    """Asks the assistant's own tasks in this process."""

    def __init__(self, home: Path) -> None:
        """Compose the app over a prepared shop."""
        self.app = build(Settings(home))
        self.shop: LiveShop = self.app.settings.resources[LiveShop]
        self._understanding = Understanding(self.app, self.shop)
        self._titles = {policy.id: policy.title for policy in self.shop.rules.policies()}

    async def found(self, question: Question) -> tuple[Found, float]:
        """The sections that the assistant finds, and the milliseconds that it decides after the embedding."""
        vocabulary = await self._understanding.vocabulary()
        text = bare(in_shop_words(vocabulary.correct(plain(question.text))))
        async with self.app.request("30s"):
            await self.app.serve(retrieval, text=text)
            started = time.perf_counter()
            found: Found = (await self.app.serve(policy_sections, text=text)).unwrap()
            return found, (time.perf_counter() - started) * 1e3

    async def fused(self, question: Question) -> str:
        """The section that reciprocal rank fusion of vectors and BM25 puts first."""
        text = bare(question.text)
        async with self.app.request("30s"):
            hits = (await self.app.serve(retrieval, text=text)).unwrap()
        by_vector = [section_name(hit.block) for hit in sorted(hits, key=lambda hit: -hit.whole)][:DEPTH]
        by_words = index.search(self.shop.conn, text, kind="policy", limit=DEPTH)
        scores: dict[str, float] = {}
        for ranking in (by_vector, [hit.doc.replace("/", "#", 1) for hit in by_words]):
            for rank, name in enumerate(ranking):
                scores[name] = scores.get(name, 0.0) + 1.0 / (RRF_K + rank)
        return max(scores, key=lambda name: scores[name])

    def is_right(self, question: Question, name: str) -> bool:
        """Whether a section such as ``returns#return-window`` answers a question."""
        policy, _, section = name.partition("#")
        wanted = [(question.policy, question.section), *(tuple(other.split("/", 1)) for other in question.also)]
        return any(self._titles.get(policy) == title and section == slug(part) for title, part in wanted)


async def judge(home: Path, name: str) -> None:
    """Ask all questions of a set, and report."""
    judge = Judge(home)
    answered, unanswered = read(f"sections_{name}"), read(f"unanswered_{name}")
    right, before, kept, ms = 0, 0, 0, list[float]()
    for question in answered:
        found, took = await judge.found(question)
        right += judge.is_right(question, section_name(found.ranked[0].block))
        before += judge.is_right(question, await judge.fused(question))
        kept += found.is_answered
        ms.append(took)
    refused = [not (await judge.found(question))[0].is_answered for question in unanswered]
    await judge.app.close()
    share, share_before = 100 * right / len(answered), 100 * before / len(answered)
    figures = {
        "questions": float(len(answered)),
        "right_section": share,
        "right_section_fused": share_before,
        "answerable_refused": 100 - 100 * kept / len(answered),
        "unanswerable_refused": 100 * statistics.mean(refused),
        "decision_p50_ms": percentile(ms, 50),
    }
    goals = [
        Goal("right section first", share, "%", ">= 88", share >= 88),
        Goal("more than by fusion", share - share_before, "points", ">= 10", share - share_before >= 10),
        Goal(
            "decision after the vectors, p50",
            figures["decision_p50_ms"],
            "ms",
            "<= .3",
            figures["decision_p50_ms"] <= 0.3,
        ),
    ]
    report("sections", ("figure", "value"), list(figures.items()), figures=figures, goals=goals)


def main() -> None:
    """Prepare a shop, ask and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="building", choices=SETS_OF_QUESTIONS, help="which questions (building)")
    parser.add_argument("--home", type=Path, help="a data folder; a new shop is made by default")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = options.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepared(home)
        asyncio.run(judge(home, options.set))


if __name__ == "__main__":
    main()
