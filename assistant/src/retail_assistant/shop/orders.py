"""Orders with their lines: placed, packed, shipped, delivered; cancelled or sent back as the shop's rules allow.

Each write is one transaction with its outbox row, and returns that row's position. Money is in cents, times are in
epoch seconds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from parbake.sources.sqlite import emit
from retail_assistant.shop import checks
from retail_assistant.shop.errors import BadValue, OrderClosed, UnknownOrder
from retail_assistant.shop.queries import get_product
from retail_assistant.shop.records import LARGEST_CENTS, LARGEST_QUANTITY, ensure_shopper
from retail_assistant.shop.schema import ORDER_STATES, transaction

CAN_CANCEL = frozenset({"placed"})
"""The states in which an order has not been packed."""
CAN_RETURN = frozenset({"delivered"})
_ORDER = "SELECT number, shopper, placed_at, state, tracking, changed_at FROM orders"


class Line(msgspec.Struct, frozen=True):
    """One product of an order; ``cents`` is what one copy cost."""

    asin: str
    title: str
    quantity: int
    cents: int


class Order(msgspec.Struct, frozen=True):
    """An order of a shopper; ``changed_at`` is when it reached its state. Times that nobody knows are 0."""

    number: str
    shopper: str
    placed_at: float
    state: str
    tracking: str
    changed_at: float
    lines: tuple[Line, ...]

    @property
    def cents(self) -> int:
        """What all lines cost together, without delivery."""
        return sum(line.quantity * line.cents for line in self.lines)

    @property
    def titles(self) -> list[str]:
        """The titles of its lines."""
        return [line.title for line in self.lines]


def list_orders(conn: sqlite3.Connection, shopper: str, *, limit: int = 20) -> list[Order]:
    """Return a shopper's orders, the newest first."""
    rows = conn.execute(f"{_ORDER} WHERE shopper = ? ORDER BY placed_at DESC, id DESC LIMIT ?", (shopper, limit))
    return [_order(conn, row) for row in rows.fetchall()]


def get_order(conn: sqlite3.Connection, shopper: str, number: str) -> Order:
    """Return an order of a shopper; raises :class:`UnknownOrder`, also for the order of somebody else."""
    row = conn.execute(f"{_ORDER} WHERE shopper = ? AND number = ? COLLATE NOCASE", (shopper, number)).fetchone()
    if row is None:
        raise UnknownOrder(f"this shopper has no order {number[:40]!r}", field="number")
    return _order(conn, row)


def get_points(conn: sqlite3.Connection, shopper: str) -> int:
    """Return a shopper's loyalty points; 0 for an unknown shopper."""
    row = conn.execute("SELECT points FROM shoppers WHERE id = ?", (shopper,)).fetchone()
    return int(row[0]) if row else 0


def put_order(
    conn: sqlite3.Connection,
    number: str,
    *,
    shopper: str,
    placed_at: float,
    state: str,
    lines: Mapping[str, tuple[int, int]],
    tracking: str = "",
    now: float,
) -> int:
    """Store an order, or change its state and lines; ``lines`` are (quantity, cents of one copy) by asin.

    Raises:
        BadValue: A value cannot be stored, or the number belongs to another shopper.
        UnknownProduct: No product has the asin of a line.
    """
    checks.identifier(number, "number")
    checks.choice(state, "state", ORDER_STATES)
    with transaction(conn):
        ensure_shopper(conn, shopper, now)
        owner = conn.execute("SELECT shopper FROM orders WHERE number = ?", (number,)).fetchone()
        if owner is not None and owner[0] != shopper:
            raise BadValue(f"number: order {number} belongs to another shopper", field="number")
        values = (number, shopper, checks.moment(placed_at, "placed_at"), state, tracking, now)
        conn.execute(
            "INSERT INTO orders (number, shopper, placed_at, state, tracking, changed_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (number) DO UPDATE SET state = excluded.state, tracking = excluded.tracking,"
            " changed_at = excluded.changed_at",
            values,
        )
        conn.execute("DELETE FROM order_lines WHERE number = ?", (number,))
        for asin, (quantity, cents) in lines.items():
            get_product(conn, asin)
            checks.integer(quantity, "quantity", least=1, most=LARGEST_QUANTITY)
            checks.integer(cents, "cents", least=0, most=LARGEST_CENTS)
            conn.execute("INSERT INTO order_lines VALUES (?, ?, ?, ?)", (number, asin, quantity, cents))
        return _changed(conn, shopper, now)


def cancel(conn: sqlite3.Connection, shopper: str, number: str, *, now: float) -> int:
    """Cancel an order that is not packed yet, and put its books back into the stock.

    Raises:
        UnknownOrder: The shopper has no such order.
        OrderClosed: The order is packed or further.
    """
    with transaction(conn):
        order = get_order(conn, shopper, number)
        _move(conn, order, "cancelled", CAN_CANCEL, now)
        for line in order.lines:
            conn.execute("UPDATE inventory SET quantity = quantity + ? WHERE asin = ?", (line.quantity, line.asin))
        return _changed(conn, shopper, now)


def start_return(conn: sqlite3.Connection, shopper: str, number: str, *, now: float) -> int:
    """Begin the return of a delivered order; raises like :func:`cancel`."""
    with transaction(conn):
        order = get_order(conn, shopper, number)
        _move(conn, order, "returning", CAN_RETURN, now)
        return _changed(conn, shopper, now)


def _move(conn: sqlite3.Connection, order: Order, state: str, allowed: frozenset[str], now: float) -> None:
    if order.state not in allowed:
        raise OrderClosed(f"order {order.number} is {order.state}", field="number")
    conn.execute("UPDATE orders SET state = ?, changed_at = ? WHERE number = ?", (state, now, order.number))


def _changed(conn: sqlite3.Connection, shopper: str, now: float) -> int:
    return emit(conn, f"user/{shopper}", "user.changed", now=now)


def _order(conn: sqlite3.Connection, row: tuple[str, str, float, str, str, float]) -> Order:
    lines = conn.execute(
        "SELECT l.asin, p.title, l.quantity, l.cents FROM order_lines l JOIN products p USING (asin)"
        " WHERE l.number = ? ORDER BY l.asin",
        (row[0],),
    )
    return Order(*row, tuple(Line(*line) for line in lines))
