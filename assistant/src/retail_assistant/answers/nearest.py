"""Which products are what the words of a question speak of."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

import parbake as pb
from retail_assistant.answers.draft import Asked
from retail_assistant.faq.faq_words import content_words
from retail_assistant.knowledge.product_search import Near, Searched, Sought, product_search
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Offer
from retail_assistant.understand.ask import Ask
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.plain_words import bare, plain
from retail_assistant.understand.wishes import Wishes, words_of

BOUND, NAMED = 0.24, 0.5
"""The cosine from which a product is near enough to be shown, and the share of the words that does instead."""
ENOUGH, A_FEW, MANY = 20, 3, 5
"""How many products that keep the wishes must be among the nearest of all, how many are shown at least, and how many
must have the same words to be shown without the others."""
BESIDE, FAR_BESIDE = 0.2, 0.3
"""How much less than the best product another one may score to be shown beside it; more if none has the words."""
_HAS = 0.9
_CORRECTED = 10
"""By how many characters a message may be longer than its one question, after what is corrected in it."""
LONGEST = 300
"""How much of what was looked for is looked for again."""
WORD = re.compile(r"[^\W\d_]{3,}")
ASKING = content_words(
    "sell sold stock carry offer buy order look looking search searching find show recommend suggest something "
    "anything someone anyone somewhere thing things stuff product products item items one ones maybe really good "
    "nice best cheap cheaper cheapest expensive price new hello thanks sorry love use used "
    "fit based past history orders bought purchase purchases"
)
"""Words with which products are asked for, and which say nothing of them."""
SOUGHT = re.compile(
    r"\b(?:something|anything|some|any|which of|(?:do|have|did) you (?:have|got|sell|stock|carry)"
    r"|(?:looking|searching) for|i (?:need|want)|i'd like|show me)\b"
)
"""Looks for products, rather than asking something of one."""


class Fitting(msgspec.Struct, frozen=True):
    """Products that fit.

    Args:
        offers: The products.
        lane: Which lane their order comes from; empty if nothing orders them yet.
        lacking: The words of the question that no product has, so that these are only the closest ones.
        is_sure: Whether the best one surely is what was asked for.
    """

    offers: Sequence[Offer]
    lane: str = ""
    lacking: tuple[str, ...] = ()
    is_sure: bool = True


class Nearest:
    """Looks products up by what is said of them."""

    def __init__(self, app: pb.App, shop: LiveShop) -> None:
        """Search with ``app``; read in ``shop`` which products have a word."""
        self._app, self._shop = app, shop

    async def fitting(self, asked: Asked, wishes: Wishes, found: Sequence[Offer]) -> Fitting:
        """Narrow products to those that have the themes, or else to those that come nearest to the words.

        Words that say little of a product narrow nothing.
        """
        words, text = said(asked.ask, wishes), joined(asked)
        if not (words or text) or not found:
            return Fitting(found)
        is_of_words = any((r.kind, r.slot) == ("list", "words") for r in asked.ask.readings)  # and nothing else
        having = {} if is_of_words else {theme: self._shop.with_words([theme]) for theme in wishes.themes}
        if having:
            exact = [offer for offer in found if all(offer.asin in asins for asins in having.values())]
            if exact or (len(having) == 2 and all(having.values())):  # noqa: PLR2004  # of two, one may be wanted
                return Fitting(exact)
        by_asin = {offer.asin: offer for offer in found}
        text = text or typed(asked.ask) or " ".join(words)
        searched = await self.search(text)
        near = [one for one in searched.near if one.asin in by_asin]
        if len(near) < ENOUGH:  # most of what comes nearest keeps the wishes not
            near = list((await self.search(text, frozenset(by_asin))).near)
        strong = as_worded(best(near))
        has_some = any(one.words for one in strong)
        lacking = () if has_some else _lacking(asked.ask, searched)
        if not strong:
            return Fitting([] if having else found, lacking=lacking if wishes.are_stated else ())
        return Fitting([by_asin[one.asin] for one in strong], "batch", lacking, strong[0].words >= NAMED)

    async def search(self, text: str, among: frozenset[str] | None = None) -> Searched:
        """The products that come nearest to a text and to its content words."""
        text = bare(text)  # as policies are looked up, so that it is embedded once
        words = frozenset(word for word in WORD.findall(text.lower()) if content_words(word) - ASKING)
        found: Searched = (await self._app.serve(product_search, text=text, sought=Sought(words, among))).unwrap()
        return found

    def with_unwanted(self, wishes: Wishes) -> set[str]:
        """The products that have a theme which is not wanted; a text may also say that it has not: "without poison"."""
        found = {asin for word in wishes.no_themes for asin in self._shop.with_words([word])}
        return {o.asin for o in self._shop.offers(found) if not _denies(o.product.description, wishes.no_themes)}


def typed(ask: Ask) -> str:
    """A question as it was typed, where the message asks nothing else: a word that looks misspelled may be rare."""
    return plain(ask.said) if ask.said and len(ask.said) <= len(ask.text) + _CORRECTED else ask.text


def said(ask: Ask, wishes: Wishes) -> tuple[str, ...]:
    """The content words of a question that say something of a product: its themes, and then the others."""
    unwanted = words_of(wishes.no_themes)
    words = dict.fromkeys((*sorted(wishes.theme_words), *ask.hints))
    return tuple(word for word in words if word not in unwanted and content_words(word) - ASKING)


def best(near: Sequence[Near]) -> list[Near]:
    """Some products, best first, if the best one is near enough: at least a few, and all that are nearly as near."""
    if not near or (near[0].cosine < BOUND and near[0].words < NAMED):
        return []
    least = near[0].score - (BESIDE if near[0].words >= NAMED else FAR_BESIDE)
    return [one for n, one in enumerate(near) if n < A_FEW or one.score >= least]


def as_worded(strong: list[Near]) -> list[Near]:
    """Those of some products that have as many of the words as the best one, where many have: a theme of the shop."""
    having = [one for one in strong if one.words >= _HAS * strong[0].words]
    return having if len(having) >= MANY else strong


def joined(asked: Asked) -> str:
    """What was looked for before together with what a question adds to it; empty if it looks for something else."""
    return going_on(asked.said, asked.ask)


def going_on(before: Dialogue, ask: Ask) -> str:
    """The words of a search that goes on from the one before: "has to go in the washing machine though"."""
    is_narrowed = ask.slot("list") == "refine"
    is_new = not is_narrowed and (SOUGHT.search(ask.text) is not None or not ask.leftover)
    if before.kind != "list" or not before.question or is_new or any(s.source == "message" for s in ask.subjects):
        return ""
    wishes, old = ask.wishes, before.wishes
    is_stated = is_narrowed and (wishes.formats, wishes.most_cents) != (old.formats, old.most_cents)
    adds = ask.leftover and not is_stated  # beside a format or a price other words say little
    return f"{typed(ask)}, {before.question}"[:LONGEST] if adds else before.question


def _lacking(ask: Ask, searched: Searched) -> tuple[str, ...]:
    """The words of a question, as typed, that no product has: those that say something, or look misspelled."""
    told = set(ask.hints)
    known = content_words(ask.text)
    of_question = [word for word in dict.fromkeys(WORD.findall(typed(ask).lower())) if word in searched.unknown]
    return tuple(word for word in of_question if word in told or not content_words(word) <= known)


def _denies(text: str, words: frozenset[str]) -> bool:
    """Whether a text says of each of some words that the product has it not."""
    stems = "|".join(re.escape(word.removesuffix("s")) for word in words)
    before = rf"\b(?:no|not|without|free (?:of|from)|never|zero)\s+(?:\w+\s+){{0,2}}(?:{stems})"
    denied = re.findall(rf"{before}|\b(?:{stems})\w{{0,3}}[- ]free\b", text, re.IGNORECASE)
    return 0 < len(re.findall(rf"\b(?:{stems})", text, re.IGNORECASE)) <= len(denied)
