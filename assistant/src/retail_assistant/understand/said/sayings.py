"""Other names that people use for common genres and formats, and words of a shop that mean the same."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from retail_assistant.shop.data_file import read


class _Names(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Other words for a genre or a format, and words for more than one format."""

    names: dict[str, tuple[str, ...]]
    several: dict[str, tuple[str, ...]]


_NAMES = read(Path(__file__).with_name("sayings.toml"), _Names)
SAYINGS, SEVERAL = _NAMES.names, _NAMES.several
_WORDS = {
    r"\be-?books?\b|\be book\b|\bkindle (?:books?|editions?)\b"
    r"|\bdigital (?:books?|files?|copy|copies)\b": "digital edition",
    r"\bpresents?\b(?= (?:card|receipt))": "gift",
    r"\b(?:gift |book )(?:vouchers?|certificates?|tokens?)\b|\bgiftcards?\b"
    r"|\bvoucher (?=worth|code|card)": "gift card ",
    r"\bswop\w*\b": "swap",
    r"\b(my|the|your|in|into|to|from|empty|shopping) (?:shopping )?(?:basket|trolley|bag)\b": r"\1 cart",
    r"\b(?:send|sent|give|gave|bring|brought|ship|shipped|mail|mailed|post|posted) (?:it|them|this|these|that|a book"
    r"|the book|books|something|stuff|things|one) back\b": "return it",
    r"\bmoney[- ]back\b|\breimburse(?:d|ment)?\b|\bget my money\b(?: back\b)?": "refund",
    r"\bpre-?orders?(?:ed)?\b|\bpre order(?:ed)?\b": "preorder",
    r"\b(?:postage|shipping costs?|shipping fees?|delivery charges?|p&p)\b": "delivery cost",
    r"\bbuy now pay later\b|\bin (?:parts|rates|installments)\b|\binstallments?\b": "instalments",
    r"\boverseas\b": "abroad",
    r"\b(?:order|purchase|buying|shopping|reading) history\b": "past orders",  # no genre
    r"(?<![\d\u20ac$\u00a3.,/#-])\b(\d{1,2}) ?[-\u2013] ?(\d{1,2})"
    r"(?= (?:of|in|as|and|together|to|cost|please|by)\b|[?!,;]|\.?\s*$)": r"\1 to \2",
}
_SAME = tuple((re.compile(said), word) for said, word in _WORDS.items())


_RETURNS = re.compile(
    r"\breturn\w*\b|\b(?:send|ship|give|sending|post) (?:\w+ ){1,3}back\b|\bfaulty\b|\bwrong (?:one|item|book)\b"
)
_POSTAGE = re.compile(r"\b(?:postage|shipping costs?|p&p)\b")


def in_shop_words(text: str) -> str:
    """A question in lower case with some common words replaced by those that shops use."""
    if _RETURNS.search(text):
        text = _POSTAGE.sub("return cost", text)
    for pattern, word in _SAME:
        text = pattern.sub(word, text)
    return text
