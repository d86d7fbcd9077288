"""From the query log to a bank: which recurring questions a policy section answers, and in which wordings they come.

Support tags a share of the log with the question it was. All wordings of a tag vote for the section that answers it;
a tag whose two best sections are too close is left out rather than guessed. Where there is no log, the sections' own
words seed the bank.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.chat.wording import normalize
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.knowledge.views import Exploration, LoggedQuery
from retail_assistant.shop.policies import Policy

MAX_WORDINGS = 800
TOP_QUESTIONS = 50
LEAST_MARGIN = 0.02
BOUND = pb.semantic.Bound(error=0.05, prior=0.2)
"""At most 5 % of what the bank answers may be wrong, where a fifth of the questions has no answer in it."""
_NUMBER = re.compile(r"\d")
SCOPE = pb.semantic.Scope(locale="en")
NOT_SHARED = frozenset({"own_state", "injection", "context_dependent"})


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


def compile_faq(
    log: Sequence[LoggedQuery],
    explored: Iterable[Exploration],
    policies: Iterable[Policy],
    embedder: pb.Embedder,
) -> pb.semantic.BankSnapshot:
    """Build and calibrate the bank of the 50 most asked sections; the first wording of each is its canonical one."""
    sections = sections_of(policies)
    wordings = _merge(q for q in log if q.question)[:MAX_WORDINGS]
    vectors = embedder.embed([w.text for w in wordings])
    answers = _assign(wordings, vectors, sections, embedder)
    traffic: dict[str, int] = defaultdict(int)
    logged: dict[str, list[str]] = defaultdict(list)
    for wording in wordings:
        section = answers.get(wording.question or "")
        if section:
            traffic[section] += wording.count
            logged[section].append(wording.text)
    ranked = sorted(traffic, key=lambda s: -traffic[s]) if traffic else [s.id for s in sections]
    seeds, confirmed = {s.id: _seeds(s) for s in sections}, _confirmed(explored)
    aliases = {
        name: _usable([*logged[name][:1], *seeds[name], *logged[name][1:], *confirmed[name]])
        for name in ranked[:TOP_QUESTIONS]
    }
    return _calibrated(aliases, dict(zip((w.text for w in wordings), vectors, strict=True)), embedder)


def _calibrated(
    aliases: Mapping[str, Sequence[str]], known: dict[str, Any], embedder: pb.Embedder
) -> pb.semantic.BankSnapshot:
    """Fit a bank; ``known`` are embeddings that were made already."""
    new = list(dict.fromkeys(text for texts in aliases.values() for text in texts if text not in known))
    known |= dict(zip(new, embedder.embed(new), strict=True))
    bank = pb.semantic.QuestionBank(embedder, bound=BOUND, scope=SCOPE)
    for answer, texts in aliases.items():
        if texts:
            bank.add(answer, texts, vectors=np.stack([known[text] for text in texts]))
    bank.calibrate()
    return bank.snapshot()


def _usable(texts: Iterable[str]) -> list[str]:
    """Texts that can be questions, each once; what the policy seeds is no question of a shopper, and may be long."""
    return [t for t in dict.fromkeys(texts) if pb.semantic.unusable(t) is None]


def is_shareable(text: str) -> bool:
    """Whether a question may stand in a bank that everybody shares: it tells of nobody, and orders nobody about."""
    return not pb.semantic.is_personal(text) and pb.semantic.veto(text, text) not in NOT_SHARED


def _confirmed(explored: Iterable[Exploration]) -> dict[str, list[str]]:
    """The questions that enough shoppers asked and that turned out to have an answer, by answer."""
    waiting, found = pb.semantic.Explorations(), defaultdict(list)
    for one in explored:
        if waiting.note(one.text, one.answer, one.shopper):
            found[one.answer].append(normalize(one.text))
    return found


def _merge(log: Iterable[LoggedQuery]) -> list[LoggedQuery]:
    """Wordings that differ only in politeness, counted together, most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    first: dict[str, LoggedQuery] = {}
    for query in log:
        text = normalize(query.text)
        if text and is_shareable(query.text):
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
    """Wordings that the policy itself suggests; a question that does not name a number is not one that states it."""
    title = section.title.lower()
    stated = [s for s in pb.guard.sentences(section.text) if not pb.guard.claims(s) and not _NUMBER.search(s)]
    return [title, f"what is the {title}", f"{section.policy.lower()} {title}", *stated]
