"""Checks before a reply is sent: typed slots filled at release, and claims checked against evidence, per sentence."""

from parbake.guard.claims import Claim, claims, expected_kind, states, ungrounded
from parbake.guard.courtesy import is_courtesy
from parbake.guard.grounding import Unsupported, unsupported
from parbake.guard.injection import is_for_agents, speaks_to_agent, strip_instructions
from parbake.guard.release import release, sentences
from parbake.guard.slots import Slot, UnfilledSlot, fill, slots
from parbake.guard.topics import content_words, shares_topic

__all__ = [
    "Claim",
    "Slot",
    "UnfilledSlot",
    "Unsupported",
    "claims",
    "content_words",
    "expected_kind",
    "fill",
    "is_courtesy",
    "is_for_agents",
    "release",
    "sentences",
    "shares_topic",
    "slots",
    "speaks_to_agent",
    "states",
    "strip_instructions",
    "ungrounded",
    "unsupported",
]
