"""What the shop's file keeps about a shopper: all of it is told, and after it was erased nothing of it is left."""

import asyncio
import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest
from tests.waiting import until

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake.testing import FakeClock
from retail_assistant.shop import accounts, complaints, personal, records, retention, schema
from retail_assistant.shop.errors import ShopBusy
from retail_assistant.shop.explorations import note_exploration
from retail_assistant.shop.once import once
from retail_assistant.shop.orders import list_orders, put_order
from retail_assistant.shop.personal import NOBODY, WHOSE, ShopRecords
from retail_assistant.shop.proposals import Proposal, put_proposal
from retail_assistant.shop.voices import DAY_S

from .conftest import NOW

ME, OTHER = "zqcanary7781", "u00001"
WORD = "zqsecret"
"""Stands in every text of the shopper."""
NOBODYS = {
    "inventory", "meta", "policies", "prices", "products", "promotions",  # what the shop sells and states
    "search_rows", "search_index",  # the words of products and policies
    "parbake_capture", "parbake_format",  # which tables have triggers
}  # fmt: skip
"""Tables in which only the shop's own people write."""
STAYS = {"number", "state", "sending", "in_return", "answer"}
"""Texts of rows that become nobody's: the books' own number and words, and the name of an answer of the bank."""


@pytest.fixture
def path(shop):
    """Return the path of the shop's file."""
    return Path(shop.execute("PRAGMA database_list").fetchone()[2])


@pytest.fixture
def place(path):
    """Return the shop as a place that keeps something about people."""
    return ShopRecords(path, str.lower)


def tables(shop):
    """Return the shop's tables, without those that SQLite makes itself."""
    found = shop.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return {name for (name,) in found if not name.startswith("search_index_")}


def asin_of(shop):
    """Return a product that can be bought."""
    statement = "SELECT asin FROM products JOIN inventory USING (asin) WHERE listed = 1 AND quantity > 1 ORDER BY asin"
    return shop.execute(statement).fetchone()[0]


def erased(place, who):
    """Erase as the core does, with what was named before the first call; return the rows."""
    named = vars(place).setdefault("named", {})
    return place.erase(who, named.setdefault(who, place.mentions(who)))


def named_by(mentions):
    """Return all that stands for somebody."""
    return {*mentions.ids, *mentions.texts}


def planted(shop, table, **given):
    """Put a row of the shopper into a table, with the word in each of its texts."""
    row = {}
    for _, column, kind, _, _, is_key in shop.execute(f"PRAGMA table_info({table})"):
        text = ME if column == "shopper" else f"this is {WORD} of {ME} in {table}.{column}"
        plain = {"TEXT": text, "BLOB": text.encode(), "REAL": NOW, "INTEGER": None if is_key else 1}[kind]
        row[column] = f"{table} {column}" if kind == "TEXT" and column in STAYS else plain
    row |= {"asin": asin_of(shop)} if "asin" in row else {}
    row |= given
    shop.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def plant_everything(shop):
    """Put a row of the shopper into every table that may have one."""
    planted(shop, "shoppers", id=ME)
    planted(shop, "orders", number="A77810")
    planted(shop, "order_lines", number="A77810")
    planted(shop, "complaints", closed_at=None)
    planted(shop, "complaints", answer="another", answer_id="")
    planted(shop, "written", key=f"my own key\n{ME}")
    planted(shop, "parbake_outbox", subject=f"user/{ME}", id="f" * 32, type="user.changed")
    for table in WHOSE.keys() - {"shoppers", "orders", "order_lines", "complaints", "written", "parbake_outbox"}:
        planted(shop, table)


def left(path):
    """Return the files of the shop that have the shopper's name or the word anywhere, also in free parts."""
    names = [path.with_name(path.name + end) for end in ("", "-wal", "-shm")]
    return [name.name for name in names if name.exists() and any(w.encode() in name.read_bytes() for w in (ME, WORD))]


def test_every_table_is_a_shoppers_or_nobodys(shop):
    """Each table of the shop is listed as a shopper's or as nobody's, so that a new one is not forgotten."""
    assert WHOSE.keys() | NOBODYS == tables(shop)
    assert WHOSE.keys() & NOBODYS == set()


def test_nothing_of_a_shopper_is_left_in_the_file(shop, path, place):
    """With a word in each text of each table, neither the word nor the name is in any byte of the file afterwards."""
    plant_everything(shop)
    assert all(place.export(ME).values()), "a table of the shopper's is empty, and thus not tested"
    first = erased(place, ME)
    assert first["shoppers"] == 1
    assert erased(place, ME) == {"parbake_outbox": shop.execute(HIDDEN).fetchone()[0]}
    assert not any(place.export(ME).values())
    assert left(path) == []
    assert shop.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert shop.execute("PRAGMA foreign_key_check").fetchall() == []
    assert erased(place, ME) == {}


HIDDEN = "SELECT count(*) FROM parbake_outbox WHERE type = 'user.bulk'"


def test_the_order_is_kept_as_nobodys_and_a_withdrawn_answer_stays_withdrawn(shop, place):
    """The books keep number, state and amounts of an order, and an answer waits for its owner as before."""
    plant_everything(shop)
    erased(place, ME)
    (order,) = [one for one in list_orders(shop, NOBODY) if one.number == "A77810"]
    assert (order.tracking, len(order.lines)) == ("", 1)
    assert shop.execute("SELECT address FROM orders WHERE number = 'A77810'").fetchone() == ("",)
    assert [(one.answer, one.is_withdrawn) for one in complaints.list_open(shop)] == [("complaints answer", True)]


def shopping(shop):
    """Let the shopper do what the shop's writers do."""
    asin = asin_of(shop)
    accounts.put_account(shop, ME, "a long passphrase", now=NOW)
    records.add_view(shop, shopper=ME, asin=asin, now=NOW)
    records.add_purchase(shop, shopper=ME, asin=asin, now=NOW, cents=100)
    records.add_review(shop, shopper=ME, asin=asin, rating=5, body=f"A fine book. So says {WORD} of Vienna.", now=NOW)
    once(shop, "my own key", b"PUT", lambda conn: records.set_cart(conn, ME, {asin: 2}, now=NOW), now=NOW, shopper=ME)
    put_proposal(shop, Proposal(ME, "address", f"1 {WORD} Street, Vienna", 0), now=NOW)
    put_order(shop, "A77810", shopper=ME, placed_at=NOW, state="placed", lines={asin: (1, 100)}, now=NOW)
    note_exploration(shop, shopper=ME, text=f"Where does {WORD} send it back?", answer="a#b", now=NOW)
    complaints.complain(shop, shopper=ME.upper(), answer="a#b", now=NOW, answer_id="f" * 40)


def test_what_the_shops_writers_have_written_is_erased(shop, path, place):
    """What was written by purchases, reviews, carts, proposals, complaints and accounts is gone, whatever its case."""
    shopping(shop)
    first = erased(place, ME.upper())
    assert set(first) == {
        "accounts", "carts", "complaints", "explorations", "orders", "proposals", "purchases", "reviews", "shoppers",
        "views", "written",
    }  # fmt: skip
    erased(place, ME.upper())
    assert left(path) == []
    assert shop.execute("SELECT count(*) FROM shoppers WHERE id = ?", (OTHER,)).fetchone() == (1,)


def test_what_stands_for_the_shopper_elsewhere_is_named(shop, place):
    """Numbers, replies, and texts that nobody else has are named. No idempotency key is: anybody may send anything."""
    shopping(shop)
    records.add_review(shop, shopper=OTHER, asin=asin_of(shop), rating=5, body="Well now: A fine book.", now=NOW)
    shop.execute("UPDATE orders SET tracking = 'TRACK-1', address = ? WHERE number = 'A77810'", (f"1 {WORD} Street",))
    said = (f"1 {WORD} Street", f"A fine book. So says {WORD} of Vienna.", f"Where does {WORD} send it back?")
    named = {ME, "A77810", "TRACK-1", "f" * 40, f"So says {WORD} of Vienna.", *said, *map(str.lower, said)}
    assert named_by(place.mentions(ME)) == named


async def test_stores_hear_of_it_and_lose_no_event(shop, path, place):
    """An erased shopper's tags are raised, and afterwards neither this store nor one that lags finds a gap."""
    source = [SqliteSource(path, families=["user", "reviews"], views=[])]
    app, lagging = pb.App(pb.Registry(), sources=source), pb.App(pb.Registry(), sources=source)
    shopping(shop)
    for one in (app, lagging):
        await one.drain()
    erased(place, ME)
    raised = set((await app.drain()).raised)
    assert {f"user/{ME}", f"reviews/{asin_of(shop)}"} <= raised
    erased(place, ME)
    assert await app.drain() is None
    late = set((await lagging.drain()).raised)
    assert {"user", "user/*"} <= late
    assert f"user/{ME}" not in late
    assert not app.counters.gaps
    assert not lagging.counters.gaps
    await app.close()
    await lagging.close()


def test_rows_from_before_are_overwritten_too(shop, path, place):
    """What a program has deleted without overwriting it is gone from the free parts of the file as well."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as careless:
        careless.execute("PRAGMA secure_delete=OFF")
        for text in (f"{WORD} was here before {n}" for n in range(200)):
            careless.execute("INSERT INTO queries (shopper, ts, text, intent) VALUES (?, 0, ?, '')", (ME, text))
        careless.execute("DELETE FROM queries WHERE shopper = ?", (ME,))
        careless.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert left(path) == [path.name]
    erased(place, ME)
    erased(place, ME)
    assert left(path) == []


def test_a_reader_is_waited_for(shop, path, place, monkeypatch):
    """While a program reads what was there before, the second call says that the log still has it; a later one ends."""
    shopping(shop)
    erased(place, ME)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM shoppers").fetchone()
        shop.execute("UPDATE meta SET value = value")
        monkeypatch.setattr(personal, "WAIT_S", 0.05)
        with pytest.raises(ShopBusy, match="erase again when it has ended"):
            erased(place, ME)
    erased(place, ME)
    erased(place, ME)
    assert left(path) == []


def test_others_write_while_much_is_erased(shop, path, place, monkeypatch):
    """Many rows are erased in parts; a writer who waits for no longer than a request does gets in between."""
    monkeypatch.setattr(personal, "BATCH", 50)
    monkeypatch.setitem(personal._ERASES, "views", personal._statements("views"))
    records.ensure_shopper(shop, ME, NOW)
    shop.executemany("INSERT INTO views (shopper, asin, ts) VALUES (?, ?, ?)", [(ME, asin_of(shop), NOW)] * 500)
    done, written = threading.Event(), 0
    erasing = threading.Thread(target=lambda: (erased(place, ME), done.set()))
    erasing.start()
    with contextlib.closing(schema.connect(path, wait_s=1.0)) as other:
        while not done.is_set():
            records.add_view(other, shopper=OTHER, asin=asin_of(other), now=NOW)
            written += 1
    erasing.join()
    assert written
    assert shop.execute("SELECT count(*) FROM views WHERE shopper = ?", (ME,)).fetchone() == (0,)


def test_nobody_cannot_be_erased(shop, place):
    """The orders of erased shoppers stay when their common name is erased."""
    plant_everything(shop)
    erased(place, ME)
    assert erased(place, NOBODY) == {}
    assert [one.number for one in list_orders(shop, NOBODY)] == ["A77810"]


def test_an_export_is_json_without_the_passphrase(shop, place):
    """Every row of the shopper is told in values that JSON has; the hash of the passphrase is none of them."""
    shopping(shop)
    told = json.loads(json.dumps(place.export(ME)))
    assert told["accounts"] == [{"shopper": ME, "is_test": 0, "changed_at": NOW}]
    assert [row["number"] for row in told["order_lines"]] == ["A77810"]


def test_what_is_old_is_deleted(shop):
    """Each class of rows goes after its time, and what is younger, open or unread stays."""
    planted(shop, "shoppers", id=ME)
    shop.execute("DELETE FROM queries")
    shop.execute("DELETE FROM views")
    for days in (0, 399, 401):
        for table in ("queries", "explorations", "views"):
            planted(shop, table, ts=NOW - days * DAY_S)
    for days in (None, 29, 31):
        closed = days and NOW - days * DAY_S
        planted(shop, "complaints", closed_at=closed, answer=f"after {days} days", answer_id=f"{days}")
    for hours in (23, 25):
        planted(shop, "written", key=f"{hours}", at=NOW - hours * 3_600)
        planted(shop, "proposals", expires_at=NOW + (24 - hours) * 3_600, goods=f"{hours}")
    ended = shop.execute("SELECT max(position) FROM parbake_outbox").fetchone()[0]
    shop.execute("UPDATE parbake_outbox SET time = ?", (NOW - 40 * DAY_S,))
    planted(shop, "parbake_outbox", position=ended + 1, subject="user/a", time=NOW - 29 * DAY_S)
    assert retention.prune_shop(shop, now=NOW, events_until=0.0) == 6
    assert retention.prune_shop(shop, now=NOW, events_until=NOW) == ended
    for table, rows in {
        "queries": 2,
        "explorations": 2,
        "views": 2,
        "complaints": 2,
        "written": 1,
        "proposals": 1,
    }.items():
        assert shop.execute(f"SELECT count(*) FROM {table}").fetchone() == (rows,), table
    assert shop.execute("SELECT position FROM parbake_outbox").fetchall() == [(ended + 1,)]


async def test_a_worker_deletes_what_is_old_and_goes_on_after_a_failure(shop, path, caplog, monkeypatch):
    """A worker deletes at its start and each day; a file that cannot be written is logged and tried again."""
    planted(shop, "written", at=NOW - 2 * DAY_S)
    app = pb.App(pb.Registry(), clock=FakeClock(NOW), plugins=[retention.Privacy(path, str.lower)])
    assert [place.name for place in app.plugins[retention.Privacy]] == ["shop"]
    (tidy,) = app.engine.on.worker
    monkeypatch.setattr(retention, "DAY_S", 0.0)
    path.rename(path.with_suffix(".away"))
    working = asyncio.create_task(tidy())
    await until(lambda: "could not be deleted today" in caplog.text)
    path.with_suffix(".away").rename(path)
    await until(lambda: not shop.execute("SELECT count(*) FROM written").fetchone()[0])
    working.cancel()
    await app.close()
