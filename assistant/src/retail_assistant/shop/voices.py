"""Who speaks: a name as the shop counts it, and whether the shop knows whose it is.

Nobody signs in here, so a name alone proves nothing. One that has bought, or whose account is a day old, is not one
that was invented for the occasion.
"""

from __future__ import annotations

import sqlite3

import msgspec

from retail_assistant.shop import checks

ANONYMOUS = "anonymous"
"""What a shopper is called who gave no name: nobody in particular, so never known."""
DAY_S = 86_400.0
_KNOWN = """SELECT 1 FROM shoppers AS s WHERE s.id = :name COLLATE NOCASE AND (
    s.created_at <= :since OR EXISTS (SELECT 1 FROM purchases AS p WHERE p.shopper = s.id)
) LIMIT 1"""


class Voice(msgspec.Struct, frozen=True):
    """A shopper's name, in the one spelling that is counted, and whether the shop knows them."""

    name: str
    is_known: bool


def spelled(shopper: str) -> str:
    """A name in the one spelling that is counted: ``u1``, ``U1`` and `` u1`` are one shopper."""
    return shopper.strip().lower()


def voice(conn: sqlite3.Connection, shopper: str, *, now: float) -> Voice:
    """Who speaks; raises :class:`retail_assistant.shop.errors.BadValue` for what is no name."""
    name = checks.identifier(spelled(shopper), "shopper")
    since = checks.moment(now, "now") - DAY_S
    found = name != ANONYMOUS and conn.execute(_KNOWN, {"name": name, "since": since}).fetchone()
    return Voice(name, bool(found))
