"""Products that keep every stated wish: search, recommendation and price in one query."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec
import numpy as np

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft, showing
from retail_assistant.answers.nearest import Fitting, Nearest
from retail_assistant.answers.none_found import NoneFound
from retail_assistant.answers.phrases import FOUND_NOTHING, ITEM, NO_REASONS, described, joined, listed, unsold
from retail_assistant.answers.products import volumes_told
from retail_assistant.answers.subjects import Subjects, last_volumes
from retail_assistant.answers.why import why
from retail_assistant.knowledge.knowledge_tasks import product_embeddings
from retail_assistant.knowledge.product_index import ProductIndex
from retail_assistant.live import LiveShop
from retail_assistant.recs.recs_tasks import recommendations, trending
from retail_assistant.recs.trends import ALL
from retail_assistant.shop.finding import Conditions, Offer, one_a_line
from retail_assistant.shop.voices import ANONYMOUS
from retail_assistant.understand.names.volumes import LAST
from retail_assistant.understand.parse import wants_another
from retail_assistant.understand.pointing import OF_THOSE
from retail_assistant.understand.said.cues import FOR_SOMEBODY
from retail_assistant.understand.wishes import NO_WISHES, Wishes

tasks = pb.Registry()
FOUND, CLOSEST = "I found:", "The closest that I find:"
BECAUSE, POPULAR = "This is why:", "Popular right now:"
NO_REASON = "I find no purchase of yours that would be a reason. These fit what you asked for."
RECOMMENDED = ("You might like these:", "Readers like these right now:")
MOST, FEW, UNSURE = 10, 5, 10
MOST_LACKING = 2
"""Up to how many words are named that no product has."""
_FOR_OTHERS = re.compile(rf"{FOR_SOMEBODY}|\b(?:gifts?|presents?)\b(?! (?:cards?|wrap\w*|receipts?))")
_CHEAPER = re.compile(r"\bcheaper\b|\bfor less\b|\bless expensive\b")
_DEARER = re.compile(r"\bpricier\b|\bmore expensive\b|\bdearer\b")
_ITS_AUTHOR = ("same author", "this author", "the author")
_RANKED = 50
_OTHER_AUTHOR = re.compile(r"\b(?:other|another|different) authors?\b|\b(?:by|from) (?:some|any)(?:body|one) else\b")
WHICH_SERIES = f"Of which series or {ITEM}? Tell me its title."


@tasks.live(why="Prices, stock and the wishes exist only at request time")
async def find_products(conditions: pb.Live[Conditions], *, shop: pb.Resource[LiveShop] = pb.GIVEN) -> list[Offer]:
    """The products on sale that keep every condition."""
    return await asyncio.to_thread(shop.find, conditions)


class Lists:
    """Answers questions for products."""

    def __init__(self, app: pb.App, shop: LiveShop, subjects: Subjects, nearest: Nearest) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._subjects, self._nearest = app, shop, subjects, nearest
        self._none = NoneFound(shop, nearest, app.settings.clock.now)

    async def answer(self, asked: Asked) -> Draft:
        """Show the best products that keep every wish, or say which wish cannot be met."""
        ask, said = asked.ask, asked.said
        if ask.are_volumes and not ask.like:
            return volumes_told(self._subjects, ask.subjects)
        anchor = self._subjects.first(ask)
        wishes = self._wished(asked, anchor)
        if wishes.volume is not None and msgspec.structs.replace(wishes, volume=None) == NO_WISHES and anchor is None:
            is_unsold = ask.leftover and not self._subjects.have_words(ask.leftover[:1])
            return Draft(unsold(ask.leftover[:1]) if is_unsold else WHICH_SERIES, wishes=wishes)
        is_another = wants_another(ask.text) and bool(said.offered or ask.slot("list") in ("another", "by"))
        conditions = await self._conditions(asked, wishes, anchor)
        if is_another:
            conditions = self._unseen(asked, wishes, anchor, conditions)
        found = await self._found(asked, conditions)
        if not found and conditions.asins is not None:  # "those" may be the kind of which some were shown
            found = await self._found(asked, msgspec.structs.replace(conditions, asins=None))
        if wishes.volume == LAST:
            found = last_volumes(found)
        fitting = await self._nearest.fitting(asked, wishes, found)
        if ask.slot("list") == "goods" and not (fitting.lane or wishes.are_stated):
            return Draft(unsold(ask.leftover))
        if not fitting.offers:
            other = "other " if is_another else ""
            return await self._none.answer(asked, wishes, conditions, other=other)
        chosen, lane, head = await self._best(asked, wishes, fitting, anchor)
        because = await self._why(asked, chosen) if head in RECOMMENDED else NO_REASONS
        draft = showing(f"{head} {self._listed(asked, chosen, because)}", chosen, lane=lane, wishes=wishes)
        draft.lead, draft.why = head, because
        draft.focus = chosen[0].asin if fitting.lane else ""
        return draft

    async def explained(self, asked: Asked) -> Draft:
        """Why some of the products that were shown are recommended: those that are meant, or else the first ones."""
        meant = [s.asin for s in asked.ask.subjects if s.asin] or asked.said.shown
        offers = self._shop.offers(meant[:FEW])
        reasons = await self._why(asked, offers)
        told = [offer for offer in offers if offer.asin in reasons]
        text = f"{BECAUSE} {self._listed(asked, told, reasons)}" if told else NO_REASON
        draft = showing(text, told or offers, wishes=asked.said.wishes)
        draft.lead, draft.why = BECAUSE if told else "", reasons
        return draft

    async def _found(self, asked: Asked, conditions: Conditions) -> list[Offer]:
        """What keeps every condition; to a limit counts what the shopper pays, with promotions."""
        free = msgspec.structs.replace(conditions, most_cents=None)
        found: list[Offer] = (await self._app.serve(find_products, conditions=free)).unwrap()
        if conditions.most_cents is None:
            return found
        paid = self._paid(asked, found)
        return [o for o in found if paid(o) <= conditions.most_cents]

    def _paid(self, asked: Asked, offers: Sequence[Offer]) -> Callable[[Offer], int]:
        """What the shopper pays for each of some products, with promotions."""
        charged = self._subjects.charges(asked.shopper, offers, self._app.settings.clock.now())
        return lambda offer: charged[offer.asin].cents if offer.asin in charged else offer.cents

    async def trend(self, asked: Asked) -> Draft:
        """What sells, within the stated wishes."""
        wishes = asked.ask.wishes
        found: list[Offer] = []
        lane = "realtime"
        for name in sorted(wishes.genres) or [ALL]:
            served = await self._app.serve(trending, name)
            lane = served.lane
            named = [c.asin for c in served.value or ()]
            kept = {o.asin: o for o in self._shop.find(_stated(wishes, asins=named))}
            found += [kept[asin] for asin in named if asin in kept]
        chosen = one_a_line(found)[: wishes.count or FEW]
        if not chosen:
            return Draft("Nothing stands out right now.", lane=lane, wishes=wishes)
        draft = showing(f"{POPULAR} {self._listed(asked, chosen)}", chosen, lane=lane, wishes=wishes)
        draft.lead = POPULAR
        return draft

    def _listed(self, asked: Asked, offers: Sequence[Offer], why: Mapping[str, str] = NO_REASONS) -> str:
        """Products with what the shopper pays for them, and why they are recommended."""
        return listed(offers, self._subjects.charges(asked.shopper, offers, self._app.settings.clock.now()), why)

    async def _why(self, asked: Asked, offers: Sequence[Offer]) -> Mapping[str, str]:
        """The reasons for some products, as far as the shopper's purchases or the page bear one out."""
        page, words = asked.page or None, _words(asked)
        return await why(self._app, self._shop, offers, shopper=_for_whom(asked), page=page, words=words)

    def _wished(self, asked: Asked, anchor: Offer | None) -> Wishes:
        """The wishes; where one of a list was picked and another one is asked for, those of that list go on."""
        if _OTHER_AUTHOR.search(asked.ask.text):
            wishes = asked.ask.wishes
            others = wishes.authors | wishes.no_authors | ({anchor.product.author} if anchor else frozenset())
            return msgspec.structs.replace(wishes, authors=frozenset(), no_authors=others)
        is_picked = anchor is not None and anchor.asin in asked.said.offered
        if is_picked and asked.ask.slot("list") == "another" and not asked.ask.like:
            return asked.said.wishes.then(asked.ask.wishes)
        return self._completed(asked, anchor)

    def _completed(self, asked: Asked, anchor: Offer | None) -> Wishes:
        """The wishes, with what the words take from the product in view: its author, its genre, a lower price."""
        ask, wishes = asked.ask, asked.ask.wishes
        text, slot = ask.text, ask.slot("list")
        by_author = slot == "by" and not wishes.authors
        if by_author and asked.said.wishes.authors and not any(s.source == "message" for s in ask.subjects):
            return msgspec.structs.replace(wishes, authors=asked.said.wishes.authors)  # who was asked about before
        if anchor is None:
            return wishes
        if by_author or any(words in text for words in _ITS_AUTHOR):
            wishes = msgspec.structs.replace(wishes, authors=frozenset({anchor.product.author}))
        if "same genre" in text:
            wishes = msgspec.structs.replace(wishes, genres=frozenset({anchor.product.genre}))
        if _CHEAPER.search(text) and wishes.most_cents is None:
            wishes = msgspec.structs.replace(wishes, most_cents=anchor.cents - 1)
        if _DEARER.search(text) and wishes.least_cents is None:
            wishes = msgspec.structs.replace(wishes, least_cents=anchor.cents + 1)
        is_named = any(s.source == "message" and s.whole for s in ask.subjects)
        if is_named and not ask.like and not wishes.authors and ask.premise is None:
            wishes = msgspec.structs.replace(wishes, series=wishes.series | {s.name for s in ask.subjects if s.name},
                                             volume=ask.subjects[0].volume or wishes.volume)  # fmt: skip
        if slot == "of_line":
            whole = frozenset({anchor.product.line})
            wishes = msgspec.structs.replace(wishes, series=whole, themes=wishes.themes | set(ask.leftover))
        is_like = ask.like or slot in ("like", "cheapest", "another")
        if is_like and not (wishes.series or wishes.genres or wishes.authors or wishes.themes):
            line = anchor.product.line
            wishes = msgspec.structs.replace(
                wishes, genres=frozenset({anchor.product.genre}), no_series=wishes.no_series | {line}
            )
        return wishes

    def _unseen(self, asked: Asked, wishes: Wishes, anchor: Offer | None, conditions: Conditions) -> Conditions:
        """The conditions without what was shown; after one product was picked also without other volumes of it."""
        offered = asked.said.offered
        no_titles = {*conditions.no_titles}
        if anchor is not None and asked.ask.slot("list") == "another" and not wishes.series:
            no_titles |= {o.product.line for o in self._shop.offers([*offered, anchor.asin])}
        return msgspec.structs.replace(conditions, no_asins={*conditions.no_asins, *offered}, no_titles=no_titles)

    async def _conditions(self, asked: Asked, wishes: Wishes, anchor: Offer | None) -> Conditions:
        """The wishes as a query; what is like a product is another line of its genre."""
        no_titles = set(wishes.no_series)
        is_like = anchor is not None and (asked.ask.like or asked.ask.slot("list") in ("like", "by", "cheapest"))
        if anchor is not None and is_like and not wishes.series:
            no_titles.add(anchor.product.line)
        seen = {asked.page} if asked.page and not wishes.series else set[str]()
        no_asins = (
            self._shop.shoppers.bought(asked.shopper) if asked.is_known and not wishes.series else frozenset[str]()
        )
        among = None
        if asked.said.offered and OF_THOSE.search(asked.ask.text):
            among = self._editions(asked.said.offered)
        return msgspec.structs.replace(
            _stated(wishes, asins=among),
            no_titles=no_titles,
            no_asins={
                *no_asins,
                *seen,
                *self._nearest.with_unwanted(wishes),
                *((anchor.asin,) if anchor and is_like else ()),
            },
        )

    def _editions(self, asins: Sequence[str]) -> set[str]:
        """All editions of some volumes."""
        meant = {(o.product.line, o.product.volume) for o in self._shop.offers(asins)}
        lines = self._shop.find(Conditions(titles=[line for line, _ in meant]))
        return {o.asin for o in lines if (o.product.line, o.product.volume) in meant}

    async def _best(
        self, asked: Asked, wishes: Wishes, fitting: Fitting, anchor: Offer | None
    ) -> tuple[list[Offer], str, str]:
        """The best of the products that fit, the lane of their order, and how they are introduced."""
        found, lane, head = fitting.offers, fitting.lane or "realtime", FOUND
        if wishes.sort in ("price", "-price"):
            ordered = sorted(found, key=self._paid(asked, found), reverse=wishes.sort == "-price")
        elif wishes.sort == "-rating":
            ratings = self._shop.ratings(o.asin for o in found)
            ordered = sorted((o for o in found if o.asin in ratings), key=lambda o: -ratings[o.asin]) or list(found)
        elif wishes.sort == "-new":
            ordered = sorted(found, key=lambda o: -o.product.created_at)
        elif wishes.series or fitting.lane:
            ordered = list(found)
        else:
            ordered, lane, head = await self._personal(asked, found, anchor)
        few = FEW if fitting.is_sure else UNSURE
        wanted = min(wishes.count or (MOST if wishes.series else few), MOST)
        if not wishes.series and wishes.volume is None and not wishes.sort:
            is_own = asked.is_known and _for_whom(asked) == asked.shopper
            begun = self._shop.shoppers.begun(asked.shopper) if is_own else frozenset[str]()
            ordered = one_a_line(_from_the_start(ordered, begun))
        if wishes.most_cents is not None and all(o.cents > wishes.most_cents for o in found):
            none = f"I found no {described(wishes)} in stock without a promotion."
            head = f"{none} With one these cost no more than that:"
        if fitting.lane and not fitting.is_sure:
            head = CLOSEST
        if 0 < len(fitting.lacking) <= MOST_LACKING:
            head = f"{FOUND_NOTHING} {joined(fitting.lacking, 'or')}; the closest are:"
        return ordered[: wanted if not wishes.series else max(wanted, FEW)], lane, head

    async def _personal(
        self, asked: Asked, found: Sequence[Offer], anchor: Offer | None
    ) -> tuple[list[Offer], str, str]:
        """In the order of the shopper's recommendations for this moment; what is like a product by its meaning."""
        if anchor is not None and asked.ask.like:
            return await self._alike(anchor, found), "batch", RECOMMENDED[0]
        shopper = _for_whom(asked)
        served = await self._app.serve(
            recommendations,
            shopper,
            shopper=shopper,
            page=asked.page or (anchor.asin if anchor else None),
            words=_words(asked),
            among=tuple(o.asin for o in found),
            count=_RANKED,
        )
        ranks = {one.asin: n for n, one in enumerate(served.value or ())}
        ordered = sorted(found, key=lambda o: (ranks.get(o.asin, len(ranks)), o.product.volume, o.asin))
        head = RECOMMENDED[1] if served.reason == "cold_start" else RECOMMENDED[0]
        return ordered, served.over or served.lane, head

    async def _alike(self, anchor: Offer, found: Sequence[Offer]) -> list[Offer]:
        index = self._app.settings.resources[ProductIndex]
        embedded = (await self._app.serve(product_embeddings, anchor.asin)).value
        if embedded is None:
            return list(found)
        hits = index.search(np.frombuffer(embedded, np.float32), len(found), [o.asin for o in found])
        near = {hit.asin: hit.apart for hit in hits}
        return sorted(found, key=lambda o: -near.get(o.asin, -1.0))


def _for_whom(asked: Asked) -> str:
    """Whose past counts: for somebody else than the shopper, nobody's."""
    is_other = _FOR_OTHERS.search(f"{asked.ask.text}, {asked.said.question if asked.said.kind == 'list' else ''}")
    return ANONYMOUS if is_other else asked.shopper


def _words(asked: Asked) -> str:
    """What is asked for in words, with the wishes that stand from before."""
    wishes = asked.ask.wishes
    stated = (wishes.genres, wishes.formats, wishes.authors, wishes.series, wishes.themes)
    return " ".join((asked.ask.text, *(name for names in stated for name in sorted(names))))


def _from_the_start(offers: Sequence[Offer], begun: Collection[str]) -> list[Offer]:
    """The products in their order, each of a line that is not begun as the line's first volume among them."""
    first: dict[tuple[str, str], Offer] = {}
    for one in sorted(offers, key=lambda o: o.product.volume):
        first.setdefault((one.product.line, one.product.format), one)
    return [one if one.product.line in begun else first[one.product.line, one.product.format] for one in offers]


def _stated(wishes: Wishes, *, asins: Collection[str] | None) -> Conditions:
    """The stated wishes as a query, except for the themes; ``asins`` are the products among which is chosen."""
    return Conditions(
        genres=wishes.genres,
        no_genres=wishes.no_genres,
        formats=wishes.formats,
        no_formats=wishes.no_formats,
        authors=wishes.authors,
        no_authors=wishes.no_authors,
        titles=wishes.series,
        no_titles=wishes.no_series,
        volume=None if wishes.volume == LAST else wishes.volume,
        single=wishes.single,
        most_cents=wishes.most_cents,
        least_cents=wishes.least_cents,
        asins=asins,
    )
