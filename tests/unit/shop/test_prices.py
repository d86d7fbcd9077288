"""What a shopper pays: the price less the best promotion that runs for the shopper, in purchases and checkouts."""

import pytest

from retail_assistant.shop import orders, queries, records
from retail_assistant.shop.prices import charges

ME = "u00001"


@pytest.fixture
def asin(shop, now):
    """Return a product at €19.90 of a shop without promotions, for a regular shopper."""
    shop.execute("DELETE FROM promotions")
    shop.execute("UPDATE shoppers SET segment = 'regular' WHERE id = ?", (ME,))
    found = shop.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin").fetchone()[0]
    records.set_live(shop, found, cents=1990, quantity=9, now=now)
    return found


@pytest.fixture
def promote(shop, now, asin):
    """Return a function that stores a promotion, by default one that runs now on the product's genre for all."""
    genre = queries.get_product(shop, asin).genre

    def one(name, percent, *, category=genre, segment="all", starts=-10, ends=10):
        times = {"starts_at": now + starts, "ends_at": now + ends}
        records.put_promotion(shop, name, title=name, category=category, segment=segment, percent=percent, **times)

    return one


def pays(shop, now, asin):
    """Return what the shopper pays and the promotion's id."""
    charge = charges(shop, ME, [asin], now=now)[asin]
    return charge.cents, charge.promotion and charge.promotion.id


def test_without_a_promotion_the_price_is_paid(shop, now, asin):
    """Nothing is taken off without a promotion, and a product without a price has no charge."""
    assert pays(shop, now, asin) == (1990, None)
    assert charges(shop, ME, ["NOPE"], now=now) == {}


def test_the_best_promotion_counts(shop, now, asin, promote):
    """Of several that fit the highest counts, of equal ones the first by id; they are not added up."""
    promote("low", 10)
    promote("b", 40)
    promote("a", 40, category="*")
    assert pays(shop, now, asin) == (1194, "a")


@pytest.mark.parametrize(
    "members",
    [{"category": "gardening"}, {"segment": "vip"}, {"starts": 1}, {"ends": 0}],
    ids=["genre", "segment", "future", "past"],
)
def test_a_promotion_that_does_not_concern_the_shopper_now_takes_nothing_off(shop, now, asin, promote, members):
    """One on another genre, for others, or at another time does not count."""
    records.put_product(shop, "NEW1", now=now, cents=500, title="New", author="A", genre="gardening")
    promote("other", 50, **members)
    assert pays(shop, now, asin) == (1990, None)


def test_a_promotion_counts_from_its_start_for_its_segment(shop, now, asin, promote):
    """One that starts at this moment counts, and so does one for the shopper's own segment."""
    promote("mine", 30, segment="regular", starts=0)
    assert pays(shop, now, asin) == (1393, "mine")


def test_a_purchase_and_an_order_cost_the_promised_price(shop, now, asin, promote):
    """The purchase, the order's line and its points are of the reduced price."""
    promote("sale", 40)
    records.add_purchase(shop, shopper=ME, asin=asin, now=now)
    before = orders.get_points(shop, ME)
    records.set_cart(shop, ME, {asin: 2}, now=now)
    delivery = 390 if queries.get_product(shop, asin).format != "digital" else 0
    orders.check_out(shop, ME, total_cents=2388 + delivery, now=now)
    assert [line.cents for line in orders.list_orders(shop, ME)[0].lines] == [1194]
    paid = shop.execute("SELECT cents FROM purchases ORDER BY id DESC LIMIT 3").fetchall()
    assert paid == [(1194,)] * 3
    assert orders.get_points(shop, ME) == before + 2 * 23


def test_each_product_of_one_request_has_its_own_best_promotion(shop, now, asin, promote):
    """Of products of several genres each is charged by the best promotion on its own genre."""
    records.put_product(shop, "NEW1", now=now, cents=500, title="New", author="A", genre="gardening")
    promote("all", 10, category="*")
    promote("garden", 50, category="gardening")
    found = charges(shop, ME, [asin, "NEW1"], now=now)
    assert {name: (c.cents, c.promotion.id) for name, c in found.items()} == {
        asin: (1791, "all"),
        "NEW1": (250, "garden"),
    }
