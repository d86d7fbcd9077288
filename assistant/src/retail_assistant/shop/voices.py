"""The speaker of a message: a name in one spelling, and whether the shop knows this shopper.

Anybody may make an account. A shopper who has bought something, or whose account is a day old, was not invented for the
occasion.
"""

from __future__ import annotations

import sqlite3

import msgspec

from retail_assistant.shop import checks

ANONYMOUS = "anonymous"
"""The name of a shopper who gave none; the shop never knows this shopper."""
DAY_S = 86_400.0
_KNOWN = """SELECT 1 FROM shoppers AS s WHERE s.id = :name COLLATE NOCASE AND (
    s.created_at <= :since OR EXISTS (SELECT 1 FROM purchases AS p WHERE p.shopper = s.id)
) LIMIT 1"""


class Voice(msgspec.Struct, frozen=True):
    """A shopper's name in its normal spelling, and whether the shop knows the shopper."""

    name: str
    is_known: bool


def spelled(shopper: str) -> str:
    """The normal spelling of a name: ``u1``, ``U1`` and `` u1`` are one shopper."""
    return shopper.strip().lower()


def is_named(shopper: str) -> bool:
    """Whether a shopper gave a name, in whatever spelling."""
    return spelled(shopper) not in ("", ANONYMOUS)


def voice(conn: sqlite3.Connection, shopper: str, *, now: float) -> Voice:
    """Look up the speaker; raises :class:`retail_assistant.shop.errors.BadValue` if the name is invalid."""
    name = checks.identifier(spelled(shopper), "shopper")
    since = checks.moment(now, "now") - DAY_S
    found = is_named(name) and conn.execute(_KNOWN, {"name": name, "since": since}).fetchone()
    return Voice(name, bool(found))
