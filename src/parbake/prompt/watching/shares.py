"""Which of a request's tokens belong to the prefix: those have another owner and another price than the rest."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import msgspec

from parbake.ports.models import Usage
from parbake.ports.prompts import CONVERSATION, Prompt
from parbake.prompt.writing.placement import estimated_tokens
from parbake.prompt.writing.render import canonical_json, parts, prefix_text, sorted_tools


def prefix_share(prompt: Prompt) -> float:
    """The share of a prompt's tokens that tools and blocks take, 0 to 1; estimated by the length of the texts."""
    sizes = [(part, estimated_tokens(part.text)) for part in parts(prompt)]
    total = sum(size for _, size in sizes)
    shared = sum(size for part, size in sizes if part.name != CONVERSATION and part.volatility != "request")
    return shared / total if total else 0.0


class PromptSize(NamedTuple):
    """What a request has sent, as hashes and sizes.

    Attributes:
        session: The conversation; empty if it has no name.
        digest: Hash of the prefix's bytes.
        prefix_tokens: The tokens of the prefix.
        stable_tokens: Those of prefix and conversation, which the conversation's next request repeats.
        tokens: All input tokens.
    """

    session: str
    digest: str
    prefix_tokens: int
    stable_tokens: int
    tokens: int


def size_of(prompt: Prompt, usage: Usage) -> PromptSize:
    """Measure a request in the tokens that its generator reported; the parts are estimated by the length of texts.

    Args:
        prompt: The prompt.
        usage: What the generator reported.
    """
    sizes = [(part, estimated_tokens(part.text)) for part in parts(prompt)]
    total = sum(size for _, size in sizes) or 1
    stable = sum(size for part, size in sizes if part.volatility != "request")
    tokens = usage.input or 0
    return PromptSize(
        prompt.session,
        prefix_digest(prompt),
        round(tokens * prefix_share(prompt)),
        round(tokens * stable / total),
        tokens,
    )


def prefix_digest(prompt: Prompt) -> str:
    """A hash of the bytes that tools and blocks are sent as."""
    tools = canonical_json([msgspec.to_builtins(tool) for tool in sorted_tools(prompt.tools)])
    return hashlib.blake2b(f"{tools}\n{prefix_text(prompt.blocks)}".encode(), digest_size=8).hexdigest()


def split(prompt: Prompt, usage: Usage) -> tuple[Usage, Usage]:
    """Split the tokens of a request into what its cached prefix cost, and all other tokens.

    A cache is read and written from the first token on, so the prefix comes first in both.

    Args:
        prompt: The prompt.
        usage: What the generator reported.

    Returns:
        The cache reads and writes of the prefix; and the rest, with every uncached and output token.
    """
    left = round((usage.input or 0) * prefix_share(prompt))
    of_prefix: dict[str, int] = {}
    for name in ("cache_read", "cache_write_hour", "cache_write"):
        of_prefix[name] = min(left, getattr(usage, name) or 0)
        left -= of_prefix[name]
    rest = {
        name: None if (count := getattr(usage, name)) is None else count - of_prefix.get(name, 0)
        for name in usage.__struct_fields__
    }
    return Usage(**of_prefix), Usage(**rest)
