"""The text of a prompt: the same prompt always gives the same bytes, so that a prefix cache can match them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from parbake.errors import BadInput
from parbake_llm.ports.prompts import CONVERSATION, QUESTION, TOOLS, Block, Prompt, Tool

OUTDATED = "[Outdated: what this reply was based on has changed since. Do not repeat it.]"


class PromptPart(msgspec.Struct, frozen=True):
    """A part of a prompt by its name: ``tools``, a block, ``conversation``, or ``question``, which is never cached."""

    name: str
    text: str
    volatility: str
    version: str = ""


def canonical_json(value: Any) -> str:
    """Write a value as JSON with sorted keys and without spaces, so that equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sorted_tools(tools: Iterable[Tool]) -> tuple[Tool, ...]:
    """Sort tools by name."""
    return tuple(sorted(tools, key=lambda tool: tool.name))


def tool_schema(tool: Tool) -> dict[str, Any]:
    """The JSON schema of a tool's arguments with its keys sorted at every level."""
    found: dict[str, Any] = json.loads(canonical_json(tool.parameters))
    return found


def prefix_text(blocks: Sequence[Block]) -> str:
    """The text of the blocks as one system message."""
    return "\n\n".join(block.text for block in blocks if block.text)


def question_text(prompt: Prompt) -> str:
    """The last message of the user: what was looked up for the question, and then the question itself."""
    if not prompt.evidence:
        return prompt.question
    return "Evidence:\n" + "\n".join(f"- {text}" for text in prompt.evidence) + f"\n\n{prompt.question}"


def with_outdated(turns: Sequence[tuple[str, str]], outdated: Mapping[int, bool]) -> tuple[tuple[str, str], ...]:
    """Mark earlier replies that rest on something that has changed since.

    Args:
        turns: The conversation as (role, text).
        outdated: Whether the reply at a position of ``turns`` is outdated; a missing position is not.
    """
    return tuple(
        (role, f"{OUTDATED} {text}" if outdated.get(at) and not text.startswith(OUTDATED) else text)
        for at, (role, text) in enumerate(turns)
    )


def without_outdated(turns: Sequence[tuple[str, str]], outdated: Mapping[int, bool]) -> tuple[tuple[str, str], ...]:
    """Leave out earlier replies that rest on something that has changed since, with the questions that they answer.

    A small model repeats what it reads, marked or not.

    Args:
        turns: The conversation as (role, text).
        outdated: Whether the reply at a position of ``turns`` is outdated; a missing position is not.
    """
    gone = {at for at, is_outdated in outdated.items() if is_outdated}
    gone |= {at - 1 for at in gone if at and turns[at - 1][0] == "user"}
    return tuple(turn for at, turn in enumerate(turns) if at not in gone)


def windowed(turns: Sequence[tuple[str, str]], *, most: int, fewest: int) -> tuple[tuple[str, str], ...]:
    """Leave out the beginning of a long conversation, by many turns at once.

    A window that moves with each turn would change the beginning of every prompt, so that no cache could hold it. This
    one keeps its place until the conversation has grown by ``most - fewest`` turns.

    Args:
        turns: The conversation as (role, text), oldest first.
        most: A conversation of at most so many turns stays whole.
        fewest: How many turns are left right after it was cut.

    Raises:
        BadInput: ``fewest`` is not below ``most``, or one of them is negative.
    """
    if not 0 <= fewest < most:
        raise BadInput(f"fewest={fewest} must be below most={most}, and not negative", field="fewest")
    step = most - fewest
    left_out = 0 if len(turns) <= most else -(-(len(turns) - most) // step) * step
    return tuple(turns[left_out:])


def parts(prompt: Prompt) -> tuple[PromptPart, ...]:
    """The parts of a prompt in the order in which they are sent, without those that are empty."""
    tools = canonical_json([msgspec.to_builtins(tool) for tool in sorted_tools(prompt.tools)]) if prompt.tools else ""
    turns = "".join(f"{role}: {text}\n" for role, text in prompt.turns)
    exchanges = "".join(canonical_json(msgspec.to_builtins(exchange)) for exchange in prompt.exchanges)
    found = (
        PromptPart(TOOLS, tools, "rules"),
        *(PromptPart(block.name, block.text, block.volatility, block.version) for block in prompt.blocks),
        PromptPart(CONVERSATION, turns, "conversation"),
        PromptPart(QUESTION, question_text(prompt) + exchanges, "request"),
    )
    return tuple(part for part in found if part.text)
