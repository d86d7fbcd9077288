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
_SAME = (
    (re.compile(
        r"\be-?books?\b|\bdigital books?\b"),
     "digital edition"),
    (re.compile(
        r"\bgiftcards?\b|\bvoucher (?=card)"),
        "gift card "),
    (re.compile(r"\bswop\w*\b"), "swap"),
    (re.compile(
        r"\b(my|the|your|in|into|to|from) (?:shopping )?(?:basket|trolley|bag)\b"), r"\1 cart"),
    (re.compile(
        r"\b(?:send|sent|give|gave|bring|brought|ship|shipped|mail|mailed|post|posted) (?:it|them|this|these|that"
        r"|a book|something|things|one) back\b"), "return it"),
    (re.compile(r"\bmoney[- ]back\b|\breimburse(?:d|ment)?\b|\bget my money\b(?: back\b)?"), "refund"),
    (re.compile(r"\bpre-?orders?(?:ed)?\b"), "preorder"),
    (re.compile(r"\b(?:postage|shipping costs?|p&p)\b"), "delivery cost"),
    (re.compile(
        r"\bin parts\b"),
        "instalments"),
    (re.compile(r"\boverseas\b"), "abroad"),
    (re.compile(r"\b(?:order|purchase) history\b"), "past orders"),  # no genre
    (re.compile(
        r"(?<![\d\u20ac$\u00a3.,/#-])\b(\d{1,2}) ?[-\u2013] ?(\d{1,2})(?=[?!,;]|\.?\s*$)"), r"\1 to \2"),
)  # fmt: skip


_RETURNS = re.compile(
    r"\breturn\w*\b|\b(?:send|ship|give|sending|post) (?:\w+ ){1,3}back\b|\bfaulty\b|\bwrong (?:one|item|book)\b"
)
_POSTAGE = re.compile(r"\b(?:postage|p&p)\b")


def in_shop_words(text: str) -> str:
    """A question in lower case with some common words replaced by those that shops use."""
    if _RETURNS.search(text):
        text = _POSTAGE.sub("return cost", text)
    for pattern, word in _SAME:
        text = pattern.sub(word, text)
    return text
