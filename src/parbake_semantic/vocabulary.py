"""The words of a field of work, such as a shop's, which the vetoes and the guard are given.

Their rules know general English only: numbers, dates, money, negation, and what "my ..." and "it" point at.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from parbake.errors import BadInput


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, cache_hash=True):
    """Words and phrases in lower case, as they are written: a singular and a plural are two words.

    Three dots in a phrase stand for any words in between: ``when will ... be delivered``.

    Args:
        counted: What a reply counts: with ``seeds``, the number of "3 seeds" must be in the evidence.
        counted_from_one: Of these, what "one" counts too. Elsewhere "one" is not read as a number.
        same: Groups of words that mean the same. A group whose first word has synonyms in general English adds to them.
        opposites: Groups of words of which each says the opposite of the others, such as ``annual`` and ``perennial``.
        things: What a question names and then calls "it", so that "it" needs no earlier question.
        own: What a customer has under way: "where is my parcel" gets no answer that was made for all.
        befalls: What a customer asks of it, such as ``shipped``.
        records: What is kept on record of a customer, such as ``invoices``.
        holders: What such a record stands on, such as ``order`` in "the address of my order".
        own_questions: Other phrases that ask for a customer's own, such as ``how many points do i``.
        deeds: What a customer did, such as ``order`` and ``ordered``.
        live: What changes from hour to hour, such as ``in stock``.
        acts: What a question orders besides what it asks, such as ``return`` in "and return the other one".
    """

    counted: tuple[str, ...] = ()
    counted_from_one: tuple[str, ...] = ()
    same: tuple[tuple[str, ...], ...] = ()
    opposites: tuple[tuple[str, ...], ...] = ()
    things: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    befalls: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    holders: tuple[str, ...] = ()
    own_questions: tuple[str, ...] = ()
    deeds: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """Read a TOML file of lists; raises :class:`BadInput` with the file and the list if it is malformed."""
        try:
            return msgspec.convert(tomllib.loads(path.read_text("utf-8")), cls)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise BadInput(f"{path.name}: {error}", field="vocabulary") from error


NEUTRAL = Vocabulary()
"""No words besides those of general English."""
GENERAL = Vocabulary.read(Path(__file__).with_name("general.toml"))
"""Those words themselves, which every rule knows."""


def any_of(words: Iterable[str]) -> str:
    """A pattern of any of some words or phrases; three dots in a phrase stand for any words."""
    return "|".join(re.escape(word).replace(r"\.\.\.", ".*") for word in words)
