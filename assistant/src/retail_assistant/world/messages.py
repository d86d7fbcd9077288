"""The query log: recurring questions in many wordings, and other messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from retail_assistant.world import draws
from retail_assistant.world.activity import Events
from retail_assistant.world.catalog import Catalog
from retail_assistant.world.draws import DAY
from retail_assistant.world.texts.grammar import expand, wordings
from retail_assistant.world.texts.texts_read import chatter, genres, questions, themes
from retail_assistant.world.wandering import make_groups

FAQ_SHARE = 0.6
_LONG_WORD = 5
_GREETINGS = ("hi", "hello", "hey", "good evening", "quick question:", "one question:", "excuse me,", "hi there,")
_THANKS = ("thanks", "thank you", "please", "thx", "thanks in advance")

_LED = ("recommendation", "product_search")
"""The intents whose messages can lead to a purchase."""
_KINDS = {"<theme>": "theme", "<author>": "author", "<genre>": "genre", "<series>": "series", "<title>": "series"}
"""What a message wishes for, by the first of these slots that it has."""
_LED_SHARE = 0.75
_LIKE = re.compile(r"liked|similar|spirit|would \(?I enjoy|read everything")
_BUDGET_SHARE = 0.25

MessageRow = tuple[int, float, str, str | None, str]


@dataclass(frozen=True)
class Messages:
    """The rows of the query log by time; and, for each kind of wish, the purchases that messages led to.

    The events of ``led`` have the times of their messages. The kind is a key of
    :func:`~retail_assistant.world.wandering.make_groups`, or "series".
    """

    rows: list[MessageRow]
    led: dict[str, Events]


@dataclass(frozen=True)
class _Sources:
    catalog: Catalog
    wordings: list[list[str]]
    popularity: draws.Floats
    genres: tuple[str, ...]


def make_messages(
    seed: int, catalog: Catalog, *, messages: int, shoppers: int, now: float, days: int, bought: Events | None = None
) -> Messages:
    """Make the query log.

    About 60 % are recurring questions, the few most frequent of which (Zipf) make up most. Most messages that wish for
    a product lead to a purchase out of ``bought`` (purchases in any order), minutes later and by the same shopper.
    """
    rng = draws.stream(seed, "messages")
    order = _frequencies(rng)
    sources = _Sources(
        catalog,
        [wordings(q, rng, most=int(rng.integers(12, 26))) for q in questions()],
        draws.zipf_weights(len(catalog.items), 0.6),
        catalog.genres,
    )
    leading = _Leading(draws.stream(seed, "leading"), catalog, bought, now - days * DAY)
    rows: list[MessageRow] = []
    for ts in np.sort(draws.moments(rng, messages, start=now - days * DAY, days=days)):
        shopper = int(rng.integers(shoppers))
        if draws.chance(rng, FAQ_SHARE):
            number = int(rng.choice(len(questions()), p=order))
            text = draws.pick(rng, sources.wordings[number])
            rows.append((shopper, float(ts), _roughen(rng, text), questions()[number].id, "faq"))
        else:
            intent, pattern, text = _other(rng, sources)
            row = (shopper, float(ts), _roughen(rng, text), None, intent)
            rows.append((intent in _LED and leading.row(intent, pattern)) or row)
    return Messages(sorted(rows, key=lambda row: row[1]), leading.events())


class _Leading:
    """Writes the messages that led to purchases, from a random stream of its own: the other messages stay the same."""

    def __init__(self, rng: np.random.Generator, catalog: Catalog, bought: Events | None, start: float) -> None:
        self._rng, self._catalog, self._bought, self._start = rng, catalog, bought, start
        self._groups = make_groups(catalog)
        self._order = iter(rng.permutation(len(bought.who)) if bought else ())
        self._led: dict[str, list[tuple[int, float]]] = {}

    def row(self, intent: str, pattern: str) -> MessageRow | None:
        """Return a message of a pattern that asks for what is bought next; ``None`` if this one leads to nothing."""
        kind = next((kind for slot, kind in _KINDS.items() if slot in pattern), None)
        if self._bought is None or kind is None or not draws.chance(self._rng, _LED_SHARE):
            return None
        at = next(self._order, None)
        if at is None:
            return None
        ts = float(np.floor(self._bought.ts[at] - self._rng.uniform(120, 900)))
        if ts < self._start:
            return None
        text = self._text(pattern, int(self._bought.item[at]))
        if _LIKE.search(pattern):
            kind = "theme"
        self._led.setdefault(kind, []).append((int(at), ts))
        return int(self._bought.who[at]), ts, _roughen(self._rng, text), None, intent

    def _text(self, pattern: str, item: int) -> str:
        """The pattern, filled with what describes the product, or with a related series if it asks for one like it."""
        bought = self._catalog.items[item]
        line = bought.line
        if _LIKE.search(pattern):
            line = int(self._groups["theme"].other(self._rng, np.array([line]))[0])
        series = self._catalog.series[self._catalog.lines[line].series]
        names = [themes()[n].name for n in series.themes]
        told = [name for name in names if name in bought.description] or names
        slots = {
            "<title>": bought.title.replace(", Vol.", " vol"),
            "<series>": series.title,
            "<author>": series.author,
            "<genre>": genres()[series.genre],
            "<theme>": draws.pick(self._rng, told),
        }
        text = _filled(expand(pattern, self._rng), slots)
        if "<genre>" in pattern and draws.chance(self._rng, _BUDGET_SHARE):
            euros = 5 * (int(self._catalog.cents[item]) // 500 + 1)
            text = f"{text.rstrip('?')}, under {euros} euros{'?' if text.endswith('?') else ''}"
        return text

    def events(self) -> dict[str, Events]:
        """The purchases that the messages led to, at the times of the messages."""
        if self._bought is None:
            return {}
        found: dict[str, Events] = {}
        for kind, pairs in self._led.items():
            chosen = self._bought.take(np.array([at for at, _ in pairs], dtype=np.int64))
            found[kind] = Events(chosen.who, chosen.item, np.array([ts for _, ts in pairs]), chosen.fit)
        return found


def _frequencies(rng: np.random.Generator) -> draws.Floats:
    """Zipf over the questions in a random order, the return time first."""
    ranks = rng.permutation(np.arange(1, len(questions())))
    weights = draws.zipf_weights(len(questions()), 0.8)
    return np.concatenate([weights[:1], weights[ranks]])


def _other(rng: np.random.Generator, sources: _Sources) -> tuple[str, str, str]:
    """Return the intent, the pattern and the text of a message that is not a recurring question."""
    intents = list(chatter())
    intent = intents[int(rng.choice(len(intents), p=[one.share for one in chatter().values()]))]
    pattern = draws.pick(rng, chatter()[intent].patterns)
    text = expand(pattern, rng)
    item = sources.catalog.items[int(rng.choice(len(sources.popularity), p=sources.popularity))]
    series = sources.catalog.series[sources.catalog.lines[item.line].series]
    slots = {
        "<title>": item.title.replace(", Vol.", " volume" if draws.chance(rng, 0.5) else " vol"),
        "<series>": series.title,
        "<author>": series.author,
        "<genre>": draws.pick(rng, sources.genres),
        "<theme>": draws.pick(rng, themes()).name,
    }
    return intent, pattern, _filled(text, slots)


def _filled(text: str, slots: dict[str, str]) -> str:
    """Put values into the slots of a text, and begin with a capital letter."""
    for slot, value in slots.items():
        text = text.replace(slot, value)
    return text[:1].upper() + text[1:]


def _roughen(rng: np.random.Generator, text: str) -> str:
    """Make a text look typed by a person: a greeting, thanks, lower case, no question mark, a typing error."""
    if draws.chance(rng, 0.12):
        greeting = draws.pick(rng, _GREETINGS)
        text = f"{greeting}{'' if greeting[-1] in ',:' else ','} {text[:1].lower()}{text[1:]}"
    if draws.chance(rng, 0.10):
        text = f"{text.rstrip('?')}, {draws.pick(rng, _THANKS)}{'?' if text.endswith('?') else ''}"
    if draws.chance(rng, 0.35):
        text = text.lower()
    if draws.chance(rng, 0.3):
        text = text.rstrip("?")
    return _slip(rng, text) if draws.chance(rng, 0.12) else text


def _slip(rng: np.random.Generator, text: str) -> str:
    """Swap, drop or double one letter of a longer word."""
    words = text.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= _LONG_WORD and word.isalpha()]
    if not long:
        return text
    at = draws.pick(rng, long)
    word, i = words[at], int(rng.integers(1, len(words[at]) - 2))
    slips = (
        word[:i] + word[i + 1] + word[i] + word[i + 2 :],
        word[:i] + word[i + 1 :],
        word[:i] + word[i] + word[i:],
    )
    words[at] = draws.pick(rng, slips)
    return " ".join(words)
