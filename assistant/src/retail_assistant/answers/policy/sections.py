"""A policy section that may answer a question: its signs, and the gate that decides whether it does."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

import parbake_semantic.guard
from retail_assistant.knowledge.blocks import Block

DOUBTED = 0.4
ITS_OWN_WORDS = 0.8
"""The cosine from which a question has the words of the section itself, which then may answer it."""
NEARLY = 0.1
"""How much worse a section may be that states the time or the amount that is asked for."""
JOINED, SAME_POLICY, SAME, STATES = 0.7, 0.28, 0.05, 0.14
"""For a question that goes on: how much its reading together with the message before counts beside that by itself; how
much more a section counts of the policy that was quoted before, that section, and one that states what is asked for."""
UNSURE = 0.15
"""How much better the first section must be than the second not to be quoted beside it."""
FOLLOWING, FOLLOWING_BIAS, FOLLOWING_SCALE = (3.4, 1.3, 2.4, -0.3, 3.5), -3.3, 0.44
"""The logistic model of whether it answers: the chances of both readings, whether policy and section are the same as
before, and the nearness. With its bias, and the scale on which it may be quoted from the same chance as others."""
UNHEARD = 0.2
"""What each concept that no section states leaves of the chance."""


class Gate(msgspec.Struct, frozen=True):
    """A logistic model over the first three :class:`Signs`; ``least`` is the chance from which a section is quoted."""

    weights: tuple[float, ...] = (2.7, 1.5, 1.7)
    bias: float = -2.4
    least: float = 0.2

    @property
    def is_trained(self) -> bool:
        """Whether a log of questions set the weights."""
        return self != Gate()

    def chance(self, signs: Signs) -> float:
        """The chance that a section answers."""
        total = self.bias + sum(w * s for w, s in zip(self.weights, signs.learned, strict=True))
        learned = 1.0 / (1.0 + math.exp(-total))
        if signs.nearness >= ITS_OWN_WORDS:  # also on a subject that no concept names yet
            learned = max(learned, self.least)
        return math.pow(UNHEARD, signs.unheard) * learned


class Signs(NamedTuple):
    """The signs that a section answers.

    Args:
        nearness: The cosine of its text to the question.
        wording: The cosine of its nearest logged wording.
        shared: How much of what is asked it states.
        unheard: How many things are asked that customers ask of any shop, and that no section states.
    """

    nearness: float
    wording: float
    shared: float
    unheard: float

    @property
    def learned(self) -> tuple[float, float, float]:
        """What the gate learns from; a log has few questions that nobody could answer."""
        return self.nearness, self.wording, self.shared


class Ranked(msgspec.Struct, frozen=True):
    """A section with its score, the signs that it answers, and the chance that they give it."""

    block: Block
    score: float
    signs: Signs
    chance: float = 0.0

    @property
    def name(self) -> str:
        """The name of the section."""
        return section_name(self.block)


class Found(msgspec.Struct, frozen=True):
    """The best sections for a question, the chance that the first one answers it, and from which chance it may.

    ``goes_on`` says that the question surely goes on from the section that was quoted before, answered or not, and
    ``rivals`` that the second section answers it as likely as the first.
    """

    ranked: tuple[Ranked, ...] = ()
    chance: float = 0.0
    least: float = 1.0
    goes_on: bool = False
    rivals: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether the first section may be quoted."""
        return bool(self.ranked) and self.chance >= self.least

    @property
    def is_unheard(self) -> bool:
        """Whether something is asked that customers ask of any shop, and that no section states."""
        return bool(self.ranked) and self.ranked[0].signs.unheard > 0

    def doubted(self) -> Found:
        """The same sections, too unlikely to be quoted."""
        return msgspec.structs.replace(self, chance=min(self.chance, DOUBTED * self.least))

    def stating(self, question: str) -> Found:
        """The same sections, doubted if a time or an amount is asked for and the first states none."""
        kind = parbake_semantic.guard.expected_kind(question)
        if kind is None or not self.ranked or parbake_semantic.guard.states(kind, self.ranked[0].block.plain):
            return self
        return self.doubted()

    def without(self, name: str) -> Found:
        """The same sections without one, and the chance of the best of the others."""
        rest = tuple(one for one in self.ranked if one.name != name)
        return msgspec.structs.replace(self, ranked=rest, chance=rest[0].chance if rest else 0.0)

    def text(self, name: str) -> str:
        """The plain text of one of the best sections; empty if it is not among them."""
        return next((one.block.plain for one in self.ranked if one.name == name), "")

    def only(self, name: str) -> Found:
        """One of the best sections alone, as a sure answer."""
        return Found(tuple(one for one in self.ranked if one.name == name), 1.0, self.least)


def going_on(text: str, alone: Found, joined: Found, told: str, *, is_whole: bool = False) -> Found:
    """The sections for a question that may go on from one about a policy.

    Neither way of reading it is right alone: "and if it is opened?" means little without the message before, and with
    it that message's words outweigh its own. How much each counts was learnt from conversations.

    Args:
        text: The question.
        alone: The sections for the question by itself.
        joined: The sections for the question together with the message before.
        told: The section that was quoted for the one before.
        is_whole: Whether the question says by itself what it asks, so that this section is not told beside another.
    """
    if not alone.ranked or not joined.ranked:
        return alone if alone.ranked else joined
    apart, both = ({one.name: one for one in found.ranked} for found in (alone, joined))
    least = (alone.ranked[-1], joined.ranked[-1])
    policy, kind = told.partition("#")[0], parbake_semantic.guard.expected_kind(text)

    def learnt(name: str) -> Ranked:
        section, is_same, is_told = both.get(name) or apart[name], name.partition("#")[0] == policy, name == told
        one, other = apart.get(name, least[0]), both.get(name, least[1])
        states = kind is not None and parbake_semantic.guard.states(kind, section.block.plain)
        score = one.score + JOINED * other.score + SAME_POLICY * is_same + SAME * is_told + STATES * states
        nearness = min(one.signs.nearness, other.signs.nearness)
        signs = (one.chance, other.chance, is_same, is_told, nearness)
        total = FOLLOWING_BIAS + sum(w * s for w, s in zip(FOLLOWING, signs, strict=True))
        return msgspec.structs.replace(section, score=score, chance=FOLLOWING_SCALE / (1.0 + math.exp(-total)))

    ranked = sorted(map(learnt, apart | both), key=lambda one: -one.score)
    rivals = len(ranked) > 1 and ranked[0].score - ranked[1].score < UNSURE
    rivals = rivals and not (is_whole and ranked[1].name == told)
    return Found(tuple(ranked), ranked[0].chance, alone.least, rivals=rivals)


def stating_first(text: str, ranked: list[Ranked]) -> list[Ranked]:
    """The sections, with one first that states what is asked for, a time or an amount, if it is nearly as good."""
    kind = parbake_semantic.guard.expected_kind(text)
    if kind is None or not ranked or parbake_semantic.guard.states(kind, ranked[0].block.plain):
        return ranked
    best = next((r for r in ranked if parbake_semantic.guard.states(kind, r.block.plain)), None)
    if best is None or ranked[0].score - best.score > NEARLY:
        return ranked
    return [best, *(r for r in ranked if r is not best)]


def section_name(block: Block) -> str:
    """The name of a section as the bank has it: ``returns#return-window``."""
    return block.id.partition("/")[2]
