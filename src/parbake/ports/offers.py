"""Ports: what one plugin offers to the core and to the others, by name.

The core asks three of them, and works without any: how often keys are read, when traffic is low, and which answers
were given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

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
