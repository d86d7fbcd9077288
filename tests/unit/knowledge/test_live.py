"""Live reads, slots that are filled from them, and the claims that a reply may make."""

import asyncio

import pytest

import parbake_semantic.guard
from retail_assistant.answers.guardrails import grounds, guardrails
from retail_assistant.live import LiveShop, fill_slots
from retail_assistant.shop import orders, records, trade
from retail_assistant.shop.errors import UnknownProduct
from retail_assistant.shop.finding import Conditions
from retail_assistant.shop.trade import Trade

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
    with pytest.raises(parbake_semantic.guard.UnfilledSlot):
        fill_slots(f"{{{{{kind}:{name}}}}}", live)


def test_a_policy_whose_id_has_a_dot_fills_its_slots(conn, live):
    """The fact's name is the part after the last dot."""
    records.put_policy(
        conn, "eu.returns", title="EU", body="## A\nIn {a_days} days.", facts={"a_days": 3}, create=True, now=NOW
    )
    assert live.fill("policy", "eu.returns.a_days") == "3"


def test_a_delisted_product_is_not_sold(conn, live, asin):
    """A delisted product is not found, and its title slot is not filled."""
    records.delist(conn, asin)
    assert live.product(asin) is None
    assert live.fill("title", asin) is None


def test_a_shop_speaks_in_its_own_words(conn, live, tmp_path):
    """Amounts have the sign that the shop's file states, and what it sells has the name that it states."""
    assert live.money(123456) == "€1234.56"
    trade.save(conn, Trade("orchid", "orchids", "flower shop", "$"))
    other = LiveShop(tmp_path / "shop.db")
    assert other.money(5) == "$0.05"
    said = "An answer about {{goods:an_item}}: we sell {{goods:items}}."
    assert fill_slots(said, other) == "An answer about an orchid: we sell orchids."
    assert other.fill("goods", "nothing_known") is None
    other.close()
    with pytest.raises(UnknownProduct):
        live.price("NOPE")


def test_orders_and_points_are_read_live(conn, live, asin):
    """A shopper's orders come newest first as they are now, with the points; a stranger has neither."""
    for second in (1, 2):
        put = {"shopper": "new-one", "placed_at": NOW + second, "state": "placed", "lines": {asin: (1, 500)}}
        orders.put_order(conn, f"N{second}", now=NOW, **put)
    conn.execute("UPDATE shoppers SET points = 12 WHERE id = 'new-one'")
    assert [order.number for order in live.shoppers.orders("new-one")] == ["N2", "N1"]
    orders.cancel(conn, "new-one", "N1", now=NOW)
    assert [order.state for order in live.shoppers.orders("new-one")] == ["placed", "cancelled"]
    assert (live.shoppers.points("new-one"), live.shoppers.points("nobody"), live.shoppers.orders("nobody")) == (
        12,
        0,
        [],
    )


def test_products_are_found_by_their_title_with_the_present_price(conn, live, asin):
    """Everything under a title is found with its live price, sold out or not only if that is asked for."""
    product = live.product(asin)
    every = live.find(Conditions(titles=[product.series], in_stock=False))
    assert asin in {offer.asin for offer in every}
    assert {offer.product.series for offer in every} == {product.series}
    records.set_price(conn, asin, 1234, now=NOW)
    records.set_inventory(conn, asin, 0)
    assert asin not in {offer.asin for offer in live.find(Conditions(titles=[product.series]))}
    (offer,) = live.offers([asin])
    assert (offer.cents, offer.quantity) == (1234, 0)


def test_offers_come_in_the_order_in_which_they_are_asked_for(conn, live):
    """Products are returned as they were named, each once, without those that are not sold."""
    first, second, gone = (o.asin for o in live.find(Conditions())[:3])
    records.delist(conn, gone)
    assert [o.asin for o in live.offers([second, gone, first, second, "NOPE"])] == [second, first]


@pytest.mark.parametrize(
    ("slot", "text"),
    [
        ("cents 1234", "€12.34"),
        ("day 1790000000", "21 September"),
        ("reduced {asin}|30", "€7.00"),
        ("copies {asin}", "5"),
        ("percent px", "25 %"),
        ("percent nosuch", None),
        ("reduced {asin}|many", None),
        ("reduced NOPE|30", None),
        ("cents many", None),
        ("day never", None),
    ],
)
def test_amounts_days_and_reductions_are_slots(conn, live, asin, slot, text):
    """Slots hold amounts, days, reduced prices and copies; what cannot be computed is not filled."""
    records.set_price(conn, asin, 1000, now=NOW)
    records.set_inventory(conn, asin, 5)
    records.put_promotion(conn, "px", title="X", percent=25, starts_at=NOW - 1, ends_at=NOW + 1)
    kind, _, name = slot.partition(" ")
    assert live.fill(kind, name.format(asin=asin)) == text


def test_what_grounds_a_reply_is_what_its_sources_state_now(conn, live, asin):
    """Existing policies and products ground claims with their current values."""
    records.set_price(conn, asin, 777, now=NOW)
    stated = grounds(("policy/returns", f"product/{asin}", "product/NOPE", "policy/nope"), live)
    claims = {(c.kind, c.value) for text in stated for c in parbake_semantic.guard.claims(text)}
    assert {("duration", "30"), ("money", "7.77")} <= claims
    assert grounds((), live) == []


def checked(live, sentence, sources=(), **members):
    """Return what the check makes of a sentence."""
    return asyncio.run(guardrails.fn(sentence, sources, shop=live, **members))


def test_a_reply_states_a_percentage_only_as_a_slot(conn, live):
    """The percentage of a promotion leaves as its present value; one that is written out leaves only if it is that."""
    times = {"starts_at": NOW - 1, "ends_at": NOW + 1}
    records.put_promotion(conn, "px", title="X", percent=11, **times)
    assert checked(live, "You save {{percent:px}}.").text == "You save 11 %."
    assert checked(live, "You save 11 %.").violation == "ungrounded percent: 11"
    records.put_promotion(conn, "px", percent=12, **times)
    assert checked(live, "You save {{percent:px}}.").text == "You save 12 %."
    assert checked(live, "You save {{percent:px}}, which is 11 %.").text == ""


def test_a_sentence_is_checked_against_its_sources(conn, live, asin):
    """A claim leaves if a source of the reply makes it now, and is refused with its reason otherwise."""
    assert checked(live, "You have 30 days.", ("policy/returns",)).text == "You have 30 days."
    assert checked(live, "You have 30 days.").violation == "ungrounded duration: 30"
    records.put_policy(conn, "returns", facts={"window_days": 45}, now=NOW)
    assert checked(live, "You have 30 days.", ("policy/returns",)).violation == "ungrounded duration: 30"
    records.set_price(conn, asin, 777, now=NOW)
    assert checked(live, "It costs €7.77.", (f"product/{asin}",)).text == "It costs €7.77."
    assert checked(live, "It costs €7.78.", (f"product/{asin}",)).violation.startswith("ungrounded money")


def test_sources_are_read_only_for_claims_that_no_slot_holds(live, asin, monkeypatch):
    """A sentence whose amounts all come from slots is checked without its sources."""
    read = []
    monkeypatch.setattr(live.rules, "policy_text", lambda name: read.append(name) or "You have 30 days.")
    assert checked(live, f"It costs {{{{price:{asin}}}}}.", ("policy/returns",)).violation == ""
    assert checked(live, "Hello there.", ("policy/returns",)).violation == ""
    assert read == []
    assert checked(live, f"It costs {{{{price:{asin}}}}} for 30 days.", ("policy/returns",)).violation == ""
    assert read == ["returns"]


@pytest.mark.parametrize(
    ("sentence", "violation"),
    [
        ("Hello there.", ""),
        ("Write to somebody@example.com.", "personal data"),
        ("Call +44 20 7946 0958.", "personal data"),
        ("It costs {{price:NOPE}}.", "unfilled slot: price"),
    ],
)
def test_personal_data_and_unfilled_slots_do_not_leave(live, sentence, violation):
    """Addresses, telephone numbers and slots of what does not exist are refused; a plain sentence leaves."""
    found = checked(live, sentence)
    assert (found.violation, found.text) == (violation, "" if violation else sentence)


@pytest.mark.parametrize(
    ("sentence", "leaves"),
    [
        ("Standard delivery costs €3.90.", True),
        ("Express delivery costs €3.90.", False),
        ("Standard delivery does not cost €3.90.", False),
    ],
)
def test_what_a_generator_worded_is_held_against_what_it_was_told(live, sentence, leaves):
    """A worded number must stand with its own subject, and be affirmed as in the evidence."""
    told = ("Standard delivery costs €3.90.", "Express delivery costs €7.50.")
    found = checked(live, sentence, ("policy/shipping",), told=told, question="How much is standard delivery?")
    assert bool(found.text) is leaves
    assert found.violation.partition(" ")[0] == ("" if leaves else "unsupported")


def test_how_a_shop_is_reached_may_be_told_where_a_policy_states_it(conn, live):
    """An address that the cited policy states passes the check, and any other one does not."""
    body = "## Deleting\nWrite to privacy@shop.example to be forgotten."
    records.put_policy(conn, "privacy", title="Privacy", body=body, facts={}, create=True, now=NOW)
    said = "Write to privacy@shop.example to be forgotten."

    assert checked(live, said, ("policy/privacy",)).violation == ""
    assert checked(live, said).violation == "personal data"
    assert checked(live, "Write to eve@shop.example.", ("policy/privacy",)).violation == "personal data"
