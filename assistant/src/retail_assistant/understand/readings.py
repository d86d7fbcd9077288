"""Weighs the kinds of question that a message may be: by its words, by what it names, and by what was said before."""

from __future__ import annotations

import re
from collections.abc import Sequence

from retail_assistant.understand.ask import Kind, Reading, Subject
from retail_assistant.understand.dialogue import Dialogue
from retail_assistant.understand.question import Question
from retail_assistant.understand.said.concepts import concepts, names_any
from retail_assistant.understand.said.cues import CUES
from retail_assistant.understand.said.order_cues import ORDER_CUES
from retail_assistant.understand.said.own_cues import (
    AFTER_CART,
    AFTER_ORDERS,
    HOW_LONG,
    MONEY_BACK,
    ONE_MORE,
    ONE_OF_STATE,
    OWN_CUES,
    RETURN_IT,
)
from retail_assistant.understand.said.social import social
from retail_assistant.understand.wishes import NO_WISHES, Wishes

SOCIAL = 4.0
CONTEXT = 0.4
"""What a cue counts that stands beside the question, not in it."""
REFINED, CARRIED, CARRIED_WEAKLY = 2.6, 2.5, 1.7
OF_OWN = 3.2
MONEY = 2.59
"""How strongly money is that of the order spoken of: more than a sure policy, and not without a look at them."""
_CART_ACTIONS = frozenset({"add", "remove", "quantity"})
_BOOKS = re.compile(r"\b(?:books?|manga|novels?|series|stories|titles?|reads?|comics?|volumes?|present|gift)\b")
_ANOTHER_ORDER = re.compile(
    r"\b(?:older|newer|other|first|second|last|latest|previous) (?:one|order)\b|^#?[a-z]\d{3,}$"
)
IN_GENERAL = 1.0
"""How strongly words such as "usually" ask for a rule."""
_GENERALLY = re.compile(r"\b(?:usually|normally|typically|generally|in general|on average|as a rule)\b")
_WHY = re.compile(
    r"^(?:and |but |so |ok(?:ay)?,? )*(?:why|how come)\b(?!.*\b(?:expensive|dear|pric\w+|costs?|stock|late)\b)"
)
"""Asks why something was shown, rather than why it is as it is."""
_UNTIL = re.compile(r"^(?:and |but |so )?(?:until|till|how long|when)\b")
_THE_ORDER = re.compile(
    r"^(?:the|my|that) (?:one|order)\b"
    r"|\bthe (?:other|older|newer|first|second|last) (?:one|order)\b(?!.*\b(?:cost|price)\b)"
)
"""Names the order on which something is to be done, after it was asked for."""
WEAK = 1.3
_ANOTHER = re.compile(r"^(?:and |or |ok(?:ay)?,? |show me |maybe )*(?:another|a different|some other)\b")
_IS_IT = re.compile(r"^(?:and |but |so )?(?:is|are|isn't|aren't) (?:it|this|that|they|these|those)\b")
_ONES = re.compile(r"\b(?:only |any |the |just |other )?(?:\w+ )?ones\b")
_HOW_TO_CANCEL = re.compile(r"\bhow (?:do|can|could|would|to)\b.{0,100}\bcancel\b")
_ASKS_RULE = re.compile(
    r"^(?:and |ok(?:ay)?,? |but |so )*(?:how|where|who)\b"
    r"|\b(?:if|what if|when|although)\b.{0,100}\b(?:read|open\w*|used|unwrap\w*|damaged|torn|digital|gift|abroad"
    r"|lost)\b"
    r"|\b(?:label|cost|free|fee|box|packaging|receipt)\b"
)
"""What is asked of the rule or the way, after whether an order can be returned or cancelled."""
_BROKEN = ("misprint", "damaged", "file_fault")
SAID_SHORTLY = 10
_NEGATED = re.compile(
    r"(?<!why )\b(?:don'?t|do not|never)\b(?: \w+){0,3} (?:cancel|return|add|put|remove|delete|take|start|send)\b"
)
_WHICH = re.compile(r"^(?:and |but |so )?which(?: one)?\b")
_PRICES = re.compile(r"^(?:and )?(?:the |their |what are the )?prices\W*$")
COMPARED = 3.2
"""How strongly "which ...?" after a comparison compares the same products."""
LONG = 7
"""A message of this many words or more says by itself what it is about."""
TITLE_ALONE = 1.3
"""How strongly a product that is named, and nothing else, asks for its facts."""
FORMAT_ALONE = 1.3
"""How strongly a format and a word for books, and nothing else, ask for a list."""
_CHANGES = frozenset({"message", "shown"})
"""Where a product was found that a message changes to."""
_CARRIED: frozenset[Kind] = frozenset({"offer", "facts", "promotion", "reviews", "orders", "cart", "compare", "action"})


def read_cues(core: str, context: str, *, has_subject: bool) -> tuple[Reading, ...]:
    """All kinds that the words speak for, the strongest first.

    Args:
        core: The question, in lower case, with an "x" for each title.
        context: What stands beside it.
        has_subject: Whether a product is spoken of.
    """
    best: dict[tuple[Kind, str], float] = {}
    if (slot := social(core)) and not (slot == "complaint" and names_any(core, _BROKEN)):
        best["social", slot] = SOCIAL if len(core.split()) < 9 else 1.5 if slot == "insult" else 2.4  # noqa: PLR2004  # a long text says more
    for cue in (*CUES, *ORDER_CUES, *OWN_CUES):
        weight = cue.about if has_subject and cue.about is not None else cue.weight
        if cue.pattern.search(core):
            best[cue.kind, cue.slot] = max(best.get((cue.kind, cue.slot), 0.0), weight)
        elif context and cue.pattern.search(context):
            best[cue.kind, cue.slot] = max(best.get((cue.kind, cue.slot), 0.0), CONTEXT * weight)
    if _GENERALLY.search(core):  # how long a delivery takes in general is stated by the policies
        best.pop(("orders", "arrive"), None)
        best["policy", ""] = max(best.get(("policy", ""), 0.0), IN_GENERAL)
    cancels = ("action", "cancel") in best or ("orders", "can_cancel") in best
    if cancels or _HOW_TO_CANCEL.search(core):  # not the orders of the day that is named
        best.pop(("orders", "some"), None)
    if _NEGATED.search(core):  # "don't cancel my order" asks for nothing
        best = {key: weight for key, weight in best.items() if key[0] != "action"}
        best["social", "keep"] = SOCIAL if len(core.split()) <= SAID_SHORTLY else 0.0
    return _sorted([Reading(kind, slot, weight) for (kind, slot), weight in best.items()])


def implied(
    asked: Question,
    readings: Sequence[Reading],
    themes: frozenset[str],
    subjects: Sequence[Subject],
    *,
    listing: bool,
    follows: bool,
) -> tuple[Reading, ...]:
    """The readings, with those that follow from what is named, or from the question before.

    Args:
        asked: The question.
        readings: What the words say.
        themes: The themes that it names.
        subjects: The products that it is about.
        listing: Whether it changes the list that was shown.
        follows: Whether it goes on from what was said.
    """
    core, wishes, said = asked.core, asked.wishes, asked.said
    more = _of_own(core, said, subjects)
    if said.kind in ("list", "trending", "facts") and said.offered and _WHY.match(core):
        more.append(Reading("list", "why", OF_OWN))
    if listing:
        refined: Kind = "trending" if _is_genre_alone(said, wishes) else "list"
        more.append(Reading(refined, "refine", REFINED))
    is_new = any(s.source == "message" for s in subjects)
    if said.kind == "compare" and not is_new and (_WHICH.match(core) or _PRICES.match(core)):
        more.append(Reading("compare", "", COMPARED))
    if said.kind in ("offer", "list", "facts") and _ONES.search(core) and not listing:
        more.append(Reading("list", "of_line", REFINED))
    if is_asked_of_genre(core, wishes):
        more.append(Reading("facts", "genre", REFINED))
    elif weight := _list_weight(core, wishes, themes):
        more.append(Reading("list", "", weight))
    strongest = max((r.weight for r in readings), default=0.0)
    is_shown = bool(subjects) and subjects[0].source == "shown"
    if is_shown:  # "the cheaper one" is one that was shown, not another list
        readings = [r for r in readings if (r.kind, r.slot) != ("list", "cheapest")]
    if is_shown or any(s.source == "message" and s.whole for s in subjects):
        more.append(Reading("facts", "title", TITLE_ALONE))
    is_other = any(
        (
            any(r.kind in ("facts", "policy") for r in readings[:1])
            and not (said.kind == "promotion" and wishes.genres),
            is_shown and wishes == NO_WISHES,
            said.kind == "compare" and themes,
            wishes.genres and said.kind in ("offer", "facts") and (not subjects or "instead" in core),
            wishes.authors,
            asked.is_foreign and said.kind in ("orders", "cart", "offer"),
        )
    )
    if said.kind in _CARRIED and follows and strongest < CARRIED and not is_other:
        more += [_with_slot(r, readings) for r in _carried(core, said, wishes, subjects, strongest)]
    return _sorted([*readings, *more])


def _of_own(core: str, said: Dialogue, subjects: Sequence[Subject]) -> list[Reading]:
    """What goes on from the cart, an order or a promotion, or names a book that the shopper has."""
    is_named = any(s.source == "message" for s in subjects)
    more: list[Reading] = []
    if is_named and RETURN_IT.search(core):
        more.append(Reading("orders", "can_return", MONEY))
    if said.kind == "cart" or (said.kind == "action" and said.slot in _CART_ACTIONS):
        more += _of_cart(core, said, subjects)
    if said.kind == "action" and said.slot in ("cancel", "return") and _THE_ORDER.search(core):
        more.append(Reading("action", said.slot, OF_OWN))
    if said.kind in ("action", "orders") and MONEY_BACK.search(core):
        more.append(Reading("orders", "money", MONEY))
    elif said.kind == "orders":
        more += _of_orders(core, said, is_named=is_named)
    if said.kind == "promotion" and _UNTIL.match(core) and not concepts(core):
        more.append(Reading("promotion", said.slot, CARRIED))
    return more


def _of_cart(core: str, said: Dialogue, subjects: Sequence[Subject]) -> list[Reading]:
    """What goes on from the cart: other numbers, one more book, the edition that was asked for."""
    if said.choices and subjects and subjects[0].source == "shown":
        return [Reading("action", said.slot, OF_OWN)]
    if found := [Reading(kind, slot, OF_OWN) for pattern, kind, slot in AFTER_CART if pattern.search(core)]:
        return found[:1]
    is_more = said.slot == "add" and ONE_MORE.search(core) is not None
    is_named = any(s.volume is not None or s.name or s.source == "shown" for s in subjects)
    return [Reading("action", "add", OF_OWN)] if is_more and is_named else []


def _of_orders(core: str, said: Dialogue, *, is_named: bool) -> list[Reading]:
    """What goes on from an order: another order, its sum, until when it can be returned."""
    more: list[Reading] = []
    if (_ANOTHER_ORDER.search(core) or re.search(ONE_OF_STATE, core)) and not is_named:
        more.append(Reading("orders", said.slot, CARRIED))
    if AFTER_ORDERS.search(core) and not is_named:
        more.append(Reading("orders", "spent" if said.slot == "spent" else "paid", OF_OWN))
    if said.slot in ("can_return", "returnable") and HOW_LONG.search(core):
        more.append(Reading("orders", said.slot, OF_OWN))
    return more


def _is_genre_alone(said: Dialogue, wishes: Wishes) -> bool:
    """Whether a message asks what sells in another genre: "and in romance?"."""
    only = Wishes(genres=wishes.genres)
    return said.kind == "trending" and bool(wishes.genres) and wishes == only


def is_asked_of_genre(core: str, wishes: Wishes) -> bool:
    """Whether a question is of which genre something is, rather than a wish: "is it scary?"."""
    return bool(wishes.genres) and _IS_IT.match(core) is not None


def _with_slot(carried: Reading, readings: Sequence[Reading]) -> Reading:
    """A carried reading, for the part that the words themselves ask for, if they do."""
    asked = next((r.slot for r in readings if r.kind == carried.kind and r.slot), carried.slot)
    return Reading(carried.kind, asked, carried.weight)


def _list_weight(core: str, wishes: Wishes, themes: frozenset[str]) -> float:
    """How strongly wishes alone ask for a list: the more of them, the more."""
    kinds = [
        wishes.genres or wishes.no_genres, wishes.authors or wishes.no_authors,
        wishes.most_cents is not None or wishes.least_cents is not None, wishes.formats or wishes.no_formats, themes,
        wishes.sort, wishes.single, wishes.count is not None,
    ]  # fmt: skip
    if wishes.genres and _ANOTHER.search(core):
        return REFINED
    number = sum(map(bool, kinds))
    only_format = bool(wishes.formats) and number == 1
    only_theme = bool(themes) and number == 1
    has_books = bool(_BOOKS.search(core))
    if only_format and has_books:
        return FORMAT_ALONE
    if not number or only_format:
        return 0.0
    if only_theme:
        return 1.1 if has_books else 0.0
    return 1.1 + 0.6 * (number - 1) + 0.4 * has_books + (wishes.sort == "-rating")


def _carried(core: str, said: Dialogue, wishes: Wishes, subjects: Sequence[Subject], strongest: float) -> list[Reading]:
    """The kind of the question before, for a message that only changes what it is about."""
    kind: Kind = said.kind  # type: ignore[assignment]  # only kinds are kept
    if kind == "action":
        return _after_action(core, said)
    changes = bool(wishes.formats or wishes.volume is not None or any(s.source in _CHANGES for s in subjects))
    if kind == "promotion":
        named = any(s.source == "message" for s in subjects)
        if wishes.most_cents is not None and not named:  # a search, whatever was reduced
            return []
        return [
            Reading(
                kind,
                "price" if named else said.slot,
                CARRIED if named or wishes.genres or strongest < 1 else CARRIED_WEAKLY,
            )
        ]
    if kind == "orders" and said.slot in ("can_return", "can_cancel") and _ASKS_RULE.search(core):
        return []
    if kind in ("orders", "cart"):
        is_named = said.slot in ("open", "some") and any(s.source == "message" for s in subjects)
        weight = CARRIED_WEAKLY if strongest or len(core.split()) >= LONG else CARRIED
        return [Reading(kind, "where" if is_named else said.slot, weight)]
    if kind == "offer" and not subjects:
        return []
    if kind in ("facts", "compare") and any(s.format or s.volume is not None for s in subjects):
        return [Reading("offer", "", CARRIED)]
    slot = "stated" if (kind, said.slot) == ("facts", "unknown") else said.slot
    return [Reading(kind, slot, CARRIED if changes and strongest < WEAK else CARRIED_WEAKLY)]


def _after_action(core: str, said: Dialogue) -> list[Reading]:
    """What goes on from an action: another order for the same action, or how the cart or the order is now."""
    if said.slot in ("cancel", "return"):
        if _ANOTHER_ORDER.search(core):
            return [Reading("action", said.slot, CARRIED)]
        return [Reading("orders", "where", CARRIED_WEAKLY)]
    return [Reading("cart", "", CARRIED_WEAKLY)] if said.slot else []


def _sorted(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    return tuple(sorted(readings, key=lambda r: -r.weight))
