"""Suggestions beside a product: recommendations for its page, with live price and stock and how they were made."""

import pytest

import parbake as pb
from retail_assistant.http.suggestions import COUNT
from retail_assistant.recs.recs_tasks import MOST_SHOWN, recommendations, trending
from retail_assistant.recs.trends import ALL
from retail_assistant.shop import records

NOW = 1_790_000_000.0
SHOPPER = "u00003"


async def suggested(desk, asin, user=SHOPPER):
    """Return the suggestions beside a product."""
    answer = await desk.client.get(f"/shop/products/{asin}/suggestions", params={"user": user})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_suggestions_are_the_recommendations_for_the_page(desk):
    """They are the best that the task recommends for the page, each of another series, with lane and age."""
    asin = desk.product().asin
    found = await suggested(desk, asin)
    served = await desk.http.app.serve(recommendations, SHOPPER, shopper=SHOPPER, page=asin, count=MOST_SHOWN)
    ranked = [one.asin for one in served.value]
    chosen = [item["asin"] for item in found["products"]]
    assert chosen == sorted(chosen, key=ranked.index)
    lines = {offer.product.line for offer in desk.shop.offers(chosen)}
    assert len(lines) == len(chosen) == COUNT
    assert desk.shop.product(asin).line not in lines
    assert (found["lane"], found["verdict"]) == (served.over, "fresh")
    assert found["age_s"] >= 0


async def test_price_stock_and_promotion_of_suggestions_are_live(desk):
    """A new price is in the next suggestions, with the shopper's promotion, and what was sold out is not."""
    asin = desk.product().asin
    first, second = (await suggested(desk, asin))["products"][:2]
    records.set_live(desk.conn, first["asin"], cents=200, quantity=3, now=NOW)
    records.set_inventory(desk.conn, second["asin"], 0)
    desk.conn.execute("DELETE FROM promotions")
    records.put_promotion(desk.conn, "p", title="Half", category="*", percent=50, starts_at=NOW - 9, ends_at=NOW + 9)
    await desk.http.app.drain()
    found = {item["asin"]: item for item in (await suggested(desk, asin))["products"]}
    assert second["asin"] not in found
    shown = found[first["asin"]]
    assert (shown["price"], shown["quantity"], shown["promotion"]["price"]) == ("€2.00", 3, "€1.00")


async def test_the_first_page_has_recommendations_and_what_sells(desk):
    """A shopper's are what the task recommends without a page; what sells is the same for everybody, and in stock."""
    found = (await desk.client.get("/shop/suggestions", params={"user": SHOPPER})).json()
    served = await desk.http.app.serve(recommendations, SHOPPER, shopper=SHOPPER, page=None, count=MOST_SHOWN)
    ranked = [one.asin for one in served.value]
    chosen = [item["asin"] for item in found["products"]]
    assert len(chosen) == COUNT
    assert chosen == sorted(chosen, key=ranked.index)
    selling = (await desk.client.get("/shop/trending", params={"user": SHOPPER})).json()
    ranked = [one.asin for one in (await desk.http.app.serve(trending, ALL)).value]
    chosen = [item["asin"] for item in selling["products"]]
    assert chosen == sorted(chosen, key=ranked.index)
    assert len(chosen) == COUNT
    assert selling["why"] == {}
    other = (await desk.client.get("/shop/trending")).json()
    assert [item["asin"] for item in other["products"]] == chosen


@pytest.mark.parametrize("user", ["anonymous", "newcomer", ""])
async def test_a_shopper_without_a_past_gets_suggestions(desk, user):
    """For a shopper whom the shop does not know, the page and the trend suggest."""
    found = await suggested(desk, desk.product().asin, user)
    assert len(found["products"]) == COUNT


async def test_a_product_that_is_not_sold_has_no_suggestions(desk):
    """An unknown and a delisted product get 404."""
    asin = desk.product().asin
    records.delist(desk.conn, asin)
    for name in (asin, "NOPE"):
        answer = await desk.client.get(f"/shop/products/{name}/suggestions")
        assert (answer.status_code, answer.json()["field"]) == (404, "asin")


async def test_a_page_is_shown_without_its_suggestions(desk, monkeypatch):
    """If recommendations fail, their own request fails and the product's page is as before."""
    asin = desk.product().asin
    serve = desk.http.app.serve

    async def failing(task, *args, **kwargs):
        if task is recommendations:
            raise pb.errors.StoreError("it does not answer")
        return await serve(task, *args, **kwargs)

    monkeypatch.setattr(desk.http.app, "serve", failing)
    assert (await desk.client.get(f"/shop/products/{asin}/suggestions")).status_code == 503
    assert (await desk.client.get(f"/shop/products/{asin}/page")).status_code == 200
