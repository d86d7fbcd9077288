"""What silently keeps a prompt out of a provider's cache: parts that change where nothing should."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from parbake_llm.ports.prompts import VOLATILITIES, Block, Prompt, ordered
from parbake_llm.writing.placement import NO_CACHE, CacheRules, estimated_tokens
from parbake_llm.writing.render import canonical_json, parts, sorted_tools

_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_DATE = r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}\.? [a-z]{3,9} \d{4}|[a-z]{3,9} \d{1,2},? \d{4})"
_CLOCK = re.compile(
    r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}|\b(?:it is|now|today|current (?:date|time))\b[^.\n]{0,20}?\d{1,2}:\d{2}|"
    r"\b(?:today is|today's date|current (?:date|time)|date today)\b|"
    rf"\b(?:today|now|it is)\b[:,]? {_DATE}",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"(?<![\w.])1[6-9]\d{8}(?:\.\d+|\d{3})?(?![\w.])")
_JSON = re.compile(r"(?m)^\s*([\[{].*[\]}])\s*$")


class Hazard(enum.StrEnum):
    """Why the same prompt may not give the same bytes, or is not cached."""

    CLOCK = "clock"
    """A block says what time it is."""
    IDENTIFIER = "identifier"
    """A block holds a random identifier."""
    USER = "user"
    """A block that everybody shares names one user."""
    UNSORTED_JSON = "unsorted_json"
    """A block holds JSON whose keys are not sorted."""
    WHITESPACE = "whitespace"
    """A block ends with blanks, which some providers strip and others do not."""
    ORDER = "order"
    """A block stands before one that changes less often."""
    TOOLS = "tools"
    """The tools are not sorted, or differ from those of the request before."""
    MODEL = "model"
    """The model differs from that of the request before; each model has a cache of its own."""
    HISTORY = "history"
    """The conversation does not continue that of the request before: it was cut or rewritten."""
    BELOW_MINIMUM = "below_minimum"
    """The whole prefix is shorter than the provider caches."""


class LintFinding(msgspec.Struct, frozen=True):
    """One thing that breaks the cache, and the part it is in; ``detail`` shows a few characters of it."""

    hazard: Hazard
    part: str
    detail: str = ""


ADVICE = {
    Hazard.CLOCK: "put the time into the question's evidence",
    Hazard.IDENTIFIER: "leave it out, or put it into the question's evidence",
    Hazard.USER: "put what is about one user into a block of volatility 'user'",
    Hazard.UNSORTED_JSON: "write JSON with sorted keys (parbake_llm.canonical_json)",
    Hazard.WHITESPACE: "strip the end of the block",
    Hazard.ORDER: "sort the blocks (parbake_llm.ordered)",
    Hazard.TOOLS: "send the same tools in every request, sorted by name",
    Hazard.MODEL: "keep a conversation on one model",
    Hazard.HISTORY: "append to the conversation; cut it seldom, and by many turns at once",
    Hazard.BELOW_MINIMUM: "nothing is cached; add shared blocks to the prefix, or choose a model with a lower minimum",
}


def lint(
    prompt: Prompt,
    rules: CacheRules = NO_CACHE,
    *,
    users: Sequence[str] = (),
    earlier: Prompt | None = None,
    tokens: Callable[[str], int] = estimated_tokens,
) -> list[LintFinding]:
    """Find what keeps a prompt out of a cache.

    Args:
        prompt: The prompt.
        rules: How the provider caches.
        users: Names and ids of the user, which no shared block may hold.
        earlier: The request before in the same conversation, if there was one.
        tokens: Counts the tokens of a text.
    """
    found = [finding for block in prompt.blocks for finding in _of_block(block, users)]
    if prompt.blocks != ordered(prompt.blocks):
        late = next(
            block
            for block, after in zip(prompt.blocks, prompt.blocks[1:], strict=False)
            if VOLATILITIES.index(block.volatility) > VOLATILITIES.index(after.volatility)
        )
        found.append(LintFinding(Hazard.ORDER, late.name, late.volatility))
    if prompt.tools != sorted_tools(prompt.tools) or (earlier is not None and earlier.tools != prompt.tools):
        found.append(LintFinding(Hazard.TOOLS, "tools"))
    if earlier is not None and prompt.turns[: len(earlier.turns)] != earlier.turns:
        found.append(LintFinding(Hazard.HISTORY, "conversation"))
    if rules.mechanism != "none" and _stable_tokens(prompt, tokens) < rules.minimum:
        found.append(
            LintFinding(Hazard.BELOW_MINIMUM, "prefix", f"{_stable_tokens(prompt, tokens)} of {rules.minimum}")
        )
    return found


def _of_block(block: Block, users: Sequence[str] = ()) -> Iterator[LintFinding]:
    """Find what changes in a block although it is declared as stable.

    Args:
        block: The block.
        users: Names and ids of the user; a block of volatility ``user`` may hold them.
    """
    for hazard, pattern in ((Hazard.CLOCK, _CLOCK), (Hazard.IDENTIFIER, _UUID), (Hazard.CLOCK, _EPOCH)):
        if (match := pattern.search(block.text)) is not None:
            yield LintFinding(hazard, block.name, match[0][:40])
    named = next((user for user in users if user and user in block.text), None)
    if named is not None and block.volatility != "user":
        yield LintFinding(Hazard.USER, block.name)
    if any(_is_unsorted(match[1]) for match in _JSON.finditer(block.text)):
        yield LintFinding(Hazard.UNSORTED_JSON, block.name)
    if block.text != block.text.rstrip():
        yield LintFinding(Hazard.WHITESPACE, block.name)


def explained(finding: LintFinding) -> str:
    """A finding in words, with what to do."""
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{finding.part}: {finding.hazard.value.replace('_', ' ')}{detail}: {ADVICE[finding.hazard]}"


def _is_unsorted(text: str) -> bool:
    try:
        value = json.loads(text)
        return json.dumps(value) != json.dumps(json.loads(canonical_json(value)))
    except ValueError:
        return False


def _stable_tokens(prompt: Prompt, tokens: Callable[[str], int]) -> int:
    return sum(tokens(part.text) for part in parts(prompt) if part.volatility != "request")
