"""What shoppers make of answers: questions that were answered well without the bank, and complaints."""

from __future__ import annotations

import sqlite3

import parbake as pb
from retail_assistant.shop import checks
from retail_assistant.shop.errors import NotFound, TooManyComplaints
from retail_assistant.shop.schema import transaction

DAY_S = 86_400.0
COMPLAINTS_A_DAY = 5
"""So many answers can one shopper take out of the bank: a complaint counts at once, and nobody may empty it alone."""
EXPLORATIONS_KEPT = 50_000
LONGEST_QUESTION = 1_000


def note_exploration(conn: sqlite3.Connection, *, shopper: str, text: str, answer: str, now: float) -> None:
    """Note that a question which the bank was not sure of turned out to have this answer; the newest are kept."""
    checks.identifier(shopper, "shopper")
    checks.text(text, "text", longest=LONGEST_QUESTION)
    with transaction(conn):
        found = conn.execute(
            "INSERT INTO explorations (shopper, ts, text, answer) VALUES (?, ?, ?, ?)",
            (shopper, checks.moment(now, "now"), text, answer),
        )
        conn.execute("DELETE FROM explorations WHERE id <= ?", ((found.lastrowid or 0) - EXPLORATIONS_KEPT,))


def complain(conn: sqlite3.Connection, *, shopper: str, answer: str, now: float) -> int:
    """Note that a shopper holds an answer of the bank for wrong; it is served no more until :func:`restore`.

    Returns the outbox position. Raises :class:`TooManyComplaints` beyond five answers a day.
    """
    checks.identifier(shopper, "shopper")
    with transaction(conn):
        since = checks.moment(now, "now") - DAY_S
        known = conn.execute(
            "SELECT count(*) FROM complaints WHERE shopper = ? AND ts > ? AND answer <> ?", (shopper, since, answer)
        )
        if known.fetchone()[0] >= COMPLAINTS_A_DAY:
            raise TooManyComplaints(f"{COMPLAINTS_A_DAY} complaints a day are noted; tell our support", field="shopper")
        conn.execute("INSERT OR REPLACE INTO complaints VALUES (?, ?, ?)", (answer, shopper, now))
        return pb.emit(conn, f"faq/{answer}", "faq.changed", now=now)


def restore(conn: sqlite3.Connection, answer: str, *, now: float) -> int:
    """Serve an answer again: its owner has looked at the complaints. Raises :class:`NotFound` where there are none."""
    with transaction(conn):
        if not conn.execute("DELETE FROM complaints WHERE answer = ?", (answer,)).rowcount:
            raise NotFound(f"nobody has complained of {answer[:80]!r}", field="answer")
        return pb.emit(conn, f"faq/{answer}", "faq.changed", now=checks.moment(now, "now"))
