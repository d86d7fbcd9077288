"""Orders with their lines: placed from a cart, packed, shipped, delivered; cancelled or sent back as the rules allow.

Each write is one transaction with its outbox row, and returns that row's position. Money is in cents, times are in
epoch seconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from parbake.adapters.sqlite import emit
from retail_assistant.shop import checks
from retail_assistant.shop.bills import Line, Sending, bill, delivery_terms
from retail_assistant.shop.captured import last_change
from retail_assistant.shop.errors import (
    BadValue,
    EmptyCart,
    OrderClosed,
    OutOfStock,
    TotalChanged,
    UnknownOrder,
    UnknownProduct,
)
from retail_assistant.shop.prices import charges
from retail_assistant.shop.queries import get_product, get_segment, stating
from retail_assistant.shop.records import LARGEST_CENTS, LARGEST_QUANTITY, ensure_shopper, sell, take_back
from retail_assistant.shop.schema import ORDER_STATES, transaction

CAN_CANCEL = frozenset({"placed"})
"""The states in which an order has not been packed."""
CAN_RETURN = frozenset({"delivered"})
IN_RETURN = ("refund", "exchange")
"""What a shopper may want for what comes back."""
LONGEST_ADDRESS = 300
SENT_BACK = frozenset({"returning", "returned"})
RETURN_WINDOW = "window_days"
"""The fact of a policy that states for how many days a delivered order can be returned."""
DAY_S = 86_400.0
POINTS_PER_EURO = "points_per_eur"
"""The fact of a policy that states how many points a euro earns."""
_ORDER = (
    "SELECT number, shopper, placed_at, state, tracking, changed_at, address, delivery, sending, in_return FROM orders"
)
_LINES = (
    "SELECT l.number, l.asin, p.title, l.quantity, l.cents, p.format FROM order_lines l JOIN products p USING (asin)"
    " WHERE l.number IN (SELECT value FROM json_each(?)) ORDER BY l.asin"
)
_CART = (
    "SELECT c.asin, p.title, p.format, c.quantity, p.listed, coalesce(i.quantity, 0) FROM carts c"
    " JOIN products p USING (asin) LEFT JOIN inventory i USING (asin) WHERE c.shopper = ? ORDER BY c.asin"
)
_TAKE_POINTS = "UPDATE shoppers SET points = max(0, points - (SELECT points FROM orders WHERE number = ?)) WHERE id = ?"


class NoReturn(StrEnum):
    """Why an order cannot be returned."""

    STATE = "state"
    DIGITAL = "digital"
    TOO_LATE = "too late"


class Order(msgspec.Struct, frozen=True):
    """An order of a shopper; ``changed_at`` is when it reached its state. Times that nobody knows are 0.

    ``delivery`` is what its delivery cost in cents: 0 if it was free, needed none, or an import did not know it.
    ``sending`` is how its parcel is sent, and ``in_return`` what is wanted for what comes back; empty if nobody said.
    """

    number: str
    shopper: str
    placed_at: float
    state: str
    tracking: str
    changed_at: float
    lines: tuple[Line, ...]
    address: str = ""
    delivery: int = 0
    sending: str = ""
    in_return: str = ""

    @property
    def books(self) -> int:
        """What all lines cost together, without delivery."""
        return sum(line.quantity * line.cents for line in self.lines)

    @property
    def cents(self) -> int:
        """What was charged, with delivery."""
        return self.books + self.delivery

    @property
    def titles(self) -> list[str]:
        """The titles of its lines."""
        return [line.title for line in self.lines]

    @property
    def kept(self) -> list[Line]:
        """The lines that the shopper has, or is going to get: what cannot be sent back stays with a return."""
        if self.state == "cancelled":
            return []
        return [line for line in self.lines if self.state not in SENT_BACK or not line.can_return]

    def returnable_until(self, window_days: float | None) -> float | None:
        """The last moment to send it back; ``None`` if nothing limits it, or nobody knows when it was delivered."""
        return self.changed_at + window_days * DAY_S if window_days is not None and self.changed_at else None

    def no_return(self, window_days: float | None, now: float) -> NoReturn | None:
        """Why none of its lines can be returned; ``None`` if some can. Without ``window_days`` it is never too late."""
        if self.state not in CAN_RETURN:
            return NoReturn.STATE
        if not any(line.can_return for line in self.lines):
            return NoReturn.DIGITAL
        if window_days is None or not self.changed_at or (now - self.changed_at) / DAY_S <= window_days:
            return None  # nothing limits it, nobody knows when it was delivered, or there is time
        return NoReturn.TOO_LATE


def list_orders(conn: sqlite3.Connection, shopper: str, *, limit: int | None = 20) -> list[Order]:
    """Return a shopper's orders, the newest first; all, or the first ``limit``."""
    rows = conn.execute(
        f"{_ORDER} WHERE shopper = ? ORDER BY placed_at DESC, id DESC LIMIT ?",
        (shopper, -1 if limit is None else limit),
    )
    return _orders(conn, rows.fetchall())


def get_order(conn: sqlite3.Connection, shopper: str, number: str) -> Order:
    """Return an order of a shopper; raises :class:`UnknownOrder`, also for the order of somebody else."""
    row = conn.execute(f"{_ORDER} WHERE shopper = ? AND number = ? COLLATE NOCASE", (shopper, number)).fetchone()
    if row is None:
        raise UnknownOrder(f"this shopper has no order {number[:40]!r}", field="number")
    return _orders(conn, [row])[0]


def last_address(conn: sqlite3.Connection, shopper: str) -> str:
    """Where a shopper's last order with an address went; empty if there is none."""
    row = conn.execute(
        "SELECT address FROM orders WHERE shopper = ? AND address <> '' ORDER BY placed_at DESC, id DESC LIMIT 1",
        (shopper,),
    ).fetchone()
    return str(row[0]) if row else ""


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
        return last_change(conn)


def check_out(
    conn: sqlite3.Connection,
    shopper: str,
    *,
    total_cents: int,
    now: float,
    sending: Sending = "standard",
    address: str = "",
) -> int:
    """Order everything in a shopper's cart at what the shopper pays for it now, and empty the cart.

    One transaction lowers the stock, and writes the order, the purchase of each copy, the points and the outbox row.

    Args:
        conn: The shop file.
        shopper: Whose cart it is.
        total_cents: What the shopper was shown that the cart costs, promotions taken off, with delivery.
        now: Epoch seconds.
        sending: How the parcel is sent, if there is one.
        address: Where to.

    Returns:
        The position of the outbox row; :func:`number_at` names the order that was placed there.

    Raises:
        BadValue: No policy prices that way to send a parcel.
        EmptyCart: The cart holds nothing.
        UnknownProduct: A product in it is not sold any more.
        OutOfStock: It holds more copies of a product than are left.
        TotalChanged: It costs something else.
    """
    checks.identifier(shopper, "shopper")
    moment = checks.moment(now, "now")
    with transaction(conn):
        lines = _present_lines(conn, shopper, moment)
        terms = delivery_terms(conn, get_segment(conn, shopper))
        if sending not in terms.offered:
            raise BadValue(f"sending: {sending} is not offered; take {', '.join(terms.offered)}", field="sending")
        due = bill(lines, terms, sending)
        if due.total != total_cents:
            raise TotalChanged(total_cents, due.total)
        points = earned(conn, due.books)
        position = _place(conn, shopper, lines, delivery=due.delivery, points=points, now=moment)
        if due.is_sent:
            conn.execute(
                "UPDATE orders SET sending = ?, address = ? WHERE number = ?",
                (sending, checked_address(address), number_at(position)),
            )
        for line in lines:
            sell(conn, shopper, line.asin, copies=line.quantity, cents=line.cents, now=moment)
        conn.execute("UPDATE shoppers SET points = points + ? WHERE id = ?", (points, shopper))
        conn.execute("DELETE FROM carts WHERE shopper = ?", (shopper,))
        return position


def number_at(position: int) -> str:
    """The number of the order that was placed at a position of the outbox."""
    return f"W{position:05d}"


def _present_lines(conn: sqlite3.Connection, shopper: str, now: float) -> list[Line]:
    """A cart's lines at what the shopper pays for each now; all of them can be bought."""
    rows = conn.execute(_CART, (shopper,)).fetchall()
    if not rows:
        raise EmptyCart("the cart is empty; add something to it before you check out", field="user")
    charged = charges(conn, shopper, [asin for asin, *_ in rows], now=now)
    for asin, title, _, quantity, listed, left in rows:
        if not listed or asin not in charged:
            raise UnknownProduct(
                f"the shop has stopped selling {title}; remove it from the cart to order the rest", field="asin"
            )
        if left < quantity:
            raise OutOfStock(_too_few(title, quantity, left), field="asin")
    return [Line(asin, title, quantity, charged[asin].cents, form) for asin, title, form, quantity, *_ in rows]


def _too_few(title: str, wanted: int, left: int) -> str:
    if not left:
        return f"{title} is out of stock; remove it from the cart to order the rest"
    copies = "1 copy" if left == 1 else f"{left} copies"
    return f"the cart has {wanted} copies of {title}, and only {copies} can be bought now; take fewer"


def _place(
    conn: sqlite3.Connection, shopper: str, lines: Sequence[Line], *, delivery: int, points: int, now: float
) -> int:
    """Store a new order with its outbox row, after whose position it is named; return that position."""
    position = emit(conn, f"user/{shopper}", "user.changed", now=now)
    while conn.execute("SELECT 1 FROM orders WHERE number = ?", (number_at(position),)).fetchone():
        position = emit(conn, f"user/{shopper}", "user.changed", now=now)  # an imported order has that number
    number = number_at(position)
    conn.execute(
        "INSERT INTO orders (number, shopper, placed_at, state, delivery, points, changed_at)"
        " VALUES (?, ?, ?, 'placed', ?, ?, ?)",
        (number, shopper, now, delivery, points, now),
    )
    rows = [(number, line.asin, line.quantity, line.cents) for line in lines]
    conn.executemany("INSERT INTO order_lines VALUES (?, ?, ?, ?)", rows)
    return position


def earned(conn: sqlite3.Connection, cents: int) -> int:
    """The points that books for so many cents earn, by the policy that states it; 0 if none does."""
    return max(0, int((_stated(conn, POINTS_PER_EURO) or 0) * (cents // 100)))


def cancel(conn: sqlite3.Connection, shopper: str, number: str, *, now: float) -> int:
    """Cancel an order that is not packed yet, and put its books back into the stock.

    What its checkout wrote is taken back: the purchases, so that the books do not count as owned, and the points, as
    many of them as the shopper still has.

    Raises:
        UnknownOrder: The shopper has no such order.
        OrderClosed: The order is packed or further.
    """
    with transaction(conn):
        order = get_order(conn, shopper, number)
        _move(conn, order, "cancelled", CAN_CANCEL, now)
        for line in order.lines:
            take_back(conn, shopper, line.asin, copies=line.quantity, sold_at=order.placed_at)
        conn.execute(_TAKE_POINTS, (order.number, shopper))
        return last_change(conn)


def start_return(conn: sqlite3.Connection, shopper: str, number: str, *, now: float) -> int:
    """Begin the return of what can be sent back of a delivered order.

    Raises:
        UnknownOrder: The shopper has no such order.
        OrderClosed: It is not delivered, has only digital editions, or was delivered too long ago.
    """
    with transaction(conn):
        order = get_order(conn, shopper, number)
        match order.no_return(return_window(conn), now):
            case NoReturn.DIGITAL:
                why = f"order {order.number} has only digital editions, and they cannot be returned"
                raise OrderClosed(why, field="number")
            case NoReturn.TOO_LATE:
                raise OrderClosed(f"it is too late to return order {order.number}", field="number")
        _move(conn, order, "returning", CAN_RETURN, now)
        return last_change(conn)


def checked_address(address: str) -> str:
    """An address as it is stored: printable lines, without blanks around them.

    Raises:
        BadValue: It is too long, or has other signs.
    """
    lines = [" ".join(line.split()) for line in address.strip().splitlines()]
    text = "\n".join(filter(None, lines))
    if len(text) > LONGEST_ADDRESS or not all(line.isprintable() for line in lines) or set(text) & set("{}"):
        raise BadValue(f"address: at most {LONGEST_ADDRESS} printable characters, without braces", field="address")
    return text


def change_address(conn: sqlite3.Connection, shopper: str, number: str, address: str, *, now: float) -> int:
    """Send an order that is not packed yet elsewhere.

    Raises:
        UnknownOrder: The shopper has no such order.
        OrderClosed: The order is packed or further.
        BadValue: There is no address, or it cannot be stored.
    """
    with transaction(conn):
        order = get_order(conn, shopper, number)
        if order.state not in CAN_CANCEL:
            raise OrderClosed(f"order {order.number} is {order.state}, so its address stays", field="number")
        if not (text := checked_address(address)):
            raise BadValue("address: expected one", field="address")
        conn.execute("UPDATE orders SET address = ?, changed_at = ? WHERE number = ?", (text, now, order.number))
        return last_change(conn)


def want_in_return(conn: sqlite3.Connection, shopper: str, number: str, wanted: str) -> int:
    """Say what is wanted for an order that is on its way back: the money, or a new copy.

    Raises:
        UnknownOrder: The shopper has no such order.
        OrderClosed: It is not on its way back.
        BadValue: Something else is wanted.
    """
    checks.choice(wanted, "in_return", IN_RETURN)
    with transaction(conn):
        order = get_order(conn, shopper, number)
        if order.state != "returning":
            raise OrderClosed(f"order {order.number} is {order.state}, and not on its way back", field="number")
        conn.execute("UPDATE orders SET in_return = ? WHERE number = ?", (wanted, order.number))
        return last_change(conn)


def return_window(conn: sqlite3.Connection) -> float | None:
    """The days within which a delivered order can be returned; ``None`` if no policy states them as a number."""
    return _stated(conn, RETURN_WINDOW)


def _stated(conn: sqlite3.Connection, fact: str) -> float | None:
    policy = stating(conn, fact)
    return policy.number(fact) if policy else None


def _move(conn: sqlite3.Connection, order: Order, state: str, allowed: frozenset[str], now: float) -> None:
    if order.state not in allowed:
        raise OrderClosed(f"order {order.number} is {order.state}", field="number")
    conn.execute("UPDATE orders SET state = ?, changed_at = ? WHERE number = ?", (state, now, order.number))


def _orders(conn: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> list[Order]:
    """Orders with their lines, which are read in one query."""
    numbers = json.dumps([row[0] for row in rows])
    lines = defaultdict[str, list[Line]](list)
    for number, *line in conn.execute(_LINES, (numbers,)):
        lines[number].append(Line(*line))
    return [
        Order(number, shopper, placed_at, state, tracking, changed_at, tuple(lines[number]), *rest)
        for number, shopper, placed_at, state, tracking, changed_at, *rest in rows
    ]
