"""The table of answers: the tasks, sources and costs of each answer while the ledger keeps it, and complaints.

An answer's id is enough to look the answer up or to complain about it. It must therefore be hard to guess: 128 random
bits. The texts of question and answer are not stored.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import msgspec

from parbake.errors import BadInput, StoreError
from parbake.ports.usage import Usage
from parbake.serving.request import Step
from parbake_planner.ledger.database import Connection
from parbake_planner.ledger.ledger_writer import LedgerWriter
from parbake_planner.ledger.told import Stated, ToldBefore, told_between

_ID_BYTES = 16
_SHORTEST_ID, _LONGEST_ID = 16, 64
AN_HOUR_S = 3600.0
REFUSED = "\0refused"
"""Stands for answers with a refusal, where a word is looked for."""
COMPLAINED = "\0complained"
"""Stands for answers that somebody complained of."""
_LOOKED_AT = 5000
"""How many answers a word is looked for in."""
SETTLE_S = 1.0
"""Seconds to wait for another writer of the ledger."""
PATIENT_S = 60.0
"""Seconds to wait for it where an operator waits."""
Standing = Literal["first", "repeated", "one too many", "unknown"]


class LedgerBusy(StoreError):
    """The ledger is locked by another program, or does not answer."""

    headers = (("retry-after", "1"),)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored about an answer: where each part came from, and what it cost.

    Attributes:
        id: The id that the client received.
        at: Time of the answer, in epoch seconds.
        lane: The lane of its main part.
        subject: What the answer is about, if the application has a name for it.
        steps: The tasks that were served for it, with verdicts, lanes, ages and stamps.
        sources: The tags of what the answer states.
        refusals: Why closer matches were not served.
        usage: The tokens of all generators together; ``None`` if one of them has not reported its tokens.
        cost_usd: Cost in US dollars at the app's prices; ``None`` if something that it used has no price.
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
    """Create an answer id that cannot be guessed."""
    return secrets.token_hex(_ID_BYTES)


class AnswerTable:
    """The answers in a ledger. All methods except :meth:`keep` block."""

    def __init__(self, ledger: LedgerWriter) -> None:
        self._ledger = ledger

    def keep(self, answer: Answer, *, to: str, incarnation: int, stated: Sequence[Stated]) -> None:
        """Queue an answer; the ledger's thread writes it shortly after. See :meth:`LedgerWriter.answered`."""
        document = msgspec.json.encode(answer)
        self._ledger.answered(answer.id, answer.at, document, to=to, incarnation=incarnation, stated=stated)

    def told_between(self, tags: Iterable[str], since: int, before: int) -> list[ToldBefore]:
        """The answers that may have stated one of some tags as of a sequence of a range; each once, ordered by time.

        See the function of this name.
        """
        found: dict[int, ToldBefore] = {}
        with self._opened(PATIENT_S) as connection:
            for tag in tags:
                for answer in told_between(connection, tag, since, before):
                    found[answer.number] = min(answer, found.get(answer.number, answer))
        return [found[number] for number in sorted(found)]

    def find(self, answer_id: str) -> Answer | None:
        """Look up an answer; ``None`` if the id was never given out or the answer is too old."""
        with self._opened() as connection:
            row = connection.execute("SELECT document FROM answers WHERE id = ?", (answer_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Answer)

    def newest(self, limit: int, word: str = "", *, before: float | None = None) -> list[Answer]:
        """The newest answers, the last one first, of those that have ``word`` in what was noted of them."""
        until = float("inf") if before is None else before
        with self._opened() as connection:
            only = "AND complained_at IS NOT NULL " if word == COMPLAINED else ""
            statement = f"SELECT document FROM answers WHERE at < ? {only}ORDER BY at DESC LIMIT ?"  # noqa: S608 - of ours
            rows = connection.execute(statement, (until, _LOOKED_AT if word else limit))
            answers = (msgspec.json.decode(document, type=Answer) for (document,) in rows)
            return list(islice((answer for answer in answers if not word or _mentions(answer, word)), limit))

    def complain(self, answer: Answer, tasks: Collection[str], *, now: float, an_hour: int) -> Standing:
        """Record a complaint about an answer, durably.

        Args:
            answer: The answer.
            tasks: The tasks that the complaint counts against.
            now: The current time, in epoch seconds.
            an_hour: How many complaints about a task have an effect within an hour.

        Returns:
            ``first`` for the first complaint about the answer, ``repeated`` for a later one, ``one too many`` if a task
            is over its limit, ``unknown`` if the answer has been deleted in the meantime.
        """
        with self._opened() as connection, connection:
            connection.execute(self._ledger.database.alone)
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
        """Delete a complaint that had no effect, so that it can be made again."""
        with self._opened() as connection, connection:
            connection.execute("UPDATE answers SET complained_at = NULL WHERE id = ?", (answer.id,))
            connection.execute("DELETE FROM complaints WHERE answer = ?", (answer.id,))

    @contextlib.contextmanager
    def _opened(self, timeout_s: float = SETTLE_S) -> Iterator[Connection]:
        with settled(self._ledger, timeout_s) as connection:
            yield connection


@contextlib.contextmanager
def settled(ledger: LedgerWriter, timeout_s: float) -> Iterator[Connection]:
    """A connection to a ledger, after all queued rows have been written; blocking.

    Args:
        ledger: The ledger.
        timeout_s: For how many seconds to wait for them, and for the database.

    Raises:
        LedgerBusy: They were not written in time.
    """
    if not ledger.settle(timeout_s=timeout_s):
        raise LedgerBusy("the ledger is locked by another program, or does not answer; try again", field="ledger")
    with ledger.connected(timeout_s=timeout_s) as connection:
        yield connection


def _mentions(answer: Answer, word: str) -> bool:
    if word in (REFUSED, COMPLAINED):
        return word == COMPLAINED or bool(answer.refusals)
    tasks = (step.task for step in answer.steps)
    return any(word in text for text in (answer.subject, answer.lane, *answer.sources, *answer.refusals, *tasks))


def checked_id(answer_id: str) -> str:
    """Return the id if it is well-formed; otherwise raise :class:`BadInput`."""
    is_text = isinstance(answer_id, str) and answer_id.isascii() and answer_id.isalnum()
    if not is_text or not _SHORTEST_ID <= len(answer_id) <= _LONGEST_ID:
        raise BadInput(
            f"answer_id must be the id that came with an answer: {_SHORTEST_ID} to {_LONGEST_ID} letters and digits",
            field="answer_id",
        )
    return answer_id
