"""Shared by the engines that speak the OpenAI chat protocol: prompts out, deltas in."""

from __future__ import annotations

from typing import Any

from parbake.ports import Prompt, Usage


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as chat messages, the stable part first: rules, evidence, the conversation, and the question last."""
    head = prompt.system
    if prompt.evidence:
        head += "\n\nEvidence:\n" + "\n".join(f"- {text}" for text in prompt.evidence)
    turns = [{"role": role, "content": text} for role, text in prompt.turns]
    return [{"role": "system", "content": head}, *turns, {"role": "user", "content": prompt.question}]


def usage_of(reported: Any) -> Usage:
    """What an engine reported; what it left out stays ``None``."""
    if not reported:
        return Usage()
    details = reported.get("prompt_tokens_details") or {}
    return Usage(reported.get("prompt_tokens"), reported.get("completion_tokens"), details.get("cached_tokens"))
