"""The answers that were given out: what each was made of, for as long as the ledger keeps it, and who complained of it.

An answer's id is all that it takes to look it up or to complain of it, so it must be hard to guess: 128 random bits.
Nothing of what was asked or told is kept.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from parbake.errors import BadInput, StoreError
from parbake.ledger.sqlite_ledger import Ledger
from parbake.ports.models import Usage
from parbake.serving.request import Step

ID_BYTES = 16
SHORTEST_ID, LONGEST_ID = 16, 64
AN_HOUR_S = 3600.0
SETTLE_S = 1.0
"""Seconds in which the ledger must be writable."""
Standing = Literal["first", "repeated", "one too many", "unknown"]


class LedgerBusy(StoreError):
    """Another program keeps the ledger locked."""

    headers = (("retry-after", "1"),)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an answer: where each part came from, and what it cost.

    Attributes:
        id: What the client was given.
        at: When, in epoch seconds.
        lane: Where its main part came from.
        subject: What was answered, where the application has a name for it.
        steps: The tasks that were served for it, with verdicts, lanes, ages and stamps.
        sources: The tags of what it states.
        refusals: Why nearer answers were not given.
        usage: The tokens of all generators together; ``None`` where one has not reported them.
        cost_usd: At the app's prices; ``None`` where something that it used has none.
    """

    id: str
    at: float
    lane: str = "realtime"
    subject: str = ""
    steps: tuple[Step, ...] = ()
    sources: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    usage: Usage | None = None
    cost_usd: float | None = None


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_hex(ID_BYTES)


class AnswerTable:
    """The answers in a ledger's file; all methods but :meth:`keep` block."""

    def __init__(self, ledger: Ledger) -> None:
        """Answers are written by the ledger's thread."""
        self._ledger = ledger

    def keep(self, answer: Answer) -> None:
        """Have an answer written, soon."""
        self._ledger.answered(answer.id, answer.at, msgspec.json.encode(answer))

    def find(self, answer_id: str) -> Answer | None:
        """What is kept of an answer, ``None`` for an id that was not given out or is too old."""
        with self._opened() as connection:
            row = connection.execute("SELECT document FROM answers WHERE id = ?", (answer_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Answer)

    def complain(self, answer: Answer, tasks: Collection[str], *, now: float, an_hour: int) -> Standing:
        """Note a complaint of an answer, durably.

        Args:
            answer: Which.
            tasks: Whom the complaint is counted against.
            now: Epoch seconds.
            an_hour: How many complaints of a task count within an hour.

        Returns:
            Whether this is the ``first`` complaint of the answer, a ``repeated`` one, or ``one too many`` of a task;
            ``unknown`` where the answer was forgotten meanwhile.
        """
        with self._opened() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            marked = connection.execute(
                "UPDATE answers SET complained_at = ? WHERE id = ? AND complained_at IS NULL", (now, answer.id)
            )
            if not marked.rowcount:
                kept = connection.execute("SELECT 1 FROM answers WHERE id = ?", (answer.id,)).fetchone()
                return "unknown" if kept is None else "repeated"
            for task in tasks:
                counted = connection.execute(
                    "SELECT count(*) FROM complaints WHERE at > ? AND task = ?", (now - AN_HOUR_S, task)
                )
                if counted.fetchone()[0] >= an_hour:
                    return "one too many"
            connection.executemany(
                "INSERT INTO complaints VALUES (?, ?, ?)", [(now, task, answer.id) for task in tasks]
            )
        return "first"

    def take_back(self, answer: Answer) -> None:
        """Forget a complaint that has had no effect, so that it can be made again."""
        with self._opened() as connection, connection:
            connection.execute("UPDATE answers SET complained_at = NULL WHERE id = ?", (answer.id,))
            connection.execute("DELETE FROM complaints WHERE answer = ?", (answer.id,))

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """A connection to the file, in which all that was kept before stands."""
        if not self._ledger.settle(timeout_s=SETTLE_S):
            raise LedgerBusy("the ledger cannot be written now; try again", field="ledger")
        with self._ledger.connected(timeout_s=SETTLE_S) as connection:
            yield connection


def checked_id(answer_id: str) -> str:
    """Return an id that can be one; raises :class:`BadInput`."""
    is_text = isinstance(answer_id, str) and answer_id.isascii() and answer_id.isalnum()
    if not is_text or not SHORTEST_ID <= len(answer_id) <= LONGEST_ID:
        raise BadInput(
            f"answer_id is what a client was given with its answer: {SHORTEST_ID} to {LONGEST_ID} letters and digits",
            field="answer_id",
        )
    return answer_id
