"""Reads of the shop by id, and its lists."""

import pytest

from retail_assistant.shop import queries, records
from retail_assistant.shop.errors import BadValue, NotFound


@pytest.mark.parametrize(
    "read", [queries.get_policy, queries.get_product, queries.get_promotion, queries.get_price, queries.get_stock]
)
def test_unknown_id_is_not_found(shop, read):
    """An unknown id raises ``NotFound`` with status 404 and the field."""
    with pytest.raises(NotFound) as caught:
        read(shop, "nosuch")
    assert caught.value.status == 404
    assert caught.value.field in {"id", "asin"}


def test_unknown_shopper_is_new_and_has_nothing(shop):
    """An unknown shopper has an empty cart, no purchases and the segment ``new``."""
    assert queries.get_cart(shop, "nobody").lines == ()
    assert queries.list_owned(shop, "nobody") == frozenset()
    assert queries.get_segment(shop, "nobody") == "new"
    assert queries.get_segment(shop, "u00001") in {"new", "regular", "vip"}


def test_lists_are_in_order(shop):
    """Products are sorted by asin, and promotions by start; delisted products are optional."""
    every = queries.list_products(shop, delisted=True)
    assert [p.asin for p in every] == sorted(p.asin for p in every)
    assert {p.asin for p in queries.list_products(shop)} == {p.asin for p in every if p.listed}
    starts = [p.starts_at for p in queries.list_promotions(shop)]
    assert starts == sorted(starts)


def test_the_best_promotion_for_an_audience_comes_first():
    """Promotions on a genre or on all, for a segment or for all, are ordered by percent and then by id."""
    rows = [("c", "*", "all", 10), ("b", "horror", "vip", 30), ("a", "horror", "all", 30), ("d", "sports", "all", 40)]
    every = [queries.Promotion(i, i, category, segment, percent, 0, 1) for i, category, segment, percent in rows]

    def best(category, segment):
        return "".join(p.id for p in queries.best_first(every, category, segment))

    assert (best("horror", "vip"), best("horror", "new")) == ("abc", "ac")
    assert (best("sports", "new"), best("war", "vip"), best("*", "vip")) == ("dc", "c", "dabc")


def test_meta_says_what_the_shop_has(shop, now):
    """The file records its seed, its time and which histories it has."""
    meta = queries.get_meta(shop)
    assert (meta["seed"], float(meta["now"]), meta["shoppers"]) == ("7", now, "300")
    assert {meta[f"has_{name}"] for name in ("timestamps", "purchases", "views", "reviews", "queries")} == {"1"}


def test_purchase_without_a_price_is_refused(shop, now):
    """A product without a price cannot be bought."""
    asin = queries.list_products(shop)[0].asin
    shop.execute("DELETE FROM prices WHERE asin = ?", (asin,))
    with pytest.raises(BadValue) as caught:
        records.add_purchase(shop, shopper="u00001", asin=asin, now=now)
    assert caught.value.field == "cents"
