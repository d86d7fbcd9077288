"""Writes to the shop, their outbox rows, and refused writes."""

import contextlib
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retail_assistant.shop import index, queries, records, schema
from retail_assistant.shop.errors import (
    BadValue,
    NotAShop,
    OutOfStock,
    ShopError,
    UnknownPolicy,
    UnknownProduct,
    UnknownPromotion,
)

NEW_PRODUCT = {"title": "The Borrowed Lamp", "author": "Noor Weiss", "genre": "mystery"}
NEW_PROMOTION = {"title": "A quiet sale", "percent": 10, "starts_at": 1.0, "ends_at": 2.0}


def _rows(conn):
    """The events of changes; the first ones, of whole families, are those of the new shop."""
    statement = "SELECT position, subject FROM parbake_outbox WHERE subject LIKE '%/%' ORDER BY position"
    return conn.execute(statement).fetchall()


def _in_stock(conn):
    row = conn.execute("SELECT asin FROM inventory JOIN products USING (asin) WHERE listed AND quantity > 1 LIMIT 1")
    return row.fetchone()[0]


TAGGED = [
    (lambda c, a, t: records.put_policy(c, "returns", facts={"window_days": 14}, now=t), "policy/returns"),
    (
        lambda c, a, t: records.put_policy(c, "pets", title="Pets", body="No pets.", create=True, now=t),
        "policy/pets",
    ),
    (lambda c, a, t: records.put_product(c, a, title="Another name", now=t), "product/{asin}"),
    (lambda c, a, t: records.put_product(c, "B9", cents=999, now=t, **NEW_PRODUCT), "product/B9"),
    (lambda c, a, t: records.put_product(c, a, listed=False, now=t), "product/{asin}"),
    (lambda c, a, t: records.delist(c, a), "product/{asin}"),
    (lambda c, a, t: records.put_promotion(c, "p001", percent=50), "promotion/p001"),
    (lambda c, a, t: records.put_promotion(c, "px", **NEW_PROMOTION), "promotion/px"),
    (lambda c, a, t: records.delete_promotion(c, "p001"), "promotion/p001"),
    (lambda c, a, t: records.add_purchase(c, shopper="u00001", asin=a, now=t), "user/u00001"),
    (
        lambda c, a, t: records.add_review(c, shopper="u00001", asin=a, rating=4, body="Good.", now=t),
        "reviews/{asin}",
    ),
]


@pytest.mark.parametrize(("write", "subject"), TAGGED)
def test_tagged_write_is_told(shop, now, write, subject):
    """Each tagged write adds an outbox row with its subject, and returns its position."""
    asin = _in_stock(shop)
    position = write(shop, asin, now)
    assert _rows(shop) == [(position, subject.format(asin=asin))]


LIVE = [
    lambda c, a, t: records.set_price(c, a, 1234, now=t),
    lambda c, a, t: records.set_inventory(c, a, 5),
    lambda c, a, t: records.set_cart(c, "u00001", {a: 2}, now=t),
    lambda c, a, t: records.add_view(c, shopper="u00001", asin=a, now=t),
]


@pytest.mark.parametrize("write", LIVE)
def test_live_write_emits_nothing(shop, now, write):
    """Writes of price, stock, cart and view change the shop and not the outbox."""
    before = shop.total_changes
    assert write(shop, _in_stock(shop), now) is None
    assert shop.total_changes > before
    assert _rows(shop) == []


@pytest.mark.parametrize("write", [w for w, *_ in TAGGED])
def test_write_is_undone_with_its_row(shop, now, write):
    """If the outbox row cannot be written, the data does not change, because both are one transaction."""
    asin = _in_stock(shop)
    shop.execute("CREATE TRIGGER broken BEFORE INSERT ON parbake_outbox BEGIN SELECT RAISE(ABORT, 'broken'); END")
    before = list(shop.iterdump())
    with pytest.raises(sqlite3.IntegrityError, match="broken"):
        write(shop, asin, now)
    assert list(shop.iterdump()) == before


REFUSED = [
    (lambda c, a, t: records.put_policy(c, "nosuch", facts={"a": 1}, now=t), UnknownPolicy, ("id", 404)),
    (lambda c, a, t: records.put_policy(c, "a b", title="x", body="y", now=t), BadValue, ("id", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", body="{nosuch} days", now=t), BadValue, ("body", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", facts={"window_days": None}, now=t), BadValue, ("body", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", facts={"X": 1}, now=t), BadValue, ("facts.X", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", title="a\x00b", now=t), BadValue, ("title", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", title="a\u202eb", now=t), BadValue, ("title", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", facts={"x_eur": 0.005}, now=t), BadValue, ("facts.x_eur", 422)),
    (lambda c, a, t: records.put_policy(c, "returns", body=" ", now=t), BadValue, ("body", 422)),
    (lambda c, a, t: records.put_product(c, "B9", now=t, cents=1), BadValue, ("title", 422)),
    (lambda c, a, t: records.put_product(c, "B9", now=t, **NEW_PRODUCT), BadValue, ("cents", 422)),
    (lambda c, a, t: records.put_product(c, a, now=t, format="x" * 201), BadValue, ("format", 422)),
    (lambda c, a, t: records.put_product(c, a, now=t, volume=True), BadValue, ("volume", 422)),
    (lambda c, a, t: records.put_product(c, a, now=t, listed=2), BadValue, ("listed", 422)),
    (lambda c, a, t: records.delist(c, "B9"), UnknownProduct, ("asin", 404)),
    (lambda c, a, t: records.put_promotion(c, "px"), BadValue, ("title", 422)),
    (lambda c, a, t: records.put_promotion(c, "p001", percent=95), BadValue, ("percent", 422)),
    (lambda c, a, t: records.put_promotion(c, "p001", ends_at=0.0), BadValue, ("ends_at", 422)),
    (lambda c, a, t: records.put_promotion(c, "p001", starts_at=float("nan")), BadValue, ("starts_at", 422)),
    (lambda c, a, t: records.put_promotion(c, "p001", category="tax"), BadValue, ("category", 422)),
    (lambda c, a, t: records.delete_promotion(c, "px"), UnknownPromotion, ("id", 404)),
    (lambda c, a, t: records.set_price(c, a, -1, now=t), BadValue, ("cents", 422)),
    (lambda c, a, t: records.set_price(c, "B9", 1, now=t), UnknownProduct, ("asin", 404)),
    (lambda c, a, t: records.set_inventory(c, a, -1), BadValue, ("quantity", 422)),
    (lambda c, a, t: records.set_cart(c, "u1", {a: 1, "B9": 1}, now=t), UnknownProduct, ("asin", 404)),
    (lambda c, a, t: records.set_cart(c, "u/1", {a: 1}, now=t), BadValue, ("shopper", 422)),
    (lambda c, a, t: records.add_purchase(c, shopper="u1", asin="B9", now=t), UnknownProduct, ("asin", 404)),
    (lambda c, a, t: records.add_view(c, shopper="u1", asin="B9", now=t), UnknownProduct, ("asin", 404)),
    (
        lambda c, a, t: records.add_review(c, shopper="u1", asin=a, rating=6, body="x", now=t),
        BadValue,
        ("rating", 422),
    ),
]


@pytest.mark.parametrize(("write", "error", "named"), REFUSED)
def test_refusal_names_the_field_and_writes_nothing(shop, now, write, error, named):
    """A refused write raises its error with field and status, and does not change the file."""
    before = list(shop.iterdump())
    with pytest.raises(error) as caught:
        write(shop, _in_stock(shop), now)
    assert isinstance(caught.value, ShopError)
    assert (caught.value.field, caught.value.status) == named
    assert list(shop.iterdump()) == before


def test_last_copy_is_sold_once(shop, now):
    """A purchase takes one copy and removes the cart line; without stock it gets status 409."""
    asin = _in_stock(shop)
    shop.execute("DELETE FROM promotions")
    records.set_inventory(shop, asin, 1)
    records.set_price(shop, asin, 777, now=now)
    records.set_cart(shop, "visitor-1", {asin: 1}, now=now)
    records.add_purchase(shop, shopper="visitor-1", asin=asin, now=now)
    assert queries.get_stock(shop, asin).quantity == 0
    assert queries.get_cart(shop, "visitor-1").lines == ()
    assert asin in queries.list_owned(shop, "visitor-1")
    assert shop.execute("SELECT cents FROM purchases ORDER BY id DESC LIMIT 1").fetchone() == (777,)
    with pytest.raises(OutOfStock) as caught:
        records.add_purchase(shop, shopper="visitor-2", asin=asin, now=now)
    assert caught.value.status == 409
    assert [subject for _, subject in _rows(shop) if subject == "user/visitor-2"] == []


def test_concurrent_buyers_share_the_stock(shop, now):
    """Concurrent buyers get exactly the copies in stock, each with its outbox row."""
    asin = _in_stock(shop)
    path = shop.execute("PRAGMA database_list").fetchone()[2]
    records.set_inventory(shop, asin, 5)

    def buy(number):
        with contextlib.closing(schema.connect(path)) as conn:
            try:
                return records.add_purchase(conn, shopper=f"buyer-{number}", asin=asin, now=now)
            except OutOfStock:
                return None

    with ThreadPoolExecutor(4) as pool:
        positions = [position for position in pool.map(buy, range(12)) if position]
    assert len(set(positions)) == 5
    assert queries.get_stock(shop, asin).quantity == 0


def test_delisted_product_is_not_sold(shop, now):
    """A delisted product cannot be bought, is not in lists or search, and can be read by id."""
    asin = _in_stock(shop)
    title = queries.get_product(shop, asin).title
    assert asin in {h.doc for h in index.search(shop, title, kind="product", limit=100)}
    records.delist(shop, asin)
    with pytest.raises(UnknownProduct):
        records.add_purchase(shop, shopper="u00001", asin=asin, now=now)
    assert not queries.get_product(shop, asin).listed
    assert asin not in {p.asin for p in queries.list_products(shop)}
    assert asin not in {h.doc for h in index.search(shop, title, kind="product", limit=100)}
    records.put_product(shop, asin, listed=True, now=now)
    assert [subject for _, subject in _rows(shop)] == [f"product/{asin}"] * 2


def test_search_follows_a_policy_change(shop, now):
    """The index has the policy's new words, with facts filled in, and not the old ones."""
    records.put_policy(shop, "returns", body="## Zebra clause\nZebras go back in {window_days} days.", now=now)
    hits = index.search(shop, "zebra", kind="policy")
    assert [h.doc for h in hits] == ["returns/zebra-clause"]
    assert "returns/return-window" not in {h.doc for h in index.search(shop, "return window", kind="policy")}


@pytest.mark.parametrize("text", ["", "?!", '"', "a OR", "NEAR(", "title:", "x" * 5000])
def test_search_accepts_any_text(shop, text):
    """Search operators and odd characters never raise an error."""
    assert isinstance(index.search(shop, text), list)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(["buy", "stock"]), st.integers(0, 3)), max_size=12))
def test_stock_is_never_negative(shop, now, steps):
    """In any order of purchases and restocking the stock is right and never negative."""
    asin = "B000003"
    records.put_product(shop, asin, listed=True, now=now)
    records.set_inventory(shop, asin, 0)
    left = 0
    for step, quantity in steps:
        if step == "stock":
            records.set_inventory(shop, asin, quantity)
            left = quantity
        elif left:
            records.add_purchase(shop, shopper="u00002", asin=asin, now=now)
            left -= 1
        else:
            with pytest.raises(OutOfStock):
                records.add_purchase(shop, shopper="u00002", asin=asin, now=now)
        assert queries.get_stock(shop, asin).quantity == left


def test_positions_grow_and_ids_differ(shop, now):
    """Positions grow in commit order, and each row has its own id."""
    positions = [records.put_promotion(shop, "p001", percent=p) for p in range(1, 20)]
    assert positions == sorted(set(positions))
    assert shop.execute("SELECT count(DISTINCT id) FROM parbake_outbox WHERE subject LIKE '%/%'").fetchone() == (19,)


def test_connection_is_durable(shop):
    """Connections use WAL with synchronous FULL, enforce foreign keys and wait 10 s for locks."""
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    assert [shop.execute(f"PRAGMA {name}").fetchone()[0] for name in names] == ["wal", 2, 1, 10_000]


def test_foreign_file_is_refused(tmp_path):
    """A file that is not SQLite, or is not a shop, is refused with advice."""
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to be read as one\n" * 40)
    with pytest.raises(NotAShop, match="another path"):
        schema.connect(text)
    empty = schema.connect(tmp_path / "empty.db")
    with pytest.raises(NotAShop, match="generate"):
        schema.check(empty)
    schema.create(empty)
    schema.check(empty)
    empty.execute("UPDATE meta SET value = '0' WHERE key = 'schema_version'")
    with pytest.raises(NotAShop, match="version 0"):
        schema.check(empty)
    empty.close()


def test_a_product_needs_no_series_volume_format_author_or_genre(shop, now):
    """A shop of any kind adds a product by its title and its price, and edits it."""
    records.put_product(shop, "FORK", title="Border Fork", cents=3433, now=now)
    made = queries.get_product(shop, "FORK")
    assert (made.series, made.volume, made.author, made.genre, made.format) == ("", 0, "", "", "")
    records.put_product(shop, "FORK", description="Four tines.", format="left-handed", now=now)
    assert queries.get_product(shop, "FORK").description == "Four tines."
