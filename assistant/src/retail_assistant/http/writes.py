"""Writes of the shop that are made only once, however often their client sends them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Annotated

import msgspec

from parbake.http import HeaderField, HttpRequest
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.once import LONGEST_KEY, once
from retail_assistant.shop.records import MOST_COPIES

ONCE = {
    "idempotency-key": HeaderField(
        "The client's key for a write; a request repeated with the same key writes only once.",
        Annotated[str, msgspec.Meta(pattern="^[ -~]+$", max_length=LONGEST_KEY)],
    )
}

Copies = Annotated[int, msgspec.Meta(extra_json_schema={"minimum": 0, "maximum": MOST_COPIES})]
"""Copies of a product in a cart; the shop's records refuse other numbers, for every route with the same problem."""


async def commit(
    connections: PerThread,
    request: HttpRequest,
    write: Callable[[sqlite3.Connection], int | None],
    *,
    now: float,
    shopper: str = "",
) -> int | None:
    """Commit a write, once per ``Idempotency-Key`` if the request has one; return the position of its outbox row.

    Args:
        connections: The shop file's.
        request: The request.
        write: Writes.
        now: Epoch seconds.
        shopper: Whose write it is; keys of one shopper are nothing to another.
    """
    key = request.headers.get("idempotency-key")
    sent = f"{request.method} {request.path}?{request.query}\n".encode() + request.body
    return await connections.write(
        lambda conn: write(conn) if key is None else once(conn, key, sent, write, now=now, shopper=shopper)
    )
