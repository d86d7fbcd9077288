"""Reads a message: which questions it asks, about which products, and with which wishes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import msgspec

from retail_assistant.understand.ask import Ask, Reading, Subject
from retail_assistant.understand.dialogue import NEW, Dialogue
from retail_assistant.understand.leftover import content
from retail_assistant.understand.prices import price_range
from retail_assistant.understand.readings import implied, read_cues
from retail_assistant.understand.sayings import in_shop_words
from retail_assistant.understand.social import off_topic
from retail_assistant.understand.split import Part, questions
from retail_assistant.understand.titles import Named, bare_words, volume_in
from retail_assistant.understand.vocabulary import AUTHOR, FORMAT, GENRE, Vocabulary
from retail_assistant.understand.wishes import NO_WISHES, Sort, Wishes
from retail_assistant.understand.words import number, ordinal, plain, words

_POINTS = re.compile(
    r"\b(?:it|its|it's|this|that one|this one|that|these|those|them|they|the book|the manga|the series|the one"
    r"|the volume"
    r"|same (?:one|author|series|genre)|(?:same|this|that|the) (?:book|one|title|volume|author|series|genre"
    r"|edition))\b"
)
_THE_PLACE = re.compile(
    r"\bthe (first|second|third|fourth|fifth|last|1st|2nd|3rd|4th|5th|middle)(?: (?:one|book|title|manga|option"
    r"|of (?:them|these|those)))?\b"
    r"|\b(?:number|no\.?|option|#) ?(\d|one|two|three|four|five)\b|\b(first|second|third|last) one\b"
)
_CHEAPER = re.compile(r"\bthe (?:cheap(?:er|est)|less expensive|least expensive)(?: (?:one|of))?\b")
_DEARER = re.compile(r"\bthe (?:dear(?:er|est)|more expensive|most expensive|pricier)(?: (?:one|of))?\b")
_LIKE = re.compile(
    r"\b(?:like|similar to|in the (?:style|spirit|vein) of|comparable to|resembl\w+|liked|loved|enjoyed|finished"
    r"|fan of|after reading|devoured|adored?)\b"
)
_COUNT = re.compile(
    r"\b(one|two|three|four|five|six|seven|eight|ten|\d{1,2})\s+(?:\w+\s+){0,3}?"
    r"(?:books?|titles?|manga|mangas|novels?|options?|suggestions?|recommendations?|ideas|series|ones"
    r"|thrillers?|paperbacks?"
    r"|hardcovers?|ebooks?|stories|recs|picks|romances|mysteries|comedies)\b|\b(?:top|just|only) (one|two|three"
    r"|four|five|\d{1,2})\b"
)
_SINGLE = re.compile(
    r"\b(?:stand-?alone|stand alone|one-?shots?|single[- ]volumes?|one[- ]volume|in one volume"
    r"|complete in (?:one|a single)|not part of a series"
    r"|self-contained)\b"
)
_ELSE = re.compile(
    r"\b(?:something|anything|someone|what|others?|any|some)? ?(?:else|others?|different|more)\b|\banother\b"
    r"|\bother (?:one|book|title|idea|option|suggestion)s?\b"
)
_SORTS: tuple[tuple[Sort, re.Pattern[str]], ...] = (
    ("-price", re.compile(r"\b(?:most expensive|priciest|dearest|highest price)\b")),
    ("price", re.compile(r"\b(?:cheapest|lowest price|least expensive|from (?:cheap|low)|by price|cheap)\b")),
    ("-rating", re.compile(r"\b(?:best|highest|top)[- ](?:rated|reviewed)\b|\bbest reviews\b|\bhighest rating\b")),
    ("-new", re.compile(r"\b(?:newest|latest|new releases?|recent(?:ly)?|new arrivals)\b")),
)  # fmt: skip
_FOLLOWS = re.compile(
    r"^(?:and|but|or|so|then|also|ok|okay|what about|how about|same|in that case|why|really|any other"
    r"|anything else|something else|what else)\b"
    r"|\b(?:instead|the other one|that one|the same)\b|^\.\.\."
)
_THEMED = re.compile(
    r"\b(?:about|with|featuring|involving|set in|in which)\s+(?!the (?:price|cart)\\b)([^.?!,;]+?)(?=\s+(?:but"
    r"|for|under|below)\b|[.?!,;]|$)"
)
_BEFORE_BOOK = re.compile(
    r"\b((?:[^\W\d_]+(?:-[^\W\d_]+)?\s+){1,2})(?:stories|story|tales?|books?|manga|novels?|series)\b"
)
_WITHOUT = re.compile(
    r"\b(?:no|not|without|except|avoid|nothing (?:about|with)|don't want|isn't about)\s+(?:any |too |about "
    r"|with )?([^\W\d_]{3,})"
)
_TAG = re.compile(r"<script.*?</script>|<[^>]*>", re.DOTALL)
BARE_WORDS = 1.0
"""How strongly a few words of the catalog, and nothing else, ask for what they name."""
Prices = Callable[[str], int]
_COPIES = re.compile(r"\b(one|two|three|four|five|six|seven|eight|nine|ten|\d{1,3})\b(?! ?(?:%|euro|eur|€))")
_CHEAPER_LIST = re.compile(r"\b(?:cheaper|less expensive|for less)\b(?! (?:one|than|or)\b)")
_NEW_SEARCH = re.compile(
    r"^(?:a|an|any|some|show|recommend|suggest|i want|i need|i'd like|i would like|find|give|do you have|looking for)\b"
)
SHORT = 7


_SEVERAL = re.compile(r"\b(?:they|both|them|these|those)\b")
_OTHER_ONE = re.compile(r"\bthe other (?:one|book|title)\b")
_THIS = re.compile(r"\bthis(?: one| book)?\b")
_COMPARES = re.compile(r"\b(?:than|or|vs|versus|compare|better|cheaper|difference)\b")
_VOLUME_ALONE = re.compile(
    r"^(?:and |what about |how about |also )?(?:the )?(?:vol(?:ume)? |number |no |# ?)?(\d{1,2})(?:st|nd|rd"
    r"|th)?(?: one)?\W*$"
)


def _volume_alone(question: str, said: Dialogue) -> int | None:
    """The volume of a message that names only one: "and 3?", or "is the third one available?" after one product."""
    if found := _VOLUME_ALONE.match(question.strip()):
        return int(found[1])
    if len(said.shown) == 1 and (place := _THE_PLACE.search(question)):
        word = next(group for group in place.groups() if group)
        return ordinal(word) or number(word)
    return None


def _as_subjects(question: str, named: Sequence[Named], wishes: Wishes, page: str) -> tuple[Subject, ...]:
    """The titles that a question names; with "this" and a comparison also the product on the page."""
    form = _only(wishes.formats)
    found = tuple(
        Subject(n.name, "message", "", n.volume if n.volume is not None else wishes.volume, form, n.whole)
        for n in named
    )
    if page and len(found) == 1 and _THIS.search(question) and _COMPARES.search(question):
        return (Subject("", "page", page), *found)
    return found


class Parser:
    """Reads messages with a vocabulary; ``cents`` returns the present price of a product by its asin."""

    def __init__(self, vocabulary: Vocabulary, cents: Prices) -> None:
        """Keep both."""
        self._vocabulary = vocabulary
        self._cents = cents

    def read(self, message: str, said: Dialogue = NEW, page: str = "") -> list[Ask]:
        """The questions of a message."""
        text = self._vocabulary.correct(_TAG.sub(" ", plain(message)))
        asks: list[Ask] = []
        for part in questions(in_shop_words(text)):
            asks.append(self._ask(part, said, page, asks))
        return [msgspec.structs.replace(ask, said=message, spelled=text) for ask in asks]

    def _ask(self, part: Part, said: Dialogue, page: str, before: Sequence[Ask]) -> Ask:
        question = part.whole
        named = self._vocabulary.titles.named(question)
        rest = _cut(question, named)
        wishes, rest = self._wishes(rest)
        subjects = self._subjects(question, named, wishes, said, page)
        if not subjects and before:
            subjects = tuple(msgspec.structs.replace(s, format=_only(wishes.formats)) for s in before[-1].subjects)
        is_like = bool(_LIKE.search(question)) and bool(subjects)
        themes, unwanted = self._themes(rest)
        is_new = bool(wishes.genres) and _NEW_SEARCH.match(question) is not None
        listing = said.kind in ("list", "trending") and not is_new
        listing = listing and _is_slots(rest, wishes, subjects, themes, question)
        stated = wishes
        if listing:
            wishes = said.wishes.then(self._cheaper(wishes, said, question))
        goes_on = bool(said.turns) or bool(before)
        follows = goes_on and (bool(_FOLLOWS.search(question)) or len(words(question)) < SHORT)
        core = _cut(part.core, self._vocabulary.titles.named(part.core), as_word=True)
        context = part.whole.replace(part.core, " ") if part.core != part.whole else ""
        readings = read_cues(core, context, has_subject=bool(subjects))
        readings = implied(readings, core, stated, themes, subjects, said=said, listing=listing, follows=follows)
        named_words = content(rest)
        if listing:
            themes |= {word for word in named_words if self._vocabulary.knows(word) and word not in unwanted}
        if not readings and named_words and all(self._vocabulary.knows(word) for word in named_words):
            readings = (Reading("list", "words", BARE_WORDS),)
            themes = frozenset(named_words)
        return Ask(
            text=question,
            readings=readings,
            subjects=subjects,
            wishes=msgspec.structs.replace(
                wishes, themes=wishes.themes | themes, no_themes=wishes.no_themes | unwanted
            ),
            like=is_like,
            follows=follows,
            leftover=content(rest),
            copies=_copies(_cut(question, named)),
            off_topic=any(not self._vocabulary.knows(word) for word in off_topic(question)),
        )

    def _wishes(self, text: str) -> tuple[Wishes, str]:
        """The wishes that a text states, and the text without the words that state them."""
        (least, most), rest = price_range(text)
        found = self._vocabulary.named(rest)
        count = _COUNT.search(rest)
        sort = _sort(rest)
        asked = next((number(group) for group in count.groups() if group), None) if count else None
        wishes = Wishes(
            genres=found.of(GENRE, wanted=True),
            no_genres=found.of(GENRE, wanted=False),
            formats=found.of(FORMAT, wanted=True),
            no_formats=found.of(FORMAT, wanted=False),
            authors=found.of(AUTHOR, wanted=True),
            no_authors=found.of(AUTHOR, wanted=False),
            volume=volume_in(rest),
            single=bool(_SINGLE.search(rest)),
            most_cents=most,
            least_cents=least,
            sort=sort,
            count=asked,
        )
        return wishes, self._vocabulary.without_names(rest)

    def _cheaper(self, wishes: Wishes, said: Dialogue, question: str) -> Wishes:
        """The wishes, with "cheaper" as a price below the dearest product that was shown, the cheapest first."""
        if wishes.most_cents is not None or not said.shown or not _CHEAPER_LIST.search(question):
            return wishes
        return msgspec.structs.replace(wishes, most_cents=max(map(self._cents, said.shown)) - 1, sort="price")

    def _themes(self, rest: str) -> tuple[frozenset[str], frozenset[str]]:
        """The words for what a book shall be about, and shall not: after "about" and the like, or before "stories"."""
        unwanted = frozenset(content(" ".join(_WITHOUT.findall(rest))))
        after = " ".join(found[1] for found in _THEMED.finditer(rest))
        before = " ".join(found[1] for found in _BEFORE_BOOK.finditer(rest))
        return frozenset(w for w in content(f"{after} {before}") if w not in unwanted), unwanted

    def _subjects(
        self, question: str, named: Sequence[Named], wishes: Wishes, said: Dialogue, page: str
    ) -> tuple[Subject, ...]:
        form = _only(wishes.formats)
        if named:
            return _as_subjects(question, named, wishes, page)
        if said.kind == "compare" and _SEVERAL.search(question):
            return tuple(Subject("", "shown", asin) for asin in said.shown)
        if said.shown and (placed := self._placed(question, said)):
            return tuple(Subject("", "shown", asin, format=form) for asin in placed)
        volume = wishes.volume if wishes.volume is not None else _volume_alone(question, said)
        points = bool(_POINTS.search(question))
        if page and (points or not said.focus or said.focus == page):
            return (Subject("", "page", page, volume=volume, format=form),)
        if points or len(words(question)) < SHORT:
            if said.focus:
                return (Subject("", "focus", said.focus, volume=volume, format=form),)
            if page:
                return (Subject("", "page", page, volume=volume, format=form),)
        return ()

    def _placed(self, question: str, said: Dialogue) -> tuple[str, ...]:
        """The products of the last list whose places a question names: "the second one", "the cheaper one"."""
        shown = said.shown
        if len(shown) == 2 and _OTHER_ONE.search(question):  # noqa: PLR2004  # the other of two
            return (shown[0] if said.focus == shown[1] else shown[1],)
        if len(shown) > 1:
            at = dict.fromkeys(_place(found, len(shown)) for found in _THE_PLACE.finditer(question))
            if at:
                return tuple(shown[place - 1] for place in at if place <= len(shown))
            if _CHEAPER.search(question):
                return (min(shown, key=self._cents),)
            if _DEARER.search(question):
                return (max(shown, key=self._cents),)
        return ()


def _place(found: re.Match[str], shown: int) -> int:
    """The place from 1 that a phrase names in a list of so many products."""
    word = next(group for group in found.groups() if group)
    return {"last": shown, "middle": shown // 2 + 1}.get(word) or ordinal(word) or number(word) or 1


def _is_slots(rest: str, wishes: Wishes, subjects: Iterable[Subject], themes: frozenset[str], question: str) -> bool:
    """Whether a message only changes the list that was shown."""
    if any(s.source == "message" for s in subjects):
        return False
    changes = _ELSE.search(question) or _CHEAPER_LIST.search(question)
    states = wishes != NO_WISHES or bool(themes) or bool(changes)
    return states and len(content(rest)) <= 2 + len(themes)  # a stray word changes nothing


def _cut(text: str, named: Sequence[Named], *, as_word: bool = False) -> str:
    """A text without the titles that it names, so that a genre in a title is no wish; ``as_word`` leaves an "x"."""
    said = bare_words(text)
    for n in named:
        if n.whole:
            phrase = r"\W+".join("'?".join(map(re.escape, word)) + "(?:'?s)?" for word in said[n.start : n.end])
            text = re.sub(rf"(?:\b(?:the|an?)\s+)?{phrase}", " x " if as_word else " ", text, count=1)
    return " ".join(text.split())


def _only(names: Iterable[str]) -> str | None:
    """The only one of some names."""
    some = list(names)
    return some[0] if len(some) == 1 else None


def _copies(text: str) -> int | None:
    """The number of copies that a text without its titles names."""
    found = _COPIES.search(text)
    return number(found[1]) if found else None


def wants_another(question: str) -> bool:
    """Whether something else than what was shown is wanted."""
    return bool(_ELSE.search(question))


def _sort(text: str) -> Sort:
    """The order that a text asks for."""
    for name, pattern in _SORTS:
        if pattern.search(text):
            return name
    return ""
