"""Checks before a reply is sent: typed slots filled at release, and claims checked against evidence, per sentence."""

from parbake_semantic.guard.claims import Claim, claims, expected_kind, states, ungrounded
from parbake_semantic.guard.courtesy import is_courtesy
from parbake_semantic.guard.grounding import Unsupported, unsupported
from parbake_semantic.guard.injection import is_for_agents, speaks_to_agent, strip_instructions
from parbake_semantic.guard.release import release, sentences
from parbake_semantic.guard.slots import Slot, UnfilledSlot, fill, slots
from parbake_semantic.guard.statements import numbers_in, reader
from parbake_semantic.guard.topics import content_words, shares_topic

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
    "numbers_in",
    "reader",
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
