"""Looks a question up in the policies, together with what was said before where that decides."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

import parbake_semantic.guard
from retail_assistant.answers.policy.policy_answers import PolicyAnswers
from retail_assistant.answers.policy.sections import Found, going_on
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.faq.earlier_turns import Conversation
from retail_assistant.faq.faq_words import content_words
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import bare, plain
from retail_assistant.understand.said.concepts import concepts
from retail_assistant.understand.said.places import nowhere, place
from retail_assistant.understand.said.troubles import is_trouble, states
from retail_assistant.understand.said.two_rules import OF_RETURN, POINTS

TURNS_JOINED = 2
CORRECTED, CLEAR = 0.7, 0.6
"""How much a correction counts by itself, and the chance from which it asks for the same section again."""
HARDLY = 0.45
"""The chance up to which another policy is taken for one that a question goes on from."""
WISHED = 1.0
"""The weight from which words ask for products."""
ALIKE, TOLD_BEFORE, PLACED_BEFORE = 0.5, 0.3, 0.1
"""How much a question that goes on counts by itself beside the one before: less after the shopper has told something,
and least after a place, which decides nearly everything about a delivery."""
_SPENDS = re.compile(
    r"\b(?:use|spend|redeem|pay with|apply|cash in|do with|get for|good for)"
    r" (?:them|it|those|these|that|my points|points)\b"
)
_POINTS_AT = re.compile(r"\b(?:it|they|them|those|that|these)\b")
_REFERS = re.compile(r"\b(?:it|its|they|them|their|those|these|that|hers?|his|him|theirs|there|again|same)\b")
"""Points at what was said before, unless that stands in the same question: "keep a book before I send it back"."""
_ANTECEDENT = re.compile(r"\b(?:an?|my|our)\s+\w{3,30}\b.{0,100}\b(?:it|them|that|those)\b")
_SEVERAL = re.compile(r"\b(?:they|them|those|these|points|earn|collect)\b")
_OF_DELIVERY = frozenset(
    {"delivery", "express", "standard_time", "customs", "return", "label", "cost", "where_we_deliver", "tracking"}
)
"""Concepts that depend on where a parcel goes."""
_PLACES = frozenset({"abroad", "in_europe", "beyond_europe"})
_CONFIRMS = re.compile(r"^(?:so|then|ok(?:ay)?,? so)\b.{0,16}\b(?:no|yes|not|possible)\W*$")
_TIME = re.compile(r"\b(?:years?|months?|weeks?|days?|hours?|ago|yesterday|today)\b")
_HOW = re.compile(r"^(?:and |but |so |ok(?:ay)?,? )*(?:within )?(?:how|when)\b")
_ASKS = re.compile(r"\?|^\s*(?:how|what|when|where|which|who|why|can|could|do|does|is|are|tell me)\b", re.IGNORECASE)


def conversation(turn: Turn) -> Conversation:
    """The earlier turns, as far as they can change what a policy answers."""
    return Conversation(tuple(turn.earlier_questions), turn.page is not None)


class Lookup:
    """Finds policy sections."""

    def __init__(self, policies: PolicyAnswers, understanding: Understanding) -> None:
        """Keep what is asked."""
        self._policies, self._understanding = policies, understanding

    async def sections(self, turn: Turn, ask: Ask, said: Dialogue, *, together: bool = False) -> Found:
        """The sections for a question.

        Args:
            turn: The turn that it is of.
            ask: The question.
            said: The conversation before it.
            together: Whether the turns before it say what it is about.
        """
        text = bare(ask.text)
        if self._is_of_points(text, ask, said):
            spent = _SPENDS.sub("spend my points", text)
            return await self._policies.find(spent if spent != text else f"{POINTS}, {text}")
        if said.slot in OF_RETURN and said.kind in ("orders", "action") and ask.follows and not ask.stands_alone:
            act = OF_RETURN[said.slot]
            if _HOW.match(text) and not ask.leftover:  # "and how do I do it?"
                return await self._policies.find(f"how {act}")
            return await self._policies.find(f"{text}, {act}")
        stands_alone = ask.stands_alone and (turn.is_known or ask.best.kind != "orders")
        if said.section and said.kind == "policy" and not stands_alone:
            return await self._following(turn, text, ask, said)
        if (together or conversation(turn).has_place) and not ask.stands_alone:
            text = ", ".join([text, *self._told(turn)])
        found = await self._policies.find(text)
        vocabulary = await self._understanding.vocabulary()
        asked, stated = ask.wishes.formats, vocabulary.formats(found.ranked[0].block.plain if found.ranked else "")
        # A section about some formats says nothing of another one.
        return found.doubted() if stated and not asked <= stated else found

    def may_differ(self, turn: Turn, ask: Ask) -> bool:
        """Whether the shopper's segment may have a rule of its own for what is asked."""
        return turn.is_known and self._policies.may_differ(turn.shopper, ask.text)

    def _is_of_points(self, text: str, ask: Ask, said: Dialogue) -> bool:
        """Whether a question goes on from the points, or from a section about them."""
        is_named = any(s.source == "message" for s in ask.subjects)
        is_several = _SEVERAL.search(text) is not None and not is_named
        if said.kind == "points":
            return ask.follows or is_several or (_POINTS_AT.search(text) is not None and not is_named)
        is_of = POINTS in said.question or self._policies.is_about(said.section, "points")
        return said.kind == "policy" and is_several and is_of

    async def of_trouble(self, turn: Turn, ask: Ask, said: Dialogue) -> Found | None:
        """The section of the trouble from which a question goes on, doubted if it does not state what is asked.

        ``None`` if no trouble was spoken of, or if the question says by itself what it is about.
        """
        if not said.section or said.kind != "policy" or ask.stands_alone:
            return None
        if any(s.source == "message" for s in ask.subjects):
            return None
        found = await self._policies.section(said.section)
        text = found.text(said.section)
        stated = states(ask.text, text) if text and is_trouble(found.ranked[0].block.title) else None
        if stated is None or self._is_new(turn, ask, await self._policies.find(bare(ask.text)), text):
            return None
        return msgspec.structs.replace(found if stated else found.doubted(), goes_on=True)

    def _is_new(self, turn: Turn, ask: Ask, alone: Found, told: str) -> bool:
        """Whether a question after one about a policy is answered by itself: it is whole, or names what is new.

        ``told`` is the section that was quoted. What the shopper has told counts for every question, and a place that
        was asked about counts for what is sent there.
        """
        said = plain(ask.spelled)
        if ask.corrects or not alone.is_answered or (_REFERS.search(said) and not _ANTECEDENT.search(said)):
            return False
        named = concepts(ask.text)
        is_sent = bool(named) and named <= _OF_DELIVERY - {"return"}
        for before in turn.earlier_questions:
            is_told = not _ASKS.search(before)
            if (place(plain(before)) and (is_told or is_sent)) or (is_told and concepts(plain(before))):
                return False
        return not ask.follows or bool(named - _PLACES - concepts(told.lower()))

    def _before(self, turn: Turn, ask: Ask, text: str, alone: Found, said: Dialogue) -> str:
        """What a question goes on from: the one before it, with the place that counts; a whole one from its place."""
        if place(text):
            return nowhere(said.question)
        places = (found for before in reversed(turn.earlier_questions) if (found := place(plain(before))))
        where = next(places, None) if concepts(text) & _OF_DELIVERY or _HOW.search(text) else None
        if where and alone.is_answered and not _REFERS.search(plain(ask.spelled)):
            return f"to {where[0]}"
        return f"{said.question}, to {where[0]}" if where and not place(said.question) else said.question

    def _told(self, turn: Turn) -> list[str]:
        """What the shopper has told in the last turns; a question about something else tells nothing."""
        return [
            bare(said)
            for said in turn.earlier_questions[-TURNS_JOINED:]
            if not _ASKS.search(said) or place(plain(said))
        ]

    async def _following(self, turn: Turn, text: str, ask: Ask, said: Dialogue) -> Found:
        """The sections for a question that goes on from one about a policy: often another section than that."""
        confirms = _CONFIRMS.match(text) is not None  # "so that's a no?"
        kind = None if ask.leftover else parbake_semantic.guard.expected_kind(text)
        if confirms or kind:
            same = await self._policies.find(said.question)
            if same.has(said.section) and (
                confirms or (kind and parbake_semantic.guard.states(kind, same.text(said.section)))
            ):
                return same.only(said.section)
        if self._policies.is_about(said.section, "return"):  # the way back
            text = text.replace("delivery cost", "return cost")
        alone = await self._policies.find(text)
        joined = await self._policies.find(f"{text}, {self._before(turn, ask, text, alone, said)}")
        if self._is_new(turn, ask, alone, joined.text(said.section)):
            return alone
        by_itself = CORRECTED if ask.corrects else _by_itself(text, self._told(turn))
        if ask.corrects and not (alone.is_first(said.section) and alone.chance >= CLEAR):
            alone, joined = alone.without(said.section), joined.without(said.section)
        named = concepts(text)
        is_place = bool(named) and named <= _PLACES and parbake_semantic.guard.expected_kind(text) is None
        asked = said.question if is_place else text  # "and to Canada?" asks what was asked before
        found = going_on(asked, alone, joined, said.section, by_itself=by_itself)
        if 0 < found.chance < HARDLY and (stays := found.of_policy(said.section)).ranked:
            found = stays
        if found.is_first(said.section) and _is_of_another(ask, text, found):
            return found.doubted()
        return found.stating(text) if _HOW.search(text) else found


def _by_itself(text: str, told: Sequence[str]) -> float:
    """How much a question that goes on counts by itself; ``told`` is what the shopper has told before it."""
    named = concepts(text)
    is_about_place = bool(named) and named <= _PLACES  # "and abroad?"
    depends = not named or not named.isdisjoint(_OF_DELIVERY)
    if is_about_place or (depends and any(map(place, told)) and not place(text)):
        return PLACED_BEFORE
    return TOLD_BEFORE if told else ALIKE


def _is_of_another(ask: Ask, text: str, found: Found) -> bool:
    """Whether a question has nothing in common with the section that was quoted before, and so asks something else."""
    asked = content_words(text)
    stated = content_words(f"{found.ranked[0].block.title} {found.ranked[0].block.plain}")
    if not asked or parbake_semantic.guard.claims(text) or not asked.isdisjoint(stated):
        return False
    return ask.weight("list") >= WISHED or (len(asked) > 1 and not _TIME.search(text))
