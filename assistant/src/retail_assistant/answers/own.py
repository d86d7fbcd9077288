"""What the shopper has: the cart, the orders, the points. Always live, and only for shoppers who gave a name."""

from __future__ import annotations

import re
from collections.abc import Sequence

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft
from retail_assistant.answers.past_orders import NO_ORDERS, OPEN, SIGN_IN, STATES, PastOrders, copies_of, head, of_day
from retail_assistant.answers.phrases import count, day, joined, money, number, ordered, price, reduction, title
from retail_assistant.answers.subjects import Subjects
from retail_assistant.live import LiveShop
from retail_assistant.live_tasks import cart as live_cart
from retail_assistant.live_tasks import orders as live_orders
from retail_assistant.live_tasks import points as live_points
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.orders import CAN_CANCEL, RETURN_WINDOW, NoReturn, Order
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.dialogue import Pending

FREE_OVER, STANDARD_DAYS = "free_over_eur", "standard_days"
"""Facts of policies: over which total delivery is free, and how long delivery takes."""
_DIGITS = r"(?:-\d+)*"
_NUMBER = re.compile(rf"#?\b([a-z]{{0,4}}-?\d{{3,20}}{_DIGITS})\b", re.IGNORECASE)
_ORDER_NUMBER = re.compile(
    rf"\border (?:number |no\.? ?)?#?([a-z]{{0,4}}-?\d+{_DIGITS})\b|#([a-z]{{0,4}}-?\d+{_DIGITS})\b", re.IGNORECASE
)
_OTHER = re.compile(
    r"\b(?:the )?other (?:one|order)\b|\bprevious\b|\bbefore that\b|\bsecond last\b|\bolder\b|\bone before\b"
)
_LISTED = 5
_OF_ORDERS = frozenset(
    "order orders parcel package delivery shipment purchase tracking status arrive lost late".split()
)


class Own:
    """Answers questions about the shopper's own things."""

    def __init__(self, app: pb.App, shop: LiveShop) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._past = app, shop, PastOrders(shop, Subjects(shop))

    async def cart(self, asked: Asked) -> Draft:
        """The lines of the cart and its total, promotions taken off, and what is missing to free delivery."""
        if not asked.is_known:
            return Draft(SIGN_IN)
        lines = (await self._app.serve(live_cart, shopper=asked.shopper)).unwrap()
        offers = self._shop.offers(lines)
        if not offers:
            return Draft("Your cart is empty.")
        charged = self._shop.charges(asked.shopper, lines, now=self._app.settings.clock.now())
        total = sum(charged[o.asin].cents * lines[o.asin] for o in offers)
        said = [f"Your cart has {_cart_lines(offers, lines, charged)}.", f"The total is {money(total)}."]
        sources: tuple[str, ...] = ()
        if free := self.free_over():
            policy, least = free
            over = f"over \u20ac{{{{policy:{policy.id}.{FREE_OVER}}}}}"
            sources = (f"policy/{policy.id}",)
            missing = missing_cents(total, least)
            said.append(
                f"Another {money(missing)} and delivery is free ({over})." if missing else f"Delivery is free ({over})."
            )
        return Draft(" ".join(said), sources=sources, asins=tuple(o.asin for o in offers[:_LISTED]))

    def free_over(self) -> tuple[Policy, int] | None:
        """The policy that states over which total delivery is free, and that total in cents."""
        policy = self._shop.stating(FREE_OVER)
        euros = policy.number(FREE_OVER) if policy else None
        return (policy, round(euros * 100)) if policy and euros is not None else None

    async def points(self, asked: Asked) -> Draft:
        """The loyalty points."""
        if not asked.is_known:
            return Draft(SIGN_IN)
        points = (await self._app.serve(live_points, shopper=asked.shopper)).unwrap()
        return Draft(f"You have {count(points, 'point')}.")

    async def orders(self, asked: Asked) -> Draft:
        """The order that is asked about, and of it what is asked; or several orders, or all of them."""
        slot, now = asked.ask.slot("orders"), self._app.settings.clock.now()
        if slot == "missing" and asked.ask.owned and not asked.is_known:
            return self._past.missing(asked, [])
        if not asked.is_known:
            return Draft(SIGN_IN)
        orders = (await self._app.serve(live_orders, shopper=asked.shopper)).unwrap()
        if slot == "missing":
            return self._past.missing(asked, orders)
        if not orders:
            return Draft(NO_ORDERS)
        if slot == "spent":
            return self._past.spent(asked, orders, now)
        if slot == "some":
            return self._past.some(asked, orders, now)
        named = named_number(asked.ask.text)
        order = self.chosen(asked, orders)
        if order is None:
            return no_order(named)
        if slot == "what" and named is None and re.search(r"\borders\b|\bhistory\b|\ball\b|\bopen\b", asked.ask.text):
            return self._past.some(asked, orders, now)
        return self._one(order, slot)

    def chosen(self, asked: Asked, orders: Sequence[Order]) -> Order | None:
        """The order that a question means: by number, by a title in it, the other one, or the newest that fits."""
        text = asked.ask.text
        known = {o.number.lower(): o for o in orders}
        if named := named_number(text):
            return known.get(named.lower())
        for subject in asked.ask.subjects:
            if subject.source == "message" and (
                found := [o for o in orders if any(subject.name in t for t in o.titles)]
            ):
                return found[0]
        if fitting := [o for o in orders if _has_words(o, asked.ask.leftover)]:
            return fitting[0]
        spoken = [
            known[n.lower()] for _, said in reversed(asked.history) for n in _NUMBER.findall(said) if n.lower() in known
        ]
        if _OTHER.search(text) and len(orders) > 1 and not re.search(r"\bolder one\b", text):
            last = spoken[0] if spoken else orders[0]
            return next((o for o in orders if o.number != last.number), None)
        if re.search(r"\bfirst order\b|\bold(?:est|er)\b|\bearlier\b", text):
            return orders[-1]
        if re.search(r"\b(?:last|latest|newest|newer|most recent)\b", text):
            return orders[0]
        if spoken:
            return spoken[0]
        if asked.ask.slot("orders") in ("where", "arrive", "can_cancel"):
            return next((o for o in orders if o.state in OPEN), orders[0])
        return orders[0]

    def _one(self, order: Order, slot: str) -> Draft:
        asins = tuple(line.asin for line in order.lines[:_LISTED])
        state = STATES[order.state]
        lines = joined([copies_of(line) for line in order.lines])
        tracking = (
            f" Its tracking number is {number(order.tracking)}."
            if order.tracking and order.state in ("shipped", "delivered")
            else ""
        )
        if slot == "paid":
            return Draft(
                f"You paid {money(order.cents)} for order {number(order.number)}{of_day(order)}: {lines}.",
                asins=asins,
            )
        if slot == "when":
            when = f"on {day(order.placed_at)}" if order.placed_at else "on a day that I do not know"
            return Draft(f"You placed order {number(order.number)} {when}: {lines}.", asins=asins)
        if slot == "address":
            return Draft(_goes_to(order), asins=asins)
        if slot == "can_cancel":
            can = f"Yes, order {number(order.number)} can still be cancelled: it is not packed yet. Shall I cancel it?"
            cannot = f"No, order {number(order.number)} {state}, so it cannot be cancelled any more."
            pending = Pending("cancel", order=order.number) if order.state in CAN_CANCEL else None
            return Draft(can if pending else cannot, asins=asins, pending=pending)
        if slot == "can_return":
            said = number(order.number)
            can = (
                f"Yes, you can return order {said}: start it on the order page, or tell me to start the return."
                f"{left_out(order)}"
            )
            return self.no_return(order) or Draft(can, asins=asins)
        text = f"{head(order)} {state}.{tracking} It has {lines}, for {money(order.cents)}."
        if slot == "arrive" and order.state in OPEN:
            return self._with_delivery(text, asins)
        return Draft(text, asins=asins)

    def no_return(self, order: Order) -> Draft | None:
        """Why an order cannot be returned; ``None`` if some of it can."""
        why = order.no_return(self._shop.return_window(), self._app.settings.clock.now())
        if why is None:
            return None
        asins, said = tuple(line.asin for line in order.lines[:_LISTED]), number(order.number)
        if why is NoReturn.STATE:
            return Draft(f"Order {said} {STATES[order.state]}, so there is nothing to return yet.", asins=asins)
        if why is NoReturn.DIGITAL:
            text = f"No, order {said} cannot be returned: it has only digital editions, and they cannot be sent back."
            return Draft(text, asins=asins)
        policy = self._shop.stating(RETURN_WINDOW)
        window = f"more than {{{{policy:{policy.id}.{RETURN_WINDOW}}}}} days" if policy else "too long"
        return Draft(
            f"No, that is too late: order {said} was delivered {window} ago.",
            sources=(f"policy/{policy.id}",) if policy else (),
            asins=asins,
        )

    def _with_delivery(self, text: str, asins: tuple[str, ...]) -> Draft:
        """An open order together with what the shop says about the time of delivery."""
        policy = self._shop.stating(STANDARD_DAYS)
        if policy is None:
            return Draft(text, asins=asins)
        return Draft(f"{text} Standard delivery takes {{{{policy:{policy.id}.{STANDARD_DAYS}}}}} working days.",
                     sources=(f"policy/{policy.id}",), asins=asins)  # fmt: skip


def _goes_to(order: Order) -> str:
    """Where an order goes, or went."""
    if not order.address:
        return f"I do not see the address of order {number(order.number)} here; it is on the order page."
    goes = "goes" if order.state in OPEN else "went"
    return f"{head(order)} {goes} to {{{{address:{order.number}}}}}."


def missing_cents(total: int, least: int) -> int:
    """What a cart lacks to free delivery, which begins over ``least``; 0 if nothing."""
    return 0 if total > least else max(1, least - total)


def no_order(named: str | None) -> Draft:
    """Say that the shopper has no such order."""
    return Draft(f"I see no order {number(named.upper())} of yours." if named else NO_ORDERS)


def named_number(text: str) -> str | None:
    """The order number that a text names."""
    if said := _ORDER_NUMBER.search(text):
        return said[1] or said[2]
    found = [n for n in _NUMBER.findall(text) if re.search(r"[a-z]", n, re.IGNORECASE)] or (
        _NUMBER.findall(text) if re.search(r"\border\b|#", text, re.IGNORECASE) else []
    )
    return found[0] if found else None


def left_out(order: Order) -> str:
    """Which books of an order a return leaves out, with a space before it; empty if there are none."""
    kept = [ordered(line) for line in order.lines if not line.can_return]
    return f" Digital editions cannot be returned, so this is without {joined(kept)}." if kept else ""


def _cart_lines(offers: Sequence[Offer], quantities: dict[str, int], charged: dict[str, Charge]) -> str:
    return joined([_cart_line(offer, quantities[offer.asin], charged[offer.asin]) for offer in offers])


def _cart_line(offer: Offer, quantity: int, charge: Charge) -> str:
    each = f", {money(charge.cents)} each" if quantity > 1 and charge.promotion else ""
    listed = f" {price(offer)}" if charge.promotion else ""
    return f"{quantity} \u00d7 {title(offer)} ({money(charge.cents * quantity)}{each}{reduction(charge)}{listed})"


def _has_words(order: Order, words: Sequence[str]) -> bool:
    """Whether the titles of an order have a content word of a question: "where is my lamp"."""
    titles = " ".join(order.titles).lower()
    return any(re.search(rf"\b{re.escape(word.removesuffix('s'))}", titles) for word in words if word not in _OF_ORDERS)
