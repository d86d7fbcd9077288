"""The places that keep something about people: what they know of a person is exported, and erased."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec


class ErasedRows(msgspec.Struct, frozen=True):
    """What a place has erased.

    Attributes:
        rows: The number of rows that are gone or have become nobody's, by table.
        mentions: What else stands for the person, such as a mail address or the numbers of orders. What any other place
            keeps under one of these is erased, too. They should be long enough to mean nothing else.
    """

    rows: Mapping[str, int]
    mentions: tuple[str, ...] = ()


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

    def erase(self, subject: str, mentions: Collection[str]) -> ErasedRows:
        """Erase what is kept about a person, durably, and overwrite it. A second call finds nothing and is no error.

        The changes are told as every writer's are, so that no value that was computed from them is served any more.

        Args:
            subject: The id of the person.
            mentions: What the places before this one have named; see :class:`ErasedRows`.
        """
        ...
