"""What is on offer now: for a title, a genre, or the shopper."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft
from retail_assistant.answers.phrases import AN_ITEM, day, price, title
from retail_assistant.answers.subjects import Subjects
from retail_assistant.knowledge.knowledge_tasks import Offer as Promotion
from retail_assistant.knowledge.knowledge_tasks import promotions_for
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Offer
from retail_assistant.understand.wishes import NO_WISHES

SHOWN = 4
_PERCENT = re.compile(r"\b(\d{1,2}) ?(?:%|percent)")
_UNKNOWN = re.compile(
    r"\b((?:student|senior|teacher|school|librar(?:y|ie)|military|employee|staff|bundle|referral|newsletter|birthday"
    r"|bulk|family|pensioner|nurse|club|group)(?=s?\b)|[23]-for-[12]|(?:two|three) for (?:one|two)"
    r"|buy one get one|bogo|black friday)s?\b"
)
_FOR = {"newcomer": "new", "new customer": "new", "first-time": "new", "regular": "regular", "vip": "vip"}


class Promotions:
    """Answers questions about discounts."""

    def __init__(self, app: pb.App, shop: LiveShop, subjects: Subjects) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._subjects = app, shop, subjects

    async def answer(self, asked: Asked) -> Draft:
        """The promotions that run now for what is asked."""
        ask, slot = asked.ask, asked.ask.slot("promotion")
        if slot == "code":
            return Draft("Our pages do not state any code; the offers that run now need none.", wishes=ask.wishes)
        if slot == "later":
            draft = await self._all(asked)
            return Draft(f"Our pages do not state what will be reduced later. {draft.text}", lane=draft.lane)
        if slot == "combine":
            said = f"Offers are not added up: of several that fit {AN_ITEM}, the highest counts."
            return Draft(said, wishes=ask.wishes)
        if found := _UNKNOWN.search(ask.text):
            draft = await self._all(asked)
            return Draft(f"Our pages do not mention a {found[1]} discount or offer. {draft.text}", lane=draft.lane)
        offer = self._subjects.first(ask)
        genres = sorted(ask.wishes.genres)
        is_named = any(s.source in ("message", "shown") for s in ask.subjects) or slot == "price"
        if slot == "best" and not (is_named or genres):
            return await self._all(asked)
        if offer is not None and (is_named or not genres):
            return await self._of_product(asked, offer)
        if not genres and asked.said.kind == "promotion" and ask.follows:
            genres = sorted(asked.said.wishes.genres)
        if not genres:
            return await self._all(asked)
        drafts = [await self._of_genre(asked, genre) for genre in genres]
        wishes = msgspec.structs.replace(NO_WISHES, genres=frozenset(genres))
        return Draft(" ".join(d.text for d in drafts), lane=drafts[0].lane, wishes=wishes)

    async def best(self, asked: Asked, offer: Offer) -> Promotion | None:
        """The highest promotion that now runs for the shopper on a product."""
        running, _ = await self._served(offer.product.genre, self._shop.shoppers.segment(asked.shopper))
        return running[0] if running else None

    async def _running(self, asked: Asked, genre: str) -> tuple[list[Promotion], str]:
        """The promotions of a genre for the segment that a question names, or else for the shopper's own."""
        named = next((s for said, s in _FOR.items() if said in asked.ask.text), None)
        return await self._served(genre, named or self._shop.shoppers.segment(asked.shopper))

    async def _served(self, genre: str, segment: str) -> tuple[list[Promotion], str]:
        served = await self._app.serve(promotions_for, f"{genre}|{segment}")
        return list(served.value or ()), served.lane

    async def _of_product(self, asked: Asked, offer: Offer) -> Draft:
        running, lane = await self._running(asked, offer.product.genre)
        sources, asins = (f"product/{offer.asin}",), (offer.asin,)
        if not running:
            text = f"There is no promotion on {title(offer)} right now; it costs {price(offer)}."
            return Draft(text, sources=sources,
                         asins=asins, lane=lane)  # fmt: skip
        best = running[0]
        text = (
            f"Yes, {title(offer)} is reduced: {_name(best)} takes {_percent(best)} off {price(offer)}, which makes "
            f"{{{{reduced:{offer.asin}|{best.percent}}}}}, until {day(best.ends_at)}."
        )
        return Draft(text, sources=sources, asins=asins, lane=lane)

    async def _of_genre(self, asked: Asked, genre: str) -> Draft:
        running, lane = await self._running(asked, genre)
        if not running:
            return Draft(f"There is no promotion on {genre} right now.", lane=lane)
        return Draft(" ".join(_said(p) for p in running[:SHOWN]), lane=lane)

    async def _all(self, asked: Asked) -> Draft:
        running, lane = await self._running(asked, "*")
        if not running:
            return Draft("There is no promotion for you right now.", lane=lane)
        named = [p for p in running if _is_named(p, asked.ask.text)]
        if asked_for := _PERCENT.search(asked.ask.text):
            named = named or [p for p in running if p.percent == int(asked_for[1])]
            if not named:
                return Draft(f"There is no offer of {asked_for[1]} % right now. {_listed(running)}", lane=lane)
        if asked.ask.slot("promotion") == "best":
            most = max(p.percent for p in running)
            best = [p for p in running if p.percent == most]
            return Draft(f"The most is {_percent(best[0])} off. {_listed(best)}", lane=lane)
        whole = [p for p in running if p.category == "*"]
        if re.search(r"\b(?:everything|all books|whole shop|storewide|entire|site-?wide)\b", asked.ask.text):
            named = whole
        return Draft(_listed(named or running), lane=lane)


def _listed(running: Sequence[Promotion]) -> str:
    return " ".join(["Right now:", *(_said(p) for p in running[:SHOWN])])


def _is_named(promotion: Promotion, text: str) -> bool:
    name = promotion.title.partition(":")[0].lower()
    return name in text


def _said(promotion: Promotion) -> str:
    what = "everything" if promotion.category == "*" else promotion.category
    whom = promotion.title.partition(" off")[2]
    return f"{_name(promotion)}: {_percent(promotion)} off {what}{whom}, until {day(promotion.ends_at)}."


def _name(promotion: Promotion) -> str:
    return promotion.title.partition(":")[0]


def _percent(promotion: Promotion) -> str:
    return f"{{{{percent:{promotion.id}}}}}"
