"""Corrects misspelled words with the English dictionary of symspellpy and the shop's own words, which come first.

Symmetric delete spelling correction (W. Garbe, SymSpell).
"""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

from retail_assistant.understand.plain_words import number
from retail_assistant.understand.said import places

_DENIED = (
    "has", "have", "had", "did", "does", "do", "is", "are", "was", "were", "would", "could", "should", "ca", "wo",
)  # fmt: skip
_ASKING = ("what", "where", "how", "who", "when")
_SHORTENED = re.compile(rf"\b(?:({'|'.join(_DENIED)})nt|({'|'.join(_ASKING)})s)\b", re.IGNORECASE)
_WORD = re.compile(r"(?<!\w)[^\W\d_]++(?:'[^\W\d_]+)?(?![\d_])")
"""Letters beside figures are no word that could be misspelled: they name a parcel or an order."""
SHOP_COUNT = 10**12
"""More than the count of any English word."""
COMMON = 30_000
"""How many of the most frequent English words are known; the rest are rare enough to be typing errors at times."""
FREQUENT = 4_000
"""How many of the most frequent English words say nothing of a book if no book has them."""
LIKELIER = 300
"""How many times as frequent a word must be to be meant by a rare word of the dictionary.

Of slips in common words 0.2 % fewer are put right than if rare words were always corrected, and of rare words that are
meant, by how often they are written, 95 % are left as they are instead of 40 %.
"""
SHORTEST, LONG = 3, 8
"""Words that are shorter are left alone, in those of just this length only a letter may be missing; long ones may have
two errors."""
_CHAT = frozenset(
    """
    ebook ebooks manga mangas sci-fi scifi email emails vip vips paypal klarna thx pls thanks vol vols hardcover
    hardcovers paperback paperbacks preorder preorders giftcard giftcards theres thats youre ive im id lets gonna
    wanna app website online refund refundable asap ok okay hi hey hello kindle kobo tolino dhl ups fedex dpd gls
    hermes priciest pricier iphone ipad visa mastercard epub cellophane debited annul annulled hoard dearer ramen udon
    sushi bento senders amex bestseller bestsellers bookshop faq iban vat pdf euro euros isbn tenner fiver bucks quid
    whodunit shonen shounen seinen shojo shoujo josei isekai manhwa manhua webtoon otaku mecha yuri yaoi doujinshi
    ronin tankobon noir pre budged drm btw
    haha hehe omg lol lmao tbh idk imo ugh argh aw aww nah yo ppl romcom romcoms datas lego flog
    """.split()
) | {*(f"{word}nt" for word in _DENIED), *(f"{word}s" for word in _ASKING)}


_TYPED = {
    "bday": "birthday", "sth": "something", "smth": "something",
    "wots": "what's", "sry": "sorry", "tmrw": "tomorrow",
    "wen": "when", "wat": "what", "wot": "what", "wich": "which", "bak": "back", "shud": "should", "cud": "could",
    "wud": "would", "aswell": "as well", "alot": "a lot", "incase": "in case", "thankyou": "thank you",
}  # fmt: skip
"""How words are often typed; each is near another word, or is one."""


def _with_apostrophe(found: re.Match[str]) -> str:
    """A shortened pair of words as it is written: "hasnt" is "hasn't"."""
    return f"{found[1]}n't" if found[1] else f"{found[2]}'s"


class Speller:
    """Corrects texts; it is safe to share between threads once it is made."""

    def __init__(self, shop_words: Iterable[str] = ()) -> None:
        """Load the English dictionary, once in a process, and the shop's words."""
        self._english = _english()
        self._shop = {*_CHAT, *places.names(), *(word for word in shop_words if _WORD.fullmatch(word))}
        self._own = _dictionary((word, SHOP_COUNT) for word in sorted(self._shop))

    def correct(self, text: str) -> str:
        """A text with its misspelled words corrected, in lower case where a word was changed."""
        return _SHORTENED.sub(_with_apostrophe, _WORD.sub(lambda found: self._corrected(found[0]), text))

    def knows(self, word: str) -> bool:
        """Whether a word in lower case is in the dictionary."""
        return word in self._shop or word in self._english.words or not word.isalpha()

    def is_common(self, word: str) -> bool:
        """Whether a word in lower case is one of the :data:`FREQUENT` most frequent of English."""
        return word in _frequent()

    def is_own(self, word: str) -> bool:
        """Whether the shop itself uses a word in lower case, or it names a place."""
        return word in self._shop

    def _corrected(self, word: str) -> str:
        from symspellpy import Verbosity

        lowered = word.lower()
        if lowered in _TYPED:
            return _TYPED[lowered]
        if len(word) < SHORTEST or "'" in word or self.knows(lowered) or number(lowered):
            return word
        most = 2 if len(word) >= LONG else 1
        near = [one for words in (self._own, self._english) for one in words.lookup(lowered, Verbosity.CLOSEST, most)]
        least = min((one.distance for one in near), default=0)
        found = [one for one in near if one.distance == least]
        omitted = [one for one in found if _is_within(lowered, one.term)]
        swapped = [one for one in found if sorted(one.term) == sorted(lowered) and one.term in self._shop]
        omitted = swapped or omitted
        if len(word) == SHORTEST:
            omitted = [one for one in found if sorted(one.term) == sorted(lowered)] or omitted
            found = omitted
        best = (omitted or found)[:1]
        if not best or not self._is_likelier(best[0].term, lowered):
            return word
        return _TYPED.get(best[0].term, str(best[0].term))

    def _is_likelier(self, term: str, typed: str) -> bool:
        """Whether a word is meant by another that was typed: a rare word of the dictionary is seldom a slip."""
        rare = _rare()
        if typed not in rare:
            return True
        count = self._english.words.get(term) or rare.get(term)
        return count is None or count >= LIKELIER * rare[typed]  # None: a name that only the shop has


@lru_cache(1)
def _english() -> Any:
    """The most frequent English words: about a second, once in a process."""
    return _dictionary(islice(_counted(), COMMON))


@lru_cache(1)
def _frequent() -> frozenset[str]:
    """The most frequent English words, once in a process."""
    return frozenset(word for word, _ in islice(_counted(), FREQUENT))


@lru_cache(1)
def _rare() -> dict[str, int]:
    """The other English words with their counts, once in a process."""
    return dict(islice(_counted(), COMMON, None))


def _counted() -> Iterator[tuple[str, int]]:
    """The English words with their counts, the most frequent first."""
    listed = importlib.resources.files("symspellpy").joinpath("frequency_dictionary_en_82_765.txt")
    with listed.open(encoding="utf-8-sig") as lines:
        for line in lines:
            word, count = line.split()
            yield word, int(count)


def _dictionary(counts: Iterable[tuple[str, int]]) -> Any:
    from symspellpy import SymSpell

    words = SymSpell(max_dictionary_edit_distance=2, prefix_length=7)
    for word, count in counts:
        words.create_dictionary_entry(word, count)
    return words


def _is_within(typed: str, word: str) -> bool:
    """Whether a word has all typed letters in their order: letters are left out more often than exchanged."""
    letters = iter(word)
    return all(letter in letters for letter in typed)
