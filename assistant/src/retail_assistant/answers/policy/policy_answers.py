"""Answers from the shop's policies: one section whole, or the word that they do not state it."""

from __future__ import annotations

import re

import parbake as pb
import parbake_semantic.guard
from retail_assistant.answers.draft import Asked, Draft
from retail_assistant.answers.phrases import SUPPORT
from retail_assistant.answers.policy.gate import judged, policy_sections
from retail_assistant.answers.policy.ranking import Desk
from retail_assistant.answers.policy.sections import Found, Gate, section_name
from retail_assistant.knowledge.blocks import Block
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.knowledge.retrieval import retrieval
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.model.generation import response_generation, texts
from retail_assistant.model.prompting import Prompts, Talk
from retail_assistant.understand.said.concepts import OWN_DEADLINES, concepts
from retail_assistant.understand.said.troubles import is_trouble

NOTHING_STATED = "Our policies do not state"
NOT_STATED = f"{NOTHING_STATED} that; please ask {SUPPORT}."
ALL_STATED = f"{NOTHING_STATED} more about that than this"
CLOSE, CLOSE_AFTER, FAR = 0.36, 0.28, 0.1
"""The nearness from which a section is quoted although it may not answer, the same after another section was quoted,
and the nearness below which none is named."""
SURELY_AGAIN = 0.32
"""The chance from which the section that was just quoted is quoted again as all that is asked for."""
_PERMITS = re.compile(
    r"^(?:so |and |but |ok,? )?(?:can|may|could|am i|is (?:it|that|this))\b"
    r"|\b(?:can|may|could) (?:i|we|it)\b|\bstill\b|\btoo late\b",
    re.IGNORECASE,
)
_ELAPSED = re.compile(
    r"\b(?:after|ago|later|past|passed|since|old|(?:had|have|owned) (?:it|them|this|that|these))\b", re.IGNORECASE
)
_OWN_FAULT = re.compile(
    r"\b(?:my (?:own )?(?:fault|mistake|error)|by (?:mistake|accident)|accidentally"
    r"|i (?:ordered|bought|chose|picked|clicked)(?: on)? the wrong)\b",
    re.IGNORECASE,
)
_SHOPS_FAULT = re.compile(
    r"\b(?:we sent|you received something else|our (?:own )?(?:fault|mistake|error))\b", re.IGNORECASE
)
"""A rule for what the shop did wrong, which is none for what the shopper did."""
_FOR_SEGMENTS = frozenset({"express"})
"""Concepts of which some shoppers have another rule than others."""
_REACHES_US = frozenset({"contact", "phone"})
_OF_OTHERS = re.compile(r"\b(?:customers?|buyers?|person|people|who|author|writer|publisher|courier|carrier)\b")
_MORE_IS_ASKED = re.compile(
    r"\b(?:only|just|creas\w*|mark\w*|lost|lose|missing|torn|stain\w*|without|scratch\w*|written|wrote|promised?|said)\b",
    re.IGNORECASE,
)
"""Says something on which the answer depends as well."""


class PolicyAnswers:
    """Looks up policy sections."""

    def __init__(self, app: pb.App, shop: LiveShop, prompts: Prompts | None = None) -> None:
        """Keep what is asked; with ``prompts`` the generator words the one section that answers."""
        self._app, self._shop, self._prompts = app, shop, prompts
        self._plain = Desk(None)

    async def find(self, text: str) -> Found:
        """The sections for a question."""
        try:
            found: Found = (await self._app.serve(policy_sections, text=text)).unwrap()
        except pb.NotMaterialized:  # no bank or gate, or only ones past their time
            found = await self._untrained(text)
        if _OWN_FAULT.search(text):
            for name in [one.name for one in found.ranked if _SHOPS_FAULT.search(one.block.plain)]:
                found = found.without(name)
        return found

    async def section(self, name: str) -> Found:
        """One section by its name, as a sure answer; nothing if there is no such section any more."""
        policy = self._shop.rules.policy(name.partition("#")[0])
        title = next((s.title for s in policy.sections if f"{policy.id}#{s.id}" == name), "") if policy else ""
        found = await self.find(title) if title else Found()
        return found.only(name)

    def is_about(self, name: str, concept: str) -> bool:
        """Whether a section's policy is about a concept, by its title."""
        policy = self._shop.rules.policy(name.partition("#")[0])
        return policy is not None and concept in concepts(policy.title.lower())

    async def _untrained(self, text: str) -> Found:
        """The sections without the log's wordings and a trained gate.

        Without the wordings the scores lie close together. A section that states a time or an amount is therefore not
        preferred to a better one: it would often state that of another thing.
        """
        try:
            hits = (await self._app.serve(retrieval, text=text)).unwrap()
            vector = (await self._app.serve(query_embedding, text=text)).unwrap()
        except pb.NotMaterialized:
            return Found()
        return judged(text, self._plain.rank(text, vector, hits), Gate())

    def _closest(self, found: Found, told: str) -> Draft:
        """Say that nothing states what is asked; quote the closest section, unless it is far or was just told."""
        best, nearness = found.ranked[0].block, found.ranked[0].signs.nearness
        nearest = self._titled(best)
        if nearness >= (CLOSE_AFTER if told else CLOSE):
            if section_name(best) == told:
                return self._told_again(found)
            draft = self._quoting(found, best)
            draft.text = f"{NOTHING_STATED} exactly that. The closest that I find is {nearest}: {draft.text}"
            return draft
        if nearness < FAR and not is_trouble(best.title):
            return Draft(NOT_STATED)
        said = f"{NOTHING_STATED} that. The nearest that they have is the section {nearest}; {SUPPORT} can tell "
        return Draft(f"{said}you more.", section=section_name(best) if is_trouble(best.title) else "")

    def _told_again(self, found: Found) -> Draft:
        """Quote a section again of which more is asked than it states, and the closest one beside it."""
        said, sources, section = f"{ALL_STATED}:", list[str](), ""
        for n, one in enumerate(found.ranked[:2]):
            if n and not found.rivals and one.signs.nearness < CLOSE_AFTER:
                break
            said += (
                f" The closest beside it is {self._titled(one.block)}: {one.block.text}" if n else f" {one.block.text}"
            )
            sources.append(one.block.source)
            section = one.name
        return Draft(said, sources=tuple(sources), section=section)

    def _titled(self, block: Block) -> str:
        """A section by its title and that of its policy."""
        policy = self._shop.rules.policy(block.source.partition("/")[2])
        return f"\u201c{block.title}\u201d" + (f" ({policy.title})" if policy else "")

    def may_differ(self, shopper: str, text: str) -> bool:
        """Whether a shopper's segment may have a rule of its own for what a question is about."""
        if not concepts(text) & _FOR_SEGMENTS:
            return False
        segment = self._shop.shoppers.segment(shopper)
        return any(_names(segment, s.text) for policy in self._shop.rules.policies() for s in policy.sections)

    def _of_segment(self, asked: Asked, found: Found) -> Block | None:
        """The section that has a rule of the shopper's own segment for what is asked, if the best one has none."""
        segment = self._shop.shoppers.segment(asked.shopper) if asked.is_known else ""
        first = found.ranked[0].block.plain
        about = concepts(asked.ask.text) & concepts(first.lower()) & _FOR_SEGMENTS
        if not about or _names(segment, first):
            return None
        each = (one.block for one in found.ranked)
        return next((b for b in each if _names(segment, b.plain) and about <= concepts(b.plain.lower())), None)

    async def answer(self, asked: Asked, found: Found) -> Draft:
        """Quote the best section, or say that nothing states it and which section is nearest."""
        if not found.ranked:
            return Draft(NOT_STATED)
        best = found.ranked[0].block
        if not found.is_answered:
            text = asked.ask.text.lower()
            if self._shop.trade.contact and concepts(text) & _REACHES_US and not _OF_OTHERS.search(text):
                return Draft(f"{ALL_STATED}: you can reach {SUPPORT}.")
            return self._closest(found, asked.said.section)
        goes_on = section_name(best) == asked.said.section
        begins = verdict(asked.ask.text, fill_slots(best.text, self._shop), goes_on=goes_on and asked.ask.follows)
        if goes_on and not begins and found.chance < SURELY_AGAIN:
            return self._told_again(found)
        if (own := self._of_segment(asked, found)) is not None:
            best = own
        draft = self._quoting(found, best)
        if self._prompts is not None and asked.alone:
            talk = Talk(asked.shopper, asked.page, asked.history, asked.session)
            prompt = await self._prompts.wording(talk, asked.ask.said, [fill_slots(best.text, self._shop)])
            served = await self._app.serve(response_generation, prompt=prompt)
            draft.text, draft.stream = "", texts(served.unwrap())
        else:
            draft.text = f"{begins}{draft.text}"
        return draft

    def _quoting(self, found: Found, best: Block) -> Draft:
        """Quote a section, and the second one beside it where that may be the one that is meant as well."""
        others = [one.block for one in found.ranked[1:2] if found.rivals and one.block.id != best.id]
        text = " ".join([best.text, *(f"{self._titled(other)} says: {other.text}" for other in others)])
        sources = tuple(dict.fromkeys(one.source for one in (best, *others)))
        told = tuple(one.text for one in (best, *others))
        return Draft(text, sources=sources, told=told, section=section_name(best))


def _names(segment: str, text: str) -> bool:
    """Whether a text names a segment of shoppers in capitals, such as "VIP"; "new" and "regular" are words as well."""
    return bool(segment) and re.search(rf"\b{re.escape(segment.upper())}s?\b", text) is not None


def verdict(question: str, section: str, *, goes_on: bool = False) -> str:
    """Words that begin a yes or no, where only a time that has passed decides it, and the section has one limit.

    The section must be about everything that the question names: whoever has read a book asks for opened ones. A
    question that goes on from that section need only name a time: "and after 40 days?".
    """
    is_asked = goes_on or (_PERMITS.search(question) and _ELAPSED.search(question))
    if not is_asked or _MORE_IS_ASKED.search(question):
        return ""
    if concepts(question) & OWN_DEADLINES - concepts(section.lower()):
        return ""
    asked = {c.value for c in parbake_semantic.guard.claims(question) if c.kind == "duration"}
    limits = re.findall(
        r"\b(?:within|up to|until|for)\s+(\d+[^.,;]{0,20}?(?:hours?|days?|weeks?|months?|years?))\b", section
    )
    stated = {c.value for limit in limits for c in parbake_semantic.guard.claims(limit) if c.kind == "duration"}
    if len(asked) != 1 or len(stated) != 1:
        return ""
    fits = float(next(iter(asked))) <= float(next(iter(stated)))
    if re.search(r"\btoo late\b", question):
        return "No, that is in time: " if fits else "Yes, that is too late: "
    return "Yes, that is in time: " if fits else "No, that is too late: "
