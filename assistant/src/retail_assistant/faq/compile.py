"""Compiles the query log into a bank: the recurring questions that a policy section answers, with their wordings.

Support staff tag a share of the log with the question that was asked. All wordings of a tag vote for the section that
answers it (:mod:`retail_assistant.faq.assign`). In a log without tags, wordings that lie close together count as one
question. Without a log, the sections' own words seed the bank.

A tag without a section, or beyond the 50 most frequent, is also in the bank, as a question that must not be answered.
Its wordings are refused, and so is every question that is nearer to them than to an answer. The title of every section
without a tag is refused in the same way.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import parbake_semantic
import parbake_semantic.guard
from parbake_semantic.embedder import Embedder
from retail_assistant.faq.assign import Section, assign
from retail_assistant.faq.faq_words import UNANSWERED, is_stated
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.knowledge.shop_views import Exploration, LoggedQuery
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.shop_words import VETOES, VOCABULARY
from retail_assistant.understand.plain_words import bare

MAX_WORDINGS = 800
TOP_QUESTIONS = 50
APART = 0.2
"""How far apart wordings of a log without tags may lie that are taken for one question, as one less their mean cosine.

In the generated shop's log 89 wordings so get the section that their tags would get, and none another one; at 0.35 it
is 180, and 20 get another one.
"""
BOUND = parbake_semantic.Bound(error=0.05, prior=0.2)
"""At most 5 % of the bank's answers may be wrong, if a fifth of the questions has no answer in it."""
_NUMBER = re.compile(r"\d")
SCOPE = parbake_semantic.Scope(locale="en")
NOT_SHARED = frozenset({"own_state", "injection", "context_dependent"})


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
    embedder: Embedder,
) -> parbake_semantic.BankSnapshot:
    """Build and calibrate the bank of the 50 most requested sections; each one's first wording is the canonical one."""
    sections = sections_of(policies)
    is_tagged = any(q.question for q in log)
    wordings = _merge(q for q in log if q.question or not is_tagged)[:MAX_WORDINGS]
    vectors = embedder.embed([w.text for w in wordings])
    wordings = wordings if is_tagged else _clustered(wordings, vectors)
    asked = _asked(wordings, assign(wordings, vectors, sections, embedder))
    ranked = [name for name in asked if not name.startswith(UNANSWERED)] or [s.id for s in sections]
    seeds, confirmed = {s.id: _seeds(s) for s in sections}, _confirmed(explored, sections, asked)
    aliases = {}
    for name in ranked[:TOP_QUESTIONS]:
        first, *others = asked.pop(name, None) or seeds[name][:1]
        aliases[name] = [first, *seeds[name], *others, *confirmed[name]]
    refused = {UNANSWERED + s.id: [s.title.lower()] for s in sections if s.id not in aliases}
    refused |= {UNANSWERED + name.lstrip(UNANSWERED): texts for name, texts in asked.items() if aliases}
    return parbake_semantic.compile_questions(
        embedder,
        _usable(aliases),
        unanswered=_usable(refused),
        bound=BOUND,
        scope=SCOPE,
        vectors=dict(zip((w.text for w in wordings), vectors, strict=True)),
    )


def _clustered(wordings: Sequence[LoggedQuery], vectors: Any) -> list[LoggedQuery]:
    """Wordings with a tag for each cluster of them; ``vectors``: (wordings, dimensions)."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if len(wordings) < 2:  # noqa: PLR2004  # nothing to put together
        return [LoggedQuery(w.text, w.count, "cluster", w.intent) for w in wordings]
    numbers = fcluster(linkage(vectors, "average", "cosine"), APART, "distance").tolist()
    return [LoggedQuery(w.text, w.count, f"cluster {n}", w.intent) for w, n in zip(wordings, numbers, strict=True)]


def _asked(wordings: Iterable[LoggedQuery], sections: Mapping[str, str]) -> dict[str, list[str]]:
    """Wordings by section, or by tag for tags without a section; the most frequent come first."""
    traffic: dict[str, int] = defaultdict(int)
    texts: dict[str, list[str]] = defaultdict(list)
    for wording in wordings:
        tag = wording.question or ""
        name = sections.get(tag) or UNANSWERED + tag
        traffic[name] += wording.count
        texts[name].append(wording.text)
    return {name: texts[name] for name in sorted(traffic, key=lambda name: -traffic[name])}


def _usable(named: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """The texts that can be questions, each once. Wordings from a policy may be too long for a question."""
    texts = {
        name: [t for t in dict.fromkeys(found) if parbake_semantic.unusable(t) is None] for name, found in named.items()
    }
    return {name: found for name, found in texts.items() if found}


def is_shareable(text: str) -> bool:
    """Whether a question may enter the shared bank: it has no personal data and no instruction to the assistant."""
    refusal = parbake_semantic.screen(text, VETOES).refusal
    return refusal not in NOT_SHARED and not parbake_semantic.is_personal(text, VOCABULARY)


def _confirmed(
    explored: Iterable[Exploration], sections: Iterable[Section], tagged: Mapping[str, Sequence[str]]
) -> dict[str, list[str]]:
    """The questions, by answer, that enough shoppers asked and whose words show that the answer fits.

    Agreement between retrieval and bank is weak evidence, because both use the same vectors.
    """
    stated = {s.id: [s.title, s.text, *tagged.get(s.id, ())] for s in sections}
    waiting, found = parbake_semantic.Explorations(vetoes=VETOES), defaultdict(list)
    for one in explored:
        if is_stated(one.text, stated.get(one.answer, ())) and waiting.note(one.text, one.answer, one.shopper):
            found[one.answer].append(bare(one.text))
    return found


def _merge(log: Iterable[LoggedQuery]) -> list[LoggedQuery]:
    """Wordings that differ only in politeness, counted together, most frequent first."""
    counts: dict[str, int] = defaultdict(int)
    first: dict[str, LoggedQuery] = {}
    for query in log:
        text = bare(query.text)
        if text and is_shareable(query.text):
            counts[text] += query.count
            first.setdefault(text, query)
    merged = [LoggedQuery(t, n, first[t].question, first[t].intent) for t, n in counts.items()]
    return sorted(merged, key=lambda q: (-q.count, q.text))


def _seeds(section: Section) -> list[str]:
    """Wordings that the policy itself suggests: its title, and its sentences without claims and numbers."""
    title = section.title.lower()
    stated = [
        s
        for s in parbake_semantic.guard.sentences(section.text)
        if not parbake_semantic.guard.claims(s) and not _NUMBER.search(s)
    ]
    return [title, f"what is the {title}", f"{section.policy.lower()} {title}", *stated]
