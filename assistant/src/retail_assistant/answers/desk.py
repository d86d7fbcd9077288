"""Which answer belongs to which kind of question."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import parbake as pb
from retail_assistant.answers.about import About
from retail_assistant.answers.actions import Actions
from retail_assistant.answers.comparing import Comparing
from retail_assistant.answers.correcting import Correcting
from retail_assistant.answers.draft import Asked, Draft
from retail_assistant.answers.facts import Facts
from retail_assistant.answers.lists import Lists
from retail_assistant.answers.nearest import Nearest
from retail_assistant.answers.own import Own
from retail_assistant.answers.policy.policy_answers import PolicyAnswers
from retail_assistant.answers.products import Products
from retail_assistant.answers.promotions import Promotions
from retail_assistant.answers.subjects import Subjects
from retail_assistant.answers.sums import Sums
from retail_assistant.answers.told_reviews import Reviews
from retail_assistant.live import LiveShop
from retail_assistant.model.prompting import Prompts
from retail_assistant.understand.ask import Kind, Reading

Handler = Callable[[Asked], Awaitable[Draft]]


class AnswerDesk:
    """All kinds of answers over one app and its live shop."""

    def __init__(self, app: pb.App, shop: LiveShop, prompts: Prompts | None = None) -> None:
        """Build them; with ``prompts`` the generator words what the policies answer."""
        subjects = Subjects(shop)
        nearest = Nearest(app, shop)
        self.about = About(nearest, shop)
        self.policies = PolicyAnswers(app, shop, prompts)
        self._lists = Lists(app, shop, subjects, nearest)
        promotions = Promotions(app, shop, subjects)
        self._facts = Facts(subjects, app.settings.clock.now)
        self._own = own = Own(app, shop)
        self.actions = Actions(app, shop, subjects, own)
        self._correcting = Correcting(app, subjects)
        self._table: dict[Kind, Handler] = {
            "offer": Products(app, subjects, promotions, Sums(app, shop, subjects), nearest).answer,
            "facts": self._facts.answer,
            "list": self._lists.answer,
            "trending": self._lists.trend,
            "compare": Comparing(app, shop, subjects).answer,
            "promotion": promotions.answer,
            "reviews": Reviews(app, subjects).answer,
            "cart": own.cart,
            "orders": own.orders,
            "points": own.points,
            "action": self.actions.propose,
        }

    def corrected(self, asked: Asked, draft: Draft) -> Draft:
        """The answer, after the right price or stock of the product of which the question states a wrong one."""
        return self._correcting.corrected(asked, draft)

    def fitting(self, asked: Asked, reading: Reading) -> Reading:
        """The reading, or another one: of several editions all are told, and orders may have nothing to say."""
        of_what = (reading.kind, reading.slot)
        if reading.kind == "offer" and len(asked.ask.wishes.formats) > 1:
            return Reading("facts", "formats", reading.weight)
        if of_what == ("orders", "money") and self._own.money(asked) is None:
            return Reading("policy", "", reading.weight)
        if of_what == ("orders", "redirect") and not asked.is_known:
            return Reading("policy", "", reading.weight)
        if of_what == ("orders", "next") and self._own.next_one(asked) is None:
            return Reading("facts", "next", reading.weight)
        if of_what == ("orders", "can_return") and self._own.has_no_order(asked):
            return Reading("policy", "", reading.weight)
        if of_what == ("social", "private") and asked.is_known and asked.shopper.lower() in asked.ask.text:
            return next((r for r in asked.ask.readings if r.slot != "private"), reading)
        return reading

    def handler(self, kind: Kind, slot: str) -> Handler:
        """What answers a kind of question; a title alone is answered with what is sold under it."""
        if kind == "facts" and slot == "title":
            return self._facts.title_alone
        if kind == "list" and slot == "why":
            return self._lists.explained
        return self._table.get(kind, self._lists.answer)
