"""The places that keep something about people: what they know of a person is exported, and erased."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec


class Mentions(msgspec.Struct, frozen=True):
    """What stands for a person besides the id. What any place keeps under one of these is erased, too.

    Attributes:
        ids: Names, mail addresses, numbers of orders, ids of conversations.
        texts: What the person has written and nobody else has.
    """

    ids: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    def __or__(self, other: Mentions) -> Mentions:
        """Both together."""
        ids, texts = (*self.ids, *other.ids), (*self.texts, *other.texts)
        return Mentions(tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(texts)))


class PersonalData(Protocol):
    """A place that keeps something about people, such as a shop's database or a ledger.

    A plugin appends it to :attr:`parbake.Parts.personal`. All methods are called in a thread and may block.
    """

    name: str
    """What people call the place, such as ``shop``."""

    def export(self, subject: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Return everything that is kept about a person: rows by table, in values that JSON has.

        Args:
            subject: The id of the person, as the app's keys have it.
        """
        ...

    def mentions(self, subject: str) -> Mentions:
        """Return what else stands for a person here. It is asked before anything is erased.

        Args:
            subject: The id of the person.
        """
        ...

    def erase(self, subject: str, mentions: Mentions) -> Mapping[str, int]:
        """Erase what is kept about a person, durably, and overwrite it. A second call finds nothing and is no error.

        The changes are told as every writer's are, so that no value that was computed from them is served any more.

        Args:
            subject: The id of the person.
            mentions: What stands for the person, the id among it.

        Returns:
            The number of rows that are gone or have become nobody's, by table.
        """
        ...
