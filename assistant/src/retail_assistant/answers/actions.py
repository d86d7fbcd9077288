"""What the assistant does for a shopper: each action is proposed, and done only after a yes, in one transaction."""

from __future__ import annotations

import re
import sqlite3

import msgspec

import parbake as pb
from retail_assistant.answers.cart_numbers import Changes, changes
from retail_assistant.answers.draft import Asked, Draft, together
from retail_assistant.answers.own import ELSEWHERE, Own, left_out, no_order
from retail_assistant.answers.past_orders import NO_ORDERS, NOT_ORDERED, SIGN_IN
from retail_assistant.answers.phrases import AN_ITEM, ITEM, ITEMS, amount, count, in_form, joined, number, ordered
from retail_assistant.answers.products import WHICH
from retail_assistant.answers.rules import rule_titled
from retail_assistant.answers.subjects import Subjects
from retail_assistant.answers.told_orders import of_day
from retail_assistant.answers.which_order import named_number
from retail_assistant.live import LiveShop
from retail_assistant.shop import orders as order_records
from retail_assistant.shop import records
from retail_assistant.shop.bills import DIGITAL
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import ShopError
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.once import or_known
from retail_assistant.shop.orders import CAN_CANCEL, CAN_RETURN
from retail_assistant.shop.prices import charges
from retail_assistant.shop.proposals import Proposal, put_proposal, take_proposal
from retail_assistant.shop.records import MOST_COPIES
from retail_assistant.shop.voices import is_named
from retail_assistant.understand.ask import Subject
from retail_assistant.understand.dialogue import Pending, Verb
from retail_assistant.understand.plain_words import number as number_of
from retail_assistant.understand.pointing import only
from retail_assistant.understand.said.own_cues import ONE_MORE
from retail_assistant.understand.wishes import Wishes

SIGN_IN_FIRST = "I can change a cart only when you are signed in. Please sign in and ask me again."
UNABLE = f"I cannot do that for you here. {ELSEWHERE}"
YES_OR_NO = "Please answer yes or no."
HOW_MANY = (
    f"A cart can hold 1 to {MOST_COPIES} whole copies of {AN_ITEM}. How many would you like? Please ask me again."
)
AT_MOST = f"A cart can hold at most {MOST_COPIES} copies of {AN_ITEM}."
WHICH_EDITION, CANNOT_ADD = "Which one do you mean:", "so I cannot add it to your cart."
ONE_AT_A_TIME = f"I can do that for one {ITEM} at a time, so this is the first; tell me the next one after it."
FIRST_THIS = f"I can do that for one {ITEM} at a time: answer this first, and tell me the next one after it."
THAT_ALREADY = "Your cart has exactly that already."
LEFT = "All right, I leave it as it is."
NOT_YET = "So far I have done nothing, because I am not sure that you agree. Shall I do it exactly as I asked?"
NOTHING = "There is nothing to confirm any more. Tell me what I should do."
_ALL_OF_CART = re.compile(r"\b(?:empty|clear|everything|all of (?:it|them)|the whole)\b")
MOST_AT_ONCE = 10
CHANGES_CART = ("add", "remove", "quantity")
BY_NUMBER = "Please tell me the numbers of the volumes that I should add."
WHOLE = f"I can only do that for a whole order. Please choose single {ITEMS} on the order page."
_EACH = re.compile(
    r"\b(\d{1,3}|one|two|three|four|five|six|seven|eight|nine|ten) (?:cop(?:y|ies)\b|each\b|of (?:each|them|these)\b)"
)
"""A number of copies, such as "2 copies" or "3 each"."""
_FIRST = re.compile(r"\bfirst\b")
_OF = re.compile(
    r"^(?!.*\bvol).*(?:^|\b(?:add|put|and|take) )(?:\d{1,2}|two|three|four|five) of (?!them|it|these|those|each)"
)
_EXCEPT = re.compile(r"\b(?:except(?: for)?|but not|without|excluding|minus|apart from|not vol\w*)\b")
_IT = re.compile(r"\b(?:it|this|that)\b(?! (?:one|order))")
_CHEAPER = re.compile(r"\bcheap(?:er|est)\b")


class Actions:
    """Proposes actions, and carries them out."""

    def __init__(self, app: pb.App, shop: LiveShop, subjects: Subjects, own: Own) -> None:
        """Keep what is asked; writes go to the shop's file."""
        self._app, self._shop, self._subjects, self._own = app, shop, subjects, own
        self._writers: PerThread = app.settings.resources[PerThread]

    async def propose(self, asked: Asked) -> Draft:
        """Ask whether to do what is wanted, or say why it cannot be done."""
        slot = asked.ask.slot("action")
        pending = asked.said.pending
        if slot == "add" and pending is not None and pending.verb == "add" and ONE_MORE.search(asked.ask.text):
            return self._first_this(asked, pending)
        if asked.is_known and _cannot_be_counted(asked, slot):
            return Draft(HOW_MANY)
        if slot == "quantity" and pending is not None and pending.verb in ("add", "quantity"):
            other = self.recast(asked) if self._names_another(asked, pending) else None
            return other or self._changed(asked, pending)
        if slot == "unable":
            return Draft(UNABLE)
        if not asked.is_known:
            return Draft(SIGN_IN if slot in ("cancel", "return") else SIGN_IN_FIRST)
        if slot in ("cancel", "return"):
            return self._on_order(asked, slot)
        if slot == "remove" and _ALL_OF_CART.search(asked.ask.text):
            return Draft(f"Shall I take everything out of your cart? {YES_OR_NO}", pending=Pending("empty"))
        return self._on_cart(asked, slot)

    def is_another(self, asked: Asked, pending: Pending) -> bool:
        """Whether a message asks for another action than the one that waits for a yes: another verb, book or number."""
        ask, slot = asked.ask, asked.ask.slot("action")
        if ask.best.kind != "action":
            return False
        is_same = slot == pending.verb or (slot == "remove" and pending.verb == "empty")
        named = named_number(ask.text)
        return (
            not is_same
            or (slot in ("add", "quantity") and ask.copies not in (None, pending.quantity))
            or self._names_another(asked, pending)
            or bool(named and pending.order and named.lower() != pending.order.lower())
        )

    def _names_another(self, asked: Asked, pending: Pending) -> bool:
        """Whether a message names a product by its title, and another one than what waits for a yes."""
        named = [s for s in asked.ask.subjects if s.source == "message"]
        asins = {o.asin for s in named for o in self._subjects.offers(s)}
        return bool(asins) and pending.asin not in asins

    def _changed(self, asked: Asked, pending: Pending) -> Draft:
        """Ask again with the number of copies that is now wanted."""
        copies = _copies(asked)
        offers = self._shop.offers([pending.asin])
        if not offers:
            return Draft(NOTHING)
        if not copies:
            return Draft(LEFT) if pending.verb == "add" else self._proposed(asked, "remove", offers[0], 1)
        return self._proposed(asked, pending.verb, offers[0], copies)

    def _first_this(self, asked: Asked, pending: Pending) -> Draft:
        """Ask again for what waits for a yes, before the next book that is wanted."""
        offers = self._shop.offers([pending.asin])
        if not offers:
            return Draft(NOTHING)
        again = self._proposed(asked, "add", offers[0], pending.quantity)
        again.text = f"{FIRST_THIS} {again.text}"
        return again

    def _on_cart(self, asked: Asked, slot: str) -> Draft:
        cart = self._shop.shoppers.cart(asked.shopper)
        if (at_once := self._several(asked, cart, slot)) is not None:
            return at_once
        offer, several = self._meant(asked, cart, slot)
        if several:
            charged = self._subjects.charges(asked.shopper, several, self._app.settings.clock.now())
            names = joined([f"{in_form(o)} for {amount(o, charged)}" for o in several[:4]], "or")
            choices = tuple(o.asin for o in several[:4])
            asks = Draft(f"{WHICH_EDITION} {names}?", asins=choices, choices=choices)
            return _one_at_a_time(asked, asks)
        if offer is None:
            return Draft(WHICH if slot == "add" or cart else "Your cart is empty.")
        copies = _copies(asked)
        asins, name = (offer.asin,), in_form(offer)
        if slot == "add":
            if not offer.quantity:
                return Draft(f"{name} is out of stock, {CANNOT_ADD}", asins=asins, choices=asins)
            return _one_at_a_time(asked, self._proposed(asked, "add", offer, copies))
        if offer.asin not in cart:
            return Draft(f"{name} is not in your cart.", asins=asins)
        if slot == "remove" and 0 < (asked.ask.copies or 0) < cart[offer.asin]:  # one copy of several
            return _one_at_a_time(asked, self._proposed(asked, "quantity", offer, cart[offer.asin] - copies))
        if slot == "remove" or not copies:
            return _one_at_a_time(asked, self._proposed(asked, "remove", offer, 1))
        return _one_at_a_time(asked, self._proposed(asked, "quantity", offer, copies))

    def _several(self, asked: Asked, cart: dict[str, int], slot: str) -> Draft | None:
        """A proposal for several products at once; ``None`` if one is meant."""
        if slot == "quantity" and (changed := changes(asked.ask.text, self._shop.offers(cart), cart)) is not None:
            return self._numbers(asked, changed)
        text = asked.ask.text
        if slot == "add" and _EACH.search(text) and _FIRST.search(text):
            return Draft(BY_NUMBER)
        is_alike = not _OF.match(text) and all(len(found) <= 1 for found in (_EACH.findall(text), _FIRST.findall(text)))
        return self._all(asked) if slot == "add" and len(asked.ask.subjects) > 1 and is_alike else None

    def _all(self, asked: Asked) -> Draft | None:
        """A proposal for all products that are named, the cheapest edition of each, in print if there is one.

        It is ``None`` if only one is in stock.

        The format of the product that was spoken of, or that waits for a yes, is meant first.
        """
        offers: list[Offer] = []
        for subject in asked.ask.subjects[:MOST_AT_ONCE]:
            spoken = self._shop.offers([asked.said.pending.asin if asked.said.pending else subject.asin])
            found = [o for o in _in_form_of(spoken, self._subjects.offers(subject)) if o.quantity]
            if found and subject.volume is None:
                found = [o for o in found if o.product.volume == found[0].product.volume]
            offers += sorted(found, key=lambda o: (o.product.format in DIGITAL, o.cents))[:1]
        left_out = _left_out(asked.ask.text)
        if left_out == set():
            return Draft(BY_NUMBER)
        offers = list({o.asin: o for o in offers if o.product.volume not in (left_out or ())}.values())
        if len(offers) < 2:  # noqa: PLR2004  # one is proposed by itself
            return None
        charged = self._subjects.charges(asked.shopper, offers, self._app.settings.clock.now())
        said = _EACH.search(asked.ask.text)
        copies = min((number_of(said[1]) or 1) if said else 1, MOST_COPIES, *(o.quantity for o in offers))
        names = joined([f"{in_form(o)} for {amount(o, charged)}" for o in offers])
        missing = len(asked.ask.subjects) - len(offers) - len(left_out or ())
        note = " The others are not in stock." if missing > 0 else ""
        asins = tuple(o.asin for o in offers)
        return Draft(
            f"Shall I add {count(copies, 'copy')} each of {names} to your cart?{note} {YES_OR_NO}",
            asins=asins,
            pending=Pending("add", asins[0], copies, also=asins[1:]),
        )

    def recast(self, asked: Asked) -> Draft | None:
        """What is proposed instead after a no that names another edition or other books; ``None`` for a plain no."""
        ask, pending = asked.ask, asked.said.pending
        if pending is None or not asked.is_known:
            return None
        if pending.verb in ("cancel", "return"):
            names = named_number(ask.text) or any(s.volume is not None or s.source == "message" for s in ask.subjects)
            return self._on_order(asked, pending.verb) if names else None
        if pending.verb != "add":
            return None
        if any(s.source == "message" for s in ask.subjects) or len(ask.subjects) > 1:
            return self._on_cart(asked, "add")
        form, spoken = only(ask.wishes.formats), self._shop.offers([pending.asin])
        if form is None or not spoken:
            return None
        found = self._subjects.offers(Subject("", "shown", pending.asin, format=form))
        return self._proposed(asked, "add", found[0], pending.quantity) if found else None

    def _numbers(self, asked: Asked, changed: Changes) -> Draft:
        """A proposal for the first of the products whose number of copies changes."""
        if changed.offer is None:
            return Draft(THAT_ALREADY)
        verb: Verb = "quantity" if changed.copies else "remove"
        proposed = self._proposed(asked, verb, changed.offer, changed.copies or 1)
        if changed.waiting:
            proposed.text = f"{ONE_AT_A_TIME} {proposed.text}"
        return proposed

    def _meant(self, asked: Asked, cart: dict[str, int], slot: str) -> tuple[Offer | None, list[Offer]]:
        """The product that is meant, or several between which nothing decides."""
        if asked.ask.subjects:
            subject = asked.ask.subjects[0]
            if slot == "add" and re.search(r"\bnext (?:volume|one|part|book)\b", asked.ask.text):
                subject = self._subjects.following(subject)
            found = _in_form_of(self._shop.offers([subject.asin]), self._subjects.offers(subject))
            if slot != "add":
                found = [o for o in found if o.asin in cart] or found
            if slot != "add" and asked.ask.subjects[0].source != "message" and found and found[0].asin not in cart:
                found = self._shop.offers(cart) or found
            if len(found) > 1 and len({o.product.volume for o in found}) > 1 and asked.ask.subjects[0].volume is None:
                found = [o for o in found if o.product.volume == found[0].product.volume]
            if len(found) > 1 and len({o.product.format for o in found}) > 1:
                is_cheapest = _CHEAPER.search(asked.ask.text) is not None
                return (min(found, key=lambda o: o.cents), []) if is_cheapest else (None, found)
            return (found[0], []) if found else (None, [])
        found = [o for o in self._shop.offers(cart) if _fits(o, asked.ask.wishes)] if slot != "add" else []
        return (found[0], []) if len(found) == 1 else (None, found)

    def _on_order(self, asked: Asked, slot: str) -> Draft:
        orders = self._shop.shoppers.orders(asked.shopper)
        if not orders:
            return Draft(NO_ORDERS)
        if _left_out(asked.ask.text) is not None:
            return Draft(WHOLE)
        allowed = CAN_CANCEL if slot == "cancel" else CAN_RETURN
        named = next((s for s in asked.ask.subjects if s.source == "message" and s.whole), None)
        having = self._own.with_subject(orders, named) if named is not None else []
        if slot == "return" and named is not None and not having:
            return Draft(NOT_ORDERED)
        if named is None and _IT.search(asked.ask.text):  # the book that is spoken of
            spoken = {s.asin for s in asked.ask.subjects if s.volume is None}
            having = [o for o in orders if any(line.asin in spoken for line in o.lines)]
        order = next((o for o in having if o.state in allowed), None) or self._own.chosen(asked, orders)
        if order is None:
            return no_order(named_number(asked.ask.text))
        if named_number(asked.ask.text) is None and order.state not in allowed and not asked.said.turns:
            order = next((o for o in orders if o.state in allowed), order)
        lines = [line for line in order.lines if slot == "cancel" or line.can_return] or order.lines
        head = f"order {number(order.number)}{of_day(order)} ({joined([ordered(line) for line in lines])})"
        asins = tuple(line.asin for line in lines[:3])
        if order.state not in allowed:
            why = "it is already packed" if order.state == "packed" else f"it is {order.state}"
            verb = "cancel" if slot == "cancel" else "start a return of"
            refusal = Draft(f"I cannot {verb} {head}: {why}.", asins=asins)
            is_under_way = slot == "cancel" and order.state in ("packed", "shipped")
            rule = rule_titled(self._shop, "cancel", "sent") if is_under_way else None
            return together([refusal, rule]) if rule else refusal
        if slot == "return" and (refused := self._own.no_return(order)):
            return refused
        verb = "cancel" if slot == "cancel" else "start the return of"
        without = left_out(order) if slot == "return" else ""
        whole = " That is the whole order." if len(lines) > 1 and asked.ask.subjects else ""
        return Draft(f"Shall I {verb} {head}?{whole}{without} {YES_OR_NO}", asins=asins,
                     pending=Pending("cancel" if slot == "cancel" else "return", order=order.number))  # fmt: skip

    async def recorded(self, draft: Draft, shopper: str) -> Draft:
        """Record what a draft proposes, before it is shown; return the draft, or what to say if that is impossible."""
        pending = draft.pending
        if pending is None or not is_named(shopper):
            return draft
        now = self._app.settings.clock.now()
        try:
            await self._writers.write(lambda conn: put_proposal(conn, _proposal(conn, shopper, pending, now), now=now))
        except ShopError as error:
            return Draft(f"That is not possible now: {error}.", intent=draft.intent)
        return draft

    async def settle(self, asked: Asked, *, agreed: bool) -> Draft:
        """Do what waits for a yes, or leave it. Only what was recorded as proposed is done.

        A yes uses the proposal up. If it is sent again within a minute after the same messages, and nothing new was
        proposed, it is a retry: it gets the same reply, and writes nothing.
        """
        pending = asked.said.pending
        if pending is None or (pending.verb in ("add", "quantity", "remove") and not pending.asin):
            return Draft(NOTHING)
        if not agreed:
            return Draft(LEFT)
        if not asked.is_known:
            return Draft(SIGN_IN)
        now = self._app.settings.clock.now()
        try:
            held = await self._writers.write(
                lambda conn: or_known(
                    conn, _consent(asked), lambda same: _act(same, asked.shopper, pending, now), now=now
                )
            )
        except ShopError as error:
            return Draft(f"That was not possible: {error}.")
        return _done(pending, held)

    def _proposed(self, asked: Asked, verb: Verb, offer: Offer, copies: int) -> Draft:
        """Ask whether to add a product to the cart, to change its number of copies, or to take it out.

        No more copies are proposed than are in stock and a cart can hold.
        """
        most = min(offer.quantity or MOST_COPIES, MOST_COPIES)
        if verb != "remove" and copies > most:
            fewer = self._proposed(asked, verb, offer, most)
            are = "is" if most == 1 else "are"
            left = f"Only {{{{copies:{offer.asin}}}}} of it {are} in stock."
            fewer.text = f"{AT_MOST if most == MOST_COPIES else left} {fewer.text}"
            return fewer
        charged = self._subjects.charges(asked.shopper, [offer], self._app.settings.clock.now())
        name, costs = in_form(offer), f"{amount(offer, charged)} each"
        what = {
            "add": f"add {count(copies, 'copy')} of {name}, {costs}, to",
            "quantity": f"change {name} to {count(copies, 'copy')} in",
            "remove": f"take {name} out of",
        }[verb]
        return Draft(
            f"Shall I {what} your cart? {YES_OR_NO}", asins=(offer.asin,), pending=Pending(verb, offer.asin, copies)
        )


def _left_out(text: str) -> set[int] | None:
    """The volumes that a text leaves out: "except volume 2"; ``None`` if it leaves nothing out."""
    found = _EXCEPT.search(text)
    if found is None:
        return None
    return {n for word in re.findall(r"\w+", text[found.end() :]) if (n := number_of(word)) is not None}


def _fits(offer: Offer, wishes: Wishes) -> bool:
    """Whether a product of the cart is of the genre and the format that are named, if any are."""
    is_genre = not wishes.genres or offer.product.genre in wishes.genres
    return is_genre and (not wishes.formats or offer.product.format in wishes.formats)


def _in_form_of(spoken: list[Offer], found: list[Offer]) -> list[Offer]:
    """The editions in the format of the product that was spoken of, if there are any."""
    forms = {offer.product.format for offer in spoken}
    return [offer for offer in found if offer.product.format in forms] or found


def _one_at_a_time(asked: Asked, draft: Draft) -> Draft:
    """A proposal for the first of several products, which says that the others come after it."""
    if len(asked.ask.subjects) > 1:
        draft.text = f"{ONE_AT_A_TIME} {draft.text}"
    return draft


def _copies(asked: Asked) -> int:
    """How many copies are wanted; one if no number is named."""
    copies = asked.ask.copies
    return 1 if copies is None else int(copies)


def _cannot_be_counted(asked: Asked, slot: str) -> bool:
    """Whether a number of copies is named that no cart can change by: a fraction, less than one; 0 to set is none."""
    copies, least = asked.ask.copies, 0 if slot == "quantity" else 1
    return slot in CHANGES_CART and copies is not None and (copies < least or not float(copies).is_integer())


def _consent(asked: Asked) -> bytes:
    """What identifies a yes: who says it, and all that was said before, the proposal included."""
    return msgspec.json.encode(["yes", asked.shopper, asked.history])


def _proposal(conn: sqlite3.Connection, shopper: str, pending: Pending, now: float) -> Proposal:
    """An action as it is recorded: what is added, or changed in number, costs what the shopper pays for it now."""
    asins = (pending.asin, *pending.also) if pending.verb in ("add", "quantity") else ()
    cents = sum(charge.cents * pending.quantity for charge in charges(conn, shopper, asins, now=now).values())
    return Proposal(shopper, pending.verb, msgspec.json.encode(pending).decode(), cents)


def _act(conn: sqlite3.Connection, shopper: str, pending: Pending, now: float) -> int:
    """Do what was proposed; return how many copies of its product the cart holds then, 0 for all else."""
    take_proposal(conn, _proposal(conn, shopper, pending, now), now=now)
    if pending.verb == "cancel":
        order_records.cancel(conn, shopper, pending.order, now=now)
        return 0
    if pending.verb == "return":
        order_records.start_return(conn, shopper, pending.order, now=now)
        return 0
    if pending.verb == "empty":
        records.set_cart(conn, shopper, {}, now=now)
        return 0
    for asin in pending.also:
        records.change_cart(conn, shopper, asin, add=pending.quantity, now=now)
    copies = {"add": None, "remove": 0, "quantity": pending.quantity}[pending.verb]
    return records.change_cart(
        conn, shopper, pending.asin, add=pending.quantity if copies is None else None, to=copies, now=now
    )


def _done(pending: Pending, held: int) -> Draft:
    """Say what was done; ``held`` is what :func:`_act` returned."""
    if pending.verb == "cancel":
        return Draft(f"Done: order {number(pending.order)} is cancelled.")
    if pending.verb == "return":
        return Draft(f"Done: the return of order {number(pending.order)} is started.")
    if pending.verb == "empty":
        return Draft("Done: your cart is empty.")
    if pending.also:
        asins = (pending.asin, *pending.also)
        names = joined([f"{{{{title:{asin}}}}}" for asin in asins])
        return Draft(
            f"Done: {names} are in your cart.", sources=tuple(f"product/{asin}" for asin in asins), asins=asins
        )
    name = f"{{{{title:{pending.asin}}}}}"
    said = (
        f"Done: {name} is out of your cart."
        if not held
        else f"Done: {count(held, 'copy')} of {name} {'is' if held == 1 else 'are'} in your cart."
    )
    return Draft(said, sources=(f"product/{pending.asin}",), asins=(pending.asin,))
