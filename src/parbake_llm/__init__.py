"""How is a model asked, and how does its prompt stay cached? Generators, prompts, prefixes and provider batches."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from parbake_llm.ports.generator import Delta, Generator
from parbake_llm.ports.prompts import Block, Breakpoint, Exchange, Prompt, Tool, ToolCall, ordered
from parbake_llm.prefix import prefix
from parbake_llm.watching.given_replies import GivenReplies
from parbake_llm.writing.lint import Hazard, LintFinding, lint
from parbake_llm.writing.placement import CacheRules, placed
from parbake_llm.writing.render import (
    canonical_json,
    parts,
    prefix_text,
    question_text,
    sorted_tools,
    windowed,
    with_outdated,
    without_outdated,
)

if TYPE_CHECKING:
    from parbake_llm.batch.provider_batch import ProviderBatch
    from parbake_llm.prompts_plugin import PromptDesk, Prompts

# Imported when they are first named: writing a prompt needs none of them.
_LAZY = {
    "PromptDesk": "parbake_llm.prompts_plugin",
    "Prompts": "parbake_llm.prompts_plugin",
    "ProviderBatch": "parbake_llm.batch.provider_batch",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'parbake_llm' has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_LAZY[name]), name)
    return found


__all__ = [
    "Block", "Breakpoint", "CacheRules", "Delta", "Exchange", "Generator", "GivenReplies", "Hazard", "LintFinding",
    "Prompt", "PromptDesk", "Prompts", "ProviderBatch", "Tool", "ToolCall", "canonical_json", "lint", "ordered",
    "parts", "placed", "prefix", "prefix_text", "question_text", "sorted_tools", "windowed", "with_outdated",
    "without_outdated",
]  # fmt: skip
