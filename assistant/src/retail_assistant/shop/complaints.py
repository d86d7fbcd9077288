"""Complaints about the bank's answers: for whom each withdraws an answer, and until when.

A shopper who complains never gets that answer again, until its owner has checked it. It is withdrawn from everybody
by one complaint of a shopper whom the shop knows, or by several strangers. Nobody takes part in the withdrawal of
more than one answer in a day, and a breaker limits how many answers complaints may withdraw in a day. When an
answer's owner has checked it, its rows are closed, never deleted: they still count towards the quota, and a stranger
whose complaint was closed does not count for that answer for a month.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

import msgspec

from parbake.adapters.sqlite import emit
from retail_assistant.shop import checks
from retail_assistant.shop.errors import NotFound, TooManyComplaints
from retail_assistant.shop.schema import transaction
from retail_assistant.shop.voices import ANONYMOUS, DAY_S, Voice, spelled, voice

COMPLAINTS_A_DAY = 5
"""The most answers that one shopper can complain about in a day: enough for honest use, too few to empty a bank."""
STRANGERS_KEPT = 10_000
LOOKED_AT_S = 30 * DAY_S
"""How long a stranger does not count for an answer after its owner has closed their complaint about it."""
_COUNTED = """SELECT shopper FROM complaints AS c
WHERE answer = ? AND closed_at IS NULL AND shopper <> ? AND NOT EXISTS (
    SELECT 1 FROM complaints AS d WHERE d.shopper = c.shopper AND d.answer = c.answer AND d.closed_at > ?
) AND NOT EXISTS (
    SELECT 1 FROM complaints AS d JOIN complaints AS w ON w.answer = d.answer
    WHERE d.shopper = c.shopper AND d.answer <> c.answer
        AND NOT w.is_known AND w.withdrew_at > ? AND d.ts <= w.withdrew_at
)"""
"""The shoppers whose complaints about an answer count: named ones without a complaint that its owner closed lately, who
have not withdrawn another answer together with others within a day."""
News = Literal["", "complained", "withdrawn", "withdrawn_again", "held_back"]


class Rules(msgspec.Struct, frozen=True):
    """The conditions under which complaints withdraw an answer from everybody.

    ``strangers`` is the number of complaining shoppers that is needed if the shop knows none of them. ``answers_a_day``
    is how many answers complaints may withdraw within a day (0: none). Strangers may withdraw half as many, so that
    they do not use up the limit.
    """

    strangers: int = 3
    answers_a_day: int = 10


class Complaint(msgspec.Struct, frozen=True):
    """The effect of a complaint.

    ``position`` is the outbox row of the answer's withdrawal, if it is withdrawn. ``news`` is the alert to send to the
    people on call; empty if there is nothing new.
    """

    position: int | None
    applies_to: Literal["everybody", "shopper"]
    news: News = ""


class OpenComplaints(msgspec.Struct, frozen=True):
    """An answer that its owner has to check: number of complaints, time of the first (epoch seconds), and effect."""

    answer: str
    known: int
    strangers: int
    since: float
    is_withdrawn: bool


def complain(
    conn: sqlite3.Connection,
    *,
    shopper: str,
    answer: str,
    now: float,
    answer_id: str = "",
    rules: Rules | None = None,
) -> Complaint:
    """Record that a shopper considers an answer of the bank wrong; it holds until :func:`restore`.

    A repeated complaint changes nothing, and neither does a second one about the same reply.

    Args:
        conn: The shop file.
        shopper: Who complains.
        answer: The answer complained about.
        now: Epoch seconds.
        answer_id: The reply that contained it; empty if only the answer is known.
        rules: The conditions for a withdrawal.

    Raises:
        TooManyComplaints: The shopper has complained about five answers within a day.
    """
    with transaction(conn):
        speaker = voice(conn, shopper, now=now)
        if answer_id and _count(conn, "answer_id = ?", answer_id):
            position = _withdrawal(conn, answer)
            return Complaint(position, "shopper" if position is None else "everybody")
        is_first = _note(conn, speaker, answer, answer_id, now)
        if (position := _withdrawal(conn, answer)) is not None:
            return Complaint(position, "everybody")
        if not _suffices(conn, speaker, answer, now, rules or Rules()):
            return Complaint(None, "shopper", "complained" if is_first else "")
        if _is_tripped(conn, speaker, now - DAY_S, rules or Rules()):
            return Complaint(None, "shopper", "held_back")
        is_only = not _count(conn, "withdrew_at > ?", now - DAY_S)
        position = emit(conn, f"faq/{answer}", "faq.changed", now=now)
        conn.execute(
            "UPDATE complaints SET withdrew_at = ?, position = ?, is_known = ?"
            " WHERE answer = ? AND shopper = ? AND closed_at IS NULL",
            (now, position, speaker.is_known, answer, speaker.name),
        )
        return Complaint(position, "everybody", "withdrawn" if is_only else "withdrawn_again")


def restore(conn: sqlite3.Connection, answer: str, *, now: float) -> int | None:
    """Serve an answer again, after its owner has checked the complaints; raises :class:`NotFound` if there are none.

    Returns the outbox position; ``None`` if it was withdrawn only from the shoppers who complained.
    """
    with transaction(conn):
        was_withdrawn = _withdrawal(conn, answer) is not None
        closed = conn.execute(
            "UPDATE complaints SET closed_at = ? WHERE answer = ? AND closed_at IS NULL",
            (checks.moment(now, "now"), answer),
        )
        if not closed.rowcount:
            raise NotFound(f"nobody has complained about {answer[:80]!r}", field="answer")
        return emit(conn, f"faq/{answer}", "faq.changed", now=now) if was_withdrawn else None


def has_complained(conn: sqlite3.Connection, shopper: str, answer: str) -> bool:
    """Whether a shopper has an open complaint about an answer."""
    return _count(conn, "answer = ? AND shopper = ? AND closed_at IS NULL", answer, spelled(shopper)) > 0


def list_open(conn: sqlite3.Connection) -> list[OpenComplaints]:
    """The answers that owners have to check; those that have waited longest come first."""
    rows = conn.execute(
        "SELECT answer, sum(is_known), sum(1 - is_known), min(ts), max(withdrew_at IS NOT NULL) FROM complaints"
        " WHERE closed_at IS NULL GROUP BY answer ORDER BY min(ts), answer"
    )
    return [
        OpenComplaints(answer, known, strangers, since, bool(withdrawn))
        for answer, known, strangers, since, withdrawn in rows
    ]


def _note(conn: sqlite3.Connection, speaker: Voice, answer: str, answer_id: str, now: float) -> bool:
    """Write a complaint unless it is open already; return whether it is now the only open one about its answer."""
    if has_complained(conn, speaker.name, answer):
        return False
    if _count(conn, "shopper = ? AND ts > ?", speaker.name, now - DAY_S) >= COMPLAINTS_A_DAY:
        raise TooManyComplaints(
            f"{COMPLAINTS_A_DAY} complaints a day are recorded at most; write to our support", field="shopper"
        )
    made = conn.execute(
        "INSERT INTO complaints (answer, shopper, answer_id, ts, is_known) VALUES (?, ?, ?, ?, ?)",
        (answer, speaker.name, answer_id, now, speaker.is_known),
    )
    oldest = (made.lastrowid or 0) - STRANGERS_KEPT
    conn.execute("DELETE FROM complaints WHERE id <= ? AND NOT is_known AND withdrew_at IS NULL", (oldest,))
    return _count(conn, "answer = ? AND closed_at IS NULL", answer) == 1


def _suffices(conn: sqlite3.Connection, speaker: Voice, answer: str, now: float, rules: Rules) -> bool:
    """Whether the open complaints about an answer withdraw it from everybody, this one included."""
    if speaker.is_known:  # one answer a day, restored or not: who could withdraw several would soon empty the bank
        return not _count(conn, "shopper = ? AND is_known AND withdrew_at > ?", speaker.name, now - DAY_S)
    values = (answer, ANONYMOUS, now - LOOKED_AT_S, now - DAY_S)
    counted = {shopper for (shopper,) in conn.execute(_COUNTED, values)}
    return speaker.name in counted and len(counted) >= rules.strangers


def _is_tripped(conn: sqlite3.Connection, speaker: Voice, since: float, rules: Rules) -> bool:
    """Whether the daily limit of withdrawn answers is reached, the overall one or that of strangers.

    Restored answers do not count.
    """
    withdrawn = "withdrew_at > ? AND closed_at IS NULL"
    if _count(conn, withdrawn, since) >= rules.answers_a_day:
        return True
    return not speaker.is_known and _count(conn, f"{withdrawn} AND NOT is_known", since) >= rules.answers_a_day // 2


def _withdrawal(conn: sqlite3.Connection, answer: str) -> int | None:
    """The outbox position of an answer's withdrawal from everybody; ``None`` while it is served."""
    row = conn.execute(
        "SELECT position FROM complaints WHERE answer = ? AND closed_at IS NULL AND withdrew_at IS NOT NULL", (answer,)
    ).fetchone()
    return row[0] if row else None


def _count(conn: sqlite3.Connection, condition: str, *values: float | str) -> int:
    found: int = conn.execute(f"SELECT count(*) FROM complaints WHERE {condition}", values).fetchone()[0]  # noqa: S608  # conditions are this file's own
    return found
