"""A prompt as a request of the OpenAI chat protocol, with the fields for caching that a server understands."""

from __future__ import annotations

import hashlib
from typing import Any, Literal, get_args

import msgspec

from parbake.errors import FailureKind, ProviderError
from parbake_llm.generators._hosted.chat import messages
from parbake_llm.generators._hosted.parts import marks
from parbake_llm.ports.prompts import Prompt
from parbake_llm.writing.placement import CacheRules
from parbake_llm.writing.render import canonical_json, sorted_tools, tool_schema

Caching = Literal["server", "key", "explicit"]
"""What is said about caching: nothing, a ``prompt_cache_key``, or that and where the prefixes end."""
_CACHINGS: tuple[Caching, ...] = get_args(Caching)
AUTOMATIC = CacheRules(mechanism="automatic", minimum=1024, granule=128)
"""OpenAI's models match whole granules of 128 tokens from 1,024 tokens on."""
EXPLICIT = CacheRules(mechanism="breakpoints", minimum=1024, most=4, ttls=("30m",))
"""Models from gpt-5.6 on take breakpoints, which live for 30 minutes."""


def checked_caching(caching: Any, setting: str = "caching") -> Caching:
    """Return what requests say about caching; raises :class:`ProviderError` for an unknown value.

    Args:
        caching: The value.
        setting: The setting or variable that it comes from, for the error.
    """
    if caching not in _CACHINGS:
        message = f"{setting} must be one of {', '.join(_CACHINGS)}, not {caching!r}"
        raise ProviderError(message, field=setting, kind=FailureKind.REJECTED)
    found: Caching = caching
    return found


def cache_rules(caching: Caching) -> CacheRules:
    """How OpenAI caches what is sent with such fields."""
    return EXPLICIT if caching == "explicit" else AUTOMATIC


def chat_request(prompt: Prompt, rules: CacheRules, caching: Caching) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the fields that every server knows, and those for caching.

    Args:
        prompt: The prompt, with its breakpoints placed.
        rules: How the provider caches.
        caching: What is said about caching.
    """
    body: dict[str, Any] = {"messages": messages(prompt)}
    if prompt.tools:
        body["tools"] = [_tool(tool) for tool in sorted_tools(prompt.tools)]
    if caching == "server":
        return body, {}
    extra: dict[str, Any] = {"prompt_cache_key": cache_key(prompt)}
    if caching == "explicit":
        body["messages"] = messages(prompt, marks(prompt, rules))
        extra["prompt_cache_options"] = {"mode": "explicit", "ttl": rules.ttls[0]}
    return body, extra


def cache_key(prompt: Prompt) -> str:
    """A key that requests with the same tools and blocks share, so that they reach the same cache: a SHA-256 prefix."""
    stable = [msgspec.to_builtins(sorted_tools(prompt.tools)), [block.text for block in prompt.blocks]]
    return hashlib.sha256(canonical_json(stable).encode()).hexdigest()[:32]


def _tool(tool: Any) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool_schema(tool)}
    return {"type": "function", "function": function}
