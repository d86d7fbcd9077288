"""How does a prompt stay cached? Blocks in order of volatility, breakpoints, and what a provider should hold."""

from parbake.ports.prompts import Block, Breakpoint, Exchange, Prompt, Tool, ToolCall, ordered
from parbake.prompt.watching.given_replies import GivenReplies
from parbake.prompt.writing.lint import Hazard, LintFinding, lint
from parbake.prompt.writing.placement import CacheRules, placed
from parbake.prompt.writing.render import (
    canonical_json,
    parts,
    prefix_text,
    question_text,
    sorted_tools,
    windowed,
    with_outdated,
    without_outdated,
)

__all__ = [
    "Block",
    "Breakpoint",
    "CacheRules",
    "Exchange",
    "GivenReplies",
    "Hazard",
    "LintFinding",
    "Prompt",
    "Tool",
    "ToolCall",
    "canonical_json",
    "lint",
    "ordered",
    "parts",
    "placed",
    "prefix_text",
    "question_text",
    "sorted_tools",
    "windowed",
    "with_outdated",
    "without_outdated",
]
