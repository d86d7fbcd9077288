"""Assigns a policy section to each question of the log: tags and sections choose each other.

A section that is near many questions attracts those of its neighbours, too; a return window, for example, is near every
question about returns. The nearness of a tag and a section is therefore compared with the nearness of each to its
nearest five: ``2 s - r(tag) - r(section)``, cross-domain similarity local scaling (Conneau et al., Word translation
without parallel data, ICLR 2018). A tag gets a section only if each is the other's best, so no two tags share one.

A few wordings are weak evidence, so they need a larger margin. Over 24 generated logs each of 200 and of 500 messages,
the larger margin lowers the number of tags with a wrong section from 2.0 of 34 to 0.3 of 21, and from 1.4 of 46 to 0.1
of 36. In a log of 3,000 messages, 55 of 60 tags get their section.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

import parbake_semantic.guard
from parbake_semantic.embedder import Embedder
from retail_assistant.knowledge.shop_views import LoggedQuery

LEAST_MARGIN = 0.02
"""By how much a tag and a section must prefer each other to all others; cosines are doubled."""
MARGIN_OF_ONE = 0.3
"""The margin that a tag with one wording needs; a tag with n wordings needs an n-th of it."""
NEAREST = 5


class Section(msgspec.Struct, frozen=True):
    """A policy section with the parts that the compiler uses."""

    id: str
    policy: str
    title: str
    text: str


def assign(
    wordings: Sequence[LoggedQuery], vectors: Any, sections: Sequence[Section], embedder: Embedder
) -> dict[str, str]:
    """Return the section of each tag that gets one, by a vote of its wordings; ``vectors``: (wordings, dimensions)."""
    if not wordings or not sections:
        return {}
    nearness = _nearness(vectors, sections, embedder)
    votes: dict[str, list[int]] = defaultdict(list)
    for i, wording in enumerate(wordings):
        votes[wording.question or ""].append(i)
    counts = np.array([wording.count for wording in wordings], float)
    scores = np.stack([counts[rows] @ nearness[rows] / counts[rows].sum() for rows in votes.values()])
    chosen = _chosen(scores, np.array([len(rows) for rows in votes.values()]))
    return {tag: sections[at].id for tag, at in zip(votes, chosen, strict=True) if at is not None}


def _chosen(scores: Any, wordings: Any) -> list[int | None]:
    """The section of each tag, if each is the other's clear best; otherwise ``None``.

    ``scores`` (tags, sections); ``wordings`` (tags) is how many each has.
    """
    scaled = 2 * scores - _usual(scores) - _usual(scores.T).T
    lead = np.minimum(_lead(scaled), _lead(scaled.T).T)
    is_clear = lead.max(1) >= np.maximum(LEAST_MARGIN, MARGIN_OF_ONE / wordings)
    return [int(at) if clear else None for at, clear in zip(lead.argmax(1), is_clear, strict=True)]


def _usual(scores: Any) -> Any:
    """The mean of each row's nearest five, as a column."""
    return np.sort(scores, axis=1)[:, -NEAREST:].mean(axis=1, keepdims=True)


def _lead(scores: Any) -> Any:
    """The margin of each value over the best other one of its row; infinite if there is no other."""
    ordered = np.sort(scores, axis=1)
    if ordered.shape[1] == 1:
        return np.full(scores.shape, np.inf)
    best, second = ordered[:, -1:], ordered[:, -2:-1]
    return np.where(scores == best, scores - second, scores - best)


def _nearness(vectors: Any, sections: Sequence[Section], embedder: Embedder) -> Any:
    """Mean of the cosine to the whole section and to its nearest sentence: shape (wordings, sections)."""
    whole = embedder.embed([f"{s.policy} - {s.title}: {s.text}" for s in sections])
    pieces = [
        (i, f"{s.title}: {piece}") for i, s in enumerate(sections) for piece in parbake_semantic.guard.sentences(s.text)
    ]
    parts = embedder.embed([text for _, text in pieces])
    owner = np.array([i for i, _ in pieces])
    nearest = np.stack([(vectors @ parts[owner == i].T).max(axis=1) for i in range(len(sections))], axis=1)
    return (vectors @ whole.T + nearest) / 2
