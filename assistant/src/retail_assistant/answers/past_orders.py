"""What a shopper has ordered so far: the orders of a time or a state, their sum, and what is missing of a series."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import msgspec

from retail_assistant.answers.draft import Asked, Draft, showing
from retail_assistant.answers.phrases import ITEM, ITEMS, count, day, during, listed, money, numbered, ordered
from retail_assistant.answers.subjects import Subjects, volumes
from retail_assistant.answers.told_orders import OPEN, STATES, head, lines_of, told
from retail_assistant.live import LiveShop
from retail_assistant.shop.bills import Line
from retail_assistant.shop.finding import Offer
from retail_assistant.shop.orders import RETURN_WINDOW, SENT_BACK, Order
from retail_assistant.shop.queries import Product
from retail_assistant.shop.schema import ORDER_STATES
from retail_assistant.understand.ask import Subject
from retail_assistant.understand.plain_words import number as number_of
from retail_assistant.understand.said.own_cues import SEVERAL_LAST
from retail_assistant.understand.times import Span, span

SIGN_IN = "I see that only when you are signed in. Please sign in and ask me again."
NO_ORDERS = "I see no order of yours."
WHICH_SERIES = "Of which series? Tell me its title."
NOT_ORDERED = f"None of your orders has that {ITEM}."
LISTED, MOST_MISSING = 5, 10
_HOW_MANY = re.compile(r"\bhow many\b")
_UNFINISHED = re.compile(r"\b(?:not|n't|never|yet to be|isn't|aren't|haven't|hasn't|weren't)\b[^.,]{0,20}$")
_NAMED_STATES: Sequence[tuple[re.Pattern[str], frozenset[str], str]] = (
    (re.compile(r"\bcancel(?:l?ed)?\b"), frozenset({"cancelled"}), "was cancelled"),
    (re.compile(r"\breturn(?:ed|ing)?\b|\bsen[dt] back\b"), SENT_BACK, "was sent back"),
    (re.compile(r"\bopen\b|\boutstanding\b|\bundelivered\b|\bpending\b|\bstill coming\b"), OPEN, "is still open"),
    (re.compile(r"\bdelivered\b|\barrived\b"), frozenset({"delivered"}), "was delivered"),
    (re.compile(r"\bshipped\b|\bdispatched\b|\bon (?:its|their|the) way\b|\bin transit\b"), frozenset({"shipped"}),
     "is on its way"),
    (re.compile(r"\bpacked\b"), frozenset({"packed"}), "is packed"),
)  # fmt: skip
"""States as shoppers name them: of two, the first counts."""


class State(msgspec.Struct, frozen=True):
    """Some states of orders, and how they are put after "an order that"."""

    states: frozenset[str]
    said: str


class PastOrders:
    """Answers questions about all orders of a shopper; ``orders`` are those orders, the newest first."""

    def __init__(self, shop: LiveShop, subjects: Subjects) -> None:
        """Keep what is asked."""
        self._shop, self._subjects = shop, subjects

    def answer(self, slot: str, asked: Asked, orders: Sequence[Order], now: float) -> Draft | None:
        """What is asked of all orders; ``None`` if one order is asked about."""
        if slot == "missing":
            return self.missing(asked, orders)
        if not orders:
            return Draft(NO_ORDERS)
        if slot == "returnable":
            return self.returnable(orders, now)
        if slot == "bought":
            return self.bought(asked, orders)
        if slot == "next":
            return self.next_one(asked, orders)
        if slot == "open":
            return self.still_open(orders)
        if slot in ("spent", "some"):
            return self.spent(asked, orders, now) if slot == "spent" else self.some(asked, orders, now)
        return None

    def some(self, asked: Asked, orders: Sequence[Order], now: float) -> Draft:
        """The orders of the time and the state that are asked for; all if neither is."""
        when, state = span(asked.ask.text, now), named_state(asked.ask.text)
        fitting = [o for o in orders if _fits(o, when, state)][: _newest(asked)]
        if not fitting:
            return Draft(_none(when, state))
        said = [told(o) for o in fitting[:LISTED]]
        if len(fitting) > LISTED:
            said.insert(0, f"I see {count(len(fitting), 'order')}; these are the newest {LISTED}.")
        elif _HOW_MANY.search(asked.ask.text):
            said.insert(0, f"I see {count(len(fitting), 'order')}.")
        return Draft(" ".join(said))

    def until(self, order: Order) -> tuple[str, tuple[str, ...]]:
        """Until which day an order can be returned, in words, with the policy that states it; empty if none does."""
        policy, last = self._shop.rules.stating(RETURN_WINDOW), order.returnable_until(self._shop.rules.return_window())
        return (f" until {day(last)}", (f"policy/{policy.id}",)) if policy and last else ("", ())

    def returnable(self, orders: Sequence[Order], now: float) -> Draft:
        """The orders of which something can still be returned, each with its last day."""
        window = self._shop.rules.return_window()
        found = [o for o in orders if o.no_return(window, now) is None]
        if not found:
            return Draft("None of your orders can be returned now.")
        each = [f"{head(o)}{self.until(o)[0]}: {lines_of(o)}." for o in found[:LISTED]]
        more = f" These are the newest {LISTED} of {len(found)}." if len(found) > LISTED else ""
        said = f"You can still return, if the {ITEMS} were not opened: {' '.join(each)}{more}"
        return Draft(said, sources=self.until(found[0])[1], asins=(found[0].lines[0].asin,))

    def still_open(self, orders: Sequence[Order]) -> Draft:
        """The orders that did not arrive yet; without any the newest order."""
        on_their_way = [o for o in orders if o.state in OPEN]
        said = [told(o) for o in on_their_way[:LISTED] or orders[:1]]
        if not on_their_way:
            said.insert(0, "You have no order that is still open; this is your newest.")
        elif len(on_their_way) > LISTED:
            said.insert(0, f"{len(on_their_way)} of your orders are still open; these are the newest {LISTED}.")
        return Draft(" ".join(said))

    def spent(self, asked: Asked, orders: Sequence[Order], now: float) -> Draft:
        """What the orders cost that were not cancelled, and how much of it was sent back."""
        when = span(asked.ask.text, now)
        named = [s.name for s in asked.ask.subjects if s.source == "message"]
        counted = [o for o in orders if o.state != "cancelled" and _fits(o, when, None)][: _newest(asked)]
        bought = [(o, line) for o in counted for line in o.lines if not named or any(n in line.title for n in named)]
        if not bought:
            on = f" on {ITEMS} of that title" if named else ""
            return Draft(f"You have spent nothing{on} {during(when.when) if when else 'so far'}.")
        said = count(len({o.number for o, _ in bought}), "order")
        if _newest(asked):
            said = f"your newest {said}"
        what = f"{ITEMS} of that title in {said}" if named else said
        begin = f"{during(when.when[0].upper() + when.when[1:])} you" if when else "You"
        text = f"{begin} have spent {money(_sum(line for _, line in bought))} on {what}, without delivery;"
        text += " cancelled orders are left out."
        back = [(o, line) for o, line in bought if line not in o.kept]
        if back:
            some = count(len({o.number for o, _ in back}), "order")
            text += f" {money(_sum(line for _, line in back))} of it was for {some} that you sent back."
        return Draft(text)

    def missing(self, asked: Asked, orders: Sequence[Order]) -> Draft:
        """The volumes of a series on sale that no order has, and that the shopper does not say to have."""
        subject = self._series(asked)
        sold = self._subjects.line(subject) if subject else []
        if subject and subject.format:
            sold = [o for o in sold if o.product.format == subject.format]
        if not sold:
            return Draft(WHICH_SERIES)
        name = sold[0].product.line
        bought = self._bought(orders, name, subject.format if subject else None)
        had = {product.volume for product in bought} | {*asked.ask.owned}
        lacking = [v for v in volumes(sold) if v not in had]
        if not lacking:
            return _complete(sold)
        shown = _editions([o for o in sold if o.product.volume in lacking], bought)[: MOST_MISSING if had else LISTED]
        return showing(f"{_lacking(name, lacking, had)} {listed(shown)}", shown)

    def bought(self, asked: Asked, orders: Sequence[Order]) -> Draft:
        """The volumes of a series that the shopper has, or the order that has the one volume that is asked about."""
        subject = self._series(asked)
        if subject is None:
            return Draft(WHICH_SERIES)
        sold = self._subjects.line(subject)
        name = sold[0].product.line if sold else subject.name
        had = sorted(self._bought(orders, name, subject.format), key=lambda p: p.volume)
        on_sale = tuple(o.asin for o in self._shop.offers([p.asin for p in had]))[-1:]
        asins = on_sale or tuple(o.asin for o in sold[:1])
        if subject.volume is not None:
            had = [p for p in had if p.volume == subject.volume]
        if not had:
            of_one = subject.volume is not None or len(volumes(sold)) == 1
            return Draft(NOT_ORDERED if of_one else f"None of your orders has a volume of {name}.", asins=asins)
        order = next(o for o in orders if any(line.asin == had[0].asin for line in o.kept))
        if subject.volume is not None or len(volumes(sold)) == 1:
            line = next(line for line in order.kept if line.asin == had[0].asin)
            said = f"Yes, you have bought {ordered(line)}: o{head(order)[1:]} {STATES[order.state]}."
            return Draft(said, asins=asins)
        there = sorted({p.volume for p in had})
        return Draft(f"You have bought {numbered(there)} of {name}.", asins=asins)

    def next_one(self, asked: Asked, orders: Sequence[Order]) -> Draft | None:
        """The first volume on sale that a shopper lacks of a series; ``None`` if no order has one of it."""
        subject = self._series(asked)
        sold = self._subjects.line(subject) if subject else []
        if subject is None or not sold:
            return None
        had = self._bought(orders, sold[0].product.line, None)
        there = {p.volume for p in had} | {*asked.ask.owned}
        if not had:
            return None
        lacking = [o for o in sold if o.product.volume not in there]
        if not lacking:
            return _complete(sold)
        shown = _editions(lacking, had)[:1]
        return showing(f"The next one that you do not have is {listed(shown)}", shown)

    def _series(self, asked: Asked) -> Subject | None:
        """The series that is meant: the one that is named or spoken of, or the only one of what was shown."""
        if asked.ask.subjects:
            return asked.ask.subjects[0]
        lines = {offer.product.line for offer in self._shop.offers(asked.said.shown)}
        return Subject(lines.pop(), "shown") if len(lines) == 1 else None

    def _bought(self, orders: Sequence[Order], name: str, form: str | None) -> list[Product]:
        """What a shopper has of a series, in a format if one is asked for."""
        asins = {line.asin for order in orders for line in order.kept}
        return [p for p in self._shop.ever_sold(asins) if p.line == name and form in (None, p.format)]


def _newest(asked: Asked) -> int | None:
    """How many of the newest orders are asked for; ``None`` for all."""
    found = re.search(SEVERAL_LAST, asked.ask.text)
    return number_of(found[1]) if found else None


def _sum(lines: Iterable[Line]) -> int:
    return sum(line.quantity * line.cents for line in lines)


def named_state(text: str) -> State | None:
    """The state of orders that a text names; what is not delivered yet is open."""
    for pattern, states, said in _NAMED_STATES:
        found = pattern.search(text)
        if not found:
            continue
        if not _UNFINISHED.search(text[: found.start()]):
            return State(states, said)
        if states in ({"delivered"}, {"shipped"}, {"packed"}):
            return State(OPEN, "is still open")
        return State(frozenset(ORDER_STATES) - states, said.replace(" ", " not ", 1))
    return None


def _fits(order: Order, when: Span | None, state: State | None) -> bool:
    return (when is None or when.has(order.placed_at)) and (state is None or order.state in state.states)


def _none(when: Span | None, state: State | None) -> str:
    """Say that no order fits."""
    if state is None:
        return f"You placed no order {during(when.when)}." if when else NO_ORDERS
    if when is None:
        return f"You have no order that {state.said}."
    return f"You placed no order {during(when.when)} that {state.said}."


def _complete(sold: Sequence[Offer]) -> Draft:
    """Say that nothing is missing."""
    there, name = volumes(sold), sold[0].product.line
    what = f"all {len(there)} volumes of {name}" if len(there) > 1 else name
    return Draft(f"You are missing none: you have ordered {what} that we sell.", asins=(sold[0].asin,))


def _lacking(name: str, lacking: Sequence[int], had: Collection[int]) -> str:
    """Say which volumes are missing."""
    if had:
        return f"Of {name} you are missing {numbered(lacking)}."
    if len(lacking) == 1:
        return f"None of your orders has {name}."
    return f"None of your orders has a volume of {name}, so you are missing all {len(lacking)} volumes."


def _editions(offers: Sequence[Offer], bought: Sequence[Product]) -> list[Offer]:
    """One edition of each volume: of the format that the shopper bought most, or one that is in stock."""
    forms = Counter(product.format for product in bought)
    best: dict[int, Offer] = {}
    for one in sorted(offers, key=lambda o: (-forms[o.product.format], not o.quantity)):
        best.setdefault(one.product.volume, one)
    return [best[volume] for volume in sorted(best)]
