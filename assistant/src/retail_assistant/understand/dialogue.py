"""The state of a conversation between two messages."""

from __future__ import annotations

from typing import Literal

import msgspec

from retail_assistant.understand.wishes import NO_WISHES, Wishes

Verb = Literal["add", "remove", "empty", "quantity", "cancel", "return"]


class Pending(msgspec.Struct, frozen=True):
    """An action that waits for the shopper's yes: on a product of the cart, or on an order.

    ``asin`` is empty if the product that was meant is not sold any more. ``also`` are other products that are added,
    each in the same quantity.
    """

    verb: Verb
    asin: str = ""
    quantity: int = 1
    order: str = ""
    also: tuple[str, ...] = ()


class Dialogue(msgspec.Struct, frozen=True):
    """What earlier turns leave behind.

    Args:
        shown: The products of the last reply that showed any, in its order.
        offered: All products that were shown.
        focus: The product last spoken of.
        wishes: The constraints of the list that is being refined.
        kind: The kind of the last question.
        slot: Which part of it was asked for.
        question: The words of the last question about a policy.
        section: The policy section last quoted, such as ``returns#return-window``.
        pending: The action that the last reply asked to confirm.
        choices: The editions between which the last reply asked to choose, for an action on the cart.
        empty: Whether the last list had nothing in it.
        page: The product whose page was open at the last turn.
        turns: How many turns there were.
    """

    shown: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    focus: str = ""
    wishes: Wishes = NO_WISHES
    kind: str = ""
    slot: str = ""
    question: str = ""
    section: str = ""
    pending: Pending | None = None
    choices: tuple[str, ...] = ()
    empty: bool = False
    page: str = ""
    turns: int = 0


NEW = Dialogue()
