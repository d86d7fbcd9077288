"""Which policy section answers a message that goes on? The shipped weights beside ones that are learnt anew.

Each later turn of the written conversations whose expressions a section of the shop matches is an example. The weights
are learnt on all sets but one, by a conditional logit over the sections, and are tried on that one.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from _answers.rubric import Item, judge
from _answers.shop import prepared
from _report import Goal, report, show
from scipy.optimize import minimize

import parbake_semantic.guard
from retail_assistant import compose
from retail_assistant.answers.policy import sections as shipped
from retail_assistant.answers.policy.gate import policy_sections
from retail_assistant.answers.policy.sections import Found, section_name
from retail_assistant.chat.understanding import Understanding
from retail_assistant.knowledge.retrieval import retrieval
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.settings import Settings
from retail_assistant.understand.plain_words import bare, plain

SETS = ("building", "blind", "fresh_building", "fresh_blind", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
FOLDER = Path(__file__).parent / "_answers"
WEIGHTS = (1.0, shipped.JOINED, shipped.SAME_POLICY, shipped.SAME, shipped.STATES)
MOST_RIGHT = 4
"""A turn that more sections match than this says little about which one is meant."""
RIDGE = 0.03


class Example(msgspec.Struct, frozen=True):
    """The signs of each section for a message, shape (sections, 5), and which of them answer it."""

    of: str
    signs: Any
    right: Any


def signs(text: str, told: str, alone: Found, joined: Found) -> tuple[list[str], Any]:
    """The names of the sections, and for each its scores alone and joined, and whether it is of what was told."""
    apart, both = ({one.name: one for one in found.ranked} for found in (alone, joined))
    kind = parbake_semantic.guard.expected_kind(text)
    names, rows = list(apart | both), []
    for name in names:
        one, other = apart.get(name, alone.ranked[-1]), both.get(name, joined.ranked[-1])
        block = (both.get(name) or apart[name]).block
        states = kind is not None and parbake_semantic.guard.states(kind, block.plain)
        of_policy = name.partition("#")[0] == told.partition("#")[0]
        rows.append((one.score, other.score, of_policy, name == told, states))
    return names, np.array(rows, float)


async def examples(home: Path) -> list[Example]:
    """Look up each later turn alone and together with the message before it."""
    app = compose.build(Settings(home))
    shop: LiveShop = app.settings.resources[LiveShop]
    parser, _ = await Understanding(app, shop).reading()
    hits = (await app.serve(retrieval, text="returns")).unwrap()
    texts = {section_name(hit.block): fill_slots(hit.block.text, shop) for hit in hits}

    async def find(text: str) -> Found:
        found: Found = (await app.serve(policy_sections, text=text)).unwrap()
        return found

    made: list[Example] = []
    for of in SETS:
        items = [msgspec.json.decode(line, type=Item) for line in (FOLDER / f"{of}.jsonl").read_bytes().splitlines()]
        for item in (one for one in items if one.kind == "policy"):
            before, told = "", ""
            for turn in item.turns:
                is_plain = turn.expect == "answer" and bool(turn.right) and turn.products is None
                right = {n for n, said in texts.items() if is_plain and judge(turn, said, (), str) == "right"}
                if before and 0 < len(right) <= MOST_RIGHT:
                    text = bare(parser.read(turn.say)[-1].text)
                    names, rows = signs(text, told, await find(text), await find(f"{text}, {bare(before)}"))
                    made.append(Example(of, rows, np.array([name in right for name in names])))
                before, told = plain(turn.say), next(iter(sorted(right)), told)
    await app.close()
    return [one for one in made if one.right.any()]


def learnt(known: Sequence[Example]) -> Any:
    """The weights of a conditional logit, divided by the first one."""

    def loss(weights: Any) -> tuple[float, Any]:
        total, slope = RIDGE / 2 * weights @ weights, RIDGE * weights
        for one in known:
            scores = np.exp(one.signs @ weights - (one.signs @ weights).max())
            hits = np.where(one.right, scores, 0.0)
            total -= math.log(hits.sum() / scores.sum())
            slope = slope - one.signs.T @ (hits / hits.sum() - scores / scores.sum())
        return total, slope

    found = minimize(loss, np.ones(len(WEIGHTS)), jac=True, method="L-BFGS-B").x
    return found / found[0]


def first(some: Sequence[Example], weights: Callable[[str], Any]) -> float:
    """The share of examples whose first section answers, in percent; ``weights`` are those for a set."""
    hits = [bool(one.right[int(np.argmax(one.signs @ weights(one.of)))]) for one in some]
    return 100 * sum(hits) / len(hits)


def main() -> None:
    """Learn, try and report."""
    with tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder))
        found = asyncio.run(examples(Path(folder)))
    of_others = {of: learnt([one for one in found if one.of != of]) for of in SETS}
    figures = {
        "examples": float(len(found)),
        "alone": first(found, lambda _: np.array((1.0, 0, 0, 0, 0))),
        "shipped": first(found, lambda _: np.array(WEIGHTS)),
        "learnt": first(found, of_others.__getitem__),
    }
    show(("weights", "alone", "joined", "same policy", "same section", "states"),
         [["shipped", *WEIGHTS], ["learnt on all", *map(float, learnt(found))]])  # fmt: skip
    behind = figures["learnt"] - figures["shipped"]
    goals = [Goal("shipped weights behind learnt ones", behind, "points", "<= 2", behind <= 2)]
    report("following", ("figure", "value"), list(figures.items()), figures=figures, goals=goals)


if __name__ == "__main__":
    main()
