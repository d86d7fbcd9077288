"""One handler per intent: each makes a draft out of precomputed artifacts and live data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable

import parbake as pb
from retail_assistant.chat.generation import (
    NOT_STATED,
    build_prompt,
    grounded_evidence,
    response_generation,
    texts,
)
from retail_assistant.chat.products import named_line, product_of
from retail_assistant.chat.retrieval import retrieval
from retail_assistant.chat.routing import RECOMMENDED
from retail_assistant.chat.turn import Draft, Turn
from retail_assistant.chat.wording import named_format, named_genre
from retail_assistant.knowledge.tasks import Offer, promotions_for, review_summaries
from retail_assistant.live import LiveShop
from retail_assistant.live_tasks import price, stock
from retail_assistant.recs.tasks import SHOWN as CARDS
from retail_assistant.recs.tasks import recommendations, trending
from retail_assistant.shop.queries import Product

WHICH = "Which product do you mean? Tell me its title, or open its page."
SHOWN = 3
Handler = Callable[[Turn, str], Awaitable[Draft]]


class Answers:
    """Handlers over one app and its live shop."""

    def __init__(self, app: pb.App, shop: LiveShop) -> None:
        """Keep both."""
        self._app = app
        self._shop = shop

    def handler(self, intent: str) -> Handler:
        """The handler of an intent; what has none is answered from retrieved evidence."""
        table: dict[str, Handler] = {
            "recommendation": self.recommend,
            "product_search": self.search,
            "price_stock": self.price_and_stock,
            "promotion": self.promote,
            "order_status": self.orders,
            "reviews": self.reviews,
            "trending": self.trend,
            "smalltalk": self.greet,
            "out_of_scope": self.decline,
        }
        return table.get(intent, self.from_evidence)

    async def from_evidence(self, turn: Turn, question: str) -> Draft:
        """Retrieve, then word an answer from what was found."""
        found = (await self._app.serve(retrieval, text=question)).unwrap()
        evidence, blocks = grounded_evidence(question, found.policies, self._shop)
        if not evidence:
            named = product_of(turn, self._shop)
            return await self.search(turn, question) if named else Draft(NOT_STATED)
        prompt = build_prompt(turn, question, evidence)
        served = await self._app.serve(response_generation, prompt=prompt)
        return Draft(
            stream=texts(served.unwrap()),
            sources=tuple(dict.fromkeys(b.source for b in blocks)),
            told=tuple(evidence),
            evidence=tuple(b.id for b in blocks),
        )

    async def recommend(self, turn: Turn, question: str) -> Draft:  # noqa: ARG002  # as below
        """Precomputed candidates, refined now; a base that nobody had the time to refine is filtered all the same."""
        words = " ".join([*turn.earlier_questions[-2:], turn.message])
        served = await self._app.serve(recommendations, turn.shopper, shopper=turn.shopper, page=turn.page, words=words)
        asins = tuple(c.asin for c in served.value or ())
        if served.verdict is pb.Verdict.DEGRADED:
            asins = self._buyable(asins, but={turn.page, *self._shop.bought(turn.shopper)})[:CARDS]
        if not asins:
            return Draft("I have nothing that fits right now.")
        head = RECOMMENDED[1] if served.reason == "cold_start" else RECOMMENDED[0]
        return Draft(self._listing(head, asins), sources=_products(asins), lane=served.lane, asins=asins)

    async def search(self, turn: Turn, question: str) -> Draft:
        """Products by meaning and by words."""
        found = (await self._app.serve(retrieval, text=question)).unwrap()
        asins = self._buyable(h.block.source.partition("/")[2] for h in found.products)[:SHOWN]
        named = product_of(turn, self._shop)
        if named is not None:  # who asks for it hears of it, also when it is sold out
            asins = tuple(dict.fromkeys((named.asin, *asins)))[:SHOWN]
        if not asins:
            return Draft("I found nothing like that.")
        sold_out = "" if named is None or self._shop.stock(named.asin) else named.asin
        return Draft(self._listing("I found:", asins, sold_out=sold_out), sources=_products(asins), asins=asins)

    async def price_and_stock(self, turn: Turn, question: str) -> Draft:  # noqa: ARG002  # every handler has one signature
        """Live prices and stock, of the edition that is asked for."""
        product = product_of(turn, self._shop)
        if product is None:
            return self._line(turn)
        wanted = named_format(turn.message)
        if wanted and wanted != product.format:
            return self._compare(product, wanted)
        for task in (price, stock):
            await self._app.serve(task, asin=product.asin)
        return Draft(
            f"{_title(product)} costs {{{{price:{product.asin}}}}} and is {{{{stock:{product.asin}}}}}.",
            sources=_products((product.asin,)),
            asins=(product.asin,),
        )

    def _line(self, turn: Turn) -> Draft:
        """The range of prices of a product line that the message names; else ask which product."""
        line = named_line(turn.message, self._shop)
        if not line:
            return Draft(WHICH)
        cheapest, dearest = line[0], line[-1]
        text = f"{cheapest.series} costs {{{{price:{cheapest.asin}}}}}"
        if self._shop.cents(dearest.asin) > self._shop.cents(cheapest.asin):
            text += f" to {{{{price:{dearest.asin}}}}}, depending on which of {len(line)} you choose"
        asins = tuple(dict.fromkeys((cheapest.asin, dearest.asin)))
        return Draft(f"{text}. The first is {{{{stock:{cheapest.asin}}}}}.", sources=_products(asins), asins=asins)

    def _compare(self, product: Product, wanted: str) -> Draft:
        other = next((p for p in self._shop.editions(product) if p.format == wanted), None)
        if other is None:
            text = (
                f"{_title(product)} is not sold in {wanted}. It costs {{{{price:{product.asin}}}}} in {product.format}."
            )
            return Draft(text, sources=_products((product.asin,)), asins=(product.asin,))
        difference = self._shop.cents(product.asin) - self._shop.cents(other.asin)
        word = "cheaper" if difference > 0 else "not cheaper"
        text = (
            f"In {wanted} it is {word}: {{{{price:{other.asin}}}}}, against {{{{price:{product.asin}}}}} in "
            f"{product.format}. The {wanted} is {{{{stock:{other.asin}}}}}."
        )
        asins = (other.asin, product.asin)
        return Draft(text, sources=_products(asins), asins=asins)

    async def promote(self, turn: Turn, question: str) -> Draft:
        """What is on offer now for this shopper."""
        genre = named_genre(question, self._shop.genres())
        if genre is None and turn.page and "this" in turn.message.lower():
            product = self._shop.product(turn.page)
            genre = product.genre if product else None
        served = await self._app.serve(promotions_for, f"{genre or '*'}|{self._shop.segment(turn.shopper)}")
        offers = served.value or []
        if not offers:
            return Draft(f"There is no promotion {'on ' + genre if genre else 'for you'} right now.", lane=served.lane)
        lines = [_offer(offer) for offer in offers]
        return Draft(" ".join(["Right now:", *lines[:SHOWN]]), lane=served.lane)

    async def orders(self, turn: Turn, question: str) -> Draft:  # noqa: ARG002  # as above
        """A shopper's own orders: live, never from the bank."""
        orders = self._shop.orders(turn.shopper)
        if not orders:
            return Draft("I see no order of yours. The order page shows the state of each parcel.")
        text = f"Your latest purchase is {orders[0].title}. The order page shows where its parcel is."
        return Draft(text, asins=(orders[0].asin,))

    async def reviews(self, turn: Turn, question: str) -> Draft:  # noqa: ARG002  # as above
        """What readers say, summarised ahead."""
        product = product_of(turn, self._shop)
        if product is None:
            return Draft(WHICH)
        served = await self._app.serve(review_summaries, product.asin)
        summary = served.value
        if summary is None:
            return Draft(f"{_title(product)} has no reviews yet.", asins=(product.asin,))
        parts = [f"{_title(product)} has {summary.average:.1f} of 5 stars from {summary.count} reviews."]
        if summary.praise:
            parts.append(f"Readers say: \u201c{summary.praise[0]}\u201d")
        if summary.criticism:
            parts.append(f"Some say: \u201c{summary.criticism[0]}\u201d")
        return Draft(" ".join(parts), sources=_products((product.asin,)), lane=served.lane, asins=(product.asin,))

    async def trend(self, turn: Turn, question: str) -> Draft:  # noqa: ARG002  # as above
        """What sells."""
        genre = named_genre(question, self._shop.genres())
        served = await self._app.serve(trending, genre or "all")
        asins = self._buyable(c.asin for c in served.value or ())[:SHOWN]
        if not asins:
            return Draft("Nothing stands out right now.")
        return Draft(
            self._listing("Popular right now:", asins), sources=_products(asins), lane=served.lane, asins=asins
        )

    async def greet(self, turn: Turn, question: str) -> Draft:  # noqa: ARG002  # as above
        """Small talk."""
        return Draft("Hello! Ask me about our books, prices, promotions, or our policies.")

    async def decline(self, turn: Turn, question: str) -> Draft:
        """Off topic, unless evidence says otherwise."""
        found = (await self._app.serve(retrieval, text=question)).unwrap()
        if found.policies and found.policies[0].cosine >= 0.55:  # noqa: PLR2004  # surely about a policy
            return await self.from_evidence(turn, question)
        return Draft(
            "I can only help with this shop: books, prices, orders and our policies. "
            "For anything else, please ask our support team."
        )

    def _buyable(self, asins: Iterable[str], *, but: Collection[str | None] = ()) -> tuple[str, ...]:
        """Those of some products that are listed and in stock, in their order."""
        return tuple(a for a in asins if a not in but and self._shop.product(a) and self._shop.stock(a))

    def _listing(self, head: str, asins: tuple[str, ...], *, sold_out: str = "") -> str:
        said = {sold_out: f", {{{{stock:{sold_out}}}}}"}
        return " ".join([head, *(f"{{{{title:{a}}}}} ({{{{price:{a}}}}}{said.get(a, '')})." for a in asins)])


def _offer(offer: Offer) -> str:
    if f"{offer.percent} %" in offer.title:
        return f"{offer.title}."
    return f"{offer.title}: {offer.percent} % off {'everything' if offer.category == '*' else offer.category}."


def _title(product: Product) -> str:
    return f"{{{{title:{product.asin}}}}}"


def _products(asins: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"product/{asin}" for asin in asins)
