"""Sentences taken apart into statements: their numbers, their content words, which of them are denied, and when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from parbake_semantic.guard.claims import FREE, NUMBER_WORDS, Claim, claims, without_claims
from parbake_semantic.guard.release import sentences
from parbake_semantic.vocabulary import GENERAL, Vocabulary, any_of

FREE_CLAIM = Claim("money", "free")
_NUMBER = rf"\d{{1,6}}|{'|'.join(word for word, n in NUMBER_WORDS.items() if n > 1)}"
_CLOCK = re.compile(r"\b(\d{1,2})(?::(\d{2}))?\s*(am|pm|o'clock)\b|\b(\d{1,2}):(\d{2})\b", re.IGNORECASE)
_FIGURE = re.compile(rf"(?<!the )\b(?:{_NUMBER})\b", re.IGNORECASE)
_TIMES = tuple(
    (re.compile(rf"\b(?:{said})\b", re.IGNORECASE), times)
    for said, times in (("half", "0.5"), ("double|twice", "2"), ("triple|thrice", "3"))
)
_HALF_A_DAY = 12
_BEFORE_ONE = "within|in|for|after|than|under|about|of|only|at least|every|per"
_NO_TIME = r"(?: you)?(?: anything)?(?! any)(?![^.;]*\b(?:when|until|before|yet|if)\b)"
_REPHRASED = tuple(
    (has, re.compile(pattern), instead)
    for has, pattern, instead in (
        ("can", r"\bcannot\b|\bcan't\b", "can not"),
        ("won't", r"\bwon't\b", "will not"),
        ("n't", r"n't\b", " not"),
        ("until", r"\bnot ((?:\w+ ){1,4})until\b", r"\1after"),
        ("exclu", r"\bexcluded from\b", "not"),
        ("out", r"\brules? out\b", "not"),
        (
            "back",
            r"\b(?:send|sent|giv\w+|bring|brought|hand\w*|tak\w+|go|goes|gone|com\w+|post\w*)(?: \w+){0,2} back\b",
            "return",
        ),
        (" up", r"\bpick(?:ed)?(?: \w+){0,2} up\b(?! point)", "collect"),
        ("know", r"\blet(?: \w+){1,3} know\b", "tell"),
        ("quarter", r"\bthree[ -]quarters of an hour\b", "45 minutes"),
        ("quarter", r"\b(?:a |one )?quarter of an hour\b", "15 minutes"),
        ("half", r"\bhalf an? hour\b", "30 minutes"),
        ("half", r"\bhalf an? year\b", "6 months"),
        ("half", r"\b(?:a|one) year and a half\b", "18 months"),
        ("fortnight", r"\ba fortnight\b", "2 weeks"),
        (" a", rf"\b({_BEFORE_ONE}) an? (?=(?:minute|hour|day|week|month|year)\b)", r"\1 1 "),
        ("nothing", r"\b(?:costs?|charge\w*|pay) (?:you )?nothing\b|\bnothing to pay\b", "free"),
        ("charge", r"\bfree of charge\b|\bwithout charging you\b", "free"),
        ("no ", r"\bat no (?:charge|cost|fee)\b", "free"),
        ("without", r"\bwithout (?:any )?(?:charge|cost|a fee)\b", "free"),
        (
            "not",
            rf"\b(?:do|does|will) not (?:(?:have|need) to )?(?:pay|cost|charge)\b{_NO_TIME}",
            "are free",
        ),
    )
)
"""Other ways to put a number or a denial, each with letters that a text must have to be put like that."""
_NEGATOR = re.compile(
    r"\b(?:(not)|(never)|(nothing|nobody|neither|none|excluded|impossible|forbidden)|no|nor|without|unable)\b",
    re.IGNORECASE,
)
_NO_DENIAL = re.compile(
    r"\bnot only\b|\bor not\b|\bnot (?:all|every|everything|everyone|yet|later)\b|\bwithout a doubt\b|\bnobody else\b"
    r"|\bno (?:problem|worries|matter|later|more than|longer than|need)\b"
    r"|\b(?:if|when|as long as) [\w ']{0,30}?\bnot\b",
    re.IGNORECASE,
)
_ENDS_DENIAL = re.compile(r"[,.;:]|\b(?:but|and|unless|until|if|when|before|after|because)\b", re.IGNORECASE)
_OR = re.compile(r"\bor\b", re.IGNORECASE)
_NONE = frozenset[str]()
_WHEN = re.compile(r"\bwhen\b", re.IGNORECASE)
_UNLESS = re.compile(r"\b(?:unless|except)\b", re.IGNORECASE)
_ONLY = re.compile(r"(?<!even )\b(?:only|if|when|as long as)\b", re.IGNORECASE)
_JUST = re.compile(r"\bonly\b|\ball of (?:our|the)\b|\balways\b|\bevery\b", re.IGNORECASE)
_OPEN = re.compile(r"\b(?:whether|any|several|whoever|even|most|usually|some)\b", re.IGNORECASE)
_RELATIVE = re.compile(r"^\W*(?:which|where)\b", re.IGNORECASE)
_POINTS_BACK = re.compile(r"^\W*(?:it|they|this|that|these|those|further|after that|then)\b", re.IGNORECASE)
_UNTIL = re.compile(r"\b(?:until|till|before|as long as|prior to|ahead of)\b", re.IGNORECASE)
_AFTER = re.compile(r"\b(?:after|once|since|any ?more|afterwards|as soon as|no longer)\b", re.IGNORECASE)
_UNDER = re.compile(r"\b(?:fewer|less|under|below|sooner|earlier)\b", re.IGNORECASE)
_CLAUSE = re.compile(
    r"[;:]\s+|\b(?:but|whereas)\b|,\s+(?="
    r"(?:except|however|although|though|or|and|so|while|compared|which|where|it|we|you|they|then)\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{3,}(?:'[^\W\d_]+)?|[^\W\d_]{1,2}'[^\W\d_]+")
_PLAIN = frozenset(
    """
    able about after all also and another any anyone anything are away back because been before being between both but
    can case certainly could count counts counted course did does done each either else even ever every feel find for
    from get gets give given glad got had happy has have having hello help here his hope how into its itself just keep
    know least let like long make makes many may means might more most much must need needs new not note now off okay
    once one ones only other our ours out over own plus please possible put same see shall she should some sorry such
    sure take takes than thank thanks that the their them then there these they thing this those too under
    unfortunately until use using very want was way well were what when where whether which while who will with within
    would yes yet you your yours yourself here's it's that's we're you're i'm i'll i've we'll you'll it'll time day
    days working business week weeks month months year years hour hours minute minutes euro euros percent cent during
    right straight still instead nor never none nothing nobody neither without hundred
    """.split()
) | frozenset(NUMBER_WORDS)
_SUFFIX = re.compile(r"(?<=\w{3})(?:ies|ing|ed|es|s|e|y|ly|ment|ions?|ation)$")
_DOUBLED = re.compile(r"(?<=\w\w)([bdgklmnprt])\1$")
_LEAST_STEM = 4
_RULED = 300
"""The most characters before and after a negation in which stands what it rules."""


class Statement(NamedTuple):
    """A clause taken apart.

    ``around`` are the words of its whole sentence, ``text`` those of the whole text, ``figures`` the numbers that are
    no claims, ``denied`` the words that a negation rules, and ``perhaps_denied`` those that it may rule. The other
    members say which conditions, times and restrictions are stated.
    """

    words: frozenset[str]
    around: frozenset[str]
    text: frozenset[str]
    numbers: frozenset[Claim]
    figures: frozenset[str]
    denied: frozenset[str]
    perhaps_denied: frozenset[str]
    unless: bool
    only: bool
    until: bool
    after: bool
    under: bool
    just: bool
    open: bool


class Reader:
    """Takes texts apart, with the words of a vocabulary besides those of general English."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Compile a vocabulary."""
        one = f"|one(?= (?:{any_of(vocabulary.counted_from_one)}))" if vocabulary.counted_from_one else ""
        counted = any_of((*GENERAL.counted, *vocabulary.counted))
        self._count = re.compile(rf"(?<![€$£])\b({_NUMBER}{one})\s+(?:(?!an?\b)\w+\s+)?({counted})\b", re.IGNORECASE)
        self._same = _representatives((*GENERAL.same, *vocabulary.same))
        self._stem = lru_cache(16_384)(self._found_stem)
        self.known_statements = lru_cache(4_096)(self.statements)
        """The statements of a text that is read again and again."""
        self.free, self.times, self.pay = map(self._stem, ("free", "twice", "pay"))
        """Stems that stand for a claim, and that of a payment."""

    def statements(self, text: str) -> tuple[Statement, ...]:
        """The statements of a text."""
        found: list[Statement] = []
        text = rephrased(text)
        section = self.words(text)
        around = _NONE
        for sentence in sentences(text):
            around = self.words(sentence) | (around if _POINTS_BACK.match(sentence) else _NONE)
            found += [self._statement(clause, around, section) for clause in _CLAUSE.split(sentence) if clause.strip()]
        return tuple(found)

    def words(self, text: str) -> frozenset[str]:
        """The stems of the content words of a text."""
        return frozenset(map(self._stem, _content(text)))

    def _statement(self, clause: str, around: frozenset[str], section: frozenset[str]) -> Statement:
        numbers = claims(clause) | self._counts(clause)
        denied, perhaps = self._denied(clause)
        return Statement(
            around if _RELATIVE.match(clause) else self.words(clause),
            around,
            section,
            numbers | {FREE_CLAIM} if FREE.search(clause) else numbers,
            self._figures(clause),
            denied,
            perhaps,
            _UNLESS.search(clause) is not None,
            _ONLY.search(clause) is not None,
            _UNTIL.search(clause) is not None,
            _AFTER.search(clause) is not None,
            _UNDER.search(clause) is not None,
            _JUST.search(clause) is not None,
            _OPEN.search(clause) is not None,
        )

    def _figures(self, clause: str) -> frozenset[str]:
        """Find the numbers of a clause that :meth:`_statement` does not read as claims."""
        if not _FIGURE.search(clause):
            return frozenset()
        return numbers_in(_CLOCK.sub(" ", self._count.sub(" ", without_claims(clause))))

    def _denied(self, clause: str) -> tuple[frozenset[str], frozenset[str]]:
        """The words that negations rule, and those that they may rule.

        The first is the next content word, or what stands before "nobody", "may not" and the like; the second is the
        word after it.
        """
        if not _NEGATOR.search(clause):
            return _NONE, _NONE
        clause = _NO_DENIAL.sub(" ", clause)
        first: set[str] = set()
        rest: set[str] = set()
        for negator in _NEGATOR.finditer(clause):
            is_not, is_never, rules_before = negator.groups()
            after = clause[negator.end() : negator.end() + _RULED]
            if is_never and (when := _WHEN.search(after)):  # "never charged when you place it" denies the placing
                after = after[when.end() :]
            after = after.lstrip()
            if leading := _ENDS_DENIAL.match(after):
                after = after[leading.end() :]
            parts = [[*_content(part)] for part in _OR.split(_ENDS_DENIAL.split(after, maxsplit=1)[0])]
            ruled = [part[0] for part in parts if part]
            if rules_before or (is_not and not ruled):
                ruled += [*_content(clause[max(0, negator.start() - _RULED) : negator.start()])][-1:]
            first.update(map(self._stem, ruled))
            rest.update(self._stem(part[1]) for part in parts if len(part) > 1)
        return frozenset(first), frozenset(rest - first)

    def _counts(self, text: str) -> frozenset[Claim]:
        """Numbers of things, times of the day, and multiples."""
        found = {
            Claim("count", f"{NUMBER_WORDS.get(n.lower(), n)} {self._stem(noun.lower())}")
            for n, noun in self._count.findall(text)
        }
        for hour, minute, half, plain_hour, plain_minute in _CLOCK.findall(text):
            past_noon = {"am": 0, "pm": _HALF_A_DAY}.get(half.lower())
            at = int(hour or plain_hour) if past_noon is None else int(hour) % _HALF_A_DAY + past_noon
            found.add(Claim("clock", f"{at}:{minute or plain_minute or '00'}"))
        found |= {Claim("times", times) for pattern, times in _TIMES if pattern.search(text)}
        return frozenset(found)

    def _found_stem(self, word: str) -> str:
        """A word without its ending, the same for words that mean the same."""
        short = _short(word)
        return self._same.get(short, self._same.get(word, short))


@lru_cache(16)
def reader(vocabulary: Vocabulary) -> Reader:
    """The reader with a vocabulary, which is made once and keeps what it has read."""
    return Reader(vocabulary)


def rephrased(text: str) -> str:
    """A text in lower case, with some numbers in figures, and with every negation as a word of its own."""
    text = text.lower().replace("\u2019", "'")
    for has, pattern, instead in _REPHRASED:
        if has in text:
            text = pattern.sub(instead, text)
    return text


@lru_cache(4_096)
def numbers_in(text: str) -> frozenset[str]:
    """Every number of a text as a figure, also those of its claims."""
    return frozenset(str(NUMBER_WORDS.get(n.lower(), n)) for n in _FIGURE.findall(text))


def _content(text: str) -> Iterator[str]:
    return (word for word in _WORD.findall(text.lower()) if word not in _PLAIN)


def _short(word: str) -> str:
    return _DOUBLED.sub(r"\1", _SUFFIX.sub("", word.removesuffix("'s")))


def _listed(word: str) -> str:
    """The form under which a listed word is found; a very short stem would find words that mean something else."""
    short = _short(word)
    return short if len(short) >= _LEAST_STEM else word


def _representatives(same: Iterable[Sequence[str]]) -> dict[str, str]:
    """The stem that stands for each stem that means the same."""
    found: dict[str, str] = {}
    for first, *others in (list(map(_listed, group)) for group in same):
        stands = found.get(first, first)
        merged = {stands, first, *others, *(stem for stem in found if found[stem] in others)}
        found |= dict.fromkeys(merged, stands)
    return found
