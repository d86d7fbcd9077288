"""What a conversation has come to: remembered by its session, or read again out of its messages."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

import parbake_semantic.guard
from parbake.ports.offers import Mentions
from retail_assistant.answers.actions import CANNOT_ADD, NOT_YET, WHICH_EDITION
from retail_assistant.answers.comparing import in_focus
from retail_assistant.answers.correcting import NO
from retail_assistant.answers.draft import Draft
from retail_assistant.answers.lists import CLOSEST, FOUND, RECOMMENDED
from retail_assistant.answers.nearest import going_on
from retail_assistant.answers.phrases import FOUND_NOTHING, by, form
from retail_assistant.answers.policy.policy_answers import NOTHING_STATED
from retail_assistant.answers.why import untold
from retail_assistant.chat.turn import Turn
from retail_assistant.live import LiveShop
from retail_assistant.shop.finding import Conditions, Offer
from retail_assistant.shop.policies import Policy, Section
from retail_assistant.shop.voices import spelled
from retail_assistant.understand.ask import Ask, Kind
from retail_assistant.understand.dialogue import NEW, Dialogue, Pending
from retail_assistant.understand.hearing import hear
from retail_assistant.understand.names.titles import Named
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.understand.parse import Parser
from retail_assistant.understand.said.places import place
from retail_assistant.understand.said.troubles import is_trouble
from retail_assistant.understand.said.two_rules import OF_RETURN, POINTS
from retail_assistant.understand.wishes import Wishes

KEPT, KEPT_S = 10_000, 3_600.0
MOST_OFFERED = 60
MOST_NAMED = 40
"""Of a reply, so many titles are looked up: as many as a list of several series has."""
LONGEST_QUESTION = 300
QUOTED = 60
"""How many characters of a section show that a reply quotes it."""
_SEVERAL = re.compile(r"\b(?:are|ones|books|series|titles|novels|comics|two|three|four|five|\d+)\b")
LISTS = (*RECOMMENDED, FOUND, CLOSEST, FOUND_NOTHING)
"""How lists of products begin."""


class Remembered(msgspec.Struct, frozen=True):
    """The state of a conversation after a reply; ``after`` is that reply's digest."""

    said: Dialogue
    after: bytes
    at: float


class Sessions:
    """The states of conversations in this process, by shopper and session, for :data:`KEPT_S` after their last reply.

    At most :data:`KEPT` are kept, and the oldest are dropped first. A conversation that is not here is read again out
    of its messages, so that another process answers it alike. It is a place that keeps something about people.
    """

    name = "conversations"

    def __init__(self, now: Callable[[], float]) -> None:
        """Start empty; ``now`` is in epoch seconds."""
        self._now = now
        self._kept: OrderedDict[tuple[str, str], Remembered] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, turn: Turn) -> Dialogue | None:
        """The state that the last reply of a conversation left, ``None`` if it is not known here."""
        if not turn.session or not turn.history:
            return None
        with self._lock:
            found = self._kept.get((turn.shopper, turn.session))
        if found is None or found.after != digest(turn.history[-1][1]) or self._is_over(found):
            return None
        return found.said

    def keep(self, turn: Turn, said: Dialogue, reply: str) -> None:
        """Remember the state after a reply."""
        if not turn.session:
            return
        with self._lock:
            key = (turn.shopper, turn.session)
            self._kept[key] = Remembered(said, digest(reply), self._now())
            self._kept.move_to_end(key)
            while len(self._kept) > KEPT or self._is_over(next(iter(self._kept.values()))):
                self._kept.popitem(last=False)

    def export(self, subject: str) -> dict[str, list[dict[str, Any]]]:
        """Return the conversations of a shopper; see :class:`parbake.ports.offers.PersonalData`."""
        with self._lock:
            found = [(session, one) for (name, session), one in self._kept.items() if spelled(name) == spelled(subject)]
        return {self.name: [{"session": name, "at": one.at, **msgspec.to_builtins(one.said)} for name, one in found]}

    def mentions(self, subject: str) -> Mentions:
        """Return what else stands for a shopper: nothing that the shop's file does not know."""
        del subject
        return Mentions()

    def erase(self, subject: str, mentions: Mentions | None = None) -> dict[str, int]:
        """Forget all conversations of a shopper, however the name is capitalised, and count them."""
        del mentions
        with self._lock:
            gone = [key for key in self._kept if spelled(key[0]) == spelled(subject)]
            for key in gone:
                del self._kept[key]
        return {self.name: len(gone)}

    def _is_over(self, one: Remembered) -> bool:
        return self._now() - one.at > KEPT_S


def digest(reply: str) -> bytes:
    """A digest of a reply's text."""
    return hashlib.blake2b(reply.strip().encode(), digest_size=16).digest()


def after(said: Dialogue, ask: Ask, draft: Draft, page: str = "") -> Dialogue:
    """The state after a reply that was given on a product's page, if ``page`` names one."""
    is_of_shown = len(draft.asins) == 1 and len(said.shown) > 1 and draft.asins[0] in said.shown
    shown = said.shown if is_of_shown or not draft.asins else draft.asins
    is_list = draft.intent in ("list", "trending")
    is_single = len(draft.asins) == 1 or (bool(draft.asins) and not is_list and draft.intent != "compare")
    is_first = is_list and ask.slot("list") == "cheapest" and not _SEVERAL.search(ask.text)
    focus = draft.focus or (draft.asins[0] if is_single or (is_first and draft.asins) else _kept_focus(said, draft))
    return Dialogue(
        shown=shown,
        offered=(*said.offered, *(a for a in draft.asins if a not in said.offered))[-MOST_OFFERED:]
        if is_list
        else said.offered,
        focus=focus,
        wishes=draft.wishes if is_list or draft.intent == "promotion" else said.wishes,
        kind=said.kind if draft.intent == "social" else draft.intent,  # small talk changes no subject
        slot=said.slot if draft.intent == "social" else _slot(said, ask, draft),
        question=_question(said, ask, draft.intent),
        section=draft.section or (said.section if draft.intent != "policy" else ""),
        pending=draft.pending,
        choices=draft.choices,
        empty=draft.intent == "list" and not draft.asins,
        page=page,
        turns=said.turns + 1,
    )


def _kept_focus(said: Dialogue, draft: Draft) -> str:
    """The product that stays in focus: none if others were shown."""
    return "" if draft.asins else said.focus


def _slot(said: Dialogue, ask: Ask, draft: Draft) -> str:
    """Which part was asked for; a yes or no to an action keeps that action."""
    found = ask.slot(draft.intent)
    return said.slot if draft.intent == said.kind == "action" and not found else found


def _question(said: Dialogue, ask: Ask, kind: Kind) -> str:
    """The question that a next one goes on from: with what it goes on from itself, and without what adds nothing."""
    if kind == "list":
        return going_on(said, ask) or ask.text
    if kind != "policy":
        return said.question
    if said.kind in ("orders", "action") and said.slot in OF_RETURN and ask.follows:
        return f"{ask.text}, {OF_RETURN[said.slot]}"
    if said.kind == "points" and ask.follows:
        return f"{ask.text}, {POINTS}"
    if not (ask.follows and said.kind == "policy" and said.question):
        return ask.text
    adds = ask.leftover or (parbake_semantic.guard.expected_kind(ask.text) and place(said.question))
    return f"{ask.text}, {said.question}"[:LONGEST_QUESTION] if adds else said.question


class Rereader:
    """Reads the state of a conversation out of its messages."""

    def __init__(self, parser: Parser, vocabulary: Vocabulary, shop: LiveShop) -> None:
        """Keep what is asked."""
        self._parser, self._vocabulary, self._shop = parser, vocabulary, shop

    def read(self, turn: Turn) -> Dialogue:
        """Go through all earlier messages."""
        said = NEW
        history = list(turn.history)
        for at in range(len(history) - 1):
            if history[at][0] == "user" and history[at + 1][0] == "assistant":
                said = self._after(said, history[at][1], history[at + 1][1], turn.page or "")
        return said

    def _after(self, said: Dialogue, message: str, reply: str, page: str) -> Dialogue:
        asks = self._parser.read(hear(message, self._vocabulary).text, said, page)
        ask = asks[-1]
        if ask.premise is not None:
            reply = _uncorrected(reply)
        section = self._section(reply)
        shown = self._shown(reply, page)
        if reply.startswith("Done:") and said.pending is not None and said.pending.asin:
            shown = (said.pending.asin,)  # it was proposed with its format
        kind: Kind = "policy" if section or reply.startswith(NOTHING_STATED) else ask.best.kind
        if reply.startswith(LISTS):
            kind = "list"
        wishes = self._wishes(said, ask, kind, shown)
        draft = Draft(
            reply,
            asins=shown,
            intent=kind,
            section=section,
            wishes=wishes,
            focus=in_focus(ask.text, self._shop.offers(shown)) if kind == "compare" else "",
            pending=said.pending if reply.startswith(NOT_YET) else self._pending(reply, shown),
            choices=shown if WHICH_EDITION in reply or CANNOT_ADD in reply else (),
        )
        return after(said, ask, draft, page)

    def _wishes(self, said: Dialogue, ask: Ask, kind: Kind, shown: Sequence[str]) -> Wishes:
        """The wishes that a reply leaves; those of a list with the series if all that was shown is of one."""
        if kind == "promotion" and said.kind == "promotion" and ask.follows and not ask.wishes.genres:
            return said.wishes
        if kind != "list":
            return ask.wishes if kind in ("trending", "promotion") else said.wishes
        offers = self._shop.offers(shown)
        if ask.like or ask.slot("list") == "another":
            return _of_the_like(said, ask, offers)
        lines = {offer.product.line for offer in offers}
        if ask.wishes.series or len(shown) <= 1 or len(lines) != 1:
            return ask.wishes
        return msgspec.structs.replace(ask.wishes, series=frozenset(lines))

    def _section(self, reply: str) -> str:
        """The policy section that a reply quotes, or that of a trouble which it names as the nearest."""
        each = [(p, s) for p in self._shop.rules.policies() for s in p.sections]
        quoted = [f"{p.id}#{s.id}" for p, s in each if s.text[:QUOTED] in reply]
        nearest = [f"{p.id}#{s.id}" for p, s in each if reply.startswith(NOTHING_STATED) and _is_nearest(p, s, reply)]
        return next(iter((*quoted, *nearest)), "")

    def _shown(self, reply: str, page: str) -> tuple[str, ...]:
        """The products that a reply names, by title, format and price."""
        found: list[str] = []
        for named in self._vocabulary.titles.named(untold(reply))[:MOST_NAMED]:
            if named.whole:
                found += self._product(named, reply, page, found)
        return tuple(found)

    def _product(self, named: Named, reply: str, page: str, found: Sequence[str]) -> list[str]:
        """The edition that a reply means by a title: the page's, or the one whose price it states."""
        offers = self._shop.find(Conditions(titles=[named.name], volume=named.volume, in_stock=False))
        exact = [o for o in offers if _is_named(o, reply)]
        priced = [o for o in offers if self._shop.money(o.cents) in reply]
        formed = [o for o in priced if form(o.product.format) in reply]
        on_page = [o for o in offers if o.asin == page]
        return [o.asin for o in (exact or formed or on_page or priced or offers[:1]) if o.asin not in found][:1]

    def _pending(self, reply: str, shown: Sequence[str]) -> Pending | None:
        """The action that a reply asks to confirm."""
        if "Shall I" not in reply:
            return None
        if found := re.search(r"Shall I (cancel|start the return of) (?:order )?(\S+)", reply):
            number = found[2] if found[2] != "it?" else (re.search(r"order (\S+)", reply) or [None, ""])[1]
            return Pending("cancel" if found[1] == "cancel" else "return", order=str(number).rstrip("?.,"))
        if "take everything out" in reply:
            return Pending("empty")
        asin = next((o.asin for o in self._shop.offers(shown[:1]) if _is_named(o, reply)), "")
        if found := re.search(r"Shall I add (\d+) cop(?:y|ies)( each)?", reply):
            return Pending("add", asin, int(found[1]), also=tuple(shown[1:]) if found[2] else ())
        if found := re.search(r"Shall I change .{0,300} to (\d+) cop", reply):
            return Pending("quantity", asin, int(found[1]))
        return Pending("remove", asin) if "out of your cart" in reply else None


def _uncorrected(reply: str) -> str:
    """A list of products without the correction before it, whose product is none of the list."""
    starts = [reply.find(f" {head}") + 1 for head in LISTS if reply.startswith(NO)]
    return reply[max(starts, default=0) :]


def _is_nearest(policy: Policy, section: Section, reply: str) -> bool:
    """Whether a reply names a section about a trouble as the nearest one."""
    return f"\u201c{section.title}\u201d ({policy.title})" in reply and is_trouble(section.title)


def _of_the_like(said: Dialogue, ask: Ask, offers: Sequence[Offer]) -> Wishes:
    """The wishes of a list of others: those of the list before, or the genre that all of them have."""
    if not ask.like and said.focus in said.offered:
        return said.wishes.then(ask.wishes)
    genres = frozenset(offer.product.genre for offer in offers)
    return msgspec.structs.replace(ask.wishes, genres=ask.wishes.genres or genres) if len(genres) == 1 else ask.wishes


def _is_named(offer: Offer, reply: str) -> bool:
    """Whether a reply names this very edition, and not another one of its title."""
    product = offer.product
    if not product.format:
        return product.title in reply
    listed = rf"{re.escape(product.title + by(offer))} \({re.escape(form(product.format))}, "
    return f"{product.title} ({form(product.format)})" in reply or re.search(listed, reply) is not None
