"""Which of a request's tokens belong to the prefix: those have another owner and another price than the rest."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from parbake.ports.usage import Usage
from parbake_llm.ports.prompts import CONVERSATION, TOOLS, Prompt, everybodys
from parbake_llm.writing.placement import estimated_tokens
from parbake_llm.writing.render import canonical_json, parts, prefix_text, sorted_tools


class PromptShares(NamedTuple):
    """Which of a prompt's tokens belong to the prefix; estimated by the length of the texts.

    Attributes:
        digest: Hash of the bytes that tools and everybody's blocks are sent as.
        shared: The share of the tokens that they take, 0 to 1.
        prefix: The share that tools and all blocks take, those of one user included, 0 to 1.
        stable: The share that the conversation takes as well, 0 to 1.
    """

    digest: str
    shared: float
    prefix: float
    stable: float


def shares_of(prompt: Prompt) -> PromptShares:
    """Measure the parts of a prompt."""
    blocks = everybodys(prompt.blocks)
    names = {TOOLS, *(block.name for block in blocks)}
    shared = prefix = stable = total = 0
    for part in parts(prompt):
        size = estimated_tokens(part.text)
        total += size
        shared += size if part.volatility != "request" and part.name in names else 0
        stable += size if part.volatility != "request" else 0
        prefix += size if part.volatility != "request" and part.name != CONVERSATION else 0
    tools = canonical_json([msgspec.to_builtins(tool) for tool in sorted_tools(prompt.tools)])
    content = f"{tools}\n{prefix_text(blocks)}".encode(errors="surrogatepass")
    digest = hashlib.blake2b(content, digest_size=8).hexdigest()
    return PromptShares(digest, *(size / (total or 1) for size in (shared, prefix, stable)))


def split(share: float, usage: Usage) -> tuple[Usage, Usage]:
    """Split the tokens of a request into what was cached of its beginning, and all other tokens.

    A cache is read and written from the first token on, so the beginning comes first in both.

    Args:
        share: The share of the tokens that the beginning takes, 0 to 1.
        usage: What the generator reported.

    Returns:
        The cache reads and writes of the beginning; and the rest, with every uncached and output token.
    """
    left = round((usage.input or 0) * share)
    of_prefix: dict[str, int] = {}
    for name in ("cache_read", "cache_write_hour", "cache_write"):
        of_prefix[name] = min(left, getattr(usage, name) or 0)
        left -= of_prefix[name]
    rest = {
        name: None if (count := getattr(usage, name)) is None else count - of_prefix.get(name, 0)
        for name in usage.__struct_fields__
    }
    return Usage(**of_prefix), Usage(**rest)
