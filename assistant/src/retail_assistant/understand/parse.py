"""Reads a message: which questions it asks, about which products, and with which wishes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice

import msgspec

from retail_assistant.understand.ask import ALONE, Ask, Kind, Reading, Subject
from retail_assistant.understand.constraints import find_themes, find_wishes, themes_in
from retail_assistant.understand.copies import copies
from retail_assistant.understand.corrections import corrected, is_complaint
from retail_assistant.understand.dialogue import NEW, Dialogue
from retail_assistant.understand.leftover import content
from retail_assistant.understand.names.titles import Named
from retail_assistant.understand.names.vocabulary import Vocabulary
from retail_assistant.understand.plain_words import TOKEN, bare_words, number, plain, words
from retail_assistant.understand.pointing import SHORT, Prices, Titles, find_subjects, only, owned
from retail_assistant.understand.premises import premise
from retail_assistant.understand.question import Question
from retail_assistant.understand.readings import SOCIAL, implied, is_asked_of_genre, read_cues
from retail_assistant.understand.said.concepts import concepts, names_any
from retail_assistant.understand.said.sayings import in_shop_words
from retail_assistant.understand.said.social import off_topic
from retail_assistant.understand.said.two_rules import OF_RETURN, of_act
from retail_assistant.understand.split import Part, questions
from retail_assistant.understand.times import MONTHS
from retail_assistant.understand.wishes import NO_WISHES, Wishes, words_of

SAID = 2.8
"""The weight from which words surely ask about a book, although they also name what policies state."""
GOODS, MOST_NAMES = 1.9, 3
"""How strongly unknown words ask for goods, and how many of them do so alone."""
SOMETHING = 1.7
"""How strongly "do you have something ...?" asks for goods, whatever is said of them."""
BARE_WORDS = 1.0
"""How strongly a few words of the catalog, and nothing else, ask for what they name."""
_MISHEARD = Reading("social", "misheard", SOCIAL)
_DIGITS = re.compile(r"(\d{12})\d+")
"""More digits than any number of a shop has; to look for numbers in very many takes long."""
MOST_TOKENS = 400
"""No question has more words; to look for volumes takes time with the square of their number."""
_ORDER = re.compile(
    r"(?<!order )(?<!number )(?<!no )(?<!nr )(?<![\w.,#€$£/-])(?<!\bno\. )(?<!isbn )\d{6,9}(?![\w.,/-]*\d)"
    r"(?! ?(?:€|euro|points))"
)
"""A number that only an order has, although nothing says so: "cancel 5530118"."""
_SIGNS = re.compile(r"(?:#\s*){2,}")
_TAG = re.compile(r"<script.*?</script>|<[^>]*>", re.DOTALL)
_LIKE = re.compile(
    r"\b(?:like|similar to|in the (?:style|spirit|vein) of|comparable to|resembl\w+|liked|loved|enjoyed|finished"
    r"|fan of|after reading|devoured|adored?)\b"
)
_ELSE = re.compile(
    r"\b(?:else|others?|another|(?:something|anything) different|different (?:one|book|title)s?"
    r"|more(?! than| expensive| pages| copies))\b"
)
_FREES = re.compile(
    r"\b(?:it |they |that )?(?:does|do|need)(?:n't|nt| not) (?:have to |need to )?be (?:an? )?([\w-]+(?: [\w-]+)?)"
    r"|\bforget (?:the |about )?([\w-]+(?: [\w-]+)?)"
    r"|(?<![\w-])-*+([\w-]+) (?:does(?:n't|nt| not) matter|isn't important)"
)
"""Takes a wish back."""
_BACK = re.compile(r"\bback to (?:the|those|my)\b")
"""Goes back to a list that was left for something else."""
_ONE = re.compile(r"\b(?:the|that|this) (?:\w+ )?ones?\b")
_INSTEAD = re.compile(r"\b(?:instead|rather)\b")
_FOLLOWS = re.compile(
    r"^(?:and|but|or|so|then|also|ok|okay|what about|how about|same|in that case|why|really|any other"
    r"|anything else|something else|what else)\b|\b(?:instead|the other one|that one|the same)\b|^\.\.\."
)
_QUESTION = re.compile(
    r"^(?:and |but |so |ok(?:ay)?,? )?(?:how|can|could|may|do|does|is|are|will|would|what|when|where|who|until)\b"
)
_POLICY_CONCEPTS = frozenset(
    {
        "return", "refund", "exchange", "cancel", "damaged", "misprint", "wrong_item", "dent", "file_fault", "opened",
        "delivery", "express", "pickup", "address", "lost", "tracking", "standard_time", "arrives_money", "where_money",
        "label", "delayed", "gift_card", "redeem", "balance", "lost_code", "pay_ways", "invoice_pay", "instalments",
        "failed", "receipt", "points", "customs", "return_abroad", "data", "delete_account", "sharing", "kept", "chats",
    }
)  # fmt: skip
"""Concepts that no wish for a book has, such as a torn cover."""
_OF_BOOKS: frozenset[Kind] = frozenset({"list", "offer", "facts", "compare"})
"""Kinds that are about books."""
_OF_ONE: frozenset[Kind] = frozenset({"offer", "facts", "reviews"})
_OF_PRODUCTS = frozenset(
    """
    available availability stock copies pages page count rating rated review reviews language languages publisher isbn
    weight size edition editions translation translated translator age release released ending sequel prequel cover
    illustrated colour color suitable violent complete finished sold printed reprint signed audiobook audiobooks audio
    anime film movie adaptation complain complaints criticise criticize opinions feedback stars restocked completely
    exist exists version versions older newer oldest scarier scary funnier funny sadder darker total
    """.split()
)
"""Words that ask for something of a product, although no product's text has them."""
_ASKS_HOW = re.compile(r"^(?:and |but |so )?(?:how|when|where|who|why|can|could|may|must|will|would|until|do i|does)\b")
_TELLS = re.compile(
    r"\b(?:i|i'm|i've|me|my|we|our|you|your|they|parcel|package|order|delivery|refund|pages|cover"
    r"|book (?:is|was|has|came))\b"
)
_DECLINES = re.compile(r"\b(?:stop|don't want|do not want|no longer|turn|switch|disable|why do you)\b")
_ABOUT = re.compile(r"\b(?:about|featuring|set in|stories|recommend\w*|suggest\w*|show|find)\b")
_SELLS = re.compile(
    r"^(?:and |but |so |hi,? |ok,? )?(?:do you (?:also )?(?:have|sell|stock|carry|offer)|have you got|are there"
    r"|is there)\b"
)
_SOMETHING = re.compile(r"\b(?:some|any)thing\b")
_NEW_SEARCH = re.compile(
    r"^(?:a|an|any|some|show|recommend|suggest|i want|i need|i'd like|i would like|find|give|do you have|looking for)\b"
)
_CHEAPER_LIST = re.compile(
    r"\b(?:cheaper|less expensive|for less)\b(?! (?:one|than|or)\b)|^(?:that's |they're |it's |these are )?(?:\w+ )?"
    r"too (?:expensive|dear|pricey|much)\b"
)
_OF_THAT = re.compile(r"\b(?:that|this|the same) (?:sort|kind|type|direction|style|vein)\b")
"""Points at what was looked for."""
_ACCEPTS = re.compile(
    r"^(?:(?:ok(?:ay)?|oh|well|hm+|then|please|yes|yeah|yep|sure|fine|alright|all right|go ahead)\b[\s,.!]*)+"
    r"(?:(?:show|give|tell) (?:me|us)\b.*|i(?:'d| would) (?:like|love) (?:to|that)\b.*|do(?: that| it)?)?\W*$"
    r"|^(?:show|give) (?:me|us) (?:those|them|these|some)\b|^(?:without|forget|never mind|ignore|drop) (?:the|that|my) "
    r"(?:price|limit|budget|format|theme|genre|volume)\b"
)
"""Says yes to what was offered where nothing was found."""
_ADDS = re.compile(
    r"^(?:and|also|but|with|plus|preferably|ideally|maybe|it should|they should)\b|\b(?:too|as well)\b|\balso\b"
)
"""Says that a theme is wanted beside those from before."""


class Parser:
    """Reads messages with a vocabulary; ``cents`` and ``titles`` return a product's price and title by its asin."""

    def __init__(self, vocabulary: Vocabulary, cents: Prices, titles: Titles = str) -> None:
        """Keep them."""
        self.vocabulary = vocabulary
        self._cents, self._titles = cents, titles
        self._first = lru_cache(1_024)(self._asks)  # they rest on nothing but the vocabulary

    def read(self, message: str, said: Dialogue = NEW, page: str = "") -> list[Ask]:
        """The questions of a message; those of first messages are remembered, because many customers begin alike."""
        return list(self._asks(message, said, page) if page or said != NEW else self._first(message))

    def _asks(self, message: str, said: Dialogue = NEW, page: str = "") -> list[Ask]:
        text = self.vocabulary.correct(_TAG.sub(" ", _DIGITS.sub(r"\1", _bounded(message))))
        asks: list[Ask] = []
        meant, corrects = corrected(text, of_policy=said.kind == "policy") if said.turns else (text, False)
        if corrects and is_complaint(text):
            return [Ask(text=text, readings=(_MISHEARD,), said=message, spelled=text, corrects=True)]
        for part in questions(in_shop_words(meant)):
            asks.append(self._of_act(part, said, asks) or self._ask(part, said, page, asks))
        return [msgspec.structs.replace(ask, said=message, spelled=text, corrects=corrects) for ask in asks]

    def _of_act(self, part: Part, said: Dialogue, before: Sequence[Ask]) -> Ask | None:
        """A question for what an act costs that was named just before, in the message or in the conversation."""
        of_order = OF_RETURN.get(said.slot, "") if said.kind in ("orders", "action") else ""
        act = of_act(part.core, before[-1].text if before else of_order)
        if not act:
            return None
        question = f"{part.core.rstrip(' ?.!')} {act}"
        ask = self._ask(Part(question, question), said, "", ())
        of_policy = tuple(r for r in ask.readings if r.kind == "policy")
        return msgspec.structs.replace(ask, subjects=(), readings=of_policy, follows=True)

    def _ask(self, part: Part, said: Dialogue, page: str, before: Sequence[Ask]) -> Ask:
        question = part.whole
        named = self.vocabulary.titles.named(question)
        untitled = _cut(question, named)
        freed = self._freed(untitled, said)
        stated, rest = find_wishes(_FREES.sub(" ", untitled) if freed else untitled, self.vocabulary)
        named_words = content(rest)
        is_foreign = any(self._is_foreign(word) for word in named_words)
        marked = _cut(question, named, as_word=True)
        core, context = self._core(part, named)
        asked = Question(question, core, tuple(named), stated, said, page, is_foreign, owned(marked, named))
        subjects = _of_before(find_subjects(asked, cents=self._cents, titles=self._titles), before, stated)
        stated_fact, beside = premise(marked) if len(named) == 1 and named[0].whole else (None, marked)
        has_subject = bool(subjects) or (bool(said.focus) and said.kind in _OF_ONE)
        readings = _read(core, context, beside if core == marked else core, has_subject=has_subject)
        accepts = said.empty and _ACCEPTS.match(question) is not None
        if accepts:  # what was offered instead, whatever words say so
            readings, named_words = (), ()
        asks_policies = _asks_policies(core, readings)
        if asks_policies and not (stated.genres or stated.authors or named):  # such as "present for", "what ... cost"
            readings = tuple(r for r in readings if r.kind not in _OF_BOOKS or r.weight >= SAID)
        is_placed = any(s.source == "shown" for s in subjects)
        themes, unwanted = find_themes("" if asks_policies or is_placed else rest)
        if stated.genres and not (themes or unwanted or asks_policies or named):
            themes = self._beside_genre(named_words)
        listing = (
            _after_list(said, stated, question)
            and not (stated.genres and _NEW_SEARCH.match(question))
            and not asks_policies
            and not is_asked_of_genre(core, stated)
            and not any(r.kind == "trending" for r in readings[:1])
            and (accepts or bool(freed) or _is_slots(named_words, stated, subjects, themes | unwanted, question))
        )
        stated = msgspec.structs.replace(stated, no_themes=unwanted)
        wishes = self._changed(said, stated, question, freed) if listing else stated
        follows = (said.turns > 0 or bool(before)) and _goes_on(question)
        asked = msgspec.structs.replace(asked, wishes=stated)
        readings = implied(asked, readings, themes, subjects, listing=listing, follows=follows)
        if not readings and not asks_policies and self._are_of_catalog(core, named_words, said):
            readings, themes = (Reading("list", "words", BARE_WORDS),), themes_in(rest)
        if not subjects and self._are_goods(question, named_words, readings):
            readings = (Reading("list", "goods", GOODS),)
        elif not subjects and named_words and _SELLS.match(question):
            weight = SOMETHING if _SOMETHING.search(question) else 0.0 if asks_policies else BARE_WORDS
            readings = (*readings, Reading("list", "goods", weight))
        return Ask(
            text=question,
            readings=readings,
            subjects=subjects,
            wishes=_themed(wishes, themes, question),
            like=bool(subjects) and bool(_LIKE.search(question)),
            follows=follows,
            leftover=named_words,
            hints=tuple(w for w in named_words if self.vocabulary.knows(w) or not self.vocabulary.is_common(w)),
            copies=copies(untitled),
            owned=asked.had,
            premise=stated_fact,
            off_topic=any(not self.vocabulary.knows(word) for word in off_topic(question)),
        )

    def _are_of_catalog(self, core: str, leftover: Sequence[str], said: Dialogue) -> bool:
        """Whether words of the catalog are all that a message says; a question of how or when asks something else.

        So does one that goes on with what policies state.
        """
        goes_on = bool(said.turns) and names_any(core, _POLICY_CONCEPTS)
        is_more = said.kind == "policy" and len(words(core)) > MOST_NAMES
        if not leftover or _ASKS_HOW.match(core) or goes_on or is_more:
            return False
        return all(self.vocabulary.knows(word) for word in leftover)

    def _are_goods(self, question: str, leftover: Sequence[str], readings: Sequence[Reading]) -> bool:
        """Whether a message asks for goods in words that are not the shop's: "do you sell lego?", "stephen king?"."""
        known = [self.vocabulary.knows(word) for word in leftover]
        if all(known) or _ONE.search(question):
            return False
        is_name = not readings and 1 < len(words(question)) <= MOST_NAMES and not any(known)
        asks = is_name or (_SELLS.match(question) is not None and all(r.weight < GOODS for r in readings))
        return asks and not concepts(question)

    def _beside_genre(self, leftover: Sequence[str]) -> frozenset[str]:
        """The word or two of the catalog that stand beside a genre, as what it is about: "heist thrillers"."""
        are_known = len(leftover) < MOST_NAMES and all(map(self.vocabulary.knows, leftover))
        return themes_in(" ".join(leftover)) if are_known else frozenset()

    def _is_foreign(self, word: str) -> bool:
        """Whether nothing in the shop has a word, and it asks for nothing of a product."""
        return not (self.vocabulary.knows(word) or word in _OF_PRODUCTS or word in MONTHS or number(word))

    def _core(self, part: Part, named: Sequence[Named]) -> tuple[str, str]:
        """The words that ask, with an "x" for each title, and the words beside them."""
        if part.core == part.whole:
            return _cut(part.core, named, as_word=True), ""
        core = _cut(part.core, self.vocabulary.titles.named(part.core), as_word=True)
        return core, part.whole.replace(part.core, " ")

    def _freed(self, text: str, said: Dialogue) -> frozenset[str]:
        """The genres and formats that need not be kept any more: "it does not have to be historical"."""
        named = " ".join(" ".join(filter(None, found.groups())) for found in _FREES.finditer(text))
        return frozenset(name for _, name in self.vocabulary.named(named).wanted) if said.turns else frozenset()

    def _changed(self, said: Dialogue, stated: Wishes, question: str, freed: frozenset[str]) -> Wishes:
        """The wishes of the list before, as a message changes them; those that are ``freed`` count no more."""
        kept = msgspec.structs.replace(
            said.wishes, genres=said.wishes.genres - freed, formats=said.wishes.formats - freed
        )
        if stated.genres and _INSTEAD.search(question):  # another kind of book, of which nothing else was said
            kept = msgspec.structs.replace(kept, themes=frozenset())
        return kept.then(self._cheaper(stated, said, question))

    def _cheaper(self, wishes: Wishes, said: Dialogue, question: str) -> Wishes:
        """The wishes, with "cheaper" as a price below the dearest product that was shown, the cheapest first."""
        if wishes.most_cents is not None or not said.shown or not _CHEAPER_LIST.search(question):
            return wishes
        return msgspec.structs.replace(wishes, most_cents=max(map(self._cents, said.shown)) - 1, sort="price")


def _of_before(subjects: tuple[Subject, ...], before: Sequence[Ask], stated: Wishes) -> tuple[Subject, ...]:
    """The products of a question; of one that names none those of the question before it in the same message."""
    if not before or not before[-1].subjects:
        return subjects
    if not subjects:
        return tuple(msgspec.structs.replace(s, format=only(stated.formats)) for s in before[-1].subjects)
    return before[-1].subjects if all(s.source in ("focus", "page") for s in subjects) else subjects


def _bounded(message: str) -> str:
    """A message without long runs of blanks and number signs, and up to its :data:`MOST_TOKENS` first words."""
    text = _ORDER.sub(r"order \g<0>", _SIGNS.sub("#", " ".join(plain(message).split())))
    ends = [found.end() for found in islice(TOKEN.finditer(text), MOST_TOKENS)]
    return text[: ends[-1]] if len(ends) == MOST_TOKENS else text


def _read(core: str, context: str, beside: str, *, has_subject: bool) -> tuple[Reading, ...]:
    """What a question's words ask for; what it states as a fact counts only if nothing ``beside`` that asks."""
    apart = read_cues(beside, context, has_subject=has_subject) if beside != core else ()
    return apart if apart and apart[0].weight >= ALONE else read_cues(core, context, has_subject=has_subject)


def _themed(wishes: Wishes, themes: frozenset[str], question: str) -> Wishes:
    """The wishes with the themes of a message, which replace those from before unless it adds to them."""
    if themes and _ADDS.search(question):
        themes |= wishes.themes
    return msgspec.structs.replace(wishes, themes=themes or wishes.themes)


def wants_another(question: str) -> bool:
    """Whether a question asks for other products than those that were shown."""
    return bool(_ELSE.search(question))


def _goes_on(question: str) -> bool:
    """Whether a question that is not the first one goes on from what was said."""
    return bool(_FOLLOWS.search(question)) or len(words(question)) < SHORT


def _asks_policies(core: str, readings: Sequence[Reading]) -> bool:
    """Whether a message is about what the policies state, although it may name a book: "can I return a book?"."""
    if _DECLINES.search(core) and names_any(core, ("suggestions", "kept")):
        return True
    if _ABOUT.search(core):
        return False
    is_question = _QUESTION.match(core) is not None
    if is_question and any(r.kind == "policy" for r in readings):
        return True
    return (is_question or _TELLS.search(core) is not None) and names_any(core, _POLICY_CONCEPTS)


def _after_list(said: Dialogue, stated: Wishes, question: str) -> bool:
    """Whether the question before left a list, one that is gone back to, or a promotion of which some are wanted."""
    is_back = said.wishes != NO_WISHES and _BACK.search(question) is not None
    return said.kind in ("list", "trending") or is_back or (said.kind == "promotion" and bool(stated.formats))


def _is_slots(
    leftover: Sequence[str], wishes: Wishes, subjects: Iterable[Subject], themes: frozenset[str], question: str
) -> bool:
    """Whether a message only changes the list that was shown."""
    if any(s.source in ("message", "shown") for s in subjects):
        return False
    if _OF_THAT.search(question):
        return True
    changes = wants_another(question) or _CHEAPER_LIST.search(question)
    states = wishes != NO_WISHES or bool(themes) or bool(changes)
    narrows = wishes.formats or wishes.count or wishes.most_cents is not None
    narrows = narrows and not (wishes.genres or wishes.authors)
    most = 5 if narrows else 2  # a few stray words change nothing
    return states and len(leftover) <= most + len(words_of(themes))


def _cut(text: str, named: Sequence[Named], *, as_word: bool = False) -> str:
    """Remove the titles that a text names, so that a genre in a title is not read as a wish.

    ``as_word`` leaves an "x" where a title stood.
    """
    said = bare_words(text)
    for n in named:
        if n.whole:
            phrase = r"\W+".join("'?".join(map(re.escape, word)) + "(?:'?s)?" for word in said[n.start : n.end])
            text = re.sub(rf"(?:\b(?:the|an?)\s+)?{phrase}", " x " if as_word else " ", text, count=1)
    return " ".join(text.split())
