"""Orders and points of an imported shop."""

import json
import os

import pytest

from retail_assistant.importing import load_rows, tau
from retail_assistant.shop import orders, schema

PRODUCTS = [{"asin": "A1", "title": "A book", "price": 9.99}, {"asin": "A2", "title": "Another", "price": 5.0}]
ORDER = {"number": "N1", "shopper": "s1", "state": "shipped", "placed_at": "2026-01-02T00:00:00Z", "tracking": "T9"}
LINES = [
    {"number": "N1", "asin": "A2", "price": 4.5},
    {"number": "N1", "asin": "A1", "price": 9.5, "quantity": 2},
]


@pytest.fixture
def loaded(tmp_path):
    """Return a function that imports tables beside two products; it returns the report and a connection."""
    opened = []

    def load_it(**tables):
        report = load_rows.load({"products": PRODUCTS, **tables}, tmp_path / "shop.db")
        opened.append(schema.connect(tmp_path / "shop.db"))
        return report, opened[-1]

    yield load_it
    for conn in opened:
        conn.close()


def test_an_order_is_imported_with_its_lines(loaded):
    """An imported order belongs to its shopper, who is added, and has all its lines at what one copy cost."""
    report, conn = loaded(orders=[ORDER], order_lines=LINES)
    assert report.refused == {}, report.lines()
    (order,) = orders.list_orders(conn, "s1")
    assert (order.number, order.state, order.tracking, order.placed_at) == ("N1", "shipped", "T9", 1_767_312_000.0)
    assert [(line.asin, line.quantity, line.cents) for line in order.lines] == [("A1", 2, 950), ("A2", 1, 450)]


def test_several_lines_of_one_product_become_one(loaded):
    """A product that an order lists twice is one line with both copies."""
    _, conn = loaded(orders=[ORDER], order_lines=[LINES[0], LINES[0] | {"quantity": 3}])
    assert [(line.asin, line.quantity) for line in orders.get_order(conn, "s1", "N1").lines] == [("A2", 4)]


def test_only_the_owner_can_read_an_imported_shop(tmp_path):
    """A shop has orders and addresses: its folder and its files are for their owner alone."""
    before = os.umask(0o022)
    try:
        load_rows.load({"products": PRODUCTS, "orders": [ORDER], "order_lines": LINES}, tmp_path / "new" / "shop.db")
    finally:
        os.umask(before)
    made = [tmp_path / "new", *(tmp_path / "new").iterdir()]
    assert [path.name for path in made if path.stat().st_mode & 0o077] == []


def test_the_sign_before_a_number_is_not_part_of_it(loaded):
    """An order "#N1" and its lines have the number N1, however each is written."""
    report, conn = loaded(orders=[ORDER | {"number": "#N1"}], order_lines=LINES)
    assert report.refused == {}, report.lines()
    assert len(orders.get_order(conn, "s1", "N1").lines) == 2


def test_points_are_imported(loaded):
    """A shopper's points are read, and are 0 if the file has none."""
    _, conn = loaded(shoppers=[{"id": "s1", "points": 120}, {"id": "s2"}])
    assert [orders.get_points(conn, name) for name in ("s1", "s2")] == [120, 0]


@pytest.mark.parametrize(
    ("table", "row", "reason"),
    [
        ("orders", ORDER | {"state": "lost"}, "state: send one of placed"),
        ("orders", ORDER | {"number": "N 1"}, "number: send 1 to 64 letters"),
        ("orders", {"number": "N2", "shopper": "s1"}, "missing required field `state`"),
        ("order_lines", LINES[0] | {"number": "N9"}, "'N9' does not belong to an accepted order"),
        ("order_lines", LINES[0] | {"asin": "A9"}, "'A9' does not belong to an accepted product"),
        ("order_lines", LINES[0] | {"quantity": 0}, "quantity: send a whole number from 1"),
        ("order_lines", LINES[0] | {"quantity": 1_000_001}, "quantity: send a whole number from 1 to 1000000"),
        ("orders", ORDER | {"number": "N2", "placed_at": 1_796_277_000_000}, "milliseconds are divided by 1,000"),
        ("orders", ORDER | {"number": "N2", "placed_at": 1e300}, "is not a time in epoch seconds"),
        ("order_lines", LINES[0] | {"price": -1}, "must not be negative"),
        ("shoppers", {"id": "s9", "points": -1}, "points: send a whole number from 0"),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(loaded, table, row, reason):
    """A row that cannot be stored is refused with what is wrong, and the good rows beside it are kept."""
    tables = {"orders": [ORDER], "order_lines": LINES, "shoppers": [{"id": "s1"}]}
    tables[table] = [*tables[table], row]
    report, conn = loaded(**tables)
    assert list(report.refused) == [table]
    assert reason in "\n".join(report.lines())
    assert len(orders.get_order(conn, "s1", "N1").lines) == 2


def tau_tables():
    """Return a data set in the layout of tau-bench with three orders of one shopper."""
    item = {"item_id": "1", "options": {"color": "red"}, "available": True, "price": 10.0}
    sold = {"user_id": "u1", "items": [{"item_id": "1", "price": 9.0}, {"item_id": "1", "price": 9.0}]}
    place = {"address1": "1 Lane", "address2": "", "city": "Town", "zip": "123"}
    return {
        "products": {"p": {"name": "Lamp", "variants": {"1": item}}},
        "orders": {
            "#W1": sold | {"status": "delivered", "fulfillments": [{"tracking_id": ["88"]}], "address": place},
            "#W2": sold | {"status": "pending (item modified)"},
            "#W3": sold | {"status": "processed"},
        },
        "users": {"u1": {"orders": ["#W3", "#W1"]}},
    }


def test_orders_of_the_tau_data_set_are_imported(tmp_path):
    """The orders get the shop's states, their tracking numbers and addresses, and the same item twice is one line."""
    for name, value in tau_tables().items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    (tmp_path / "wiki.md").write_text("# Policy\n\n## Refunds\n\n- Refunds take 5 days.\n")
    report = load_rows.load(tau.tables_of(tmp_path), tmp_path / "shop.db")
    assert report.refused == {}, report.lines()
    conn = schema.connect(tmp_path / "shop.db")
    found = {order.number: order for order in orders.list_orders(conn, "u1")}
    assert {number: order.state for number, order in found.items()} == {
        "W1": "delivered", "W2": "placed", "W3": "shipped",
    }  # fmt: skip
    assert (found["W1"].tracking, found["W2"].tracking) == ("88", "")
    assert [(line.quantity, line.cents) for line in found["W1"].lines] == [(2, 900)]
    assert conn.execute("SELECT address FROM orders WHERE number = 'W1'").fetchone() == ("1 Lane, Town, 123",)
    conn.close()
