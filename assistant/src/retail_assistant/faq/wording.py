"""How an answer of the bank is worded: as its policy section, unless the owner's gate accepts a model's words.

That every sentence claims only what the section states does not make an answer right: it may be about something else,
or say nothing. Somebody has to judge that, and no default can.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Protocol

import parbake as pb
from parbake.generators.extractive import Extractive
from parbake.ports.models import Generator, Prompt
from retail_assistant.knowledge.blocks import Block

SYSTEM = (
    "Write the answer to a frequent question of a book shop's customers. Use only the evidence. State no number, "
    "date or price that the evidence does not state. Answer in one to three sentences."
)
MAX_TOKENS, TIMEOUT_S = 200, 30.0
_SLOT = re.compile(r"\{\{[a-z_]+:[^{}\s]+\}\}")


class AnswerGate(Protocol):
    """The owner's word on what a model wrote for the bank."""

    def accepts(self, question: str, section: str, answer: str) -> bool:
        """Say whether an answer may stand in the bank for everybody who asks; called in a thread of its own.

        Args:
            question: The question in the words in which it is asked most.
            section: What the policy section states now, its numbers filled in.
            answer: What the model wrote, as far as the section states its claims.

        Returns:
            ``True`` to let it in; anything else leaves the section's text.
        """
        ...


@dataclass(frozen=True)
class BankWording:
    """How answers of the bank are worded; without a gate no model is asked."""

    gate: AnswerGate | None = None

    async def answer(self, question: str, block: Block, generator: Generator) -> str:
        """Return the answer to a question: the section's text with its slots, or a model's that the gate accepts.

        A generator that only quotes has nothing to add to the section's own words. What a model writes is shown to the
        gate without the sentences that claim what the section does not.

        Args:
            question: The question as it stands in the bank.
            block: The section that answers it.
            generator: Who may write, where there is a gate.
        """
        if self.gate is None or generator.name == Extractive.name:
            return block.text
        written = await _written(question, block, generator)
        if written and await asyncio.to_thread(self.gate.accepts, question, block.plain, written) is True:
            return with_slots(written, block)
        return block.text


async def _written(question: str, block: Block, generator: Generator) -> str:
    """What a model writes from a section, but the sentences that claim more than the section does."""
    prompt = Prompt(SYSTEM, (block.plain,), (), question)
    stream = generator.stream(prompt, max_tokens=MAX_TOKENS, timeout_s=TIMEOUT_S)
    written = "".join([delta.text async for delta in stream])
    return " ".join(s for s in pb.guard.sentences(written) if _is_grounded(s, block))


def _is_grounded(sentence: str, block: Block) -> bool:
    """Whether a whole sentence claims nothing but what the section states, and holds no slot of its own making."""
    is_whole = sentence.rstrip().endswith((".", "!", "?", "\u201d", '"'))
    return is_whole and "{{" not in sentence and not pb.guard.ungrounded(sentence, [block.plain])


def with_slots(text: str, block: Block) -> str:
    """Put the section's slots where a text shows what they hold now; a value that two slots hold stays as it is."""
    for value, slot in _held(block).items():
        text = re.sub(rf"(?<![\w.]){re.escape(value)}(?![\w])", slot, text)
    return text


def _held(block: Block) -> dict[str, str]:
    """What each slot of a section holds now, longest values first."""
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
