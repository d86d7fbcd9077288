"""Text that addresses the assistant instead of the customer: detected when evidence is built, and never quoted.

There are two cases: a page written for agents, on which "you" is the agent, and a single planted sentence in a page for
customers.
"""

from __future__ import annotations

import re

from parbake_semantic.guard.release import sentences

_TO_AN_AGENT = re.compile(
    r"\b(?:the agent|as an? (?:\w+ )?(?:agent|assistant)|tool calls?|use the tool"
    r"|transfer (?:the user|to a human)|explicit user confirmation|the user needs? to confirm|authenticat\w+ the user"
    r"|the user id|subjective recommendations|remember to remind|be cautious|system prompt"
    r"|ignore (?:all |any )?(?:previous|prior|above)|your instructions|in the database|action can only be called"
    r"|collected into a list|one user per conversation|help (?:the )?users?|users? identity"
    r"|the users? (?:needs?|can|has|should|must))\b",
    re.IGNORECASE,
)
_YOU = re.compile(r"\b(?:you(?:r|rs)?|users?|agents?|tools?)\b", re.IGNORECASE)
"""Words that on a page for agents show that a sentence speaks to an agent, or of the customer."""
_AGENT_PAGE = 3


def is_for_agents(page: str) -> bool:
    """Whether a whole page instructs an agent, so that "you" in it is the agent and not the customer."""
    return len(_TO_AN_AGENT.findall(page)) >= _AGENT_PAGE


def speaks_to_agent(sentence: str, *, on_agent_page: bool = False) -> bool:
    """Whether a sentence instructs an agent rather than informs a customer."""
    return bool(_TO_AN_AGENT.search(sentence) or (on_agent_page and _YOU.search(sentence)))


def strip_instructions(text: str, *, on_agent_page: bool = False) -> str:
    """The text without the sentences that instruct an agent."""
    kept = (s for s in sentences(text) if not speaks_to_agent(s, on_agent_page=on_agent_page))
    return " ".join(kept)
