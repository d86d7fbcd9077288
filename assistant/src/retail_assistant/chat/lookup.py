"""Looks a question up in the policies, together with what was said before where that decides."""

from __future__ import annotations

import re

import msgspec

from retail_assistant.answers.policy.policy_answers import PolicyAnswers
from retail_assistant.answers.policy.sections import Found, going_on
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.faq.earlier_turns import Conversation
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import bare, plain
from retail_assistant.understand.said.concepts import concepts
from retail_assistant.understand.said.places import place
from retail_assistant.understand.said.troubles import is_trouble, states
from retail_assistant.understand.said.two_rules import OF_RETURN, POINTS

_SPENDS = re.compile(
    r"\b(?:use|spend|redeem|pay with|apply|cash in|do with|get for|good for)"
    r" (?:them|it|those|these|that|my points|points)\b"
)
_POINTS_AT = re.compile(r"\b(?:it|they|them|those|that|these)\b")
_REFERS = re.compile(r"\b(?:it|its|they|them|their|those|these|that|hers?|his|him|theirs|there|again|same)\b")
"""Points at what was said before, unless that stands in the same question: "keep a book before I send it back"."""
_ANTECEDENT = re.compile(r"\b(?:an?|my|our)\s+\w{3,30}\b.{0,100}\b(?:it|them|that|those)\b")
_SEVERAL = re.compile(r"\b(?:they|them|those|these|points|earn|collect)\b")
_OF_DELIVERY = frozenset({"delivery", "express", "standard_time", "customs", "cost", "where_we_deliver", "tracking"})
"""Concepts that depend on where a parcel goes."""
_ADDS = re.compile(r"^(?:and|but|or|so|then|ok(?:ay)?|what about|how about)\b")
QUESTIONS = re.compile(r"\?|\b(?:how|what|when|where|which|who|why|can|could|do|does|is|are|did|will|would|tell me)\b")
_HOW = re.compile(r"^(?:and |but |so |ok(?:ay)?,? )*(?:within )?(?:how|when)\b")


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
        is_placed = bool(turn.earlier_questions) and (together or conversation(turn).has_place)
        if (said.section and said.kind == "policy" and not stands_alone) or (is_placed and not ask.stands_alone):
            return await self._following(turn, text, ask, said)
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

    async def of_trouble(self, ask: Ask, said: Dialogue) -> Found | None:
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
        if stated is None:
            return None
        alone = await self._policies.find(bare(ask.text))
        if self._names_another(bare(ask.text), ask, alone, said.section):
            return None
        return msgspec.structs.replace(found if stated else found.doubted(), goes_on=True)

    async def _following(self, turn: Turn, text: str, ask: Ask, said: Dialogue) -> Found:
        """The sections for a question that goes on from one about a policy: often another section than that."""
        is_apart = ask.corrects or not (turn.earlier_questions or ask.follows)
        where = "" if is_apart else self._where(turn, ask, text)
        alone = await self._policies.find(f"{text}{where}")
        before = self._before(turn, said)
        is_told = not QUESTIONS.search(before)
        if is_apart or (not (is_told or where) and self._names_another(text, ask, alone, said.section)):
            return alone
        joined = await self._policies.find(f"{text}{where}, {bare(before)}")
        if is_told:  # what the shopper has told belongs to the question
            return going_on(text, joined, alone, said.section)
        return going_on(text, alone, joined, said.section, is_whole=not ask.follows)

    def _names_another(self, text: str, ask: Ask, alone: Found, told: str) -> bool:
        """Whether a question points at nothing, and names another policy than the one that was quoted by its title."""
        points = _REFERS.search(said := plain(ask.spelled)) and not _ANTECEDENT.search(said)
        if not alone.ranked or points or _ADDS.match(text):
            return False
        named = [one for one in concepts(ask.text) if self._policies.is_about(alone.ranked[0].name, one)]
        return bool(named) and not any(self._policies.is_about(told, one) for one in named)

    def _before(self, turn: Turn, said: Dialogue) -> str:
        """The last message that names something, and so not mere thanks."""
        earlier = [plain(text) for text in turn.earlier_questions[-2:]] or [said.question]
        return next((text for text in reversed(earlier) if concepts(text) or place(text)), earlier[-1])

    def _where(self, turn: Turn, ask: Ask, text: str) -> str:
        """The place that was named last, for a question of what depends on where a parcel goes."""
        named = concepts(ask.text)
        if place(text) or not named or not named <= _OF_DELIVERY:
            return ""
        places = (found for before in reversed(turn.earlier_questions) if (found := place(plain(before))))
        return next((f", to {found[0]}" for found in places), "")
