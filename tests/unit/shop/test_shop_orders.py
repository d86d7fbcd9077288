"""Orders: stored, listed, cancelled and sent back, each write with its outbox row."""

import sqlite3

import pytest

from retail_assistant.shop import orders, queries, records
from retail_assistant.shop.errors import BadValue, OrderClosed, ShopError, UnknownOrder, UnknownProduct
from retail_assistant.shop.schema import ORDER_STATES

MINE, OTHER = "u00001", "u00002"
WRITTEN_BY_A_CHECKOUT = ("orders", "order_lines", "purchases", "inventory", "carts", "shoppers", "parbake_outbox")


FEE = 390
"""What the generated shop's policy lists for delivery, in cents."""


@pytest.fixture
def asins(shop):
    """Return two printed products on sale, without any promotion."""
    shop.execute("DELETE FROM promotions")
    printed = "SELECT asin FROM products WHERE listed = 1 AND format <> 'digital' ORDER BY asin LIMIT 2"
    return [row[0] for row in shop.execute(printed)]


@pytest.fixture
def put(shop, now, asins):
    """Return a function that stores an order of two products for a shopper."""

    def one(number="X1", *, shopper=MINE, state="placed", placed_at=now, **members):
        lines = members.pop("lines", {asins[0]: (2, 500), asins[1]: (1, 1250)})
        return orders.put_order(
            shop, number, shopper=shopper, placed_at=placed_at, state=state, lines=lines, now=now, **members
        )

    return one


def outbox(conn):
    """Return position and subject of every event about a shopper, apart from the one of the new shop."""
    statement = "SELECT position, subject FROM parbake_outbox WHERE subject LIKE 'user/%' ORDER BY position"
    return conn.execute(statement).fetchall()


def stocks(conn, asins):
    """Return how many copies of some products are in stock."""
    return [queries.get_stock(conn, asin).quantity for asin in asins]


def test_an_order_is_stored_with_its_lines(shop, now, put, asins):
    """A stored order has its state, its tracking number and its lines, and costs the sum of its copies."""
    position = put(tracking="TRK1", state="shipped")
    found = orders.get_order(shop, MINE, "X1")
    assert (found.number, found.shopper, found.state, found.tracking) == ("X1", MINE, "shipped", "TRK1")
    assert (found.placed_at, found.changed_at) == (now, now)
    assert [(line.asin, line.quantity, line.cents) for line in found.lines] == [(asins[0], 2, 500), (asins[1], 1, 1250)]
    assert found.titles == [queries.get_product(shop, asin).title for asin in asins]
    assert found.cents == 2250
    assert outbox(shop) == [(position, f"user/{MINE}")]


def test_an_order_that_is_stored_again_is_changed(shop, now, put, asins):
    """A second write of a number replaces state, tracking number and lines; the day it was placed stays."""
    put()
    put(state="shipped", tracking="TRK2", placed_at=now + 99, lines={asins[1]: (3, 100)})
    found = orders.get_order(shop, MINE, "X1")
    assert (found.state, found.tracking, found.placed_at, found.cents) == ("shipped", "TRK2", now, 300)
    assert len(outbox(shop)) == 2


def test_a_shopper_who_is_new_gets_an_order(shop, put):
    """An order of an unknown shopper adds the shopper."""
    put(shopper="newcomer")
    assert [order.number for order in orders.list_orders(shop, "newcomer")] == ["X1"]
    assert queries.get_segment(shop, "newcomer") == "new"


@pytest.mark.parametrize(
    ("members", "error", "field"),
    [
        ({"state": "lost"}, BadValue, "state"),
        ({"number": "two words"}, BadValue, "number"),
        ({"number": ""}, BadValue, "number"),
        ({"shopper": "two words"}, BadValue, "shopper"),
        ({"placed_at": float("nan")}, BadValue, "placed_at"),
        ({"lines": {"NOPE": (1, 1)}}, UnknownProduct, "asin"),
        ({"lines": {"B000001": (0, 1)}}, BadValue, "quantity"),
        ({"lines": {"B000001": (1, -1)}}, BadValue, "cents"),
    ],
)
def test_a_bad_order_is_refused_and_changes_nothing(shop, put, members, error, field):
    """A bad value is refused with its field, and neither order, lines, shopper nor event is written."""
    before = [
        tuple(shop.execute(f"SELECT count(*) FROM {t}").fetchone()) for t in ("orders", "order_lines", "shoppers")
    ]
    with pytest.raises(error) as caught:
        put(**members)
    assert caught.value.field == field
    assert before == [
        tuple(shop.execute(f"SELECT count(*) FROM {t}").fetchone()) for t in ("orders", "order_lines", "shoppers")
    ]
    assert outbox(shop) == []


def test_the_order_of_somebody_else_is_not_overwritten(shop, put, asins):
    """A number that another shopper's order has is refused, and that order stays as it is."""
    put(shopper=OTHER)
    with pytest.raises(ShopError):
        put(shopper=MINE, state="cancelled", lines={asins[0]: (9, 1)})
    kept = orders.get_order(shop, OTHER, "X1")
    assert (kept.state, kept.cents) == ("placed", 2250)


def test_orders_come_newest_first(shop, now, put):
    """A shopper's orders are listed by the day they were placed, newest first, at most as many as the limit."""
    for number, at in (("X1", now + 1), ("X2", now + 3), ("X3", now + 2), ("X4", now + 3)):
        put(number, shopper="newcomer", placed_at=at)
    assert [order.number for order in orders.list_orders(shop, "newcomer")] == ["X4", "X2", "X3", "X1"]
    assert [order.number for order in orders.list_orders(shop, "newcomer", limit=2)] == ["X4", "X2"]
    assert orders.list_orders(shop, "nobody") == []


def test_each_shopper_sees_only_own_orders(shop):
    """In a generated shop every listed order belongs to the shopper who asks, and all orders belong to somebody."""
    numbers = {row[0] for row in shop.execute("SELECT number FROM orders")}
    listed = {}
    for (shopper,) in shop.execute("SELECT DISTINCT shopper FROM orders").fetchall():
        for order in orders.list_orders(shop, shopper, limit=10_000):
            assert order.shopper == shopper
            assert order.lines
            assert order.state in ORDER_STATES
            listed[order.number] = shopper
    assert set(listed) == numbers


@pytest.mark.parametrize("number", ["X1", "x1"])
def test_an_order_is_found_by_its_owner_only(shop, put, number):
    """The owner finds an order by its number in any case; for others it does not exist."""
    put("X1")
    assert orders.get_order(shop, MINE, number).number == "X1"
    for shopper in (OTHER, "nobody"):
        with pytest.raises(UnknownOrder) as caught:
            orders.get_order(shop, shopper, number)
        assert (caught.value.status, caught.value.field) == (404, "number")
    with pytest.raises(UnknownOrder):
        orders.get_order(shop, MINE, "X2")


def test_a_cancelled_order_puts_its_copies_back(shop, now, put, asins):
    """Cancelling moves the order to its end, returns each line's copies to the stock, and tells of the shopper."""
    before = stocks(shop, asins)
    put()
    position = orders.cancel(shop, MINE, "x1", now=now + 5)
    found = orders.get_order(shop, MINE, "X1")
    assert (found.state, found.changed_at) == ("cancelled", now + 5)
    assert stocks(shop, asins) == [before[0] + 2, before[1] + 1]
    assert outbox(shop)[-1] == (position, f"user/{MINE}")


@pytest.mark.parametrize("state", [state for state in ORDER_STATES if state != "placed"])
def test_only_an_order_that_is_not_packed_is_cancelled(shop, now, put, asins, state):
    """In any other state than "placed" nothing changes, neither the order, the stock nor the events."""
    put(state=state)
    before, events = stocks(shop, asins), outbox(shop)
    with pytest.raises(OrderClosed, match=f"order X1 is {state}") as caught:
        orders.cancel(shop, MINE, "X1", now=now)
    assert caught.value.status == 409
    assert orders.get_order(shop, MINE, "X1").state == state
    assert (stocks(shop, asins), outbox(shop)) == (before, events)


def test_an_order_is_cancelled_once(shop, now, put, asins):
    """A second cancellation is refused, and puts nothing back a second time."""
    put()
    orders.cancel(shop, MINE, "X1", now=now)
    after = stocks(shop, asins)
    with pytest.raises(OrderClosed):
        orders.cancel(shop, MINE, "X1", now=now)
    assert stocks(shop, asins) == after


def test_the_return_of_a_delivered_order_is_started(shop, now, put, asins):
    """The return moves the order on and tells of the shopper; the stock waits for the parcel."""
    put(state="delivered")
    before = stocks(shop, asins)
    position = orders.start_return(shop, MINE, "X1", now=now + 7)
    found = orders.get_order(shop, MINE, "X1")
    assert (found.state, found.changed_at) == ("returning", now + 7)
    assert outbox(shop)[-1] == (position, f"user/{MINE}")
    assert stocks(shop, asins) == before


@pytest.mark.parametrize("state", [state for state in ORDER_STATES if state != "delivered"])
def test_only_a_delivered_order_is_sent_back(shop, now, put, state):
    """In any other state than "delivered" a return is refused, and neither the order nor the events change."""
    put(state=state)
    events = outbox(shop)
    with pytest.raises(OrderClosed, match=f"order X1 is {state}"):
        orders.start_return(shop, MINE, "X1", now=now)
    assert orders.get_order(shop, MINE, "X1").state == state
    assert outbox(shop) == events


@pytest.fixture
def digital(shop):
    """Return a digital edition on sale."""
    return shop.execute("SELECT asin FROM products WHERE listed = 1 AND format = 'digital' ORDER BY asin").fetchone()[0]


def test_an_order_of_digital_editions_is_not_sent_back(shop, now, put, digital):
    """A return of digital editions alone is refused, and neither the order nor the events change."""
    put(state="delivered", lines={digital: (2, 500)})
    events = outbox(shop)
    with pytest.raises(OrderClosed, match="order X1 has only digital editions") as caught:
        orders.start_return(shop, MINE, "X1", now=now)
    assert caught.value.status == 409
    assert orders.get_order(shop, MINE, "X1").state == "delivered"
    assert outbox(shop) == events


def test_the_printed_books_of_a_mixed_order_are_sent_back(shop, now, put, asins, digital):
    """An order with a printed book and a digital edition can be returned, and its lines say which of them."""
    put(state="delivered", lines={asins[0]: (1, 500), digital: (1, 500)})
    found = {line.asin: line.can_return for line in orders.get_order(shop, MINE, "X1").lines}
    assert found == {asins[0]: True, digital: False}
    orders.start_return(shop, MINE, "X1", now=now)
    assert orders.get_order(shop, MINE, "X1").state == "returning"


@pytest.mark.parametrize(("days", "refused"), [(30, False), (31, True)])
def test_an_order_is_sent_back_within_the_window_of_the_policy(shop, now, put, days, refused):
    """A return is started up to the last day that the policy states, and without a policy on any day."""
    put(state="delivered")
    later = now + days * 86_400
    if refused:
        with pytest.raises(OrderClosed, match="too late to return order X1"):
            orders.start_return(shop, MINE, "X1", now=later)
        records.delete_policy(shop, "returns")
    orders.start_return(shop, MINE, "X1", now=later)
    assert orders.get_order(shop, MINE, "X1").state == "returning"


@pytest.mark.parametrize(("change", "state"), [(orders.cancel, "placed"), (orders.start_return, "delivered")])
def test_the_order_of_somebody_else_is_not_changed(shop, now, put, change, state):
    """Nobody cancels or sends back the order of another shopper."""
    put(shopper=OTHER, state=state)
    events = outbox(shop)
    with pytest.raises(UnknownOrder):
        change(shop, MINE, "X1", now=now)
    assert orders.get_order(shop, OTHER, "X1").state == state
    assert outbox(shop) == events


def test_points_are_those_of_the_shopper(shop):
    """Each shopper has own points, and an unknown one has none."""
    shop.execute("UPDATE shoppers SET points = 77 WHERE id = ?", (MINE,))
    shop.execute("UPDATE shoppers SET points = 5 WHERE id = ?", (OTHER,))
    assert [orders.get_points(shop, name) for name in (MINE, OTHER, "nobody")] == [77, 5, 0]


def test_a_generated_shopper_has_the_points_that_the_policy_promises(shop):
    """A generated shopper has the policy's points for each euro of the orders that were not cancelled or returned."""
    points_per_euro = queries.get_policy(shop, "loyalty").facts["points_per_eur"]
    for (shopper,) in shop.execute("SELECT id FROM shoppers").fetchall():
        kept = [o for o in orders.list_orders(shop, shopper, limit=10_000) if o.state not in ("cancelled", "returned")]
        assert orders.get_points(shop, shopper) == sum(points_per_euro * (order.books // 100) for order in kept)


@pytest.fixture
def checked_out(shop, now, asins):
    """Check out two copies of the first product and one of the second at €10 each; return the order's number."""
    for asin in asins:
        records.set_live(shop, asin, cents=1000, quantity=5, now=now)
    records.set_cart(shop, MINE, dict(zip(asins, (2, 1), strict=True)), now=now)
    return orders.number_at(orders.check_out(shop, MINE, total_cents=3000 + FEE, now=now))


def purchases(conn):
    """Return every purchase."""
    return conn.execute("SELECT shopper, asin, ts, cents FROM purchases ORDER BY id").fetchall()


@pytest.fixture
def bought(shop, now, asins):
    """Return the purchases of a shop in which the first product was also bought at other times and by others."""
    bought = "INSERT INTO purchases (shopper, asin, ts, cents) VALUES (?, ?, ?, 900)"
    shop.executemany(bought, [(MINE, asins[0], now - 1), (OTHER, asins[0], now), (MINE, asins[0], 0)])
    return purchases(shop)


def test_what_a_cancelled_checkout_bought_is_not_owned(shop, now, asins, bought, checked_out):
    """A cancellation removes the purchases of its checkout, and only those."""
    assert len(purchases(shop)) == len(bought) + 3
    orders.cancel(shop, MINE, checked_out, now=now + 5)
    assert purchases(shop) == bought
    assert asins[1] not in queries.list_owned(shop, MINE)


def test_of_two_checkouts_at_one_moment_the_other_stays_bought(shop, now, asins, checked_out):
    """A cancellation removes as many purchases of a product as its order has copies, not those of another order."""
    records.set_cart(shop, MINE, {asins[0]: 1}, now=now)
    orders.check_out(shop, MINE, total_cents=1000 + FEE, now=now)
    orders.cancel(shop, MINE, checked_out, now=now)
    assert [row[:3] for row in purchases(shop) if row[2] == now] == [(MINE, asins[0], now)]


def test_a_cancellation_is_written_as_a_whole_or_not_at_all(shop, now, checked_out):
    """If the last statement of a cancellation fails, the order, the stock, the purchases and the points stay."""
    shop.execute("CREATE TRIGGER stuck BEFORE INSERT ON parbake_outbox BEGIN SELECT raise(ABORT, 'stuck'); END")
    before = [shop.execute(f"SELECT * FROM {table}").fetchall() for table in WRITTEN_BY_A_CHECKOUT]
    with pytest.raises(sqlite3.IntegrityError, match="stuck"):
        orders.cancel(shop, MINE, checked_out, now=now)
    assert [shop.execute(f"SELECT * FROM {table}").fetchall() for table in WRITTEN_BY_A_CHECKOUT] == before


def test_what_was_sent_back_is_still_owned(shop, now, asins, checked_out):
    """The return of a checked-out order keeps its purchases, because the books were read."""
    shop.execute("UPDATE orders SET state = 'delivered' WHERE number = ?", (checked_out,))
    before = purchases(shop)
    orders.start_return(shop, MINE, checked_out, now=now)
    assert purchases(shop) == before
    assert set(asins) <= queries.list_owned(shop, MINE)


@pytest.mark.parametrize("placed_at", [0.0, 1_000.0])
def test_an_imported_order_keeps_the_purchases_of_other_moments(shop, now, put, bought, placed_at):
    """The cancellation of an order without purchases of its moment, or of which nobody knows the day, removes none."""
    put("W123", placed_at=placed_at)
    orders.cancel(shop, MINE, "W123", now=now)
    assert purchases(shop) == bought


def test_a_cancellation_takes_off_what_the_checkout_credited(shop, now, checked_out):
    """A rate that the policy changed meanwhile does not count: the points are as they were before the checkout."""
    earned = orders.get_points(shop, MINE)
    records.put_policy(shop, "loyalty", facts={"points_per_eur": 1}, now=now)
    orders.cancel(shop, MINE, checked_out, now=now)
    assert orders.get_points(shop, MINE) == earned - 2 * 30


def test_a_generated_order_takes_its_points_with_it(shop, now):
    """The cancellation of a generated order takes off the points that the shop was generated with for it."""
    number, shopper = shop.execute("SELECT number, shopper FROM orders WHERE state = 'placed'").fetchone()
    before, cents = orders.get_points(shop, shopper), orders.get_order(shop, shopper, number).books
    orders.cancel(shop, shopper, number, now=now)
    assert orders.get_points(shop, shopper) == before - 2 * (cents // 100) < before


def test_a_cancelled_checkout_takes_no_more_points_than_there_are(shop, now, asins):
    """Points that were spent meanwhile stay spent: the cancellation of a checked-out order leaves 0, and no debt."""
    records.set_live(shop, asins[0], cents=1000, quantity=5, now=now)
    records.set_cart(shop, MINE, {asins[0]: 1}, now=now)
    position = orders.check_out(shop, MINE, total_cents=1000 + FEE, now=now)
    shop.execute("UPDATE shoppers SET points = 1 WHERE id = ?", (MINE,))
    orders.cancel(shop, MINE, orders.number_at(position), now=now)
    assert orders.get_points(shop, MINE) == 0


@pytest.mark.parametrize("number", ["X1", "W123"])
def test_an_order_that_earned_nothing_takes_no_points(shop, now, put, number):
    """The cancellation of an order that no checkout placed leaves the points as they are, whatever its number."""
    put(number)
    shop.execute("UPDATE shoppers SET points = 50 WHERE id = ?", (MINE,))
    orders.cancel(shop, MINE, number, now=now)
    assert orders.get_points(shop, MINE) == 50


def test_a_checkout_is_written_as_a_whole_or_not_at_all(shop, now, asins):
    """If the last statement of a checkout fails, the order, the stock, the points and the outbox are as before."""
    for asin in asins:
        records.set_live(shop, asin, cents=1000, quantity=5, now=now)
    records.set_cart(shop, MINE, dict.fromkeys(asins, 2), now=now)
    shop.execute("CREATE TRIGGER stuck BEFORE DELETE ON carts BEGIN SELECT raise(ABORT, 'stuck'); END")
    before = [shop.execute(f"SELECT * FROM {table}").fetchall() for table in WRITTEN_BY_A_CHECKOUT]
    with pytest.raises(sqlite3.IntegrityError, match="stuck"):
        orders.check_out(shop, MINE, total_cents=2000 * len(asins), now=now)
    assert [shop.execute(f"SELECT * FROM {table}").fetchall() for table in WRITTEN_BY_A_CHECKOUT] == before
    shop.execute("DROP TRIGGER stuck")
    position = orders.check_out(shop, MINE, total_cents=2000 * len(asins), now=now)
    assert (position, f"user/{MINE}") in outbox(shop)
    assert orders.get_order(shop, MINE, orders.number_at(position)).cents == 2000 * len(asins)
