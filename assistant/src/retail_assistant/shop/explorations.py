"""Questions that were answered well without the bank: what its next generation can learn from."""

from __future__ import annotations

import sqlite3

from retail_assistant.shop import checks
from retail_assistant.shop.schema import transaction
from retail_assistant.shop.voices import voice

EXPLORATIONS_KEPT = 50_000
LONGEST_QUESTION = 1_000


def note_exploration(conn: sqlite3.Connection, *, shopper: str, text: str, answer: str, now: float) -> bool:
    """Note that a question which the bank was not sure of turned out to have this answer; the newest are kept.

    Returns whether it was: what a shopper asks whom the shop does not know counts for nothing, and is not written.
    """
    checks.text(text, "text", longest=LONGEST_QUESTION)
    speaker = voice(conn, shopper, now=now)
    if not speaker.is_known:
        return False
    with transaction(conn):
        found = conn.execute(
            "INSERT INTO explorations (shopper, ts, text, answer) VALUES (?, ?, ?, ?)",
            (speaker.name, now, text, answer),
        )
        conn.execute("DELETE FROM explorations WHERE id <= ?", ((found.lastrowid or 0) - EXPLORATIONS_KEPT,))
    return True
