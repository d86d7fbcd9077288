"""What the assistant has offered to do for a shopper, until the shopper agrees: a row each, used once.

A yes does only what stands here. What a client merely claims that the assistant has proposed is therefore not done.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from retail_assistant.shop.errors import NotProposed, PriceChanged
from retail_assistant.shop.schema import transaction

OPEN_S = 3600.0
"""Seconds for which a proposal can be agreed to."""
MOST_OPEN = 20
"""Proposals kept for a shopper; older ones give way."""
_OLDER = (
    "DELETE FROM proposals WHERE shopper = ? AND (verb, goods) NOT IN"
    " (SELECT verb, goods FROM proposals WHERE shopper = ? ORDER BY expires_at DESC LIMIT ?)"
)


class Proposal(NamedTuple):
    """An action on an order or on products of a cart: ``goods`` names them, ``cents`` is what they cost then."""

    shopper: str
    verb: str
    goods: str
    cents: int


def put_proposal(conn: sqlite3.Connection, proposal: Proposal, *, now: float) -> None:
    """Record a proposal before the shopper sees it; the same one again is open for longer."""
    with transaction(conn):
        conn.execute("DELETE FROM proposals WHERE expires_at < ?", (now,))
        conn.execute("INSERT OR REPLACE INTO proposals VALUES (?, ?, ?, ?, ?)", (*proposal, now + OPEN_S))
        conn.execute(_OLDER, (proposal.shopper, proposal.shopper, MOST_OPEN))


def take_proposal(conn: sqlite3.Connection, proposal: Proposal, *, now: float) -> None:
    """Use a proposal up, in the transaction of the action itself.

    Args:
        conn: The shop file, in a transaction.
        proposal: What the shopper agrees to, at what it costs now.
        now: Epoch seconds.

    Raises:
        NotProposed: There was no such proposal, or it is used or too old.
        PriceChanged: It costs something else by now.
    """
    shopper, verb, goods, cents = proposal
    row = conn.execute(
        "DELETE FROM proposals WHERE shopper = ? AND verb = ? AND goods = ? AND expires_at >= ? RETURNING cents",
        (shopper, verb, goods, now),
    ).fetchone()
    if row is None:
        raise NotProposed("I have not offered that, or too long ago; tell me again what I should do", field="proposal")
    if row[0] != cents:
        raise PriceChanged("the price has changed since I asked; tell me again if you want it", field="proposal")
