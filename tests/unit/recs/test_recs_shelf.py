"""Reading the shop at request time."""

import sqlite3
import threading

import pytest

from retail_assistant.recs.features import RECENT_VIEWS
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.shop import records

from .conftest import NOW


def test_each_read_sees_the_last_commit(floor):
    """What another connection committed is seen by the next read."""
    asin = floor.conn.execute(
        "SELECT asin FROM inventory JOIN products USING (asin) WHERE listed AND quantity"
    ).fetchone()[0]
    assert floor.shelf.available([asin, "unknown"]) == {asin}
    records.set_price(floor.conn, asin, 777, now=NOW)
    assert floor.shelf.offers([asin])[0][3] == 777
    records.set_inventory(floor.conn, asin, 0)
    assert (floor.shelf.available([asin]), floor.shelf.offers([asin])) == (set(), [])


def test_events_are_all_purchases_and_the_newest_views(floor):
    """A shopper's purchases are all read, views only the newest sixty; an unknown shopper has none."""
    asins = list(floor.column("listed"))[:2]
    for n in range(RECENT_VIEWS + 5):
        records.add_view(floor.conn, shopper="fan", asin=asins[n % 2], now=NOW + n)
    views = [event for event in floor.shelf.events("fan") if not event[2]]
    assert sorted(ts for _, ts, _ in views) == [NOW + n for n in range(5, RECENT_VIEWS + 5)]
    assert floor.shelf.events("nobody") == []
    bought = floor.conn.execute("SELECT COUNT(*) FROM purchases WHERE shopper = ?", (floor.keen(),)).fetchone()[0]
    assert sum(event[2] for event in floor.shelf.events(floor.keen())) == bought


def test_the_shelf_cannot_write(floor):
    """The shelf's connection is read-only."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        floor.shelf._connections.get().execute("DELETE FROM purchases")


def test_threads_have_connections_of_their_own(built):
    """Two threads never share a connection, and all are closed together."""
    shelf, found = LiveShelf(built / "shop.db"), []
    threads = [threading.Thread(target=lambda: found.append(shelf._connections.get())) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert found[0] is not found[1]
    assert shelf._connections.get() is shelf._connections.get()
    shelf.close()
    with pytest.raises(sqlite3.ProgrammingError):
        found[0].execute("SELECT 1")
    assert shelf.events("nobody") == []
    shelf.close()
