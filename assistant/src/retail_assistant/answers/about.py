"""What a question is about: products or policies, which product, and which several ones it compares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from retail_assistant.answers.draft import Asked
from retail_assistant.answers.nearest import ASKING, NAMED, SOUGHT, WORD, Nearest, best, joined, typed
from retail_assistant.answers.policy.sections import Found
from retail_assistant.answers.subjects import marks, variants
from retail_assistant.faq.faq_words import content_words
from retail_assistant.knowledge.product_search import Near, Searched
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.understand.ask import Ask, Reading, Subject
from retail_assistant.understand.names.volumes import VOLUME_WORDS
from retail_assistant.understand.plain_words import number
from retail_assistant.understand.pointing import OF_THOSE
from retail_assistant.understand.said.concepts import OF_SERVICE, TROUBLES, concepts
from retail_assistant.understand.wishes import NO_WISHES

A_PART = 0.3
"""The share of a request's words from which it names a product: "put the board oil in my cart" has others."""
UNASKED = 0.3
"""The cosine from which products are shown, although no word asks for any."""
POINTED_AT, CALLED = 0.45, 0.55
"""How near a question is to a product that it points at or names, whatever else it says: "does it rust?"."""
_WORDS = 0.3
"""What all words together count beside the cosine, for products as for policies."""
ABOUT_GOODS, UNASKED_FOR, UNANSWERED = 0.06, -0.06, -0.3
"""By how much products must be nearer to a question than policies, so that it is about products; less where no policy
answers it, and less still where it points at a product as well."""
RULE = 1.0
"""The weight from which words ask for a rule."""
SURELY_POLICY = 0.8
"""The chance that a policy answers from which products are not looked at."""
CONCEPT, TROUBLE = 0.06, 0.2
"""How much nearer policies are for each concept of theirs that a question names, and for a trouble with an order."""
_OF_GOODS = ("", "facts", "offer", "list", "trending", "reviews", "compare", "promotion")
"""Kinds of questions after which one that points at something may ask for a fact of a product."""
GOODS, EACH = 1.4, 2.0
"""What a reading weighs that follows from this, and what being nearer adds."""
_ASKS_OF = re.compile(
    r"\b(?:is|are|was|does|do|did|can|could|will|would|should|has|have|how|what|where|when|which|who|if|and|for|of|with"
    r"|wants?)\b"
)
_THE = re.compile(r"\b(?:the|that|this|your|one)\s+(?=((?:[\w'-]{1,40}\s*){1,3}))")
"""Speaks of one thing: "is the bench foldable?"."""
_TOLD = frozenset({("reviews", ""), ("offer", "price"), ("offer", "total"), ("offer", "back")})
TOLD, COMPARED = 1.5, 3.2
"""From which weight on words tell which part of a product is asked for, and what a comparison of found ones weighs."""
OF_ORDER = 2.4
"""What a reading weighs of something that the shopper has ordered and calls theirs."""
_MINE = re.compile(
    r"\bmy\b|\bi (?:\w+ )?(?:sent|ordered|bought|returned|got|received|cancell?ed)\b|\bdid i (?:\w+ )?(?:order|buy)\b"
)
_QUESTION = re.compile(
    r"^(?:and |but |so |ok(?:ay)?,? )?(?:how|can|could|do|does|is|are|will|would|what|where|why|has)\b"
    r"|\b(?:is|are|does|has)n'?t (?:it|they)\W*$"
)
_PARCEL = re.compile(r"\b(?:my|the|our) (?:parcel|package|order|delivery)\b")
_OTHER = re.compile(r"\b(\w+) (?:and|or|vs|versus|than|with) ((?:[\w-]+ ){1,3})ones?\b")
"""Compares a thing with another of its kind: "the clay litter or the wooden one"."""
_PARTS = re.compile(r"\b(?:and|or|vs|versus|than|between|with)\b|[,?]")


class About:
    """Tells what questions are about."""

    def __init__(self, nearest: Nearest, shop: LiveShop) -> None:
        """Search with ``nearest``; read titles and orders in ``shop``."""
        self._nearest, self._shop = nearest, shop

    async def goods(self, asked: Asked, found: Found) -> tuple[Reading, Ask] | None:
        """How a question is read that is about products, by what products and policies say; ``None`` if it is not.

        Args:
            asked: The question.
            found: The policy sections for it.
        """
        ask = asked.ask
        if not (ask.leftover or ask.subjects or ask.corrects):  # no word says anything of a product
            return await self._going_on(asked, found)
        is_pointed = bool(ask.subjects) and all(s.source != "message" for s in ask.subjects)
        asks = _QUESTION.search(ask.text) or "?" in ask.said
        is_policy = not ask.subjects and (found.chance >= SURELY_POLICY or _of_the_shop(ask.text))
        is_open = any(s.source == "page" for s in ask.subjects) and not (asked.said.turns and found.is_answered)
        if ask.corrects or is_policy or (is_pointed and not is_open and asked.said.kind not in _OF_GOODS):
            return None
        if is_pointed and not asks:
            return await self._going_on(asked, found)
        searched = await self._nearest.search(typed(ask))
        strong = best(searched.near)
        if read := await self._of_orders_or_several(asked, strong):
            return read
        is_found = False
        if not ask.subjects and (subject := self._spoken_of(asked, strong)):
            ask, is_found = msgspec.structs.replace(ask, subjects=(subject,)), subject.source == "message"
        if ask.subjects:
            nearness = self._of_subjects(ask, searched)
        else:
            nearness = max((_likeness(one) for one in strong), default=0.0)
        slot = "stated" if nearness else "title"
        nearness = nearness or (CALLED if is_found else 0.0)
        named = concepts(ask.text)
        by = nearness - _of_policies(found, searched) - CONCEPT * len(named) - TROUBLE * bool(named & TROUBLES)
        least = _least(ask, nearness, has_concept=bool(named), is_pointed=is_pointed)
        is_asked = ask.subjects or ask.weight("list")
        is_far = not is_asked and bool(strong) and strong[0].cosine < UNASKED and strong[0].words < NAMED
        if is_far or by < (ABOUT_GOODS if found.is_answered else least):
            return await self._going_on(asked, found)
        weight = GOODS + EACH * max(0.0, by)
        if not ask.subjects:
            return Reading("list", "goods", weight), _carrying(asked) if joined(asked) else ask
        is_carried = ask.follows and ask.best.kind == asked.said.kind
        is_told = (ask.best.kind, ask.best.slot) in _TOLD and ask.best.weight >= TOLD and not is_carried
        if is_told:
            return Reading(ask.best.kind, ask.best.slot, weight), ask
        return Reading("compare" if len(ask.subjects) > 1 else "facts", slot, weight), ask

    async def _of_orders_or_several(self, asked: Asked, strong: Sequence[Near]) -> tuple[Reading, Ask] | None:
        """A question of something that the shopper ordered, or one that compares products by parts of their titles."""
        ask = asked.ask
        if mine := self._ordered(asked, strong):
            return Reading("orders", "where", OF_ORDER), msgspec.structs.replace(ask, subjects=(mine,))
        if not ask.weight("compare") or ask.subjects:
            return None
        if OF_THOSE.search(ask.text) and len(asked.said.shown) > 1:
            return Reading("compare", "", COMPARED), ask
        several = await self.compared(ask)
        ask = msgspec.structs.replace(ask, subjects=several)
        return (Reading("compare", "", COMPARED), ask) if len(several) > 1 else None

    async def _going_on(self, asked: Asked, found: Found) -> tuple[Reading, Ask] | None:
        """A question that by itself is about nothing, as one that adds to the search before it."""
        text = joined(asked)
        searched = await self._nearest.search(text) if text and not found.is_answered else None
        if searched is None or _of_policies(found, searched) > POINTED_AT:
            return None
        strong = best(searched.near)
        return (Reading("list", "goods", GOODS), _carrying(asked)) if strong else None

    async def named(self, ask: Ask) -> Subject | None:
        """The one product that a question names by most of its words, where no title stands in it."""
        near = (await self._nearest.search(typed(ask))).near if ask.leftover else ()
        there = [one for one in near if one.words >= A_PART and self._titles(ask.leftover, one.asin)]
        most = [one for one in there if one.words == there[0].words]
        return Subject("", "message", most[0].asin) if len(most) == 1 else None

    async def compared(self, ask: Ask) -> tuple[Subject, ...]:
        """The products that the parts of a comparison name: "the crystal litter or the tofu one"."""
        found: list[str] = []
        for part in _PARTS.split(_OTHER.sub(r"\1 and \2\1", typed(ask))):
            near = best((await self._nearest.search(part)).near) if content_words(part) - ASKING else []
            if near and near[0].words >= A_PART and self._titles([part], near[0].asin):
                found.append(near[0].asin)
        return tuple(Subject("", "message", asin) for asin in dict.fromkeys(found))

    def _meant(self, ask: Ask) -> list[Offer]:
        """What is sold under the titles and asins of a question."""
        lines = Conditions(titles=[s.name for s in ask.subjects if s.name], in_stock=False)
        asins = [s.asin for s in ask.subjects if s.asin]
        return [*self._shop.offers(asins), *(self._shop.find(lines) if lines.titles else ())]

    def sized(self, ask: Ask) -> Ask:
        """A question about the one variant of its product of which it says what no other has, as its size."""
        if len(ask.subjects) != 1 or ask.subjects[0].volume:
            return ask
        meant = [o for o in self._meant(ask) if not o.product.volume]
        also = variants(self._shop, meant[0]) if meant else ()  # of one title, all have the same maker and kind
        titles = {o.asin: marks(o.product.title) for o in (*meant, *also)}
        common = set[str].intersection(*titles.values()) if titles else set[str]()
        named = [asin for asin, title in titles.items() if (title - common) & marks(typed(ask))]
        return _of_one(ask, named[0]) if len(named) == 1 else ask

    def _of_subjects(self, ask: Ask, searched: Searched) -> float:
        """How near a question is to the product that it is about; 0 if it asks nothing more than its title."""
        meant, is_named = self._meant(ask), any(s.source == "message" for s in ask.subjects)
        titles = [*(s.name for s in ask.subjects), *(o.product.title for o in meant)] if is_named else ()
        more = [word for word in WORD.findall(ask.text) if number(word) is None and word not in VOLUME_WORDS]
        if content_words(" ".join(more)) - ASKING <= content_words(" ".join(titles)):
            return 0.0
        of_them = [one for one in searched.near if any(o.asin == one.asin for o in meant)]
        least = CALLED if is_named else POINTED_AT
        return max([least, *(max(least, one.cosine) + _WORDS * one.words for one in of_them)])

    def _ordered(self, asked: Asked, strong: Sequence[Near]) -> Subject | None:
        """The product of the shopper's own orders that a question speaks of: "the gloves I sent back"."""
        is_rule = asked.ask.weight("policy") >= RULE
        if not asked.is_known or is_rule or not _MINE.search(asked.ask.text) or asked.ask.weight("action"):
            return None
        asins = {line.asin for order in self._shop.shoppers.orders(asked.shopper) for line in order.lines}
        mine = self._shop.ever_sold([one.asin for one in strong if one.asin in asins][:1])
        return Subject(mine[0].line, "message") if mine else None

    def _spoken_of(self, asked: Asked, strong: Sequence[Near]) -> Subject | None:
        """The one product of which a question asks something, by its title or as the one that was spoken of."""
        text, said = asked.ask.text, asked.said
        wishes = msgspec.structs.replace(asked.ask.wishes, themes=frozenset(), no_themes=frozenset())
        if SOUGHT.search(text) or wishes != NO_WISHES:
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
        phrases = (found[1] for found in _THE.finditer(text)) if _ASKS_OF.search(text) else ()
        spoken = set().union(*map(content_words, phrases))
        shared = {
            o: len(content_words(o.product.title) & spoken) for o in self._shop.offers(one.asin for one in strong)
        }
        most = [o for o, count in shared.items() if count == max(shared.values()) > 0]
        return most[0].asin if len(most) == 1 else ""


def _least(ask: Ask, nearness: float, *, has_concept: bool, is_pointed: bool) -> float:
    """How much nearer than policies products must be where no policy answers: least if a question points at one."""
    sources = {"focus"} if has_concept else {"focus", "page", "shown"}
    if nearness > 0 and any(s.source in sources for s in ask.subjects):
        return UNANSWERED
    return 0.0 if is_pointed else ABOUT_GOODS if ask.subjects else UNASKED_FOR


def _of_the_shop(text: str) -> bool:
    """Whether a text speaks of a parcel, or of what only a shop's service has, and looks for no product."""
    return _PARCEL.search(text) is not None or not concepts(text).isdisjoint(OF_SERVICE | {"contact"})


def _of_one(ask: Ask, asin: str) -> Ask:
    """A question about one of the products that its title has."""
    return msgspec.structs.replace(ask, subjects=(msgspec.structs.replace(ask.subjects[0], name="", asin=asin),))


def _carrying(asked: Asked) -> Ask:
    """A search that goes on, with the wishes of the one before."""
    return msgspec.structs.replace(asked.ask, wishes=asked.said.wishes.then(asked.ask.wishes))


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
