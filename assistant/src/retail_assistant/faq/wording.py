"""The wording of the bank's answers: the text of the policy section, unless the owner's gate accepts a model's words.

An answer can be wrong even if every sentence claims only what the section states: it may miss the question, or be
empty. The shop's owner has to judge that; no default can.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Protocol

import parbake_semantic.guard
from parbake_llm.generators.extractive import Extractive
from parbake_llm.ports.generator import Generator
from parbake_llm.ports.prompts import Block as PromptBlock
from parbake_llm.ports.prompts import Prompt
from retail_assistant.knowledge.blocks import Block

SYSTEM = (
    "Write the answer to a frequent question of a shop's customers. Use only the evidence. State no number, "
    "date or price that the evidence does not state. Answer in one to three sentences."
)
MAX_TOKENS, TIMEOUT_S = 200, 30.0
_SLOT = re.compile(r"\{\{[a-z_]+:[^{}\s]+\}\}")


class AnswerGate(Protocol):
    """The owner's decision on a model's wording for the bank."""

    def accepts(self, question: str, section: str, answer: str) -> bool:
        """Decide whether an answer may enter the bank, which serves all shoppers; called in a thread of its own.

        Args:
            question: The question in its most frequent wording.
            section: The present text of the policy section, with its numbers filled in.
            answer: The model's sentences, without those whose claims the section does not state.

        Returns:
            ``True`` to let it in; anything else leaves the section's text.
        """
        ...


@dataclass(frozen=True)
class BankWording:
    """Words the answers of the bank; without a gate it calls no model."""

    gate: AnswerGate | None = None

    async def answer(self, question: str, block: Block, generator: Generator) -> str:
        """Return the answer to a question: the section's text with its slots, or a model's that the gate accepts.

        A generator that only quotes adds nothing to the section's own words. The gate sees a model's text without the
        sentences whose claims the section does not state.

        Args:
            question: The question as it stands in the bank.
            block: The section that answers it.
            generator: The generator to use if there is a gate.
        """
        if self.gate is None or generator.name == Extractive.name:
            return block.text
        written = await _written(question, block, generator)
        if written and await asyncio.to_thread(self.gate.accepts, question, block.plain, written) is True:
            return with_slots(written, block)
        return block.text


async def _written(question: str, block: Block, generator: Generator) -> str:
    """A model's text from a section, without the sentences that claim more than the section does."""
    prompt = Prompt(blocks=(PromptBlock("rules", SYSTEM),), evidence=(block.plain,), question=question)
    stream = generator.stream(prompt, max_tokens=MAX_TOKENS, timeout_s=TIMEOUT_S)
    written = "".join([delta.text async for delta in stream])
    return " ".join(s for s in parbake_semantic.guard.sentences(written) if _is_grounded(s, block))


def _is_grounded(sentence: str, block: Block) -> bool:
    """Whether a sentence is complete, claims only what the section states, and contains no invented slot."""
    is_whole = sentence.rstrip().endswith((".", "!", "?", "\u201d", '"'))
    return is_whole and "{{" not in sentence and not parbake_semantic.guard.ungrounded(sentence, [block.plain])


def with_slots(text: str, block: Block) -> str:
    """Replace the present values of the section's slots in a text by the slots; a value of two slots stays as it is."""
    for value, slot in _held(block).items():
        text = re.sub(rf"(?<![\w.]){re.escape(value)}(?![\w])", slot, text)
    return text


def _held(block: Block) -> dict[str, str]:
    """The present value of each slot of a section, longest values first."""
    slots = _SLOT.findall(block.text)
    pattern = "(.+?)".join(re.escape(piece) for piece in _SLOT.split(block.text))
    found = re.fullmatch(pattern, block.plain, re.DOTALL)
    if found is None:
        return {}
    held: dict[str, set[str]] = {}
    for slot, value in zip(slots, found.groups(), strict=True):
        held.setdefault(value, set()).add(slot)
    unique = {value: slots.pop() for value, slots in held.items() if len(slots) == 1}
    return dict(sorted(unique.items(), key=lambda item: -len(item[0])))
