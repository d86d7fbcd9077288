"""Products and orders as the shop's page shows them, with live prices and the shopper's promotions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

import parbake as pb
from retail_assistant.http.replies import Item, OrderLine, OrderReply, Reduced
from retail_assistant.knowledge.knowledge_tasks import Offer as Promotion
from retail_assistant.knowledge.knowledge_tasks import promotions_for
from retail_assistant.live import LiveShop
from retail_assistant.shop import orders
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.prices import Charge, reduced_cents
from retail_assistant.shop.queries import Promotion as Running


class Items:
    """Makes items of offers."""

    def __init__(self, app: pb.App, shop: LiveShop) -> None:
        """Read promotions from ``app``; ``shop`` has the currency."""
        self._app, self._shop = app, shop

    async def of(self, offers: Sequence[Offer], segment: str) -> list[Item]:
        """The items of offers, in their order, each with the best promotion for a segment."""
        best = await self._promotions({o.product.genre for o in offers}, segment)
        return [self._item(offer, best.get(offer.product.genre)) for offer in offers]

    def charged(self, offers: Sequence[Offer], charges: Mapping[str, Charge]) -> list[Item]:
        """The items of offers at what a shopper is charged for them now."""
        return [self._item(offer, charges[offer.asin].promotion) for offer in offers]

    async def _promotions(self, genres: Iterable[str], segment: str) -> dict[str, Promotion]:
        """The highest promotion that runs now for a segment, by genre."""
        best: dict[str, Promotion] = {}
        for genre in genres:
            try:
                running = (await self._app.serve(promotions_for, f"{genre}|{segment}")).value
            except pb.NotMaterialized:
                continue
            if running:
                best[genre] = running[0]
        return best

    def _item(self, offer: Offer, promotion: Promotion | Running | None) -> Item:
        p, reduced = offer.product, None
        if promotion is not None:
            cents = reduced_cents(offer.cents, promotion.percent)
            reduced = Reduced(
                promotion.id, promotion.title, promotion.percent, cents, self._shop.money(cents), promotion.ends_at
            )
        return Item(
            p.asin, p.title, p.series, p.volume, p.author, p.genre, p.format,
            offer.cents, self._shop.money(offer.cents), offer.quantity, reduced,
        )  # fmt: skip


def order_reply(order: orders.Order, shop: LiveShop, *, window_days: float | None, now: float) -> OrderReply:
    """An order with its lines, its total in words, and what can be done with it, by the policy's days for returns."""
    members = msgspec.structs.asdict(order)
    members["delivery"] = shop.money(order.delivery)
    members["lines"] = [OrderLine(**msgspec.structs.asdict(each), price=shop.money(each.cents)) for each in order.lines]
    return OrderReply(
        **members,
        delivery_cents=order.delivery,
        cents=order.cents,
        total=shop.money(order.cents),
        can_cancel=order.state in orders.CAN_CANCEL,
        can_return=order.no_return(window_days, now) is None,
    )
