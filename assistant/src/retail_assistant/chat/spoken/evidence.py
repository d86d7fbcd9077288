"""What a model may refer to: every sentence that a tool has found, and every sentence of a policy, by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import shorten

import msgspec

import parbake_semantic.guard
from retail_assistant.answers.phrases import WHY, form, listed
from retail_assistant.chat.spoken.wordings import words
from retail_assistant.chat.tools import ToolResult
from retail_assistant.knowledge.blocks import customer_sections
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.shop.prices import Charge
from retail_assistant.shop.trade import HANDOVER

MOST_DESCRIBED = 240
"""How many characters of a product's description a model gets to choose by, and may speak of."""
LEAST_SHARED, OF_NUMBER = 2, 2
"""How many content words a sentence must share with the item that it is taken to be about; what a number counts."""
_OF_ONE = frozenset({"facts", "offer", "reviews"})
"""Kinds of results of which each sentence is about the product that they name, if it is one."""
_OF_PRODUCT = frozenset({"title", "price", "stock", "copies", "ordered"})


class Item(msgspec.Struct, frozen=True):
    """One thing that the shop states.

    Attributes:
        text: The shop's own words for it, with slots.
        sources: The entities that it states, such as ``policy/returns``.
        asin: The product that it is about, if it is about one.
        section: The policy section that it is of, as ``policy#section``.
        more: What else is known of it; a model may speak of it, and it is not quoted.
    """

    text: str
    sources: tuple[str, ...] = ()
    asin: str = ""
    section: str = ""
    more: str = ""


class Evidence:
    """The items of one turn, by name: ``r2.1`` of a tool's second result, ``returns#return-window.1`` of a policy."""

    def __init__(
        self, shop: LiveShop, charges: Callable[[Iterable[str]], Mapping[str, Charge]], before: Sequence[str] = ()
    ) -> None:
        """Begin with the shop's policies as they stand now, and as ``r0`` the products that were shown ``before``.

        Args:
            shop: What is live.
            charges: What the shopper pays now for some products.
            before: The products.
        """
        self.charges = charges
        self._shop = shop
        self._items: dict[str, Item] = {}
        self._titles: dict[str, str] = {}
        self.said: list[str] = []
        self._together: dict[Item, tuple[Item, ...]] = {}
        self.results: list[ToolResult] = []
        for policy in shop.rules.policies():
            for section in customer_sections(policy, slots=True):
                name = f"{policy.id}#{section.id}"
                self._titles[name] = section.title
                said = parbake_semantic.guard.sentences(section.text)
                found = tuple(Item(sentence, (f"policy/{policy.id}",), section=name) for sentence in said)
                self._items |= {f"{name}.{at}": item for at, item in enumerate(found, start=1)}
                self._together |= dict.fromkeys(found, found)

        self._items[f"{HANDOVER}.1"] = Item(shop.trade.handover, section=HANDOVER)
        charged = charges(before) if before else {}
        for at, offer in enumerate(shop.offers(before), start=1):
            asin = offer.asin
            item = Item(listed([offer], charged), (f"product/{asin}",), asin, more=self._described(asin))
            self._items[f"r0.{at}"] = item

    def before(self) -> list[str]:
        """The products that were shown before, as the model reads them."""
        return [self._line(name, item) for name, item in self._items.items() if name.startswith("r0.")]

    def add(self, result: ToolResult) -> str:
        """Name the items of a tool's result, and write it for the model with the numbers that hold now."""
        self.results.append(result)
        if not result.stated:
            return result.text
        lines = []
        for at, sentence in enumerate(result.stated, start=1):
            name = f"r{len(self.results)}.{at}"
            item = self._items[name] = self._item(sentence, result)
            lines.append(self._line(name, item))
        found = self.find(f"r{len(self.results)}")
        if len({item.asin for item in found if item.asin}) == 1:  # all of them are about that one
            self._together |= dict.fromkeys(found, found)
        return "\n".join(lines)

    def find(self, name: str) -> tuple[Item, ...]:
        """The items behind a name: one, all of a result or of a section, or none."""
        if name in self._items:
            return (self._items[name],)
        return tuple(item for known, item in self._items.items() if known.startswith(f"{name}."))

    def together(self, items: Iterable[Item]) -> tuple[Item, ...]:
        """Some items with those of the same section, or about the same product in the same result."""
        return tuple(dict.fromkeys(other for item in items for other in self._together.get(item, (item,))))

    def is_extreme(self, items: Sequence[Item], cheapest: str | None) -> bool:
        """Whether the first of some items is the cheapest of its result, or the dearest."""
        for result in self.results:
            charged = self.charges(result.products)
            prices = {asin: charged[asin].cents for asin in result.products if asin in charged}
            least = (min if cheapest else max)(prices.values(), default=None)
            if result.kind == "list" and any(prices.get(item.asin, -1) == least for item in items[:1]):
                return True
        return False

    def nearest(self, text: str) -> tuple[Item, ...]:
        """The item that has most words of a sentence which names none; empty if none has two of them."""
        said, numbers = words(text), parbake_semantic.guard.numbers_in(text)
        told = {item: self.filled([item])[0] for item in self._items.values()}
        shares = {
            item: len(said & words(stated)) + OF_NUMBER * len(numbers & parbake_semantic.guard.numbers_in(stated))
            for item, stated in told.items()
        }
        best = max(shares, key=lambda item: shares[item], default=None)
        return (best,) if best is not None and shares[best] >= LEAST_SHARED else ()

    def led(self, item: Item, before: Item | None) -> str:
        """An item's text, led in by what it is about where that is another thing than ``before`` and the text lacks it.

        A sentence of one product after another product, or of one rule after another rule, would be taken for theirs.
        Of a list it is what stands there of a product.
        """
        if before is None or (item.asin, item.section) == (before.asin, before.section):
            return item.text
        if item.more:  # of a list, without what leads the list in
            return f"{put(item, self._shop)}."
        product, said = self._shop.product(item.asin) if item.asin else None, fill_slots(item.text, self._shop)
        if product is not None and product.line not in said:  # a sentence on volumes is of the whole line
            return f"{product.line if 'volume' in said else f'{{{{title:{item.asin}}}}}'}: {item.text}"
        title = self._titles.get(item.section, "")
        return f"{title}: {item.text}" if title and words(title).isdisjoint(words(said)) else item.text

    def found(self) -> tuple[Item, ...]:
        """Every item that a tool has found."""
        return tuple(item for name, item in self._items.items() if "#" not in name)

    def stated(self) -> list[str]:
        """What all items state, those of policies too, and what was said before in the reply."""
        return [*self.filled(self._items.values()), *self.said]

    def filled(self, items: Iterable[Item]) -> list[str]:
        """What items state, with the numbers that hold now."""
        return [f"{fill_slots(item.text, self._shop)} {item.more}".strip() for item in items]

    def _line(self, name: str, item: Item) -> str:
        return f"[{name}] {self.filled([item])[0]}"

    def _item(self, sentence: str, result: ToolResult) -> Item:
        listed_as, _, reason = sentence.partition(WHY) if result.kind == "list" else (sentence, "", "")
        sentence = f"{listed_as}{WHY[0]}." if reason else sentence
        named = dict.fromkeys(s.name for s in parbake_semantic.guard.slots(sentence) if s.kind in _OF_PRODUCT)
        meant = list(named) or (result.products if result.kind in _OF_ONE else ())
        asin = meant[0] if len(meant) == 1 else ""
        sources = (f"product/{asin}",) if asin and f"product/{asin}" in result.sources else result.sources
        more = self._described(asin) if result.kind == "list" else ""
        why = f" Why: {fill_slots(reason, self._shop)}" if reason else ""
        return Item(sentence, sources, asin, result.section, f"{more}{why}".strip())

    def _described(self, asin: str) -> str:
        """What a product is, for a model that chooses among several."""
        product = self._shop.product(asin) if asin else None
        if product is None:
            return ""
        description = parbake_semantic.guard.strip_instructions(product.description)
        return f"({product.genre}) {shorten(description, MOST_DESCRIBED, placeholder=' ...')}".strip()


def put(item: Item, shop: LiveShop) -> str:
    """An item as words within a sentence, with slots.

    Of a list it is what stands there of a product, otherwise its title and format, with its price if that is what the
    item states: a price without its promotion would mislead.
    """
    product = shop.product(item.asin) if item.asin else None
    if product is None:
        return item.text.rstrip(".!")
    title, price = f"{{{{title:{item.asin}}}}}", f"{{{{price:{item.asin}}}}}"
    if item.more and title in item.text:
        return item.text[item.text.index(title) :].rstrip(".")
    states_price = price in item.text and "{{reduced:" not in item.text
    details = ", ".join(filter(None, (form(product.format), price if states_price else "")))
    return f"{title} ({details})" if details else title
