"""How an answer of the bank is worded: by a model from its policy section, gated, with the numbers as slots."""

from __future__ import annotations

import re

import parbake as pb
from retail_assistant.knowledge.blocks import Block

SYSTEM = (
    "Write the answer to a frequent question of a book shop's customers. Use only the evidence. State no number, "
    "date or price that the evidence does not state. Answer in one to three sentences."
)
MAX_TOKENS, TIMEOUT_S = 200, 30.0
_SLOT = re.compile(r"\{\{[a-z_]+:[^{}\s]+\}\}")


async def word_answer(question: str, block: Block, generator: pb.Generator) -> str:
    """Return the answer to a question as one section states it.

    A generator that only quotes has nothing to add to the section's own words. What a model writes is kept sentence by
    sentence: one that claims what the section does not is left out, and where none is left the section stands.
    """
    if generator.name == pb.Extractive.name:
        return block.text
    prompt = pb.Prompt(SYSTEM, (block.plain,), (), question)
    stream = generator.stream(prompt, max_tokens=MAX_TOKENS, timeout_s=TIMEOUT_S)
    written = "".join([delta.text async for delta in stream])
    kept = [s for s in pb.guard.sentences(written) if _is_grounded(s, block)]
    return with_slots(" ".join(kept), block) or block.text


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
