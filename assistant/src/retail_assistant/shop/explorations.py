"""Questions that were answered well without the bank, from which its next generation can learn."""

from __future__ import annotations

import sqlite3

from retail_assistant.shop import checks
from retail_assistant.shop.schema import transaction
from retail_assistant.shop.voices import voice

EXPLORATIONS_KEPT = 50_000
LONGEST_QUESTION = 1_000


def note_exploration(conn: sqlite3.Connection, *, shopper: str, text: str, answer: str, now: float) -> bool:
    """Record that a question of which the bank was unsure turned out to have this answer; only the newest are kept.

    Returns whether it was recorded. Questions of shoppers whom the shop does not know are not.
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
