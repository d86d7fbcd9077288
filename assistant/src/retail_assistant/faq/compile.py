"""From the query log to a bank: which recurring questions a policy section answers, and in which wordings they come.

Support tags a share of the log with the question it was. All wordings of a tag vote for the section that answers it;
a tag whose two best sections are too close is left out rather than guessed. Where there is no log, the sections' own
words seed the bank.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.chat.wording import normalize
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.knowledge.views import LoggedQuery
from retail_assistant.shop.policies import Policy

MAX_WORDINGS = 800
TOP_QUESTIONS = 50
LEAST_MARGIN = 0.02


class Bank(msgspec.Struct, frozen=True):
    """The compiled bank; answers are named by their policy section (``returns#return-window``)."""

    matching: pb.semantic.Bank
    canonical: dict[str, str]


class Section(msgspec.Struct, frozen=True):
    """A policy section as the compiler sees it."""

    id: str
    policy: str
    title: str
    text: str


def sections_of(policies: Iterable[Policy]) -> list[Section]:
    """All sections that inform a customer."""
    return [
        Section(f"{policy.id}#{section.id}", policy.title, section.title, section.text)
        for policy in policies
        for section in customer_sections(policy)
    ]


def compile_faq(log: Sequence[LoggedQuery], policies: Iterable[Policy], embedder: pb.Embedder) -> Bank:
    """Build the bank of the 50 most asked sections."""
    sections = sections_of(policies)
    wordings = _merge(q for q in log if q.question)[:MAX_WORDINGS]
    vectors = embedder.embed([w.text for w in wordings])
    answers = _assign(wordings, vectors, sections, embedder)
    traffic: dict[str, int] = defaultdict(int)
    canonical: dict[str, str] = {}
    for wording in wordings:
        section = answers.get(wording.question or "")
        if section:
            traffic[section] += wording.count
            canonical.setdefault(section, wording.text)
    ranked = sorted(traffic, key=lambda s: -traffic[s]) if traffic else [s.id for s in sections]
    top = dict.fromkeys(ranked[:TOP_QUESTIONS])
    aliases = [(s.id, seed) for s in sections if s.id in top for seed in _seeds(s)]
    seeded = embedder.embed([text for _, text in aliases])
    logged = [(i, answers[w.question or ""]) for i, w in enumerate(wordings) if answers.get(w.question or "") in top]
    aliases += [(section, wordings[i].text) for i, section in logged]
    stacked = np.concatenate([seeded, vectors[[i for i, _ in logged]]]) if logged else seeded
    titles = {s.id: s.title for s in sections}
    matching = pb.semantic.compile_bank(embedder.model_hash, aliases, stacked)
    return Bank(matching, {s: canonical.get(s, titles[s]) for s in top})


def _merge(log: Iterable[LoggedQuery]) -> list[LoggedQuery]:
    """Wordings that differ only in politeness, counted together, most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    first: dict[str, LoggedQuery] = {}
    for query in log:
        text = normalize(query.text)
        if text:
            counts[text] += query.count
            first.setdefault(text, query)
    merged = [LoggedQuery(t, n, first[t].question, first[t].intent) for t, n in counts.items()]
    return sorted(merged, key=lambda q: (-q.count, q.text))


def _assign(
    wordings: Sequence[LoggedQuery], vectors: Any, sections: Sequence[Section], embedder: pb.Embedder
) -> dict[str, str]:
    """Which section answers each tagged question, for the tags that one section answers clearly best."""
    if not wordings or not sections:
        return {}
    nearness = _nearness(vectors, sections, embedder)
    votes: dict[str, list[int]] = defaultdict(list)
    for i, wording in enumerate(wordings):
        votes[wording.question or ""].append(i)
    assigned = {}
    for question, rows in votes.items():
        weights = np.array([wordings[i].count for i in rows], float)
        scores = weights @ nearness[rows] / weights.sum()
        order = scores.argsort()[::-1]
        if len(order) == 1 or scores[order[0]] - scores[order[1]] >= LEAST_MARGIN:
            assigned[question] = sections[order[0]].id
    return assigned


def _nearness(vectors: Any, sections: Sequence[Section], embedder: pb.Embedder) -> Any:
    """Mean of the cosine to the whole section and to its nearest sentence: shape (wordings, sections)."""
    whole = embedder.embed([f"{s.policy} - {s.title}: {s.text}" for s in sections])
    pieces = [(i, f"{s.title}: {piece}") for i, s in enumerate(sections) for piece in pb.guard.sentences(s.text)]
    parts = embedder.embed([text for _, text in pieces])
    owner = np.array([i for i, _ in pieces])
    nearest = np.stack([(vectors @ parts[owner == i].T).max(axis=1) for i in range(len(sections))], axis=1)
    return (vectors @ whole.T + nearest) / 2


def _seeds(section: Section) -> list[str]:
    """Wordings that the policy itself suggests."""
    title = section.title.lower()
    return [title, f"what is the {title}", f"{section.policy.lower()} {title}", *pb.guard.sentences(section.text)]
