"""Live reads of the shop, and filtering a list with them."""

import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_assistant.recs.als import Candidate
from retail_assistant.recs.features import RECENT_PURCHASES, RECENT_VIEWS
from retail_assistant.recs.refining import SPARE, Moment, merge
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.shop import records

from .conftest import NOW


def test_each_read_sees_the_last_commit(floor):
    """The next read sees what another connection committed."""
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
    """Each thread has its own connection, and ``close`` closes all of them."""
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


class Counter:
    """A shop with these products that records which ones it was asked for."""

    def __init__(self, has=(), owned=()):
        self.has, self.bought, self.asked = frozenset(has), set(owned), []

    def available(self, asins):
        self.asked += asins
        return self.has.intersection(asins)

    def owned(self, _, asins):
        return self.bought.intersection(asins)


def listed(*asins):
    """Return candidates in this order."""
    return [Candidate(asin, 1.0 - n / 100) for n, asin in enumerate(asins)]


@pytest.mark.parametrize(
    ("first", "then", "merged"),
    [("ab", "cd", "abcd"), ("ab", "bca", "abc"), ("ab", "ba", "ab"), ("", "ab", "ab"), ("ab", "", "ab")],
)
def test_a_second_list_adds_only_what_the_first_has_not(first, then, merged):
    """Merging keeps the first list and appends the second's new items in their order."""
    shown = merge(listed(*first), listed(*then))
    assert [c.asin for c in shown] == list(merged)
    assert shown[: len(first)] == listed(*first)


@given(has=st.sets(st.integers(0, 29)), top=st.integers(1, 12))
def test_a_ranking_is_looked_up_as_far_as_it_takes(has, top):
    """The best items in stock are found at any depth, and the shop is not asked beyond the needed part."""
    ranking = listed(*range(30))
    shop = Counter(has)
    found = [c.asin for c in Moment("u", ()).first(shop, ranking, top)]
    assert found == [asin for asin in range(30) if asin in has][:top]
    part = top + SPARE
    needed = found[-1] // part * part + part if len(found) == top else 30
    assert shop.asked == list(range(min(needed, 30)))


@pytest.mark.parametrize(
    ("bought", "left"),
    [(0, "bcde"), (1, "bde"), (RECENT_PURCHASES - 1, "bde"), (RECENT_PURCHASES, "bcd")],
)
def test_what_is_owned_or_looked_at_is_not_shown(bought, left):
    """Owned products and the page's product are removed; beyond the recent purchases the shop is asked."""
    events = [("b", 1.0, 0), *(("c", 2.0, 1) for _ in range(bought))]
    kept = Moment("u", events, "a").unbarred(Counter(owned="e"), listed(*"abcde"))
    assert "".join(c.asin for c in kept) == left


def test_a_choice_bounds_what_is_shown():
    """Of a list only the products among which the caller lets choose are kept."""
    moment, shop = Moment("u", (), among=("d", "b", "z")), Counter("abcdez")
    assert [c.asin for c in moment.first(shop, listed(*"abcde"), 5)] == ["b", "d"]
    assert [c.asin for c in moment.rest(shop, 5)] == ["d", "b", "z"]
