"""How Anthropic's models cache prefixes, by default. Each generator takes other rules as a setting."""

from __future__ import annotations

from parbake_llm.ports.prompts import Ttl
from parbake_llm.writing.placement import NO_CACHE, CacheRules

_CLAUDE_MINIMUM = 1024
"""The least tokens of a cached prefix of a model that is not listed. A prefix that is too short costs nothing extra."""
CLAUDE_MINIMUMS = {
    "claude-3-haiku": 2048,
    "claude-3-5-haiku": 2048,
    "claude-haiku-4-5": 4096,
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
    "claude-sonnet-4-6": 2048,
}
"""The least tokens of a cached prefix, by the beginning of the model's name, as published in 2026."""
_ONLY_MINUTES = ("claude-3", "claude-opus-4-1", "claude-opus-4-2025", "claude-sonnet-4-2025")
"""Models that hold a prefix for five minutes only on Bedrock."""


def claude_rules(model: str) -> CacheRules:
    """The rules of a model at Anthropic."""
    listed = [name for name in CLAUDE_MINIMUMS if model.startswith(name)]
    minimum = CLAUDE_MINIMUMS[max(listed, key=len)] if listed else _CLAUDE_MINIMUM
    return CacheRules(mechanism="breakpoints", minimum=minimum, most=4, lookback=20, ttls=("5m", "1h"))


def bedrock_rules(model: str) -> CacheRules:
    """The rules of a model at Bedrock. Only the models of Anthropic and Nova take breakpoints there."""
    _, found, rest = model.rpartition("anthropic.")
    if found:
        rules = claude_rules(rest)
        ttls: tuple[Ttl, ...] = ("5m",) if rest.startswith(_ONLY_MINUTES) else rules.ttls
        return CacheRules(mechanism="breakpoints", minimum=rules.minimum, most=4, lookback=20, ttls=ttls)
    if "amazon.nova" in model:
        return CacheRules(mechanism="breakpoints", minimum=1024, most=4, ttls=("5m",))
    return NO_CACHE
