"""What shoppers were told and is not true any more: noted when the shop recalls it, and shown to each of them once."""

from __future__ import annotations

import sqlite3

import msgspec

from retail_assistant.shop import checks
from retail_assistant.shop.schema import transaction
from retail_assistant.shop.voices import DAY_S, spelled

KEPT_S = 35 * DAY_S
"""How long a notice is kept; an answer is not recalled for longer."""


class Notice(msgspec.Struct, frozen=True):
    """An answer that told something which was changed: the tag, and when it was told, in epoch seconds."""

    answer_id: str
    tag: str
    told_at: float


def note(conn: sqlite3.Connection, shopper: str, notice: Notice, *, now: float) -> bool:
    """Note that a shopper was told something wrong. The same notice is noted once, also after it was seen.

    Args:
        conn: The shop file.
        shopper: Who was told.
        notice: What was told.
        now: Epoch seconds.

    Returns:
        Whether it is new.
    """
    name = checks.identifier(spelled(shopper), "recipient")
    with transaction(conn):
        conn.execute("DELETE FROM notices WHERE noted_at < ?", (now - KEPT_S,))
        made = conn.execute(
            "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?, ?, NULL)",
            (name, notice.tag, notice.answer_id, checks.moment(notice.told_at, "at"), now),
        )
        return made.rowcount > 0


def unseen(conn: sqlite3.Connection, shopper: str) -> list[Notice]:
    """What a shopper was told wrongly and has not been told of, the newest first; of each tag the last answer."""
    rows = conn.execute(
        "SELECT answer_id, tag, max(told_at) FROM notices WHERE shopper = ? AND seen_at IS NULL"
        " GROUP BY tag ORDER BY max(told_at) DESC",
        (spelled(shopper),),
    )
    return [Notice(*row) for row in rows]


def see(conn: sqlite3.Connection, shopper: str, tag: str, *, now: float) -> bool:
    """Note that a shopper has seen what was said about a tag; return whether there was anything to see.

    Args:
        conn: The shop file.
        shopper: The shopper.
        tag: The tag.
        now: Epoch seconds.
    """
    seen = conn.execute(
        "UPDATE notices SET seen_at = ? WHERE shopper = ? AND tag = ? AND seen_at IS NULL", (now, spelled(shopper), tag)
    )
    return seen.rowcount > 0
