"""Decides whether any policy section answers a question, by a gate that is trained, and ranks the sections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

import parbake as pb
import parbake_semantic
from parbake.tasks.gates import Generation
from parbake_semantic.embedder import Embedder
from retail_assistant.answers.policy.ranking import Desk
from retail_assistant.answers.policy.sections import Found, Gate, Ranked, Signs, stating_first
from retail_assistant.faq.faq_tasks import faq_bank
from retail_assistant.faq.faq_words import UNANSWERED, content_words
from retail_assistant.faq.match import PerBank
from retail_assistant.knowledge.blocks import policy_blocks
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.knowledge.retrieval import Hit, nearness, retrieval
from retail_assistant.knowledge.shop_views import Policies
from retail_assistant.shop.opening import opening
from retail_assistant.understand.said.concepts import concepts

tasks = pb.Registry()
NEAR = 0.7
"""Wordings nearer than this are left out in training: a new customer does not use the log's words."""
MOST, LEAST = 400, 40
TITLED = 0.7
"""The chance that a policy answers which is asked for by its title."""
LOST = 0.02
"""The share of answered questions of the log that the gate may refuse."""


def _separates(made: Generation) -> str | None:
    """The gate's gate: nearness must speak for an answer."""
    (_, gate), *_ = made.values
    return None if gate.weights[0] > 0 else f"nearness speaks against an answer: the weights are {gate.weights}"


@tasks.model(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=[
        pb.ignore(
            "policy", "it weighs signs of an answer, not texts; the sections themselves are read as they hold now"
        ),
    ],
    fallback_if_stale=pb.ServeStale(within="48h"),
    owner="support",
    gates=pb.Gates(quality=_separates),
    why="How questions with and without an answer differ changes slowly",
)
def answer_gate(
    *,
    policies: pb.Source[Policies],
    embedder: pb.Resource[Embedder],
    bank: parbake_semantic.BankSnapshot = pb.Model(faq_bank),
) -> Gate:
    """Train on the bank's wordings: each with its section, and again without it."""
    sections = [(block, policy.title) for policy in policies.all() for block in policy_blocks(policy, embedder)]
    asked = _asked(bank)
    if len(asked) < LEAST:
        return Gate()
    vectors = embedder.embed([text for text, _ in asked])
    desk = Desk(bank)
    yes, no = list[Signs](), list[Signs]()
    for (text, owner), vector in zip(asked, vectors, strict=True):
        hits = nearness(sections, vector)
        yes += [r.signs for r in desk.rank(text, vector, hits, near=NEAR)[:1]]
        no += [r.signs for r in desk.rank(text, vector, hits, but=owner, near=NEAR)[:1]]
    return train(yes, no)


def _asked(bank: parbake_semantic.BankSnapshot) -> list[tuple[str, str]]:
    """Wordings of the bank with the section that answers each, evenly drawn."""
    compiled = bank.bank
    pairs = [(a, compiled.answers[o]) for a, o in zip(compiled.aliases, compiled.owner_of, strict=True)]
    pairs = [(text, name) for text, name in pairs if not name.startswith(UNANSWERED)]
    return pairs[:: max(1, len(pairs) // MOST)]


def train(yes: Sequence[Signs], no: Sequence[Signs]) -> Gate:
    """Fit the logistic model; the least chance is that of the answered questions which it may lose."""
    from sklearn.linear_model import LogisticRegression

    rows = np.array([signs.learned for signs in (*yes, *no)], float)
    labels = np.array([1] * len(yes) + [0] * len(no))
    fitted = LogisticRegression(C=0.3, max_iter=1000).fit(rows, labels)
    chances = fitted.predict_proba(rows[: len(yes)])[:, 1]
    least = float(np.quantile(chances, LOST))
    return Gate(tuple(float(w) for w in fitted.coef_[0]), float(fitted.intercept_[0]), least)


_RULES = re.compile(r"\b(?:policy|policies|rules|terms|conditions)\b")


def by_title(text: str, found: Found, titles: Mapping[str, str]) -> Found:
    """The sections for a question; one for the rules of something, such as returns, is answered by the policy on that.

    Who asks for nothing else is told what it begins with.

    Args:
        text: The question.
        found: The sections.
        titles: The titles of their policies by the ids of the sections.
    """
    named = concepts(text) if _RULES.search(text) else frozenset[str]()
    of_policy = [r for r in found.ranked if named and named <= concepts(titles[r.block.id].lower())]
    if not of_policy:
        return found
    title = titles[of_policy[0].block.id]
    is_whole = content_words(_RULES.sub("", text)) <= content_words(title)
    first = next(name for name, of in titles.items() if of == title)
    begins = next((r for r in of_policy if is_whole and r.block.id == first), None)
    if begins is None and found.chance >= TITLED:
        return found
    best = msgspec.structs.replace(begins or of_policy[0], chance=TITLED)
    return Found((best, *(r for r in found.ranked if r.name != best.name)), TITLED, found.least)


_desks = PerBank[Desk]()


def judged(text: str, ranked: list[Ranked], gate: Gate) -> Found:
    """The ranked sections for a question, with the chance that the first one answers it."""
    if not ranked:
        return Found()
    judged = tuple(msgspec.structs.replace(one, chance=gate.chance(one.signs)) for one in ranked)
    found = Found(judged, judged[0].chance, gate.least)
    return found if gate.is_trained else found.stating(text)


@tasks.live(why="Every question is compared with the sections as they hold now")
async def policy_sections(
    text: pb.Live[str],
    *,
    vector: Any = pb.Input(query_embedding),
    hits: list[Hit] = pb.Input(retrieval),
    bank: parbake_semantic.BankSnapshot = pb.Model(faq_bank),
    gate: Gate = pb.Model(answer_gate),
) -> Found:
    """The policy sections that answer a question best; of a long one only the opening is read."""
    text = opening(text)
    ranked = _desks.of(bank, lambda: Desk(bank)).rank(text, vector, hits)
    return by_title(text, judged(text, stating_first(text, ranked), gate), {hit.block.id: hit.policy for hit in hits})
