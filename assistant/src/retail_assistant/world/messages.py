"""The query log: recurring questions in many wordings, and other messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retail_assistant.world import (
    chatter,
    draws,
    questions_account,
    questions_delivery,
    questions_orders,
)
from retail_assistant.world.catalog import Catalog
from retail_assistant.world.draws import DAY
from retail_assistant.world.grammar import Question, expand, wordings
from retail_assistant.world.themes import THEMES

QUESTIONS: tuple[Question, ...] = (
    *questions_orders.QUESTIONS,
    *questions_delivery.QUESTIONS,
    *questions_account.QUESTIONS,
)
"""The recurring questions, for evaluation only: the assistant has to find them in the log."""

FAQ_SHARE = 0.6
_LONG_WORD = 5
_GREETINGS = ("hi", "hello", "hey", "good evening", "quick question:", "one question:", "excuse me,", "hi there,")
_THANKS = ("thanks", "thank you", "please", "thx", "thanks in advance")

MessageRow = tuple[int, float, str, str | None, str]


@dataclass(frozen=True)
class _Sources:
    catalog: Catalog
    wordings: list[list[str]]
    popularity: draws.Floats
    genres: tuple[str, ...]


def make_messages(
    seed: int, catalog: Catalog, *, messages: int, shoppers: int, now: float, days: int
) -> Iterator[MessageRow]:
    """Yield (shopper's position, time, text, question or None, intent), ordered by time.

    About 60 % are recurring questions, the few most frequent of which (Zipf) make up most.
    """
    rng = draws.stream(seed, "messages")
    order = _frequencies(rng)
    sources = _Sources(
        catalog,
        [wordings(q, rng, most=int(rng.integers(12, 26))) for q in QUESTIONS],
        draws.zipf_weights(len(catalog.items), 0.6),
        catalog.genres,
    )
    for ts in np.sort(draws.moments(rng, messages, start=now - days * DAY, days=days)):
        shopper = int(rng.integers(shoppers))
        if draws.chance(rng, FAQ_SHARE):
            number = int(rng.choice(len(QUESTIONS), p=order))
            text = draws.pick(rng, sources.wordings[number])
            yield shopper, float(ts), _roughen(rng, text), QUESTIONS[number].id, "faq"
        else:
            intent, text = _other(rng, sources)
            yield shopper, float(ts), _roughen(rng, text), None, intent


def _frequencies(rng: np.random.Generator) -> draws.Floats:
    """Zipf over the questions in a random order, the return time first."""
    ranks = rng.permutation(np.arange(1, len(QUESTIONS)))
    weights = draws.zipf_weights(len(QUESTIONS), 0.8)
    return np.concatenate([weights[:1], weights[ranks]])


def _other(rng: np.random.Generator, sources: _Sources) -> tuple[str, str]:
    intents = list(chatter.SHARES)
    intent = intents[int(rng.choice(len(intents), p=list(chatter.SHARES.values())))]
    text = expand(draws.pick(rng, chatter.CHATTER[intent]), rng)
    item = sources.catalog.items[int(rng.choice(len(sources.popularity), p=sources.popularity))]
    series = sources.catalog.series[sources.catalog.lines[item.line].series]
    slots = {
        "<title>": item.title.replace(", Vol.", " volume" if draws.chance(rng, 0.5) else " vol"),
        "<series>": series.title,
        "<author>": series.author,
        "<genre>": draws.pick(rng, sources.genres),
        "<theme>": draws.pick(rng, THEMES).name,
    }
    for slot, value in slots.items():
        text = text.replace(slot, value)
    return intent, text[:1].upper() + text[1:]


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
