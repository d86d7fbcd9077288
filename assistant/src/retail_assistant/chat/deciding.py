"""Decides what kind of question is answered, from the words of a question and the chance that a policy answers it."""

from __future__ import annotations

import math
import re

import parbake_semantic.guard
from retail_assistant.answers.about import GOODS
from retail_assistant.answers.policy.sections import Found
from retail_assistant.answers.which_order import named_number
from retail_assistant.chat.intent import Intent
from retail_assistant.understand.ask import Ask, Kind, Reading
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import plain
from retail_assistant.understand.said.concepts import OF_SERVICE, SELDOM_STATED, concepts
from retail_assistant.understand.said.two_rules import OF_RETURN

POLICY_ALONE, POLICY_CUE = 2.3, 0.4
"""What a sure section weighs, and what each cue of a policy adds."""
SURE = 2.6
"""The weight from which a reading is taken without a look at the policies."""
FOLLOWED = 1.0
"""What a question about a policy adds to the one that follows it."""
FEW = 10
"""Up to how many words a message may be too vague to be answered."""
STATED = 0.45
"""The chance from which a policy answers what points at nothing: "how do I stop it?"."""
OWN = frozenset({"cart", "orders", "points"})
NOT_SIGNED_IN = 1.2
_SAYS_LITTLE = frozenset({"out_of_scope", "smalltalk"})
"""What the head takes short questions for that go on from a policy."""
_OWN_RULED = frozenset({"orders", "points"})
"""Of what the policies have rules, too, which are what a visitor means who is not signed in."""
_VAGUE = re.compile(r"\b(?:it|this|that|them|th(?:is|at) one)\b|\bproblem with my\b")
_ASKS = re.compile(r"^(?:how|what|when|where|which|who|can|do|does|is|are|will)\b|\?")
_HAVE = re.compile(r"\b(?:have(?! to)|got|sell|stock|carry)\b")
_SOMETHING = re.compile(r"\b(?:some|any)thing\b")
"""Asks for a thing, whatever is said of it."""
UNHEARD_STOPS = 1.6
"""Up to which weight a reading gives way to the word that no policy states what is asked."""
LEAST = 0.9
"""The least weight of a reading that is acted upon."""
UNSAID, CONTINUED = 2.0, 0.16
"""Up to which weight a list without a wish gives way to what was spoken of, and from which chance a policy was."""
GOODS_LESS = 2.0
"""How much less a policy weighs for what a reading of products gains by being nearer."""
HEAD_SURE = 0.55
HEAD_CERTAIN, OF_HINTS = 0.9, 1.8
"""The probability from which the head overrules a list that words only hint at, up to that weight."""
_OF_HEAD: dict[str, Kind] = {
    "faq": "policy", "recommendation": "list", "product_search": "list", "price_stock": "offer",
    "promotion": "promotion", "order_status": "orders", "reviews": "reviews", "trending": "trending",
    "smalltalk": "social", "out_of_scope": "off_topic",
}  # fmt: skip


def is_sure(ask: Ask, *, is_known: bool) -> bool:
    """Whether the words alone decide, so that no policy needs to be looked at.

    What only a signed-in shopper is told is never sure for others: a policy may say it in general.
    """
    if ask.best.weight < SURE or ask.weight("policy") >= 1.0 or (_is_own(ask.best) and not is_known):
        return False
    return concepts(ask.text).isdisjoint(SELDOM_STATED)


def _is_own(reading: Reading) -> bool:
    """Whether a reading is only for a signed-in shopper; of a return the policies say how it is started."""
    return reading.kind in OWN or (reading.kind, reading.slot) == ("action", "return")


def decide(
    ask: Ask, found: Found, head: Intent | None, said: Dialogue, *, is_known: bool, goods: Reading | None = None
) -> Reading:
    """Return the reading that is acted upon.

    Args:
        ask: The question, with what its words say.
        found: What the policies answer.
        head: What the trained head takes it for.
        said: What was said before.
        is_known: Whether the shopper is signed in.
        goods: How it is read if it is nearer to products than to policies.
    """
    if _is_vague(ask, said) and found.chance < STATED and not found.is_unheard and not goods:
        return Reading("unclear", "alone", 0.0)
    policy = Reading(
        "policy",
        "",
        _policy_weight(ask, found)
        - (GOODS_LESS * (goods.weight - GOODS) if goods else 0.0)
        + (FOLLOWED if _follows(ask, said) else 0.0),
    )
    less = NOT_SIGNED_IN + (FOLLOWED if said.kind == "policy" else 0.0)
    is_own = is_known or named_number(ask.text) is not None  # whoever names an order asks of no other one
    others = [_less_of_own(r, found, less=0.0 if is_own else less) for r in ask.readings if r.kind != "policy"]
    others += [goods] if goods else []
    if found.goes_on and max((r.weight for r in others), default=0.0) < SURE:
        return policy
    ranked = sorted([policy, *others], key=lambda r: -r.weight)
    best = ranked[0]
    if best is not goods and _says_nothing(best, ask) and (reading := _of_context(ask, policy, found, said, goods)):
        return reading
    if ask.off_topic and best.weight < SURE and not (found.is_answered and found.chance > HEAD_SURE):
        return Reading("off_topic", "", SURE)
    if found.is_unheard and best is not goods and best.weight < _least_sure(ask, best):
        return policy
    if _is_overruled(best, head, is_known=is_known):
        return policy
    if best.weight >= LEAST:
        return best
    says_little = head is not None and (head.name in _SAYS_LITTLE or (ask.follows and not ask.leftover))
    goes_on = (said.kind == "policy" or said.slot in OF_RETURN) and says_little
    if head is not None and head.probability >= HEAD_SURE and not goes_on:
        return Reading(_OF_HEAD.get(head.name, "policy"), "", head.probability)
    if len(ask.text.split()) <= 2 and not found.is_answered:  # noqa: PLR2004  # a word or two say little
        return Reading("unclear", "hinted" if others else "alone", 0.0)
    return policy


def _says_nothing(best: Reading, ask: Ask) -> bool:
    """Whether the strongest reading is a list of which nothing is said: "anything", "just the one book"."""
    return best.kind == "list" and best.weight < UNSAID and best.slot in ("", "goods") and not ask.wishes.are_stated


def _of_context(ask: Ask, policy: Reading, found: Found, said: Dialogue, goods: Reading | None) -> Reading | None:
    """What is asked of, where the words name nothing: the product in view, or the policy that was quoted."""
    if goods is not None and goods.kind == "facts":
        return goods
    near = found.ranked[0] if found.ranked else None
    goes_on = _ASKS.search(ask.text) or (ask.follows and not _SOMETHING.search(ask.text))
    if said.kind == "policy" and said.section and near is not None and goes_on and not _HAVE.search(ask.text):
        return policy if found.chance >= CONTINUED else None
    return None


def needs_head(ask: Ask, found: Found, *, is_known: bool) -> bool:
    """Whether the words decide so little that the head is asked as well."""
    best = ask.best
    if best.weight < 1.0 and not found.is_answered:
        return True
    return (best.kind == "list" and best.weight <= OF_HINTS) or (best.kind in _OWN_RULED and not is_known)


def _is_overruled(best: Reading, head: Intent | None, *, is_known: bool) -> bool:
    """Whether the head surely takes for a question of the policies what words only hint to be another one."""
    if head is None or head.name != "faq" or head.probability < HEAD_CERTAIN:
        return False
    return (best.kind == "list" and best.weight <= OF_HINTS) or (best.kind in _OWN_RULED and not is_known)


def _policy_weight(ask: Ask, found: Found) -> float:
    cue = POLICY_CUE * min(1.0, ask.weight("policy"))
    if not found.is_answered:
        return 0.7 * found.chance + cue
    return POLICY_ALONE * math.sqrt(found.chance) + cue


def _less_of_own(reading: Reading, found: Found, *, less: float) -> Reading:
    """What only a signed-in shopper is told counts less for others, if a policy answers."""
    if not less or not _is_own(reading) or not found.is_answered:
        return reading
    return Reading(reading.kind, reading.slot, reading.weight - less)


def _least_sure(ask: Ask, best: Reading) -> float:
    """The weight from which a reading stands, although something is asked that no policy states.

    "This weekend" is also said of a book to read; "gift wrap" is not.
    """
    if best.kind == "points" or concepts(ask.text) & OF_SERVICE:
        return SURE + 0.2
    names_wish = best.kind == "list" and bool(ask.wishes.genres or ask.wishes.authors or _SOMETHING.search(ask.text))
    return 0.0 if names_wish else UNHEARD_STOPS


def _follows(ask: Ask, said: Dialogue) -> bool:
    """Whether a question goes on from one about a policy, and does not ask whether something is sold."""
    return said.kind == "policy" and ask.follows and not (ask.stands_alone or _HAVE.search(ask.text))


def _is_vague(ask: Ask, said: Dialogue) -> bool:
    """Whether a first message points at something that nothing names; until when is asked of what a policy limits."""
    points = _VAGUE.search(plain(ask.said)) is not None and len(ask.said.split()) <= FEW
    if ask.weight("policy") > 0 and parbake_semantic.guard.expected_kind(ask.text) == "duration":
        return False
    return points and not said.turns and not ask.subjects and len(ask.leftover) <= 1 and ask.best.weight < LEAST
