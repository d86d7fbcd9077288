"""Whether a unit of a model's text may be shown: denied unless what it states is what the shop states now.

Talk states nothing, so it may have no number, no name and no rule. A claim may use words of its own about the items
that it names, and no number, name, rule or denial that they do not have. What fails is replaced by the words of the
items.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

import parbake as pb
import parbake_semantic.guard
from retail_assistant.answers.phrases import joined, money
from retail_assistant.answers.policy.policy_answers import PolicyAnswers
from retail_assistant.chat.spoken.evidence import Evidence, Item, put
from retail_assistant.chat.spoken.reckoning import computed
from retail_assistant.chat.spoken.talk import SURELY, TALK, spoken_kind
from retail_assistant.chat.spoken.units import PLACE, Unit, without_citations
from retail_assistant.chat.spoken.wordings import asks, counts, foreign, states, unmeasured, words
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.understanding import Understanding
from retail_assistant.live import LiveShop
from retail_assistant.shop.data_file import pattern, read
from retail_assistant.shop.prices import Charge
from retail_assistant.shop.shop_words import VOCABULARY

MOST_QUOTED = 4
"""How many items stand in for a claim that does not hold."""
LONGEST, MOST_SHARED, MOST_NAMED = 400, 3, 4
CONTINUED = 0.16
"""The chance from which a section that was stated answers what is said to be unstated."""
NOT_MORE = "Our pages do not say more about that."
_CLAUSE = re.compile(
    r"\b(?:i|me|my|we|you|he|she|it|they|is|are|was|do|does|did|can|could|will|would|should|has|have|had|how|what|when"
    r"|where|which|who|why|if|that|there|but|and|or|so)\b|'"
)
"""Makes a few words a piece of a sentence, which is not told again as the name of something."""
_ELSEWHERE = re.compile(r"://|www[.\u3002]|<\w|\w@\w|\[[^\]]*\]\(|\{\{|\}\}", re.IGNORECASE)
_PROMISES = re.compile(
    r"\b(?:i|we)(?:(?:'ll|'ve|'m| will| have| am| are|'re| can| shall)\b(?: (?:now|just|already|also|gladly|happily))*"
    r" (?!(?:sorry|glad|happy|here|afraid|not sure|unable|only|see|look\w*|find|check\w*|tell|show\w*|help|suggest\w*"
    r"|recommend\w*|search\w*|assist|answer|say|understand|hope|delighted|pleased)\b)\w+"
    r"|\s(?:cancel|refund|return|add|remov|chang|updat|send|sent|order|reserv|book|process|waiv|extend|credit|appl)\w*)",
    re.IGNORECASE,
)
"""Says that somebody does or has done something; nothing is done by words."""
_READ = parbake_semantic.guard.reader(VOCABULARY)
_STATES = {
    name: pattern(rf"(?i)\b(?:{'|'.join(words)})\b", f"states.toml: {name}")
    for name, words in read(Path(__file__).with_name("states.toml"), dict[str, tuple[str, ...]]).items()
}
_CONDITION = re.compile(r"\b(?:must|only|unless|except|cannot|can't|not|needs? to|has to)\b", re.IGNORECASE)
_EXTREME = re.compile(r"\b(?:(cheapest|lowest[- ]priced)|priciest|dearest|most expensive)\b", re.IGNORECASE)
_PROPER = re.compile(r"(?<=[\w,;:] )(?!I\b)[A-Z][\w'-]+")
"""Capitalised words within a sentence: names of people, places and things."""
_BETWEEN_US = re.compile(r"\b(?:you|yours?|we|our|us)\b", re.IGNORECASE)
"""Words of what is between the shop and its customers, and not of what a product is like."""
_MAY_RULE = re.compile(
    rf"{_BETWEEN_US.pattern}|\b(?:can|may|must|will|shall|should|have to|has to|needs?)\b", re.IGNORECASE
)
"""Words without which a sentence gives nobody a right or a duty."""
_TOPIC = re.compile(r"^(?:unstated|same|newest|cannot)\b[:\s]*", re.IGNORECASE)
_WORD, _DIGIT = re.compile(r"[a-z']{3,}"), re.compile(r"\d")


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a unit.

    Attributes:
        texts: What is shown, with slots; empty if the unit is left out.
        items: What is stated.
        cause: Why the unit's own words are not shown; empty if they are.
    """

    texts: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    cause: str = ""


class Judge:
    """Judges the units of one shop's replies."""

    def __init__(self, app: pb.App, shop: LiveShop, policies: PolicyAnswers, understanding: Understanding) -> None:
        """Share the app, what is live, what finds policy sections, and what knows the names of the shop."""
        self._app, self._shop, self._policies, self._understanding = app, shop, policies, understanding

    async def judged(self, unit: Unit, evidence: Evidence, turn: Turn, shown: Collection[Item] = ()) -> Verdict:
        """Judge one unit.

        Args:
            unit: The unit.
            evidence: What may be referred to.
            turn: What it answers.
            shown: What was stated before it.
        """
        message = turn.message
        items = tuple(item for name in unit.references for item in evidence.find(name))
        if unit.kind == "sum":
            charged = evidence.charges([item.asin for item in items if item.asin])
            return self._sum(unit, items, charged) or self._computed(unit, items, evidence, turn)
        if unit.kind == "section":
            return Verdict(_own(items), items) if items else Verdict(cause="section: no such section")
        if unit.kind == "unstated":
            return await self._unstated(unit, items or shown, evidence, message)
        if fault := _forbidden(unit.text.replace(self._shop.trade.contact or "\0", "")):
            return self._replaced(unit, items, fault)
        if _PROMISES.search(unit.text):
            return await self._promised(unit, items, evidence, message)
        if items:
            return await self._claim(unit, items, evidence, message)
        if unit.references:
            return Verdict(cause=f"{unit.kind}: refers to nothing")
        fault = await self._states(unit, message, evidence)
        if fault and unit.kind != "question" and (meant := evidence.nearest(unit.text)):
            verdict = await self._claim(unit, meant, evidence, message)
            if not verdict.cause or _says_much_of(meant, unit.text, evidence):
                return verdict
        return Verdict(cause=f"{unit.kind}: {fault}") if fault else Verdict((unit.text,))

    async def _promised(self, unit: Unit, items: tuple[Item, ...], evidence: Evidence, message: str) -> Verdict:
        """A sentence that promises something: only what a policy promises in the same words."""
        meant = items or evidence.nearest(unit.text)
        told = _known(evidence.filled(evidence.together(meant)))
        if meant and all(item.section for item in meant) and not foreign(unit.text, told, has_own=False):
            return await self._claim(unit, meant, evidence, message)
        return self._replaced(unit, items, "promise")

    async def _claim(self, unit: Unit, items: tuple[Item, ...], evidence: Evidence, message: str) -> Verdict:
        """A sentence about items: its own words are held against theirs, piece by piece."""
        pieces = _pieces(unit, evidence) if unit.references else [(unit.text, items)]
        pieces = [(_verified(said, of, evidence), of) for said, of in pieces]
        told = evidence.filled(evidence.together(items))
        known = _known(told)
        own = " ".join(said for said, _ in pieces)
        if parbake_semantic.guard.is_courtesy(own):
            return Verdict((own.strip(), *_own(items)), items)
        of_product = not any(item.section for item in items)
        fault = "name" if _lacks(known, [*_PROPER.findall(own), *await self._titles(own)]) else ""
        fault = fault or ("limit" if unmeasured(own, known) or _over_several(pieces) else "")
        each = [(said, evidence.filled(evidence.together(of))) for said, of in pieces]
        fault = fault or ("word" if any(foreign(said, _known(has)) for said, has in each) else "")
        if of_product and not fault:
            fault = next(filter(None, (_numbers(said, has) for said, has in each)), "")
            fault = fault or await self._attributed(own, known, message)
        ruled = _STATES["rules"].findall(own)
        if of_product:  # "no series to follow" says that it has none
            denied = _denied(own)
            ruled = [word for word in ruled if _READ.words(word).isdisjoint(denied)]
        if not fault and _lacks(known, ruled):
            fault = "rule"
        if not fault and not of_product and _lacks(known, _STATES["limits"].findall(own)):
            fault = "limit"
        if not fault:
            found = parbake_semantic.guard.unsupported(
                own, told, message, vocabulary=VOCABULARY, may_describe=of_product
            )
            fault = found.fault if found and _WORD.search(own.lower()) else ""
            if fault == "subject" and of_product and len(items) == 1:
                fault = ""  # its numbers are this item's, and it has no other subject
            of_customer = of_product and _BETWEEN_US.search(own) is not None
            if not fault and of_customer and (await self._policies.find(own)).is_answered:
                fault = "near a policy"
        if fault:
            return self._replaced(unit, items, fault)
        more = () if of_product else _conditions(items, evidence)
        return Verdict(
            (PLACE.sub(lambda place: self._put(place[1], evidence), unit.text), *_own(more)), (*items, *more)
        )

    async def _attributed(self, own: str, known: str, message: str) -> str:
        """The fault of a claim that gives a product a genre, a format or the shopper's own wish that it does not have.

        Whoever suggests something is tempted to say that it is what was asked for.
        """
        vocabulary = await self._understanding.vocabulary()
        if vocabulary.named(own.lower()).wanted.keys() - vocabulary.named(known).wanted.keys():
            return "attribute"
        wished = (_READ.words(own) & _READ.words(message)) - _READ.words(known) - _denied(own)
        return "wish" if wished else ""

    def _put(self, name: str, evidence: Evidence) -> str:
        return ", ".join(put(item, self._shop) for item in evidence.find(name))

    def _replaced(self, unit: Unit, items: tuple[Item, ...], fault: str) -> Verdict:
        chosen = items[:MOST_QUOTED]
        return Verdict(_own(chosen), chosen, f"{unit.kind}: {fault}")

    async def _states(self, unit: Unit, message: str, evidence: Evidence) -> str:
        """What a unit without evidence states, although it may not; empty if it states nothing."""
        text = unit.text
        if parbake_semantic.guard.is_courtesy(text):
            return ""
        if parbake_semantic.guard.numbers_in(text) or parbake_semantic.guard.claims(text) or _DIGIT.search(text):
            return "number"
        if unit.kind == "question":
            told = words(" ".join(evidence.filled(evidence.found())))
            if not asks(text, words(message) | told | self._goods()):
                return "states"
            return "rule" if _STATES["offers"].search(text) else ""
        if states(text) and not await self._is_talk(text):
            return "states"
        if (denied := _denied(text)) and denied & words(_known(evidence.filled(evidence.found()))):
            return "denies"
        if await self._titles(text):
            return "name"
        if _STATES["rules"].search(text):
            return "rule"
        may_rule = _MAY_RULE.search(text) is not None
        return "near a policy" if may_rule and (await self._policies.find(text)).is_answered else ""

    async def _is_talk(self, text: str) -> bool:
        """Whether a sentence is surely talk by what was learnt, although it has other words than talk has."""
        try:
            kind = (await self._app.serve(spoken_kind, text=text)).unwrap()
        except pb.NotMaterialized:
            return False
        return bool(kind.name == TALK and kind.probability >= SURELY)

    def _goods(self) -> frozenset[str]:
        """The words of the shop's genres and formats."""
        return words(" ".join((*self._shop.genres(), *self._shop.formats())))

    async def _titles(self, text: str) -> list[str]:
        vocabulary = await self._understanding.vocabulary()
        authors = [name for kind, name in vocabulary.named(text.lower()).wanted if kind == "author"]
        return [*(one.name for one in vocabulary.titles.named(text) if one.whole), *authors]

    def _computed(self, unit: Unit, items: tuple[Item, ...], evidence: Evidence, turn: Turn) -> Verdict:
        """What the shop computes of numbers and dates that an item states, or that the conversation has."""
        said = (turn.message, *(text for _, text in turn.history))
        text = computed(without_citations(unit.text), (*evidence.stated(), *said), self._app.settings.clock.now())
        return Verdict((text,), items) if text else Verdict(cause="sum: nothing to compute")

    def _sum(self, unit: Unit, items: tuple[Item, ...], charged: Mapping[str, Charge]) -> Verdict | None:
        """What the shop computes from what the shopper pays now: the sum of several, or the difference of two."""
        products = tuple({item.asin: item for item in items if item.asin in charged}.values())
        cents = [charged[item.asin].cents for item in products]
        asked = unit.text.lower()
        if len(cents) > 1 and asked.startswith("sum"):
            return Verdict((f"Together {self._named(products)} cost {money(sum(cents))}.",), products)
        if len(cents) == 2 and asked.startswith("diff"):  # noqa: PLR2004 - the one and the other
            return Verdict((f"The difference is {money(abs(cents[0] - cents[1]))}.",), products)
        return None

    def _named(self, products: Sequence[Item]) -> str:
        """Several products within a sentence: by the line that they are of, by their titles, or as those before."""
        sold = [product for item in products if (product := self._shop.product(item.asin)) is not None]
        if len({product.line for product in sold}) == 1:
            return f"the {len(sold)} of {sold[0].line}"
        return joined([f"{{{{title:{item.asin}}}}}" for item in products]) if len(products) <= MOST_QUOTED else "they"

    async def _unstated(self, unit: Unit, of: Collection[Item], evidence: Evidence, message: str) -> Verdict:
        """That nothing states what is asked: only of what the shopper has named, and that no policy answers.

        Of a product that it names, it is said that its page does not speak of it. What was stated before it, ``of``
        otherwise, may be just what answers.
        """
        topic = _TOPIC.sub("", unit.text).strip(" .\"'\u201c\u201d").lower()
        asked = set(_WORD.findall(message.lower()))
        if not topic or not set(_WORD.findall(topic)) <= asked:
            return Verdict(cause="unstated: not asked")
        vocabulary, named = await self._understanding.vocabulary(), topic.split()
        is_name = len(named) <= MOST_NAMED and not _CLAUSE.search(topic) and not all(map(vocabulary.is_common, named))
        told = f"\u201c{topic}\u201d" if is_name else "that"
        if products := tuple(item for item in of if item.asin and unit.references):
            is_stated = products[0].asin in self._shop.with_words(_WORD.findall(topic)) or (
                not words(topic) or words(topic) & words(_known(evidence.filled(evidence.together(products))))
            )
            text = f"The page of {{{{title:{products[0].asin}}}}} says nothing of {told}."
            return Verdict(cause="unstated: stated") if is_stated else Verdict((text,), products[:1])
        if self._shop.with_words(_WORD.findall(topic)):  # some product's page speaks of it
            return Verdict(cause="unstated: stated")
        nearest = await self._policies.find(topic)
        told = "that" if nearest.is_answered else told  # something is said of it
        is_near = nearest.chance >= CONTINUED and not nearest.is_unheard
        if is_near and any(item.section == nearest.ranked[0].name for item in of):
            return Verdict(cause="unstated: said")
        found = await self._policies.find(message)
        block = found.ranked[0].block if found.is_answered else None
        if block is not None and parbake_semantic.guard.shares_topic(topic, block.plain):
            return Verdict(
                (block.text,), (Item(block.text, (block.source,), section=found.ranked[0].name),), "unstated: stated"
            )
        return Verdict((NOT_MORE if told == "that" else f"Our pages do not say anything of {told}.",))


def _denied(text: str) -> frozenset[str]:
    """The stems of the words that a text denies."""
    return frozenset[str]().union(*(one.denied for one in _READ.statements(text)))


def _lacks(known: str, words: Sequence[str]) -> bool:
    """Whether a text in lower case lacks any of some words."""
    return any(word.lower() not in known for word in words)


def _conditions(items: tuple[Item, ...], evidence: Evidence) -> tuple[Item, ...]:
    """The sentences of the same sections that limit what some state: a rule without its conditions misleads."""
    return tuple(i for i in evidence.together(items) if i not in items and _CONDITION.search(i.text))


def _says_much_of(items: Sequence[Item], text: str, evidence: Evidence) -> bool:
    """Whether a sentence says so much of what items state that their own words may stand in for it."""
    said = words(text)
    shared = len(said & words(_known(evidence.filled(items))))
    return shared >= MOST_SHARED and 2 * shared > len(said)


def _forbidden(text: str) -> str:
    """What no unit may have, whatever it refers to."""
    if len(text) > LONGEST:
        return "too long"
    if _ELSEWHERE.search(PLACE.sub("", text)):
        return "link"
    return "instruction" if parbake_semantic.guard.speaks_to_agent(text) else ""


def _own(items: Sequence[Item]) -> tuple[str, ...]:
    """The items in the shop's own words, each once."""
    return tuple(dict.fromkeys(item.text for item in items))


def _pieces(unit: Unit, evidence: Evidence) -> list[tuple[str, tuple[Item, ...]]]:
    """The words of a claim, each piece with the items that it may speak of.

    What follows a placed item is about that item, until the next one. Items that are cited without a place are about
    the whole sentence, unless they are of another product than the one that is placed.
    """
    placed = [found[1] for found in PLACE.finditer(unit.text)]
    cited = tuple(item for name in unit.references if name not in placed for item in evidence.find(name))
    before, *rest = PLACE.split(unit.text)[::2]
    first = cited or tuple(item for name in placed[:1] for item in evidence.find(name))
    pieces = [(before, first)]
    for said, name in zip(rest, placed, strict=True):
        of = evidence.find(name)
        pieces.append(
            (said, (*of, *(item for item in cited if not item.asin or item.asin in {one.asin for one in of})))
        )
    return [(words, items) for words, items in pieces if _WORD.search(words.lower()) or _DIGIT.search(words)]


def _over_several(pieces: Sequence[tuple[str, tuple[Item, ...]]]) -> bool:
    """Whether a claim counts over several items at once, which no item states: "every one of these is a romance"."""
    return any(len(items) > 1 and counts(said) for said, items in pieces)


def _known(told: Sequence[str]) -> str:
    """What items state, as a claim is held against it."""
    return " ".join(told).lower().replace("vol.", "volume")


def _verified(said: str, items: Sequence[Item], evidence: Evidence) -> str:
    """The words of a claim without "cheapest" or "dearest" where the prices of the item's result bear it out."""
    return _EXTREME.sub("", said) if (found := _EXTREME.search(said)) and evidence.is_extreme(items, found[1]) else said


def _numbers(words: str, told: Sequence[str]) -> str:
    """The fault of a piece that has a number which its items do not have."""
    known = frozenset[str]().union(*map(parbake_semantic.guard.numbers_in, told))
    if parbake_semantic.guard.numbers_in(words) - known or parbake_semantic.guard.ungrounded(words, told):
        return "number"
    return ""
