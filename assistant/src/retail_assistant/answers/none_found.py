"""What is said where no product keeps every wish: what keeps nearly all of them, or which one to give up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from retail_assistant.answers.draft import Asked, Draft, showing
from retail_assistant.answers.nearest import Nearest
from retail_assistant.answers.phrases import described, joined, listed
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Conditions, Offer, one_a_line
from retail_assistant.understand.wishes import NO_WISHES, Wishes

_GIVEN_UP = (
    ("most_cents", "that price limit"),
    ("formats", "that format"),
    ("themes", "that theme"),
    ("volume", "that volume"),
    ("genres", "that genre"),
    ("single", "the wish for a single volume"),
    ("no_genres", "leaving a genre out"),
    ("no_formats", "leaving a format out"),
    ("no_themes", "leaving a theme out"),
)
"""Wishes in the order in which the shopper is offered to give one up."""
SHOWN = 5


class NoneFound:
    """Answers a search that found nothing."""

    def __init__(self, shop: LiveShop, nearest: Nearest, now: Callable[[], float]) -> None:
        """Search in ``shop`` and with ``nearest``; ``now`` tells which promotions run."""
        self._shop, self._nearest, self._now = shop, nearest, now

    async def answer(self, asked: Asked, wishes: Wishes, conditions: Conditions, *, other: str = "") -> Draft:
        """Show what has some of the themes, or say which wish stands in the way.

        A wish that was offered to be given up before is given up: the shopper has seen that sentence.
        """
        if wishes == NO_WISHES:
            return Draft("I have nothing that fits right now.", wishes=wishes)
        if partly := self._with_some_themes(asked, wishes, conditions):
            return partly
        themed = msgspec.structs.replace(
            conditions, asins=self._shop.with_words(wishes.themes) if wishes.themes else conditions.asins
        )
        text = f"I found no {other}{described(wishes)} in stock."
        for name, wish in _GIVEN_UP:
            if getattr(wishes, name) == getattr(NO_WISHES, name):
                continue
            freed = conditions if name == "themes" else self._freed(name, wishes, themed)
            if not self._shop.has_any(freed):
                continue
            if asked.said.empty:
                left = msgspec.structs.replace(wishes, **{name: getattr(NO_WISHES, name)})
                found = one_a_line(self._shop.find(freed))[: wishes.count or SHOWN]
                return self._shown(asked, f"Without {wish} I found:", found, left)
            offer = f"Without {wish} there would be some; tell me if you would like to see them."
            return Draft(f"{text} {offer}", wishes=wishes)
        return Draft(text, wishes=wishes)

    def _freed(self, name: str, wishes: Wishes, conditions: Conditions) -> Conditions:
        """The conditions without one wish."""
        if name == "no_themes":
            allowed = {*conditions.no_asins} - self._nearest.with_unwanted(wishes)
            return msgspec.structs.replace(conditions, no_asins=allowed)
        return msgspec.structs.replace(conditions, **{name: getattr(Conditions(), name)})

    def _with_some_themes(self, asked: Asked, wishes: Wishes, conditions: Conditions) -> Draft | None:
        """What has some of several themes, those with the most of them first."""
        if len(wishes.themes) != 2:  # noqa: PLR2004  # the one and the other
            return None
        having = {theme: self._shop.with_words([theme]) for theme in sorted(wishes.themes)}
        found = self._shop.find(msgspec.structs.replace(conditions, asins=frozenset().union(*having.values())))
        if not found:
            return None
        best = sorted(one_a_line(found), key=lambda o: -sum(o.asin in asins for asins in having.values()))
        shown = best[: wishes.count or SHOWN]
        themes = [theme for theme, asins in having.items() if any(o.asin in asins for o in shown)]
        return self._shown(
            asked,
            f"None is about {joined(sorted(wishes.themes))} together; these are about {joined(themes, 'or')}:",
            shown,
            msgspec.structs.replace(wishes, themes=frozenset({" or ".join(themes)})),
        )

    def _shown(self, asked: Asked, head: str, offers: Sequence[Offer], wishes: Wishes) -> Draft:
        """Some products under a head, with what the shopper pays for them."""
        charged = self._shop.shoppers.charges(asked.shopper, [o.asin for o in offers], now=self._now())
        return showing(f"{head} {listed(offers, charged)}", offers, wishes=wishes)
