"""How orders are put into sentences."""

from __future__ import annotations

from retail_assistant.answers.phrases import day, joined, money, number, ordered
from retail_assistant.shop.bills import Line
from retail_assistant.shop.orders import Order

OPEN = frozenset({"placed", "packed", "shipped"})
STATES = {
    "placed": "is placed and not packed yet",
    "packed": "is packed and leaves us soon",
    "shipped": "is on its way (shipped)",
    "delivered": "was delivered",
    "cancelled": "was cancelled",
    "returning": "is on its way back to us; the return was started",
    "returned": "was returned",
}
MOST_LINES = 3


def head(order: Order) -> str:
    """An order's number and day."""
    return f"Order {number(order.number)}{of_day(order)}"


def of_day(order: Order) -> str:
    """The day of an order with "of" before it; empty if an import did not know the day."""
    return f" of {day(order.placed_at)}" if order.placed_at else ""


def copies_of(line: Line) -> str:
    """A line of an order, with its number of copies if there are several."""
    return f"{f'{line.quantity} times ' if line.quantity > 1 else ''}{ordered(line)}"


def tracked(order: Order) -> str:
    """The tracking number of an order that left, as a sentence with a space before it; otherwise empty."""
    is_sent = order.tracking and order.state in ("shipped", "delivered")
    return f" Its tracking number is {number(order.tracking)}." if is_sent else ""


def told(order: Order) -> str:
    """An order with its state; on its way also with its tracking number."""
    said = f"{head(order)} {STATES[order.state]}: {lines_of(order)}, for {costs(order)}."
    return f"{said}{tracked(order)}" if order.state in OPEN else said


def costs(order: Order) -> str:
    """What an order cost, and how much of it was for delivery."""
    return money(order.cents) + (f" ({money(order.delivery)} of it for delivery)" if order.delivery else "")


def lines_of(order: Order) -> str:
    """The first lines of an order."""
    said = [copies_of(line) for line in order.lines[:MOST_LINES]]
    more = len(order.lines) - MOST_LINES
    return joined([*said, f"{more} more"] if more > 0 else said)
