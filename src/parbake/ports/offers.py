"""Ports: what one plugin offers to the core and to the others, by name.

The core asks three of them, and works without any: how often keys are read, when traffic is low, and which answers
were given. A place that keeps something about people is a part that any number of plugins add (:class:`PersonalData`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from parbake.errors import UnknownResource

T = TypeVar("T")


@dataclass(frozen=True)
class Port(Generic[T]):
    """A name under which one plugin offers a part. Ports compare by name.

    Attributes:
        name: The name, such as ``heat``.
        offered_by: How an app gets the part, for the error when it is missing.
    """

    name: str
    offered_by: str = ""


class Heat(Protocol):
    """Counts how often keys were read lately, so that the event lane refreshes those first."""

    def heat(self, task: str) -> Mapping[bytes, int]:
        """The reads of each key of a task in the last hour, by store bytes; blocking."""
        ...


class Load(Protocol):
    """Expected real-time load."""

    def at(self, when: float) -> float:
        """Expected traffic at a time, in any unit; values are only compared."""
        ...


class Windows(Protocol):
    """Knows when traffic is low, so that batch runs can start then."""

    def load(self, now: float) -> Load:
        """Return the load to expect; blocking.

        Args:
            now: The current time, in epoch seconds.
        """
        ...


class AnswerBook(Protocol):
    """Takes complaints about answers that clients have received."""

    async def complain(self, answer_id: str, reason: str) -> Any:
        """Take a complaint, and return its effect as a value that becomes JSON.

        Args:
            answer_id: The id that came with the answer.
            reason: What was wrong.

        Raises:
            UnknownResource: There is no such answer.
        """
        ...


class NoAnswers:
    """What an app knows of answers if no plugin records them."""

    async def complain(self, answer_id: str, reason: str) -> Any:
        """Refuse; see :class:`AnswerBook`."""
        del reason
        raise UnknownResource(f"no answer is known by the id {answer_id[:40]!r}: answers are not recorded here")


HEAT: Port[Heat] = Port("heat")
WINDOWS: Port[Windows] = Port("windows")
ANSWERS: Port[AnswerBook] = Port("answers")


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
        """Erase what is kept about a person, durably, and overwrite it. It is called again until it finds nothing.

        The changes are told as every writer's are, so that no value that was computed from them is served any more.

        Args:
            subject: The id of the person.
            mentions: What stands for the person, the id among it.

        Returns:
            The number of rows that are gone or have become nobody's, by table.
        """
        ...
