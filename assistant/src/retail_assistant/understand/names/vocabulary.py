"""The vocabulary at request time: a lexicon made ready to read messages with."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from retail_assistant.understand.names.lexicon import Lexicon
from retail_assistant.understand.names.spelling import Speller
from retail_assistant.understand.names.titles import Titles
from retail_assistant.understand.plain_words import plain, words
from retail_assistant.understand.said.sayings import SAYINGS, SEVERAL
from retail_assistant.understand.wishes import Found, judged

_BY = ("by", "from", "author", "mr", "ms", "mrs", "writer")
"""Words before a last name that belongs to one author."""
GENRE, FORMAT, AUTHOR = "genre", "format", "author"


class Vocabulary:
    """The names that the shop knows, and how people spell them."""

    def __init__(self, known: Lexicon, *, speller: Callable[[Iterable[str]], Speller] | None = Speller) -> None:
        """Build the indexes; ``speller`` makes the corrector of misspelled words, with ``None`` they are left."""
        self.lexicon = known
        self.titles = Titles(line.name for line in known.lines)
        self._names: dict[str, tuple[str, str]] = {}
        for kind, names in ((GENRE, known.genres), (FORMAT, known.formats)):
            for name in names:
                self._names[plain(name)] = (kind, name)
                self._names.update(dict.fromkeys(SAYINGS.get(name.lower(), ()), (kind, name)))
        several = {said: names for said, names in SEVERAL.items() if set(names) <= set(known.formats)}
        self._several = {_label(names): names for names in several.values()}
        self._names.update({said: (FORMAT, _label(names)) for said, names in several.items()})
        self._names.update({plain(author): (AUTHOR, author) for author in known.authors})
        for last, author in _only_once(known.authors).items():
            self._names.update({f"{word} {last}": (AUTHOR, author) for word in _BY})
        spelled = "|".join(re.escape(name) for name in sorted(self._names, key=len, reverse=True))
        self._spelled = re.compile(rf"\b(?:{spelled})s?\b|[\w'-]+|[.,:;!?]" if spelled else r"[\w'-]+")
        self._known = {f"{said}s": name for said, name in self._names.items()} | self._names
        self._terms = frozenset(known.terms)
        self._speller = speller(_spelled_words(known)) if speller else None

    def correct(self, text: str) -> str:
        """A text with its misspelled words corrected."""
        return self._speller.correct(text) if self._speller else text

    def named(self, text: str) -> Found:
        """The genres, formats and authors that a text in lower case names, and whether each is wanted."""
        found = judged(text, self._spelled, self._known)
        wanted: dict[tuple[str, str], bool] = {}
        for (kind, name), is_wanted in found.wanted.items():
            for one in self._several.get(name, (name,)) if kind == FORMAT else (name,):
                wanted[kind, one] = is_wanted
        return Found(wanted)

    def formats(self, text: str) -> frozenset[str]:
        """The formats that a text speaks of, wanted or not."""
        return frozenset(name for kind, name in self.named(plain(text)).wanted if kind == FORMAT)

    def without_names(self, text: str) -> str:
        """A text in lower case without the genres, formats and authors that it names."""
        return self._spelled.sub(lambda found: " " if found[0] in self._known else found[0], text)

    def knows(self, word: str) -> bool:
        """Whether a word occurs in a text of the shop, in this or a similar form."""
        return any(form in self._terms for form in (word, f"{word}s", word.removesuffix("s")))

    def is_common(self, word: str) -> bool:
        """Whether a word is one of the most common ones of English."""
        return self._speller is not None and self._speller.is_common(word)

    def uses(self, word: str) -> bool:
        """Whether the shop uses a word, or it names a place."""
        return self._speller.is_own(word) if self._speller else self.knows(word)

    def share_known(self, text: str) -> float:
        """The share of a text's words that are English, or the shop's own."""
        said = words(text)
        if not said or self._speller is None:
            return 1.0
        return sum(self._speller.knows(word) for word in said) / len(said)


def _label(formats: Iterable[str]) -> str:
    """The name under which several formats are found as one."""
    return "/".join(formats)


def _only_once(authors: Iterable[str]) -> dict[str, str]:
    """Last names that belong to one author."""
    found: dict[str, str] = {}
    for author in authors:
        last = plain(author).rpartition(" ")[2]
        found[last] = "" if last in found else author
    return {last: author for last, author in found.items() if author}


def _spelled_words(known: Lexicon) -> set[str]:
    lines = " ".join(line.name for line in known.lines)
    names = " ".join([*(f"{line.name} {line.author}" for line in known.lines), *known.genres, *known.formats])
    return {
        *words(names),
        *words(lines.replace("'", "")),
        *known.terms,
    }
