"""Live reads, slots that are filled from them, and the claims that a reply may make."""

import asyncio

import pytest

import parbake as pb
from retail_assistant.chat.guardrails import grounds, guardrails
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.shop import records
from retail_assistant.shop.errors import UnknownProduct

NOW = 1_790_000_000.0


@pytest.fixture
def asin(conn):
    """Return a listed product in stock."""
    statement = "SELECT asin FROM products JOIN inventory USING (asin) WHERE listed = 1 AND quantity > 1 ORDER BY asin"
    return conn.execute(statement).fetchone()[0]


def test_each_kind_of_slot_holds_what_is_true_now(conn, live, asin):
    """Slots of price, stock, title and policy facts have the current values."""
    records.set_price(conn, asin, 1234, now=NOW)
    assert live.fill("price", asin) == "€12.34"
    assert live.fill("stock", asin) == "in stock"
    records.set_inventory(conn, asin, 0)
    assert live.fill("stock", asin) == "out of stock"
    assert live.fill("title", asin) == live.product(asin).title
    assert live.fill("policy", "returns.window_days") == "30"
    records.put_policy(conn, "returns", facts={"window_days": 45}, now=NOW)
    assert fill_slots("{{policy:returns.window_days}} days", live) == "45 days"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("price", "NOPE"),
        ("stock", "NOPE"),
        ("title", "NOPE"),
        ("policy", "nope.days"),
        ("policy", "returns.nope"),
        ("policy", "returns"),
        ("colour", "B000001"),
    ],
)
def test_a_slot_of_what_does_not_exist_is_not_filled(live, kind, name):
    """A slot of an unknown kind, product, policy or fact raises ``UnfilledSlot``."""
    assert live.fill(kind, name) is None
    with pytest.raises(pb.guard.UnfilledSlot):
        fill_slots(f"{{{{{kind}:{name}}}}}", live)


def test_a_policy_whose_id_has_a_dot_fills_its_slots(conn, live):
    """The fact's name is the part after the last dot."""
    records.put_policy(
        conn, "eu.returns", title="EU", body="## A\nIn {a_days} days.", facts={"a_days": 3}, create=True, now=NOW
    )
    assert live.fill("policy", "eu.returns.a_days") == "3"


def test_a_delisted_product_is_not_sold(conn, live, asin):
    """A delisted product is not found, and its title slot is not filled."""
    records.delist(conn, asin, now=NOW)
    assert live.product(asin) is None
    assert live.fill("title", asin) is None


def test_money_has_the_shops_currency(live, clock, tmp_path):
    """An amount has the shop's currency sign and two decimals."""
    assert LiveShop(tmp_path / "shop.db", clock=clock, currency="$").money(5) == "$0.05"
    assert live.money(123456) == "€1234.56"
    with pytest.raises(UnknownProduct):
        live.price("NOPE")


def test_orders_come_newest_first(conn, live, asin):
    """A shopper's orders come newest first, at most as many as the limit."""
    for second in (1, 2):
        records.add_purchase(conn, shopper="new-one", asin=asin, now=NOW + second)
    assert [order.ts for order in live.orders("new-one")] == [NOW + 2, NOW + 1]
    assert len(live.orders("new-one", limit=1)) == 1
    assert live.orders("nobody") == []


def test_editions_and_lines_are_those_of_a_series(live, asin):
    """Editions share series and volume, and are part of the series."""
    product = live.product(asin)
    editions, line = live.editions(product), live.line(product.series)
    assert product.asin in {e.asin for e in editions}
    assert {(e.series, e.volume) for e in editions} == {(product.series, product.volume)}
    assert {e.asin for e in editions} <= {p.asin for p in line}


def test_what_grounds_a_reply_is_what_its_sources_state_now(conn, live, asin):
    """Existing policies and products ground claims with their current values."""
    records.set_price(conn, asin, 777, now=NOW)
    stated = grounds(("policy/returns", f"product/{asin}", "product/NOPE", "policy/nope"), live)
    claims = {(c.kind, c.value) for text in stated for c in pb.guard.claims(text)}
    assert {("duration", "30"), ("money", "7.77")} <= claims
    assert grounds((), live) == []


def test_a_reply_may_state_the_promotions_that_run_for_its_shopper(conn, live, clock):
    """Promotions of another segment, and ended ones, do not ground a claim."""
    conn.execute("DELETE FROM promotions")
    times = {"starts_at": NOW - 1, "ends_at": NOW + 1}
    records.put_promotion(conn, "vip", title="Vip", percent=33, segment="vip", now=NOW, **times)
    records.put_promotion(conn, "all", title="All", percent=11, now=NOW, **times)

    def said(percent):
        text = asyncio.run(guardrails.fn(f"You get {percent} % off.", (), "nobody", shop=live)).text
        return bool(text)

    assert (said(11), said(33), said(12)) == (True, False, False)
    clock.advance(10)
    assert not said(11)
