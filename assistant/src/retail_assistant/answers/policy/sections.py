"""A policy section that may answer a question: its signs, and the gate that decides whether it does."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

import parbake as pb
from retail_assistant.knowledge.blocks import Block

DOUBTED = 0.4
ITS_OWN_WORDS = 0.8
"""The cosine from which a question has the words of the section itself, which then may answer it."""
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
    """A section with its score, and the signs that it answers."""

    block: Block
    score: float
    signs: Signs


class Found(msgspec.Struct, frozen=True):
    """The best sections for a question, the chance that the first one answers it, and from which chance it may.

    ``goes_on`` says that the question surely goes on from the section that was quoted before, answered or not.
    """

    ranked: tuple[Ranked, ...] = ()
    chance: float = 0.0
    least: float = 1.0
    goes_on: bool = False

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
        return Found(self.ranked, min(self.chance, DOUBTED * self.least), self.least)

    def stating(self, question: str) -> Found:
        """The same sections, doubted if a time or an amount is asked for and the first states none."""
        kind = pb.guard.expected_kind(question)
        if kind is None or not self.ranked or pb.guard.states(kind, self.ranked[0].block.plain):
            return self
        return self.doubted()

    def text(self, name: str) -> str:
        """The plain text of one of the best sections; empty if it is not among them."""
        return next((one.block.plain for one in self.ranked if section_name(one.block) == name), "")

    def only(self, name: str) -> Found:
        """One of the best sections alone, as a sure answer."""
        return Found(tuple(one for one in self.ranked if section_name(one.block) == name), 1.0, self.least)

    def has(self, name: str) -> bool:
        """Whether a section is among the best."""
        return any(section_name(one.block) == name for one in self.ranked)


def section_name(block: Block) -> str:
    """The name of a section as the bank has it: ``returns#return-window``."""
    return block.id.partition("/")[2]
