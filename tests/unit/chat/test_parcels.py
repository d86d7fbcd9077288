"""How an order is sent and where to, what is wanted for a return, and carts that a browser keeps."""

import pytest

from retail_assistant.shop import records

from .conftest import NOW

SHOPPER = "u00003"


@pytest.fixture
def books(desk):
    """Return two paperbacks at €10.00 each, which nothing reduces."""
    desk.conn.execute("DELETE FROM promotions")
    found = [row[0] for row in desk.conn.execute("SELECT asin FROM products WHERE format = 'paperback' LIMIT 2")]
    for asin in found:
        records.set_live(desk.conn, asin, cents=1000, quantity=9, now=NOW)
    desk.conn.commit()
    return found


@pytest.fixture
async def placed(desk, books):
    """Return a function that orders a book with more members of the body, and returns the answer."""

    async def one(**members):
        records.set_cart(desk.conn, SHOPPER, {books[0]: 1}, now=NOW)
        return await desk.client.post(f"/shop/carts/{SHOPPER}/checkout", json=members)

    return one


async def orders(desk):
    """Return the shopper's orders."""
    return (await desk.client.get(f"/shop/orders/{SHOPPER}")).json()["orders"]


async def test_each_way_to_send_has_its_total_and_is_charged(desk, placed, books):
    """The summary lists what each way costs by the policies, and the order charges and keeps the chosen one."""
    records.set_cart(desk.conn, SHOPPER, {books[0]: 1}, now=NOW)
    summary = (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()
    ways = {way["name"]: way["total_cents"] for way in summary["sendings"]}
    assert ways == {"standard": 1390, "express": 1750, "europe": 1890, "world": 2900}
    answer = await placed(total_cents=ways["express"], sending="express", address=" 1 Lane \n\n Town ")
    assert answer.status_code == 201
    (order, *_) = await orders(desk)
    assert (order["sending"], order["address"], order["delivery"]) == ("express", "1 Lane\nTown", "€7.50")
    again = (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()
    assert again["address"] == "1 Lane\nTown"


async def test_express_is_free_for_those_whom_a_policy_names(desk, placed, books):
    """A shopper of the segment that has free express pays nothing for it."""
    desk.conn.execute("UPDATE shoppers SET segment = 'vip' WHERE id = ?", (SHOPPER,))
    assert (await placed(total_cents=1000, sending="express", address="1 Lane")).status_code == 201


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"sending": "standard", "address": "x" * 301}, "address"),
        ({"sending": "standard", "address": "{{price:A}}"}, "address"),
        ({"sending": "rocket", "address": "1 Lane"}, "sending"),
        ({"sending": "express", "address": "1 Lane"}, "sending"),
    ],
)
async def test_a_parcel_that_cannot_be_sent_is_refused(desk, placed, members, field):
    """A long or braced address, an unknown way, and one that no policy prices order nothing, and the field is named."""
    if members["sending"] == "express":
        records.put_policy(
            desk.conn, "shipping", facts={"express_fee_eur": None}, body="## Delivery\nBy post.", now=NOW
        )
    before = await orders(desk)
    answer = await placed(total_cents=1390, **members)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert await orders(desk) == before


async def test_an_address_is_changed_until_the_order_is_packed(desk, placed):
    """The address of a placed order is replaced; that of a packed one stays, and somebody else's order is unknown."""
    number = (await placed(total_cents=1390, address="1 Lane")).json()["number"]
    changed = await desk.client.put(f"/shop/orders/{SHOPPER}/{number}", json={"address": "2 Road"})
    assert changed.status_code == 200
    assert (await orders(desk))[0]["address"] == "2 Road"
    text, _ = await desk.ask(f"which address does order {number} go to?", user=SHOPPER)
    assert "2 Road" in text
    assert (await desk.client.put(f"/shop/orders/u00004/{number}", json={"address": "3"})).status_code == 404
    assert (await desk.client.put(f"/shop/orders/{SHOPPER}/{number}", json={})).status_code == 422
    desk.conn.execute("UPDATE orders SET state = 'packed' WHERE number = ?", (number,))
    assert (await desk.client.put(f"/shop/orders/{SHOPPER}/{number}", json={"address": "4"})).status_code == 409


async def test_a_return_is_for_the_money_or_a_new_copy(desk, placed):
    """What is wanted can be said while an order is on its way back, and nothing else can be wanted."""
    number = (await placed(total_cents=1390, address="1 Lane")).json()["number"]
    path = f"/shop/orders/{SHOPPER}/{number}"
    assert (await desk.client.put(path, json={"in_return": "exchange"})).status_code == 409
    desk.conn.execute("UPDATE orders SET state = 'returning' WHERE number = ?", (number,))
    assert (await desk.client.put(path, json={"in_return": "exchange"})).status_code == 200
    assert (await orders(desk))[0]["in_return"] == "exchange"
    assert (await desk.client.put(path, json={"in_return": "gold"})).status_code == 422


async def test_a_cart_that_a_browser_keeps_is_priced_and_not_stored(desk, books):
    """The lines of the query are priced like a cart, and what is sold no more is gone."""
    before = desk.conn.execute("SELECT count(*) FROM carts").fetchone()
    found = (await desk.client.get("/shop/basket", params={"line": [f"{books[0]}:2", f"{books[1]}:1"]})).json()
    assert (found["books_cents"], found["copies"], found["shopper"]) == (3000, 3, "anonymous")
    assert desk.conn.execute("SELECT count(*) FROM carts").fetchone() == before
    assert (await desk.client.get("/shop/basket")).json()["lines"] == []


@pytest.mark.parametrize("line", ["B1", "B1:0", "B1:100", ":2", "B1:-1", "B1:" + "9" * 400])
async def test_a_line_that_is_none_is_refused(desk, line):
    """A line without a product, or with no number of copies from 1 to 99, is named in the problem."""
    answer = await desk.client.get("/shop/basket", params={"line": line})
    assert (answer.status_code, answer.json()["field"]) == (422, "line")
