"""A cart becomes an order: once, as a whole, and at the total that its shopper has seen."""

import asyncio

import pytest

import parbake as pb
from retail_assistant.shop import records

NOW = 1_790_000_000.0
SHOPPER, OTHER = "u00003", "u00004"
FEE = 390
"""What the generated shop's policy lists for delivery, in cents."""
PATH = f"/shop/carts/{SHOPPER}/checkout"
TABLES = ("orders", "order_lines", "purchases", "inventory", "carts", "shoppers", "parbake_outbox", "written")


def state(desk):
    """Return everything that a checkout could write."""
    return [desk.conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES]


def ordered(desk):
    """Return the numbers of the orders that were placed by a checkout."""
    rows = desk.conn.execute("SELECT number FROM orders WHERE number LIKE 'W%' ORDER BY id")
    return [number for (number,) in rows]


@pytest.fixture
def asins(desk):
    """Return two printed books on sale, at €10 and €4.50 without promotions, with five copies of each in stock."""
    desk.conn.execute("DELETE FROM promotions")
    rows = desk.conn.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin LIMIT 2").fetchall()
    for (asin,), cents in zip(rows, (1000, 450), strict=True):
        desk.conn.execute("UPDATE products SET format = 'paperback' WHERE asin = ?", (asin,))
        records.set_live(desk.conn, asin, cents=cents, quantity=5, now=NOW)
    return [asin for (asin,) in rows]


@pytest.fixture
def cart(desk, asins):
    """Fill the shopper's cart with two copies of the first product and one of the second: €24.50, and delivery."""
    records.set_cart(desk.conn, SHOPPER, dict(zip(asins, (2, 1), strict=True)), now=NOW)
    return 2450 + FEE


async def check_out(desk, total, *, path=PATH, **headers):
    """Send a checkout."""
    return await desk.client.post(path, json={"total_cents": total}, headers=headers)


async def refused(desk, total, status, field, path=PATH):
    """Return the problem of a checkout that must be refused and write nothing."""
    before = state(desk)
    answer = await check_out(desk, total, path=path)
    problem = answer.json()
    assert (answer.status_code, problem["field"]) == (status, field), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert state(desk) == before
    return problem


async def test_a_cart_becomes_one_order(desk, asins, cart):
    """A checkout places an order of the cart's lines at the summary's total, and empties the cart."""
    summary = (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()
    assert summary["cents"] == cart
    answer = await check_out(desk, summary["cents"])
    assert answer.status_code == 201, answer.text
    number = answer.json()["number"]
    newest = (await desk.client.get(f"/shop/orders/{SHOPPER}")).json()["orders"][0]
    assert (newest["number"], newest["state"], newest["total"]) == (number, "placed", summary["total"])
    assert (newest["placed_at"], newest["can_cancel"]) == (NOW, True)
    lines = [(line["asin"], line["quantity"], line["cents"]) for line in newest["lines"]]
    assert lines == [(asins[0], 2, 1000), (asins[1], 1, 450)]
    assert (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()["lines"] == []
    text, _ = await desk.ask(f"Where is order {number}?", user=SHOPPER)
    assert "placed" in text


async def test_a_checkout_lowers_the_stock_and_records_each_copy(desk, asins, cart):
    """Each copy leaves the stock and is a purchase of its shopper at the price of its line."""
    query = "SELECT asin, cents FROM purchases WHERE shopper = ? AND ts = ? ORDER BY asin, id"
    await check_out(desk, cart)
    assert [desk.shop.stock(asin) for asin in asins] == [3, 4]
    bought = desk.conn.execute(query, (SHOPPER, NOW)).fetchall()
    assert bought == [(asins[0], 1000), (asins[0], 1000), (asins[1], 450)]


async def test_a_checkout_is_acknowledged_as_a_change_of_its_shopper(desk, cart):
    """The answer has the position of the first outbox row, all of which tell of the shopper, and its ticket."""
    last = "SELECT coalesce(max(position), 0) FROM parbake_outbox"
    before = desk.conn.execute(last).fetchone()[0]
    told = (await check_out(desk, cart)).json()
    rows = desk.conn.execute("SELECT position, subject FROM parbake_outbox WHERE position > ?", (before,)).fetchall()
    assert rows[0] == (told["position"], f"user/{SHOPPER}")
    assert {subject for _, subject in rows} == {f"user/{SHOPPER}"}
    assert told["acked"]
    assert told["ticket"]


async def test_points_are_earned_as_the_policy_states(desk, cart):
    """Each full euro earns the points that a policy states, if one does, and a cancellation takes them off again."""
    before = desk.shop.shoppers.points(SHOPPER)
    number = (await check_out(desk, cart)).json()["number"]
    assert desk.shop.shoppers.points(SHOPPER) == before + 2 * 24
    await desk.talk(f"Please cancel order {number}", "yes", user=SHOPPER)
    assert desk.shop.shoppers.orders(SHOPPER)[0].state == "cancelled"
    assert desk.shop.shoppers.points(SHOPPER) == before
    records.delete_policy(desk.conn, "loyalty")
    records.set_cart(desk.conn, SHOPPER, {desk.product().asin: 1}, now=NOW)
    total = (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()["cents"]
    assert (await check_out(desk, total)).status_code == 201
    assert desk.shop.shoppers.points(SHOPPER) == before


async def test_the_review_of_a_cancelled_book_goes(desk, asins, cart):
    """A book that costs nothing in the end leaves no review, and what reads the reviews is told."""
    desk.conn.execute("DELETE FROM purchases WHERE shopper = ?", (SHOPPER,))
    review = {"shopper": SHOPPER, "asin": asins[0], "rating": 5, "body": "A story as good as it gets."}
    session = {"authorization": f"Bearer {await desk.session(SHOPPER)}"}
    number = (await check_out(desk, cart)).json()["number"]
    assert (await desk.client.post("/shop/reviews", json=review, headers=session)).status_code == 201
    await desk.talk(f"Please cancel order {number}", "yes", user=SHOPPER)
    kept = desk.conn.execute("SELECT count(*) FROM reviews WHERE shopper = ? AND asin = ?", (SHOPPER, asins[0]))
    told = desk.conn.execute("SELECT count(*) FROM parbake_outbox WHERE subject = ?", (f"reviews/{asins[0]}",))
    assert (kept.fetchone()[0], told.fetchone()[0]) == (0, 2)
    assert (await desk.client.post("/shop/reviews", json=review, headers=session)).status_code == 403


async def test_a_cancelled_book_is_not_owned(desk, asins, cart):
    """What was ordered counts as bought until the order is cancelled in the chat, and not after it."""
    desk.conn.execute("DELETE FROM purchases WHERE shopper = ?", (SHOPPER,))
    number = (await check_out(desk, cart)).json()["number"]
    assert desk.shop.shoppers.bought(SHOPPER) == set(asins)
    await desk.talk(f"Please cancel order {number}", "yes", user=SHOPPER)
    assert desk.shop.shoppers.bought(SHOPPER) == frozenset()


async def test_the_price_that_is_promised_is_charged(desk, asins, cart):
    """The card, the cart, the chat and the order all have the reduced price, and no other total is accepted."""
    desk.conn.execute("UPDATE products SET genre = 'horror' WHERE asin = ?", (asins[0],))
    desk.conn.execute("UPDATE products SET genre = 'sports' WHERE asin = ?", (asins[1],))
    records.put_promotion(
        desk.conn, "sale", title="Sale", category="horror", percent=40, starts_at=NOW - 9, ends_at=NOW + 9
    )
    await desk.http.app.drain()
    summary = (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()
    first, second = summary["lines"]
    assert (first["product"]["promotion"]["price"], first["each"], first["price"]) == ("€6.00", "€6.00", "€12.00")
    assert (second["product"]["promotion"], second["each"], second["price"]) == (None, "€4.50", "€4.50")
    assert (summary["books"], summary["total"], summary["delivery"]["missing"]) == ("€16.50", "€20.40", "€18.51")
    text, _ = await desk.ask("What is in my cart?", user=SHOPPER)
    for said in ("(€12.00, €6.00 each with 40 % off €10.00)", "(€4.50)", "the total is €20.40.", "Another €18.51"):
        assert said in text
    await refused(desk, cart, 409, "total_cents")
    assert (await check_out(desk, summary["cents"])).status_code == 201
    assert [line.cents for line in desk.shop.shoppers.orders(SHOPPER)[0].lines] == [600, 450]
    assert desk.shop.shoppers.orders(SHOPPER)[0].cents == summary["cents"] == 1650 + FEE


async def test_a_promotion_that_ends_during_the_checkout_is_refused_with_both_totals(desk, asins, cart):
    """A shopper who agreed to a reduced total is not charged the full one after the promotion has ended."""
    records.put_promotion(desk.conn, "sale", title="Sale", category="*", percent=50, starts_at=NOW - 9, ends_at=NOW + 9)
    total = (await desk.client.get(f"/shop/carts/{SHOPPER}/summary")).json()["cents"]
    records.delete_promotion(desk.conn, "sale")
    problem = await refused(desk, total, 409, "total_cents")
    assert (problem["sent_cents"], problem["total_cents"]) == (1225 + FEE, cart)


async def test_a_checkout_that_is_sent_again_with_its_key_orders_once(desk, cart, monkeypatch):
    """Repeated requests with one key place one order and all return its number, also before it is acknowledged."""
    with monkeypatch.context() as patch:
        patch.setattr(desk.http.app, "drain", _broken)
        first = await check_out(desk, cart, **{"idempotency-key": "k"})
    assert (first.status_code, first.json()["acked"]) == (202, None)
    after = state(desk)
    again = [await check_out(desk, cart, **{"idempotency-key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in again] == [201, 201]
    assert {answer.json()["number"] for answer in (first, *again)} == set(ordered(desk))
    assert len(ordered(desk)) == 1
    assert state(desk) == after


async def _broken():
    raise pb.errors.StoreError("it does not answer")


async def test_a_refused_checkout_does_not_use_its_key_up(desk, cart):
    """After a refusal the same key orders, and with another total it is refused as used."""
    key = {"idempotency-key": "k"}
    held = desk.shop.shoppers.cart(SHOPPER)
    records.set_cart(desk.conn, SHOPPER, {}, now=NOW)
    assert (await check_out(desk, cart, **key)).status_code == 409
    records.set_cart(desk.conn, SHOPPER, held, now=NOW)
    assert (await check_out(desk, cart, **key)).status_code == 201
    other = await check_out(desk, cart + 1, **key)
    assert (other.status_code, other.json()["field"]) == (422, "idempotency-key")


async def test_a_second_checkout_without_a_key_finds_an_empty_cart(desk, cart):
    """Without a key a second checkout is refused, because the first one has emptied the cart."""
    assert (await check_out(desk, cart)).status_code == 201
    problem = await refused(desk, cart, 409, "user")
    assert problem["type"] == "urn:parbake:empty-cart"


@pytest.mark.parametrize(
    ("user", "status", "field"),
    [("anonymous", 401, "user"), ("Anonymous", 401, "user"), ("not a name", 422, "shopper"), ("newcomer", 409, "user")],
)
async def test_only_a_shopper_with_a_cart_can_check_out(desk, user, status, field):
    """A nameless shopper, an invalid name and a shopper without a cart are refused."""
    await refused(desk, 0, status, field, f"/shop/carts/{user}/checkout")


@pytest.mark.parametrize(
    ("left", "said"), [(0, "is out of stock"), (1, "only 1 copy can be bought"), (None, "the shop has stopped selling")]
)
async def test_what_cannot_be_bought_any_more_is_named(desk, asins, cart, left, said):
    """A product that was sold out, partly or wholly, or delisted meanwhile is refused by its title."""
    if left is None:
        records.delist(desk.conn, asins[0])
    else:
        records.set_inventory(desk.conn, asins[0], left)
    title = desk.conn.execute("SELECT title FROM products WHERE asin = ?", (asins[0],)).fetchone()[0]
    problem = await refused(desk, cart, 404 if left is None else 409, "asin")
    assert title in problem["detail"]
    assert said in problem["detail"]


async def test_what_is_not_sold_any_more_is_listed_and_can_be_taken_out(desk, asins, cart):
    """The summary lists a delisted product apart from the lines, and a cart without it can be ordered."""
    records.delist(desk.conn, asins[0])
    path = f"/shop/carts/{SHOPPER}"
    summary = (await desk.client.get(f"{path}/summary")).json()
    assert [(line["asin"], line["quantity"]) for line in summary["gone"]] == [(asins[0], 2)]
    assert (summary["cents"], summary["copies"]) == (450 + FEE, 1)
    summary = (await desk.client.put(f"{path}/lines/{asins[0]}", json={"quantity": 0})).json()
    assert summary["gone"] == []
    assert (await check_out(desk, summary["cents"])).status_code == 201


async def test_a_total_that_changed_is_refused_with_both(desk, asins, cart):
    """A price that changed after the client saw it is refused with both totals, and the present one is accepted."""
    records.set_price(desk.conn, asins[0], 1250, now=NOW)
    problem = await refused(desk, cart, 409, "total_cents")
    assert (problem["sent_cents"], problem["total_cents"]) == (cart, 2950 + FEE)
    assert problem["type"] == "urn:parbake:total-changed"
    assert str(2950 + FEE) in problem["detail"]
    assert str(cart) in problem["detail"]
    assert (await check_out(desk, problem["total_cents"])).status_code == 201


@pytest.mark.parametrize("body", [{}, {"total_cents": -1}, {"total_cents": "24.50"}, {"total_cents": 1.5}])
async def test_a_total_that_is_no_amount_is_refused(desk, cart, body):
    """A missing, negative or fractional total is refused by its name."""
    before = state(desk)
    answer = await desk.client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, "total_cents")
    assert state(desk) == before


async def test_the_last_copy_is_sold_once(desk, asins):
    """Of two shoppers who order the last copy at the same time one gets it, and the other's cart stays as it is."""
    records.set_inventory(desk.conn, asins[0], 1)
    for shopper in (SHOPPER, OTHER):
        records.set_cart(desk.conn, shopper, {asins[0]: 1}, now=NOW)
    paths = [f"/shop/carts/{shopper}/checkout" for shopper in (SHOPPER, OTHER)]
    answers = await asyncio.gather(*(check_out(desk, 1000 + FEE, path=path) for path in paths))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    loser = (SHOPPER, OTHER)[[answer.status_code for answer in answers].index(409)]
    assert len(ordered(desk)) == 1
    assert desk.shop.stock(asins[0]) == 0
    assert desk.shop.shoppers.cart(loser) == {asins[0]: 1}


async def test_one_cart_that_is_ordered_twice_at_once_is_ordered_once(desk, asins, cart):
    """Ten simultaneous checkouts of one cart, each with another key, place one order."""
    sending = (check_out(desk, cart, **{"idempotency-key": f"k{n}"}) for n in range(10))
    statuses = [answer.status_code for answer in await asyncio.gather(*sending)]
    assert sorted(statuses) == [201, *[409] * 9]
    assert len(ordered(desk)) == 1
    assert desk.shop.stock(asins[0]) == 3


async def test_a_number_that_an_import_has_used_is_left_out(desk, asins, cart):
    """An order gets a number that no other order has, also if the next one is taken."""
    last = desk.conn.execute("SELECT coalesce(max(position), 0) FROM parbake_outbox").fetchone()[0]
    desk.conn.execute(
        "INSERT INTO orders (number, shopper, placed_at, state, changed_at) VALUES (?, ?, 0, 'placed', 0)",
        (f"W{last + 1:05d}", OTHER),
    )
    told = (await check_out(desk, cart, **{"idempotency-key": "k"})).json()
    assert told["number"] == f"W{last + 2:05d}"
    assert (await check_out(desk, cart, **{"idempotency-key": "k"})).json()["number"] == told["number"]


async def test_a_checkout_is_made_by_its_shopper_and_not_by_other_sites(desk, cart):
    """A shopper who is signed in checks out; a page of another site does not, and nor does another shopper."""
    async with desk.visitor(await desk.session(OTHER)) as client:
        assert (await client.post(PATH, json={"total_cents": cart})).status_code == 403
    async with desk.visitor(await desk.session(SHOPPER)) as client:
        for site in ({"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}):
            assert (await client.post(PATH, json={"total_cents": cart}, headers=site)).status_code == 403
        form = await client.post(PATH, content="{}", headers={"content-type": "text/plain"})
        assert form.status_code == 415
        assert ordered(desk) == []
        assert (await client.post(PATH, json={"total_cents": cart})).status_code == 201
