"""Decides what kind of question is answered, from the words of a question and the chance that a policy answers it."""

from __future__ import annotations

import math
import re

import parbake as pb
from retail_assistant.answers.policy.sections import Found
from retail_assistant.chat.intent import Intent
from retail_assistant.understand.ask import Ask, Kind, Reading
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.words import plain

POLICY_ALONE, POLICY_CUE = 2.3, 0.4
"""What a sure section weighs, and what each cue of a policy adds."""
SURE = 2.6
"""The weight from which a reading is taken without a look at the policies."""
FOLLOWED = 0.5
"""What a question about a policy adds to the one that follows it."""
OWN = frozenset({"cart", "orders", "points"})
NOT_SIGNED_IN = 1.2
_VAGUE = re.compile(r"\b(?:it|this|that|them|th(?:is|at) one)\b|\bproblem with my\b")
UNHEARD_STOPS = 1.6
"""Up to which weight a reading gives way to the word that no policy states what is asked."""
LEAST = 0.9
"""The least weight of a reading that is acted upon."""
HEAD_SURE = 0.55
_OF_HEAD: dict[str, Kind] = {
    "faq": "policy", "recommendation": "list", "product_search": "list", "price_stock": "offer",
    "promotion": "promotion", "order_status": "orders", "reviews": "reviews", "trending": "trending",
    "smalltalk": "social", "out_of_scope": "off_topic",
}  # fmt: skip


def is_sure(ask: Ask, *, is_known: bool) -> bool:
    """Whether the words alone decide, so that no policy needs to be looked at.

    What only a signed-in shopper is told is never sure for others: a policy may say it in general.
    """
    may_be_told = is_known or not _is_own(ask.best)
    return ask.best.weight >= SURE and ask.weight("policy") < 1.0 and may_be_told


def _is_own(reading: Reading) -> bool:
    """Whether a reading is only for a signed-in shopper; of a return the policies say how it is started."""
    return reading.kind in OWN or (reading.kind, reading.slot) == ("action", "return")


def decide(ask: Ask, found: Found, head: Intent | None, said: Dialogue, *, is_known: bool) -> Reading:
    """Return the reading that is acted upon, by what the words say and what the policies answer."""
    if _is_vague(ask, said) and found.chance < HEAD_SURE:
        return Reading("unclear", "alone", 0.0)
    policy = Reading(
        "policy",
        "",
        _policy_weight(ask, found)
        + (FOLLOWED if said.kind == "policy" and ask.follows and not ask.stands_alone else 0.0),
    )
    others = [_less_of_own(r, found, is_known=is_known) for r in ask.readings if r.kind != "policy"]
    if found.goes_on and max((r.weight for r in others), default=0.0) < SURE:
        return policy
    ranked = sorted([policy, *others], key=lambda r: -r.weight)
    best = ranked[0]
    if ask.off_topic and best.weight < SURE and not (found.is_answered and found.chance > HEAD_SURE):
        return Reading("off_topic", "", SURE)
    if found.is_unheard and best.weight < UNHEARD_STOPS:
        return policy
    if best.weight >= LEAST:
        return best
    if head is not None and head.probability >= HEAD_SURE:
        return Reading(_OF_HEAD.get(head.name, "policy"), "", head.probability)
    if len(ask.text.split()) <= 2 and not found.is_answered:  # noqa: PLR2004  # a word or two say little
        return Reading("unclear", "hinted" if others else "alone", 0.0)
    return policy


def _policy_weight(ask: Ask, found: Found) -> float:
    cue = POLICY_CUE * min(1.0, ask.weight("policy"))
    if not found.is_answered:
        return 0.7 * found.chance + cue
    return POLICY_ALONE * math.sqrt(found.chance) + cue


def _less_of_own(reading: Reading, found: Found, *, is_known: bool) -> Reading:
    """What only a signed-in shopper is told counts less for others, if a policy answers."""
    if is_known or not _is_own(reading) or not found.is_answered:
        return reading
    return Reading(reading.kind, reading.slot, reading.weight - NOT_SIGNED_IN)


def _is_vague(ask: Ask, said: Dialogue) -> bool:
    """Whether a first message points at something that nothing names; until when is asked of what a policy limits."""
    points = _VAGUE.search(plain(ask.said)) is not None
    if ask.weight("policy") > 0 and pb.guard.expected_kind(ask.text) == "duration":
        return False
    return points and not said.turns and not ask.subjects and len(ask.leftover) <= 1 and ask.best.weight < LEAST
