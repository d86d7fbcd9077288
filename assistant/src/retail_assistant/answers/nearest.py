"""Which products are what the words of a question speak of, and whether it is about products at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

import parbake as pb
from retail_assistant.answers.draft import Asked
from retail_assistant.answers.policy.sections import Found
from retail_assistant.faq.faq_words import content_words
from retail_assistant.knowledge.product_search import Near, Searched, Sought, product_search
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.understand.ask import Ask, Reading, Subject
from retail_assistant.understand.names.volumes import VOLUME_WORDS
from retail_assistant.understand.plain_words import bare, number, plain
from retail_assistant.understand.said.concepts import concepts
from retail_assistant.understand.wishes import NO_WISHES, Wishes, words_of

A_PART = 0.3
"""The share of a request's words from which it names a product: "put the board oil in my cart" has others."""
BOUND, UNASKED, NAMED = 0.24, 0.35, 0.5
"""The cosine from which a product is near enough to be shown, also if no word asks for products, and the share of the
words that does instead."""
ENOUGH, A_FEW = 20, 3
"""How many products that keep the wishes must be among the nearest of all, and how many are shown at least."""
BESIDE, FAR_BESIDE = 0.2, 0.3
"""How much less than the best product another one may score to be shown beside it; more if none has the words."""
POINTED_AT, CALLED = 0.45, 0.55
"""How near a question is to a product that it points at or names, whatever else it says: "does it rust?"."""
_HAS = 0.9
_WORDS = 0.3
"""What all words together count beside the cosine, for products as for policies."""
ABOUT_GOODS, UNANSWERED = 0.06, -0.3
"""By how much products must be nearer to a question than policies, so that it is about products; less where it points
at a product and no policy answers it."""
SURELY_POLICY = 0.8
"""The chance that a policy answers from which products are not looked at."""
CONCEPT = 0.06
"""How much nearer policies are for each concept of theirs that a question names."""
_OF_GOODS = ("", "facts", "offer", "list", "trending", "reviews", "compare", "promotion")
"""Kinds of questions after which one that points at something may ask for a fact of a product."""
GOODS, EACH = 1.4, 2.0
"""What a reading weighs that follows from this, and what being nearer adds."""
_CORRECTED = 10
"""By how many characters a message may be longer than its one question, after what is corrected in it."""
_WORD = re.compile(r"[^\W\d_]{3,}")
_ASKING = content_words(
    "sell sold stock carry offer buy order look looking search searching find show recommend suggest something "
    "anything someone anyone somewhere thing things stuff product products item items one ones maybe really good "
    "nice best cheap cheaper cheapest expensive price new hello thanks sorry love use used"
)
"""Words with which products are asked for, and which say nothing of them."""
_THE = re.compile(
    r"\b(?:is|are|was|does|do|did|can|could|will|would|should|has|have|how|what|where|when|which|who|if|and|for|of|with|wants?)"
    r"\b.{0,40}?\b(?:the|that|this|your|one)\s+((?:[\w'-]+\s*){1,3})"
)
"""Asks something of one thing: "is the bench foldable?"."""
OF_ORDER = 2.4
"""What a reading weighs of something that the shopper has ordered and calls theirs."""
_MINE = re.compile(r"\bmy\b|\bi (?:\w+ )?(?:sent|ordered|bought|returned|got|received|cancell?ed)\b")
_QUESTION = re.compile(
    r"^(?:and |but |so |ok(?:ay)?,? )?(?:how|can|could|do|does|is|are|will|would|what|where|why|has)\b"
)
_SOUGHT = re.compile(
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
        words = said(asked.ask, wishes)
        if not words or not found:
            return Fitting(found)
        is_of_words = any((r.kind, r.slot) == ("list", "words") for r in asked.ask.readings)  # and nothing else
        having = {} if is_of_words else {theme: self._shop.with_words([theme]) for theme in wishes.themes}
        if having:
            exact = [offer for offer in found if all(offer.asin in asins for asins in having.values())]
            if exact or (len(having) < 3 and any(having.values())):  # noqa: PLR2004  # of two, one may be wanted
                return Fitting(exact)
        by_asin = {offer.asin: offer for offer in found}
        text = typed(asked.ask) or " ".join(words)
        searched = await self.search(text)
        near = [one for one in searched.near if one.asin in by_asin]
        if len(near) < ENOUGH:  # most of what comes nearest keeps the wishes not
            near = list((await self.search(text, frozenset(by_asin))).near)
        strong = best(near)
        if wishes.sort and strong:  # in another order than by nearness, so only what has the words
            most = max(one.words for one in strong)
            strong = [one for one in strong if one.words >= _HAS * most]
        lacking = tuple(w for w in words if w in searched.unknown or not (w in searched.rarity or self._has(w)))
        if not strong:
            return Fitting([] if having else found, lacking=lacking if wishes.are_stated else ())
        return Fitting([by_asin[one.asin] for one in strong], "batch", lacking, strong[0].words >= NAMED)

    def _has(self, word: str) -> bool:
        return bool(self._shop.words.one(word))

    async def search(self, text: str, among: frozenset[str] | None = None) -> Searched:
        """The products that come nearest to a text and to its content words."""
        text = bare(text)  # as policies are looked up, so that it is embedded once
        words = frozenset(word for word in _WORD.findall(text.lower()) if content_words(word) - _ASKING)
        found: Searched = (await self._app.serve(product_search, text=text, sought=Sought(words, among))).unwrap()
        return found

    async def goods(self, asked: Asked, found: Found) -> tuple[Reading, Ask] | None:
        """How a question is read that is about products, by what products and policies say; ``None`` if it is not.

        Args:
            asked: The question.
            found: The policy sections for it.
        """
        ask = asked.ask
        is_pointed = bool(ask.subjects) and all(s.source != "message" for s in ask.subjects)
        asks = _QUESTION.search(ask.text) or "?" in ask.said
        is_policy = found.chance >= SURELY_POLICY and not ask.subjects
        if ask.corrects or is_policy or (is_pointed and (asked.said.kind not in _OF_GOODS or not asks)):
            return None
        searched = await self.search(typed(ask))
        strong = best(searched.near)
        if mine := self._ordered(asked, strong):
            return Reading("orders", "where", OF_ORDER), msgspec.structs.replace(ask, subjects=(mine,))
        is_found = False
        if not ask.subjects and (subject := self._spoken_of(asked, strong)):
            ask, is_found = msgspec.structs.replace(ask, subjects=(subject,)), subject.source == "message"
        if ask.subjects:
            nearness = self._of_subjects(ask, searched)
        else:
            nearness = max((_likeness(one) for one in strong), default=0.0)
        slot = "stated" if nearness else "title"
        nearness = nearness or (CALLED if is_found else 0.0)
        by = nearness - _of_policies(found, searched) - CONCEPT * len(concepts(ask.text))
        goes_on = nearness > 0 and any(s.source == "focus" for s in ask.subjects)
        if by < (UNANSWERED if goes_on and not found.is_answered else ABOUT_GOODS):
            return None
        if not ask.subjects and not ask.weight("list") and strong[0].cosine < UNASKED and strong[0].words < NAMED:
            return None
        weight = GOODS + EACH * max(0.0, by)
        return Reading("facts", slot, weight) if ask.subjects else Reading("list", "goods", weight), ask

    async def named(self, ask: Ask) -> Subject | None:
        """The one product that a question names by most of its words, where no title stands in it."""
        near = (await self.search(typed(ask))).near if ask.leftover else ()
        there = [one for one in near if one.words >= A_PART and self._titles(ask.leftover, one.asin)]
        most = [one for one in there if one.words == there[0].words]
        return Subject("", "message", most[0].asin) if len(most) == 1 else None

    def with_unwanted(self, wishes: Wishes) -> set[str]:
        """The products that have a theme which is not wanted; a text may also say that it has not: "without poison"."""
        found = {asin for word in wishes.no_themes for asin in self._shop.with_words([word])}
        return {o.asin for o in self._shop.offers(found) if not _denies(o.product.description, wishes.no_themes)}

    def _of_subjects(self, ask: Ask, searched: Searched) -> float:
        """How near a question is to the product that it is about; 0 if it asks nothing more than its title."""
        asins = [s.asin for s in ask.subjects if s.asin]
        lines = Conditions(titles=[s.name for s in ask.subjects if s.name], in_stock=False)
        meant = [*self._shop.offers(asins), *(self._shop.find(lines) if lines.titles else ())]
        named = content_words(" ".join([*(s.name for s in ask.subjects), *(o.product.title for o in meant)]))
        more = [word for word in _WORD.findall(ask.text) if number(word) is None and word not in VOLUME_WORDS]
        if content_words(" ".join(more)) - _ASKING <= named:
            return 0.0
        of_them = [one for one in searched.near if any(o.asin == one.asin for o in meant)]
        least = CALLED if any(s.source == "message" for s in ask.subjects) else POINTED_AT
        return max([least, *(max(least, one.cosine) + _WORDS * one.words for one in of_them)])

    def _ordered(self, asked: Asked, strong: Sequence[Near]) -> Subject | None:
        """The product of the shopper's own orders that a question speaks of: "the gloves I sent back"."""
        if not asked.is_known or not _MINE.search(asked.ask.text) or asked.ask.weight("action"):
            return None
        asins = {line.asin for order in self._shop.shoppers.orders(asked.shopper) for line in order.lines}
        return next((Subject("", "message", one.asin) for one in strong if one.asin in asins), None)

    def _spoken_of(self, asked: Asked, strong: Sequence[Near]) -> Subject | None:
        """The one product of which a question asks something, by its title or as the one that was spoken of."""
        text, said = asked.ask.text, asked.said
        wishes = msgspec.structs.replace(asked.ask.wishes, themes=frozenset(), no_themes=frozenset())
        if _SOUGHT.search(text) or wishes != NO_WISHES:
            return None
        if asin := self._titled(text, strong):
            return Subject("", "message", asin)
        is_other = bool(strong) and strong[0].words >= NAMED
        goes_on = (
            asked.ask.follows and said.kind in _OF_GOODS and said.focus and not is_other and _QUESTION.search(text)
        )
        return Subject("", "focus", said.focus) if goes_on else None

    def _titles(self, words: Sequence[str], asin: str) -> bool:
        """Whether a product's title has two of some words, or the only one."""
        product = self._shop.product(asin)
        titled = content_words(product.title) if product else set[str]()
        return len(titled & content_words(" ".join(words))) >= min(2, len(words))

    def _titled(self, text: str, strong: Sequence[Near]) -> str:
        """The one product whose title has most of the words with which a text speaks of one thing; empty if several."""
        spoken = set().union(*(content_words(found[1]) for found in _THE.finditer(text)))
        titles = {o.asin: content_words(o.product.title) for o in self._shop.offers(one.asin for one in strong)}
        shared = {asin: len(titled & spoken) for asin, titled in titles.items() if titled & spoken}
        most = [asin for asin, count in shared.items() if count == max(shared.values())]
        return most[0] if len(most) == 1 else ""


def typed(ask: Ask) -> str:
    """A question as it was typed, where the message asks nothing else: a word that looks misspelled may be rare."""
    return plain(ask.said) if ask.said and len(ask.said) <= len(ask.text) + _CORRECTED else ask.text


def said(ask: Ask, wishes: Wishes) -> tuple[str, ...]:
    """The content words of a question that say something of a product: its themes, and then the others."""
    unwanted = words_of(wishes.no_themes)
    return tuple(dict.fromkeys(w for w in (*sorted(wishes.theme_words), *ask.hints) if w not in unwanted))


def best(near: Sequence[Near]) -> list[Near]:
    """Some products, best first, if the best one is near enough: at least a few, and all that are nearly as near."""
    if not near or (near[0].cosine < BOUND and near[0].words < NAMED):
        return []
    least = near[0].score - (BESIDE if near[0].words >= NAMED else FAR_BESIDE)
    return [one for n, one in enumerate(near) if n < A_FEW or one.score >= least]


def _likeness(near: Near) -> float:
    """How near a question is to a product, as it is compared with policies."""
    return near.cosine + _WORDS * near.words


def _of_policies(found: Found, searched: Searched) -> float:
    """How near the policies are to what was searched for."""
    stems = {word: content_words(word) for word in searched.rarity}
    nearness = 0.0
    for one in found.ranked:
        there = _stems(f"{one.block.title} {one.block.plain}")
        share = searched.share([word for word, stem in stems.items() if stem <= there])
        nearness = max(nearness, one.signs.nearness + _WORDS * share)
    return nearness


@lru_cache(1_024)  # a policy's text is public, and rarely changes
def _stems(text: str) -> frozenset[str]:
    return frozenset(content_words(text))


def _denies(text: str, words: frozenset[str]) -> bool:
    """Whether a text says of each of some words that the product has it not."""
    stems = "|".join(re.escape(word.removesuffix("s")) for word in words)
    before = rf"\b(?:no|not|without|free (?:of|from)|never|zero)\s+(?:\w+\s+){{0,2}}(?:{stems})"
    denied = re.findall(rf"{before}|\b(?:{stems})\w{{0,3}}[- ]free\b", text, re.IGNORECASE)
    return 0 < len(re.findall(rf"\b(?:{stems})", text, re.IGNORECASE)) <= len(denied)
