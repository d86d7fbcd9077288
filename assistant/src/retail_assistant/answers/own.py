"""What the shopper has: the cart, the orders, the points. Always live, and only for shoppers who gave a name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from urllib.parse import quote

import parbake as pb
from retail_assistant.answers.draft import Asked, Draft, together
from retail_assistant.answers.past_orders import NO_ORDERS, SIGN_IN, PastOrders
from retail_assistant.answers.phrases import (
    ITEMS,
    SUPPORT,
    count,
    day,
    joined,
    money,
    number,
    ordered,
    price,
    reduction,
    title,
)
from retail_assistant.answers.rules import rule_titled
from retail_assistant.answers.subjects import Subjects
from retail_assistant.answers.told_orders import OPEN, STATES, copies_of, costs, head, of_day, tracked
from retail_assistant.answers.which_order import chosen, named_number, with_subject
from retail_assistant.live import LiveShop
from retail_assistant.live_tasks import cart as live_cart
from retail_assistant.live_tasks import orders as live_orders
from retail_assistant.live_tasks import points as live_points
from retail_assistant.shop.bills import FREE_OVER, Bill, bill, lines_of
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.orders import CAN_CANCEL, POINTS_PER_EURO, RETURN_WINDOW, SENT_BACK, NoReturn, Order
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.prices import Charge
from retail_assistant.understand.ask import Subject
from retail_assistant.understand.dialogue import Pending
from retail_assistant.understand.said.concepts import concepts

VIP = "vip"
"""The segment of shoppers who have spent much."""
VOUCHER_POINTS, VOUCHER_EUROS = "points_for_voucher", "voucher_eur"
"""Facts of policies: how many points make a voucher, and its euros."""
STANDARD_DAYS = "standard_days"
"""The fact of a policy that states how long delivery takes."""
ELSEWHERE = f"Please use the pages under Account or the order page, or ask {SUPPORT}."
_LISTED = 5


class Own:
    """Answers questions about the shopper's own things."""

    def __init__(self, app: pb.App, shop: LiveShop) -> None:
        """Keep what is asked."""
        self._app, self._shop, self._past = app, shop, PastOrders(shop, Subjects(shop))

    async def cart(self, asked: Asked) -> Draft:
        """The lines of the cart and its total, promotions taken off, with delivery and what is missing to free one."""
        if not asked.is_known:
            return Draft(SIGN_IN)
        lines = (await self._app.serve(live_cart, shopper=asked.shopper)).unwrap()
        offers = self._shop.offers(lines)
        if not offers:
            return self._empty(asked)
        charged = self._shop.shoppers.charges(asked.shopper, lines, now=self._app.settings.clock.now())
        due = bill(lines_of(offers, lines, charged), self._shop.rules.delivery())
        said = [f"Your cart has {_cart_lines(offers, lines, charged)}.", _due(due)]
        sources: tuple[str, ...] = ()
        if due.missing is not None and (policy := self._shop.rules.stating(FREE_OVER)):
            over = f"over \u20ac{{{{policy:{policy.id}.{FREE_OVER}}}}}"
            sources = (f"policy/{policy.id}",)
            more = f"Another {money(due.missing)} and delivery is free ({over})."
            said.append(more if due.missing else f"Delivery is free ({over}).")
        return Draft(" ".join(said), sources=sources, asins=tuple(o.asin for o in offers[:_LISTED]))

    def _empty(self, asked: Asked) -> Draft:
        """Say that the cart is empty; whoever asks for the way to free delivery is told its rule."""
        policy = self._shop.rules.stating(FREE_OVER) if asked.ask.slot("cart") == "free" else None
        if policy is None or policy.number(FREE_OVER) is None:
            return Draft("Your cart is empty.")
        rule = f"Delivery is free for orders over \u20ac{{{{policy:{policy.id}.{FREE_OVER}}}}}."
        return Draft(f"Your cart is empty. {rule}", sources=(f"policy/{policy.id}",))

    async def points(self, asked: Asked) -> Draft:
        """The loyalty points."""
        if not asked.is_known:
            return Draft(SIGN_IN)
        if asked.ask.slot("points") == "level":
            return self._level(asked)
        points = (await self._app.serve(live_points, shopper=asked.shopper)).unwrap()
        if asked.ask.slot("points") == "vouchers" and (policy := self._shop.rules.stating(VOUCHER_POINTS)):
            return _in_vouchers(points, policy, self._shop.rules.stating(POINTS_PER_EURO))
        return Draft(f"You have {count(points, 'point')}.")

    def _level(self, asked: Asked) -> Draft:
        """Whether the shopper is a VIP, and the rule for that."""
        is_vip = self._shop.shoppers.segment(asked.shopper) == VIP
        rule = rule_titled(self._shop, "vip")
        said = Draft("Yes, you are a VIP." if is_vip else "No, you are not a VIP yet.")
        return together([said, rule]) if rule else said

    async def orders(self, asked: Asked) -> Draft:
        """The order that is asked about, and of it what is asked; or several orders, or all of them."""
        slot, now = asked.ask.slot("orders"), self._app.settings.clock.now()
        if slot == "missing" and asked.ask.owned and not asked.is_known:
            return self._past.missing(asked, [])
        if not asked.is_known:
            return Draft(SIGN_IN)
        orders = (await self._app.serve(live_orders, shopper=asked.shopper)).unwrap()
        found = self._past.answer(slot, asked, orders, now) or (self.money(asked) if slot == "money" else None)
        if found is not None:
            return found
        named = named_number(asked.ask.text)
        order = self.chosen(asked, orders)
        if order is None:
            return no_order(named)
        if slot == "what" and named is None and re.search(r"\borders\b|\bhistory\b|\ball\b|\bopen\b", asked.ask.text):
            return self._past.some(asked, orders, now)
        if slot == "can_return" and "opened" in concepts(asked.ask.text) and self.no_return(order) is None:
            return self._opened(order)
        return self._one(order, slot)

    def _opened(self, order: Order) -> Draft:
        """When an order of opened books came, and the rule for opened books; without one that support knows more."""
        came = f" on {day(order.changed_at)}" if order.changed_at else ""
        said = Draft(
            f"Order {number(order.number)} was delivered{came}.", asins=tuple(line.asin for line in order.lines)
        )
        rule = rule_titled(self._shop, "opened") or Draft(f"Our policies do not state a rule for opened {ITEMS}.")
        return together([said, rule])

    def money(self, asked: Asked) -> Draft | None:
        """Of an order that was cancelled before it was sent, when cards are charged; ``None`` for other orders."""
        order = self.chosen(asked, self._shop.shoppers.orders(asked.shopper)) if asked.is_known else None
        if order is None or order.state != "cancelled":
            return None
        rule = rule_titled(self._shop, "card_charge")
        if rule is not None:
            rule.text = f"Order {number(order.number)} was cancelled before it left us. {rule.text}"
        return rule

    def next_one(self, asked: Asked) -> Draft | None:
        """The next volume that the shopper lacks of a series; ``None`` if no order has any of it."""
        return self._past.next_one(asked, self._shop.shoppers.orders(asked.shopper)) if asked.is_known else None

    def has_no_order(self, asked: Asked) -> bool:
        """Whether a question names a title that none of the shopper's orders has."""
        named = next((s for s in asked.ask.subjects if s.source == "message"), None)
        orders = self._shop.shoppers.orders(asked.shopper) if asked.is_known else []
        return named is not None and not self.with_subject(orders, named)

    def with_subject(self, orders: Sequence[Order], subject: Subject) -> list[Order]:
        """The orders that have a product which a question names, in its volume if it names one."""
        return with_subject(self._shop, orders, subject)

    def chosen(self, asked: Asked, orders: Sequence[Order]) -> Order | None:
        """The order that a question means; ``None`` if it names one that is not there."""
        return chosen(self._shop, asked, orders, self._app.settings.clock.now())

    def _one(self, order: Order, slot: str) -> Draft:
        asins = tuple(line.asin for line in order.lines[:_LISTED])
        state = STATES[order.state]
        lines = joined([copies_of(line) for line in order.lines])
        if slot == "earned":
            return self._earned(order)
        if slot == "why":
            return Draft(f"{head(order)} {state}. I do not see why; {SUPPORT} can tell you more.", asins=asins)
        if slot == "paid":
            return Draft(
                f"You paid {costs(order)} for order {number(order.number)}{of_day(order)}: {lines}.",
                asins=asins,
            )
        if slot == "when":
            when = f"on {day(order.placed_at)}" if order.placed_at else "on a day that I do not know"
            return Draft(f"You placed order {number(order.number)} {when}: {lines}.", asins=asins)
        if slot == "address":
            return Draft(_goes_to(order), asins=asins)
        if slot == "redirect":
            return self._redirect(order)
        if slot == "can_cancel":
            can = f"Yes, order {number(order.number)} can still be cancelled: it is not packed yet. Shall I cancel it?"
            cannot = f"No, order {number(order.number)} {state}, so it cannot be cancelled any more."
            pending = Pending("cancel", order=order.number) if order.state in CAN_CANCEL else None
            return Draft(can if pending else cannot, asins=asins, pending=pending)
        if slot == "can_return":
            said = number(order.number)
            until, sources = self._past.until(order)
            can = (
                f"Yes, you can return order {said} unopened{until}: start it on the order page, or tell me to start it."
                f"{left_out(order)}"
            )
            return self.no_return(order) or Draft(can, asins=asins, sources=sources)
        text = f"{head(order)} {state}.{tracked(order)} It has {lines}, for {costs(order)}."
        if slot == "arrive" and order.state in OPEN:
            return self._with_delivery(text, asins)
        return Draft(text, asins=asins)

    def _redirect(self, order: Order) -> Draft:
        """What can be done about the address of an order: the assistant cannot change it."""
        asins, state = tuple(line.asin for line in order.lines[:_LISTED]), STATES[order.state]
        if order.state not in OPEN:
            return Draft(f"{head(order)} {state}, so its address cannot be changed any more.", asins=asins)
        said = Draft(f"{head(order)} {state}. I cannot change its address for you here.", asins=asins)
        return together([said, rule_titled(self._shop, "address") or Draft(ELSEWHERE)])

    def _earned(self, order: Order) -> Draft:
        """The points that an order brought."""
        asins, said = tuple(line.asin for line in order.lines[:_LISTED]), number(order.number)
        if order.state == "cancelled" or order.state in SENT_BACK:
            return Draft(f"Order {said} {STATES[order.state]}, so it brings no points.", asins=asins)
        policy = self._shop.rules.stating(POINTS_PER_EURO)
        if policy is None:
            return Draft("Our pages do not state what points an order brings.", asins=asins)
        books = f"with {ITEMS} for {money(order.books)}" if order.delivery else f"of {money(order.books)}"
        told = f"Order {said} {books} brings {count(self._shop.rules.earned(order.books), 'point')}"
        per = f"{{{{policy:{policy.id}.{POINTS_PER_EURO}}}}} for every euro"
        return Draft(f"{told}: {per}.", asins=asins, sources=(f"policy/{policy.id}",))

    def no_return(self, order: Order) -> Draft | None:
        """Why an order cannot be returned; ``None`` if some of it can."""
        why = order.no_return(self._shop.rules.return_window(), self._app.settings.clock.now())
        if why is None:
            return None
        asins, said = tuple(line.asin for line in order.lines[:_LISTED]), number(order.number)
        if order.state in SENT_BACK:
            return Draft(f"Order {said} {STATES[order.state]}.", asins=asins)
        if why is NoReturn.STATE:
            return Draft(f"Order {said} {STATES[order.state]}, so there is nothing to return yet.", asins=asins)
        if why is NoReturn.DIGITAL:
            text = f"No, order {said} cannot be returned: it has only digital editions, and they cannot be sent back."
            return Draft(text, asins=asins)
        policy = self._shop.rules.stating(RETURN_WINDOW)
        window = f"more than {{{{policy:{policy.id}.{RETURN_WINDOW}}}}} days" if policy else "too long"
        return Draft(
            f"No, that is too late: order {said} was delivered {window} ago.",
            sources=(f"policy/{policy.id}",) if policy else (),
            asins=asins,
        )

    def _with_delivery(self, text: str, asins: tuple[str, ...]) -> Draft:
        """An open order together with what the shop says about the time of delivery."""
        policy = self._shop.rules.stating(STANDARD_DAYS)
        if policy is None:
            return Draft(text, asins=asins)
        return Draft(f"{text} Standard delivery takes {{{{policy:{policy.id}.{STANDARD_DAYS}}}}} working days.",
                     sources=(f"policy/{policy.id}",), asins=asins)  # fmt: skip


def _goes_to(order: Order) -> str:
    """Where an order goes, or went."""
    if not order.address:
        return f"I do not see the address of order {number(order.number)} here; {SUPPORT} can tell you."
    goes = "goes" if order.state in OPEN else "went"
    return f"{head(order)} {goes} to {{{{address:{quote(order.address)}}}}}."


def _in_vouchers(points: int, policy: Policy, earning: Policy | None) -> Draft:
    """How many vouchers the points make, and how many are missing for the next one."""
    each = round(policy.number(VOUCHER_POINTS) or 0)
    if not each:
        return Draft(f"You have {count(points, 'point')}.")
    worth = f" of \u20ac{{{{policy:{policy.id}.{VOUCHER_EUROS}}}}}" if policy.number(VOUCHER_EUROS) else ""
    if points < each:
        have = f"Your {count(points, 'point')} make no voucher yet"
        per = (earning.number(POINTS_PER_EURO) or 0) if earning else 0
        spend = f" That is {money(math.ceil((each - points) / per) * 100)} of {ITEMS}." if per else ""
        return Draft(f"{have}: {each} points become one{worth}, so {each - points} are missing.{spend}",
                     sources=(f"policy/{policy.id}",))  # fmt: skip
    have = f"Your {count(points, 'point')} make {count(points // each, 'voucher')}{worth} ({each} points each)"
    return Draft(f"{have}; {each - points % each} more make the next one.", sources=(f"policy/{policy.id}",))


def _due(due: Bill) -> str:
    """What a cart costs, with its delivery."""
    if due.delivery:
        parts = f"The {ITEMS} cost {money(due.books)} and delivery {money(due.delivery)}"
        return f"{parts}, so the total is {money(due.total)}."
    return f"The total is {money(due.total)}." + ("" if due.is_sent else " Digital editions need no delivery.")


def no_order(named: str | None) -> Draft:
    """Say that the shopper has no such order."""
    return Draft(f"I see no order {number(named.upper())} of yours." if named else NO_ORDERS)


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
