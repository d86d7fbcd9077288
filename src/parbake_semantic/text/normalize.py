"""Rules on a question's characters, applied before any model reads it: normal form, scripts and length."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

MOST_WORDS = 100
MOST_LETTERS = 1_000
"""The length of a question, beyond which it is refused before anything else reads it."""

_BEFORE, _AFTER = " ¿¡", " .,;:?"
_PUNCTUATION = " .,;:!?\"'()[]¿¡"
_LOUD = re.compile(r"[^\W\d_]{3}[?!. ]*!$")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\uff07\u00b4`", "'"))
# Invisible letters and marks (Default_Ignorable_Code_Point) outside category Cf.
_INVISIBLE = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, *range(0x180B, 0x1810), 0x3164, *range(0xFE00, 0xFE10), 0xFFA0))
) | frozenset(map(chr, range(0xE0100, 0xE01F0)))
_RAISED = ("<super>", "<sub>", "<fraction>")
_FEWEST_LETTERS = 3
_COMBINED = {"HIRAGANA", "KATAKANA", "CJK", "HANGUL"}  # written together in one word


def visible(text: str) -> str:
    """A text as a reader sees it: NFKC, case folded, no invisible characters, single spaces.

    Rules on wording use this form, so that full-width letters and zero-width characters cannot bypass them.
    """
    if not text.isascii():
        text = "".join(_seen(c) for c in "".join(map(_compatible, unicodedata.normalize("NFC", text))))
    elif not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split()).translate(_APOSTROPHES).casefold()


def normalize(text: str) -> str:
    """The form in which texts are compared exactly: the visible form, without the punctuation that ends a sentence.

    Signs that change the meaning stay: ``.5`` is not ``5``, ``5!`` is not ``5``, and five feet are not five inches.
    """
    plain = visible(text).lstrip(_BEFORE)
    plain = plain.rstrip(_AFTER)
    if _LOUD.search(plain):
        plain = plain.rstrip("!" + _AFTER)
    return plain


def _compatible(character: str) -> str:
    """NFKC of one character, except superscripts, subscripts and fractions: a square is not a second digit."""
    if unicodedata.decomposition(character).startswith(_RAISED):
        return character
    return unicodedata.normalize("NFKC", character)


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf" or character in _INVISIBLE:  # zero-width characters, direction marks, fillers
        return ""
    return " " if category in {"Cc", "Zl", "Zp"} else character


@lru_cache(4_096)
def script_of(letter: str) -> str:
    """The script of a letter, by the first word of its Unicode name (``LATIN``, ``CYRILLIC``)."""
    return unicodedata.name(letter, "UNKNOWN").split(maxsplit=1)[0]


def main_script(text: str) -> str:
    """The script of most letters; empty without letters."""
    if text.isascii():
        return "LATIN" if any(map(str.isalpha, text)) else ""
    counts: dict[str, int] = {}
    for character in filter(str.isalpha, text):
        script = script_of(character)
        counts[script] = counts.get(script, 0) + 1
    return max(counts, key=counts.__getitem__) if counts else ""


def _mixes_scripts(text: str) -> bool:
    """Whether one word holds letters of two scripts, as look-alike letters do (Unicode Technical Standard 39)."""
    if text.isascii():
        return False
    for word in re.findall(r"\w+", text):
        scripts = {script_of(c) for c in word if c.isalpha()} - {"MICRO", "FEMININE", "MASCULINE", "MODIFIER"}
        if len(scripts) > 1 and not scripts <= _COMBINED:
            return True
    return False


def unusable(text: str) -> str | None:
    """The reason code why a text cannot be a question, or ``None``."""
    if len(text) > MOST_LETTERS:
        return "too_long"
    plain = normalize(text)
    if len(plain) > MOST_LETTERS:  # one letter may stand for a whole sentence
        return "too_long"
    if not plain.strip(_PUNCTUATION):
        return "empty"
    if sum(map(str.isalnum, plain)) < _FEWEST_LETTERS or not any(map(str.isalpha, plain)):
        return "no_words"
    if plain.count(" ") >= MOST_WORDS:
        return "too_long"
    return "mixed_scripts" if _mixes_scripts(plain) else None
