"""Text that talks to the assistant instead of the customer: scanned when evidence is built, treated as data."""

from __future__ import annotations

import re

from parbake.guard.release import sentences

_TO_AN_AGENT = re.compile(
    r"\b(?:you (?:should|must|can only|have to|need to|may only|are not allowed)|the agent|as an? (?:\w+ )?(?:agent|assistant)"
    r"|tool calls?|the tool|tools can only|authenticate|transfer (?:the user|to a human)|be cautious|make sure to collect|remember to remind"
    r"|explicit user confirmation|the user needs? to confirm|check its status|deny any requests?|system prompt"
    r"|ignore (?:all |any )?(?:previous|prior|above)|your instructions|subjective recommendations)\b",
    re.IGNORECASE,
)


def speaks_to_agent(sentence: str) -> bool:
    """Whether a sentence instructs an agent rather than informs a customer."""
    return bool(_TO_AN_AGENT.search(sentence))


def strip_instructions(text: str) -> str:
    """The text without the sentences that instruct an agent."""
    return " ".join(s for s in sentences(text) if not speaks_to_agent(s))
