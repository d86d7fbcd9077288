"""Reads and writes of the shop's file for routes, and the routes themselves: who may use them, and how they answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

import parbake as pb
from parbake.http import Handler, HttpRequest, JsonResponse, Route, note_action
from retail_assistant.http.acknowledged import WRITTEN, acknowledged
from retail_assistant.http.replies import Written
from retail_assistant.http.writes import ONCE, commit
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.errors import ShopError

T = TypeVar("T")
LONGEST_SAID = 1_000
"""Characters of what was before a change, and after it, in the log of actions."""


class ShopFile:
    """The shop's file as routes use it, with the app that is told of changes."""

    def __init__(self, app: pb.App, connections: PerThread) -> None:
        """``connections`` write to the file."""
        self.app = app
        self._connections = connections

    def now(self) -> float:
        """The time by the app's clock."""
        return self.app.settings.clock.now()

    async def read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """What ``read`` finds."""
        return await self._connections.read(read)

    async def write(
        self,
        request: HttpRequest,
        write: Callable[[sqlite3.Connection], int | None],
        status: int = 200,
        shopper: str = "",
    ) -> JsonResponse[Written]:
        """Commit a write, once per ``Idempotency-Key``, and then raise its tags.

        Args:
            request: The request that asked for it.
            write: Writes, and returns the position of the change.
            status: The status of the answer once the change is acknowledged.
            shopper: Whose write it is; empty for operators.
        """
        position = await commit(self._connections, request, write, now=self.now(), shopper=shopper)
        return await acknowledged(self.app, position, Written, status)

    async def change(
        self,
        request: HttpRequest,
        about: str,
        look: Callable[[sqlite3.Connection], msgspec.Struct],
        write: Callable[[sqlite3.Connection], int | None],
    ) -> JsonResponse[Written]:
        """Commit what an operator changes in what the shop states or sells, and note it among the actions.

        Args:
            request: The request that asked for it.
            about: The tag of what is changed.
            look: Reads it.
            write: Writes, and returns the position of the change.
        """
        before = await self.read(lambda conn: _said(conn, look))
        answer = await self.write(request, write)
        after = await self.read(lambda conn: _said(conn, look))
        note_action("shop change", about, before=before, after=after, now=self.now)
        return answer


def _said(conn: sqlite3.Connection, look: Callable[[sqlite3.Connection], msgspec.Struct]) -> str:
    """What is read, as JSON that is cut; empty if it is not there."""
    try:
        return msgspec.json.encode(look(conn)).decode()[:LONGEST_SAID]
    except ShopError:
        return ""


def read(path: str, handler: Handler) -> Route:
    """A route that everybody may read."""
    return Route("GET", path, handler)


def write(
    method: str,
    path: str,
    handler: Handler,
    statuses: tuple[int, ...] = WRITTEN,
    access: Literal["anybody", "operate"] = "operate",
) -> Route:
    """A route that writes, once per key.

    Args:
        method: The method.
        path: The path.
        handler: Writes.
        statuses: How it answers.
        access: Who may use it. A handler for anybody looks itself who asks.
    """
    return Route(method, path, handler, access, statuses=statuses, headers=ONCE)
