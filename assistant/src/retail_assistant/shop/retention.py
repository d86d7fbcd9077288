"""How long the shop keeps what shoppers do, where neither the shopper nor the books need it for longer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import parbake as pb
from parbake.adapters.sqlite import prune
from parbake.ports.offers import PersonalData
from retail_assistant.shop import complaints, once
from retail_assistant.shop.personal import BATCH, WAIT_S, ShopRecords
from retail_assistant.shop.schema import connect, transaction
from retail_assistant.shop.voices import DAY_S

ACTIVITY_S = 400 * DAY_S
"""How long questions and looks at products are kept, up to the newest one: a year, and the season once more."""
EVENTS_S = 30 * DAY_S
"""How long events are kept that the store has read."""
_OLD = {
    "queries": "ts < (SELECT max(ts) FROM queries) - :activity",
    "explorations": "ts < (SELECT max(ts) FROM explorations) - :activity",
    "views": "ts < (SELECT max(ts) FROM views) - :activity",
    "complaints": "closed_at < :now - :closed",
}
"""Which rows are too old. Imported times may lie far back, so that the newest row stands for the present."""
_log = logging.getLogger("retail_assistant.shop")


def prune_shop(conn: sqlite3.Connection, *, now: float, events_until: float = 0.0) -> int:
    """Delete what is kept for long enough, in several transactions; return how many rows those were.

    Args:
        conn: The shop file.
        now: Epoch seconds.
        events_until: Up to which time every event was read by the store, in epoch seconds.
    """
    values = {"now": now, "activity": ACTIVITY_S, "closed": complaints.LOOKED_AT_S}
    with transaction(conn):
        done = conn.execute("DELETE FROM written WHERE at < ?", (now - once.KEPT_S,)).rowcount
        done += conn.execute("DELETE FROM proposals WHERE expires_at < ?", (now,)).rowcount
        older = "SELECT IFNULL(max(position), 0) FROM parbake_outbox WHERE time < ?"
        done += prune(conn, *conn.execute(older, (min(events_until, now - EVENTS_S),)).fetchone())
    for table, condition in _OLD.items():
        gone = f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} LIMIT {BATCH})"  # noqa: S608 - this file's own
        while (count := conn.execute(gone, values).rowcount) > 0:
            done += count
    return done


class Privacy(pb.Plugin[list[PersonalData]]):
    """Lets ``parbake export`` and ``parbake erase`` reach what is kept about shoppers, and a worker delete what is old.

    ``places`` are where something is kept, in the order in which they are erased; the first one is the shop's file.
    """

    def __init__(self, shop: Path, shortened: Callable[[str], str]) -> None:
        """``shop`` is the file; ``shortened`` returns a question as the bank of questions has it."""
        self._shop = shop
        self.places: list[PersonalData] = [ShopRecords(shop, shortened)]

    def open(self, parts: pb.Parts) -> list[PersonalData]:
        """Name the places, and begin to delete with a worker; see :class:`parbake.Plugin`."""

        async def tidy() -> None:
            while True:
                try:
                    heard = [source.heard_at or 0.0 for source in await parts.core.sources()]
                    await asyncio.to_thread(self._prune, parts.clock.now(), min(heard, default=0.0))
                except (sqlite3.Error, pb.ParbakeError) as error:
                    _log.warning("what is kept for long enough could not be deleted today: %s", error)
                await asyncio.sleep(DAY_S)

        parts.personal.extend(self.places)
        parts.on.worker.append(tidy)
        return self.places

    def _prune(self, now: float, heard_at: float) -> None:
        with contextlib.closing(connect(self._shop, wait_s=WAIT_S, make=False)) as conn:
            prune_shop(conn, now=now, events_until=heard_at)
