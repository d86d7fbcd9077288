"""Which of a request's tokens belong to the prefix: those have another owner and another price than the rest."""

from __future__ import annotations

from parbake.ports.models import Usage
from parbake.ports.prompts import CONVERSATION, Prompt
from parbake.prompt.writing.placement import estimated_tokens
from parbake.prompt.writing.render import parts


def prefix_share(prompt: Prompt) -> float:
    """The share of a prompt's tokens that tools and blocks take, 0 to 1; estimated by the length of the texts."""
    sizes = [(part, estimated_tokens(part.text)) for part in parts(prompt)]
    total = sum(size for _, size in sizes)
    shared = sum(size for part, size in sizes if part.name != CONVERSATION and part.volatility != "request")
    return shared / total if total else 0.0


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
