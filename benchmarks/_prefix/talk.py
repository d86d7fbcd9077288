"""Conversations of a shop's customers as prompts, in three orders."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from parbake_llm import windowed
from parbake_llm.ports.prompts import Block, Prompt
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.live import LiveShop
from retail_assistant.model.prefix import RULES, policy_block
from retail_assistant.model.prompting import FEWEST_TURNS, MOST_TURNS

AT_ONCE = 8
LENGTHS = (4, 6, 8, 10)
"""How many turns a conversation has."""
QUESTIONS = (
    "What does this mean for {}?", "And how is it with {}?", "Could you tell me about {}?", "I wonder about {}.",
    "What should I know about {}?", "Does that hold for {} as well?", "Please explain {} to me.",
)  # fmt: skip


@dataclass
class Conversation:
    """One conversation so far."""

    name: str
    length: int
    turns: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether all its turns were held."""
        return len(self.turns) >= 2 * self.length


class Customers:
    """Eight conversations at once; one that is over is followed by another."""

    def __init__(self, shop: LiveShop, seed: int) -> None:
        """Draw the lengths and questions from a seed."""
        self._random = random.Random(seed)
        self._sections = [(s.title, s.text) for policy in shop.rules.policies() for s in customer_sections(policy)]
        self.policies = tuple(policy_block(policy) for policy in shop.rules.policies())

    def conversations(self, turns: int) -> Iterator[Conversation]:
        """Yield the conversation that is on, so many times; its turn has to be added by the caller."""
        names = itertools.count()
        held = [self._begun(next(names)) for _ in range(AT_ONCE)]
        for at in range(turns):
            place = at % AT_ONCE
            if held[place].is_over:
                held[place] = self._begun(next(names))
            yield held[place]

    def question(self) -> tuple[str, str]:
        """A question, and what was looked up for it."""
        title, text = self._random.choice(self._sections)
        return self._random.choice(QUESTIONS).format(title.lower()), text

    def _begun(self, number: int) -> Conversation:
        return Conversation(f"c{number}", self._random.choice(LENGTHS))


def prompt(kind: str, customers: Customers, talk: Conversation, asked: tuple[str, str], at: int) -> Prompt:
    """A prompt of one kind.

    Args:
        kind: ``all policies`` in the prefix, as the ``shop`` words its answers, or with the ``clock first``.
        customers: Have the policies.
        talk: The conversation.
        asked: The question, and what was looked up for it.
        at: The number of the turn, for the clock.
    """
    question, evidence = asked
    rules = Block("rules", RULES["wording"])
    blocks: tuple[Block, ...] = (rules,)
    if kind != "shop":
        blocks = (*blocks, *customers.policies)
    if kind == "clock first":
        blocks = (Block("clock", f"It is {9 + at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}."), *blocks)
    turns = windowed(talk.turns, most=MOST_TURNS, fewest=FEWEST_TURNS)
    return Prompt(blocks=blocks, turns=turns, evidence=(evidence,), question=question, session=talk.name)
