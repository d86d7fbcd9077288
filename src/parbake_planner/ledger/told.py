"""The index of what answers have told: for each tag, which answers stated it, and as of which sequence of the store.

An answer that states a tag as of a sequence has told what the last change up to that sequence brought. The answers that
a change has outdated are therefore found by one range of the index. Where it is not known as of which sequence an
answer told, both ends are stored. Tags are stored as hashes of 8 bytes, to keep the index small.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from parbake_planner.ledger.database import Connection

TOLD_KEPT, TOLD_DAYS_KEPT = 2_000_000, 35
_OF_A_MICROSECOND = 1 << 10
"""Numbers within a microsecond, so that two processes hardly ever use the same."""
_TOGETHER = 500
"""How many rows one statement deletes."""
WITHOUT_STORE = -1
"""The incarnation of an answer that was told while the store was away: it counts in no store's sequences."""
LAST_SEQUENCE = (1 << 62) - 1
_Places = tuple[tuple[int, int], ...]


class Stated(NamedTuple):
    """A tag that an answer states, as of a sequence of the store that lies between two, both included."""

    tag: str
    oldest: int
    newest: int


class Told(NamedTuple):
    """What one answer has told.

    Attributes:
        number: Its number, which grows with time; see :class:`Numbers`.
        answer: The id that the client received.
        recipient: Who got it, as the application names them; empty if it does not.
        incarnation: The incarnation of the store that the sequences count in.
        stated: Its tags.
    """

    number: int
    answer: str
    recipient: str
    incarnation: int
    stated: tuple[Stated, ...]


class ToldBefore(NamedTuple):
    """An answer that is recalled: its number, id, recipient, incarnation, and the oldest sequence it may tell of."""

    number: int
    answer: str
    recipient: str
    incarnation: int
    sequence: int

    @property
    def at(self) -> float:
        """When it was told, in epoch seconds."""
        return self.number // _OF_A_MICROSECOND / 1e6


class Numbers:
    """Numbers answers by their time. Each is higher than the one before, also if the clock stands still."""

    def __init__(self, writer: str) -> None:
        """``writer`` names the process, so that two processes number differently."""
        self._of_writer = int.from_bytes(blake2b(writer.encode(), digest_size=2).digest(), "big") % _OF_A_MICROSECOND
        self._last = 0

    def next(self, at: float) -> int:
        """Return the number of an answer.

        Args:
            at: Its time, in epoch seconds.
        """
        self._last = max(self._last + 1, int(at * 1e6))
        return self._last * _OF_A_MICROSECOND + self._of_writer


def write_told(connection: Connection, told: Sequence[Told]) -> None:
    """Add answers to the index.

    Args:
        connection: The ledger's database, in a transaction.
        told: The answers.
    """
    rows, tags_of = [], []
    for one in told:
        places = [(_hashed(tag), newest) for tag, _, newest in one.stated]
        rows.append((*one[:4], msgspec.msgpack.encode(places)))
        tags_of += [(*place, one.number, s.newest - s.oldest) for place, s in zip(places, one.stated, strict=True)]
    connection.executemany("INSERT INTO told VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
    connection.executemany("INSERT INTO told_tags VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", sorted(tags_of))


def told_between(connection: Connection, tag: str, since: int, before: int) -> list[ToldBefore]:
    """The answers that may have stated a tag as of a sequence from ``since`` on and below ``before``, ordered by time.

    Args:
        connection: The ledger's database.
        tag: The tag.
        since: The first sequence.
        before: The sequence at which it was changed.
    """
    statement = (
        "SELECT told.number, answer, recipient, incarnation, sequence - span FROM told_tags "
        "JOIN told ON told.number = told_tags.number WHERE tag = ? AND sequence >= ? AND sequence - span < ? "
        "ORDER BY told.number"
    )
    return [ToldBefore(*row) for row in connection.execute(statement, (_hashed(tag), since, before)).fetchall()]


def trim_told(connection: Connection, now: float) -> None:
    """Delete what is too old, and what is beyond the limit.

    Args:
        connection: The ledger's database, in a transaction.
        now: The current time, in epoch seconds.
    """
    oldest = int((now - TOLD_DAYS_KEPT * 86_400) * 1e6) * _OF_A_MICROSECOND
    newest = connection.execute(
        "SELECT number FROM told ORDER BY number DESC LIMIT 1 OFFSET ?", (TOLD_KEPT,)
    ).fetchone()
    limit = max(oldest, newest[0]) if newest else oldest
    while rows := connection.execute(
        "SELECT number, tags FROM told WHERE number <= ? ORDER BY number LIMIT ?", (limit, _TOGETHER)
    ).fetchall():
        forget_told(connection, rows)


def told_to(connection: Connection, recipients: Sequence[str], answers: Sequence[str]) -> list[tuple[str, int, bytes]]:
    """The answers that went to somebody, or that have one of some ids: their ids, numbers and encoded tags.

    Args:
        connection: The ledger's database.
        recipients: The names of the recipient.
        answers: The ids.
    """
    found: dict[int, tuple[str, int, bytes]] = {}
    for column, values in (("recipient", recipients), ("answer", answers)):
        for start in range(0, len(values), _TOGETHER):
            some = values[start : start + _TOGETHER]
            marks = ", ".join("?" * len(some))
            statement = f"SELECT answer, number, tags FROM told WHERE {column} IN ({marks})"  # noqa: S608  # one of the two
            found.update((row[1], row) for row in connection.execute(statement, tuple(some)).fetchall())
    return list(found.values())


def forget_told(connection: Connection, rows: Sequence[tuple[int, bytes]]) -> None:
    """Delete answers from the index.

    Args:
        connection: The ledger's database, in a transaction.
        rows: Their numbers, each with its encoded tags.
    """
    connection.executemany("DELETE FROM told WHERE number = ?", [(number,) for number, _ in rows])
    stated = [(tag, number) for number, tags in rows for tag in msgspec.msgpack.decode(tags, type=_Places)]
    connection.executemany(
        "DELETE FROM told_tags WHERE tag = ? AND sequence = ? AND number = ?",
        [(tag, sequence, number) for (tag, sequence), number in stated],
    )


def _hashed(tag: str) -> int:
    return int.from_bytes(blake2b(tag.encode(), digest_size=8).digest(), "big", signed=True)
