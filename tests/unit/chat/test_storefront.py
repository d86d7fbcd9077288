"""The shoppers' routes: what is browsed, a product's page, carts and orders, with live prices and typed errors."""

import re

import pytest

from retail_assistant.http.page import page_routes
from retail_assistant.recs.recs_tasks import trending
from retail_assistant.recs.trends import ALL
from retail_assistant.shop import orders, records
from retail_assistant.shop.trade import Trade

NOW = 1_790_000_000.0
SHOPPER = "u00003"


async def got(desk, path, **params):
    """Return the document of a read that must succeed."""
    answer = await desk.client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def promote(desk, genre, percent=20, **fields):
    """Start a promotion that runs now."""
    records.put_promotion(
        desk.conn, "test", title="Test sale: off", category=genre, percent=percent,
        starts_at=NOW - 10, ends_at=NOW + 1000, **fields,
    )  # fmt: skip


async def test_the_list_keeps_every_condition(desk):
    """Genre, format, price and stock narrow the list, and each product has its live price and stock."""
    shelves = await got(desk, "/shop/genres")
    genre, form = shelves["genres"][0]["name"], shelves["formats"][0]["name"]
    most = (shelves["min_cents"] + shelves["max_cents"]) // 2
    found = await got(desk, "/shop/products", genre=genre, size=60)
    assert found["total"] == shelves["genres"][0]["products"]
    assert {p["genre"] for p in found["products"]} == {genre}
    found = await got(desk, "/shop/products", format=form, max_cents=most, in_stock=True, size=60)
    assert found["products"]
    assert all(p["format"] == form and p["cents"] <= most and p["quantity"] for p in found["products"])
    asin = found["products"][0]["asin"]
    records.set_live(desk.conn, asin, cents=123, quantity=0, now=NOW)
    (product,) = (await got(desk, "/shop/products", asin=asin))["products"]
    assert (product["price"], product["quantity"]) == ("€1.23", 0)
    assert (await got(desk, "/shop/products", asin=asin, in_stock=True))["total"] == 0


async def test_repeated_conditions_admit_either(desk):
    """Two genres list the products of both."""
    genres = [g["name"] for g in (await got(desk, "/shop/genres"))["genres"][:2]]
    found = await got(desk, "/shop/products", genre=genres, size=60)
    assert {p["genre"] for p in found["products"]} == set(genres)


async def test_a_search_finds_words_while_they_are_typed(desk):
    """The beginning of a title's word finds the product; words that no shop has find nothing."""
    product = desk.product()
    word = max(product.series.split(), key=len)
    for typed in (word, word[:-1], f"{product.author} {word}"):
        found = await got(desk, "/shop/products", search=typed, size=60)
        assert product.asin in {p["asin"] for p in found["products"]}, typed
    assert (await got(desk, "/shop/products", search="zzzz qqqq"))["total"] == 0
    assert (await desk.client.get("/shop/products", params={"search": '" OR * ('})).status_code == 200


async def test_a_search_forgives_a_typing_error(desk):
    """A word of a title without one of its letters is spelled anew, and the list says what was searched for."""
    product = desk.product()
    word = max(product.series.split(), key=len).lower()
    typed = word[:2] + word[3:]
    found = await got(desk, "/shop/products", search=typed, size=60)
    assert product.asin in {p["asin"] for p in found["products"]}, typed
    assert (found["searched"], found["is_closest"]) == (word, False)
    assert (await got(desk, "/shop/products", search=word))["total"] == found["total"]


async def test_a_search_shows_what_comes_nearest_if_no_product_has_every_word(desk):
    """A wish in words of its own finds the product that it describes first, marked as closest, within the filters."""
    for warm in desk.http.warm[:2]:
        await warm()
    product = desk.product()
    wish = f"please something {' '.join(product.description.split()[:8])} qqqq"
    found = await got(desk, "/shop/products", search=wish, size=60)
    assert found["is_closest"]
    lines = [p["series"] for p in found["products"]]
    assert product.series in lines[:3]
    cheap = await got(desk, "/shop/products", search=wish, max_cents=product_cents(found), size=60)
    assert 0 < cheap["total"] < found["total"]


def product_cents(found):
    """Return the lowest price among some products."""
    return min(p["cents"] for p in found["products"])


async def test_what_sells_comes_first(desk):
    """Without a search or an order, the list begins with what is trending and in stock, in that order."""
    served = await desk.http.app.serve(trending, ALL)
    on_sale = {o.asin for o in desk.shop.offers(one.asin for one in served.value) if o.quantity}
    selling = [one.asin for one in served.value if one.asin in on_sale]
    found = await got(desk, "/shop/products", size=60)
    assert selling
    assert [p["asin"] for p in found["products"]][: len(selling)] == selling


async def test_pages_are_sorted_and_disjoint(desk):
    """The pages of a sorted list hold every product once, and a page past the end is empty."""
    seen, prices = [], []
    for page in range(1, 4):
        found = await got(desk, "/shop/products", sort="price", page=page, size=20)
        seen += [p["asin"] for p in found["products"]]
        prices += [p["cents"] for p in found["products"]]
    assert prices == sorted(prices)
    assert len(seen) == len(set(seen)) == found["total"] == 60
    assert found["pages"] == 3
    assert (await got(desk, "/shop/products", page=99))["products"] == []
    found = await got(desk, "/shop/products", sort="price_desc", size=60)
    assert [p["cents"] for p in found["products"]] == sorted(prices, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"sort": "random"}, "sort"),
        ({"page": 0}, "page"),
        ({"size": 1000}, "size"),
        ({"max_cents": "cheap"}, "max_cents"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_bad_condition_is_named(desk, arguments, field):
    """A condition that cannot be read is refused with a problem document that names it."""
    refused = await desk.client.get("/shop/products", params=arguments)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert refused.headers["content-type"] == "application/problem+json"


async def test_a_products_page_has_its_line_and_reviews(desk):
    """The page of a product has its editions, each volume once, and the summary of its reviews."""
    product = desk.product()
    for rating, body in ((5, "A wonderful rally with a splendid finish."), (1, "The middle drags on.")):
        records.add_review(desk.conn, shopper=SHOPPER, asin=product.asin, rating=rating, body=body, now=NOW + 1)
    await desk.http.app.drain()
    page = await got(desk, f"/shop/products/{product.asin}/page")
    assert page["product"]["title"] == product.title
    assert page["description"] == product.description
    assert {e["volume"] for e in page["editions"]} == {product.volume}
    volumes = [v["volume"] for v in page["volumes"]]
    assert volumes == sorted(set(volumes))
    assert product.asin in {v["asin"] for v in page["volumes"]}
    assert page["reviews"]["count"] >= 2
    assert 1 <= page["reviews"]["average"] <= 5


async def test_a_product_without_reviews_says_so(desk):
    """The page of a product without reviews has no summary of them."""
    asin = desk.product().asin
    desk.conn.execute("DELETE FROM reviews WHERE asin = ?", (asin,))
    records.put_product(desk.conn, "NEW1", now=NOW, cents=500, title="New", author="A", genre="horror")
    await desk.http.app.drain()
    assert (await got(desk, "/shop/products/NEW1/page"))["reviews"] is None


async def test_a_promotion_counts_for_the_shopper_it_is_for(desk):
    """A promotion for VIPs reduces the price for a VIP as the chat reduces it, and for nobody else."""
    product = desk.product()
    desk.conn.execute("UPDATE shoppers SET segment = 'vip' WHERE id = ?", (SHOPPER,))
    desk.conn.execute("DELETE FROM promotions")
    promote(desk, product.genre, 30, segment="vip")
    await desk.http.app.drain()
    page = await got(desk, f"/shop/products/{product.asin}/page", user=SHOPPER)
    reduced = page["product"]["promotion"]
    assert reduced["percent"] == 30
    assert reduced["cents"] == round(page["product"]["cents"] * 0.7)
    text, _ = await desk.ask("How much is this?", user=SHOPPER, metadata={"page": product.asin})
    assert reduced["price"] in text
    assert (await got(desk, f"/shop/products/{product.asin}/page"))["product"]["promotion"] is None
    listed = await got(desk, "/shop/products", asin=product.asin, user=SHOPPER)
    assert listed["products"][0]["promotion"]["percent"] == 30


async def test_a_product_that_is_not_sold_has_no_page(desk):
    """An unknown and a delisted product get 404."""
    asin = desk.product().asin
    records.delist(desk.conn, asin)
    for name in (asin, "NOPE"):
        missing = await desk.client.get(f"/shop/products/{name}/page")
        assert (missing.status_code, missing.json()["field"]) == (404, "asin")


async def test_a_cart_is_filled_and_counted_as_the_chat_counts_it(desk):
    """Added copies are in the total, in what is missing to free delivery, and in the chat's own answer."""
    desk.conn.execute("DELETE FROM promotions")
    asin = desk.product().asin
    desk.conn.execute("UPDATE products SET format = 'paperback' WHERE asin = ?", (asin,))
    records.set_live(desk.conn, asin, cents=1000, quantity=9, now=NOW)
    for _ in range(2):
        cart = (await desk.client.post(f"/shop/carts/{SHOPPER}/lines", json={"asin": asin, "quantity": 1})).json()
    assert (cart["copies"], cart["books"], cart["lines"][0]["quantity"]) == (2, "€20.00", 2)
    assert (cart["delivery"]["price"], cart["delivery"]["missing"], cart["total"]) == ("€3.90", "€15.01", "€23.90")
    assert await got(desk, f"/shop/carts/{SHOPPER}/summary") == cart
    text, _ = await desk.ask("What is in my cart?", user=SHOPPER)
    assert "€20.00" in text
    assert "€15.01" in text
    cart = (await desk.client.put(f"/shop/carts/{SHOPPER}/lines/{asin}", json={"quantity": 4})).json()
    assert (cart["delivery"]["cents"], cart["delivery"]["missing_cents"]) == (0, 0)
    cart = (await desk.client.put(f"/shop/carts/{SHOPPER}/lines/{asin}", json={"quantity": 0})).json()
    assert (cart["lines"], cart["copies"]) == ([], 0)


def _printed(desk):
    """Return a printed book on sale."""
    rows = desk.conn.execute("SELECT asin FROM products WHERE listed = 1 AND format <> 'digital' ORDER BY asin")
    return rows.fetchone()[0]


async def test_free_delivery_follows_its_policy(desk):
    """A changed policy changes what is missing to free delivery; without the policy the cart does not mention it."""
    records.set_cart(desk.conn, SHOPPER, {_printed(desk): 1}, now=NOW)
    cents = (await got(desk, f"/shop/carts/{SHOPPER}/summary"))["books_cents"]
    await desk.client.put("/shop/policies/shipping", json={"facts": {"free_over_eur": cents / 100}})
    exactly = (await got(desk, f"/shop/carts/{SHOPPER}/summary"))["delivery"]
    assert (exactly["cents"], exactly["missing"]) == (390, "€0.01")
    await desk.client.put("/shop/policies/shipping", json={"facts": {"free_over_eur": 50}})
    assert (await got(desk, f"/shop/carts/{SHOPPER}/summary"))["delivery"]["free_over"] == "€50.00"
    records.delete_policy(desk.conn, "shipping")
    assert (await got(desk, f"/shop/carts/{SHOPPER}/summary"))["delivery"] is None


@pytest.mark.parametrize(
    ("user", "body", "status", "field"),
    [
        (SHOPPER, {"asin": "NOPE"}, 404, "asin"),
        (SHOPPER, {"asin": "{asin}", "quantity": 0}, 422, "quantity"),
        (SHOPPER, {"asin": "{asin}", "quantity": 100}, 422, "quantity"),
        (SHOPPER, {"asin": "{sold_out}"}, 409, "asin"),
        ("anonymous", {"asin": "{asin}"}, 401, "user"),
        ("Anonymous", {"asin": "{asin}"}, 401, "user"),
        ("not a name", {"asin": "{asin}"}, 422, "shopper"),
    ],
)
async def test_a_refused_line_names_its_reason_and_writes_nothing(desk, user, body, status, field):
    """What the chat would not put into a cart is refused, and no cart changes."""
    asin = desk.product().asin
    sold_out = desk.conn.execute("SELECT asin FROM products WHERE asin <> ? AND listed = 1", (asin,)).fetchone()[0]
    records.set_inventory(desk.conn, sold_out, 0)
    before = desk.conn.execute("SELECT * FROM carts").fetchall()
    body = {**body, "asin": body["asin"].format(asin=asin, sold_out=sold_out)}
    refused = await desk.client.post(f"/shop/carts/{user}/lines", json=body)
    assert (refused.status_code, refused.json()["field"]) == (status, field), refused.text
    assert desk.conn.execute("SELECT * FROM carts").fetchall() == before


@pytest.mark.parametrize("quantity", [-1, 100, 999])
async def test_every_way_into_a_cart_has_the_same_limit(desk, quantity):
    """A whole cart and a line refuse a number of copies with the same problem, and the cart stays as it was."""
    asin, path = desk.product().asin, f"/shop/carts/{SHOPPER}"
    records.set_cart(desk.conn, SHOPPER, {asin: 99}, now=NOW)
    whole = await desk.client.put(path, json={"lines": {asin: quantity}})
    line = await desk.client.put(f"{path}/lines/{asin}", json={"quantity": quantity})
    more = await desk.client.post(f"{path}/lines", json={"asin": asin})
    assert [a.status_code for a in (whole, line, more)] == [422] * 3
    assert whole.json() == line.json() == more.json()
    assert whole.json()["field"] == "quantity"
    assert desk.shop.shoppers.cart(SHOPPER) == {asin: 99}


async def test_carts_are_changed_by_their_shopper_and_not_by_other_sites(desk):
    """A shopper who is signed in fills the own cart and changes no price; a page of another site does nothing."""
    client = desk.visitor(await desk.session(SHOPPER))
    asin, path = desk.product().asin, f"/shop/carts/{SHOPPER}/lines"
    assert (await client.post(path, json={"asin": asin})).status_code == 200
    assert (await client.put(f"{path}/{asin}", json={"quantity": 3})).status_code == 200
    assert (await client.put(f"/shop/prices/{asin}", json={"cents": 1})).status_code == 401
    for site in ({"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}):
        assert (await client.post(path, json={"asin": asin}, headers=site)).status_code == 403
    form = await client.post(path, content=f'{{"asin": "{asin}"}}', headers={"content-type": "text/plain"})
    assert form.status_code == 415
    assert desk.shop.shoppers.cart(SHOPPER)[asin] == 3
    await client.aclose()


async def test_orders_have_their_states_and_lines(desk):
    """A shopper's orders come newest first with lines, totals and what can be done; without a name they are refused."""
    asin = desk.product().asin
    orders.put_order(
        desk.conn, "A1", shopper=SHOPPER, placed_at=NOW - 5, state="delivered", lines={asin: (1, 900)}, now=NOW
    )
    orders.put_order(desk.conn, "A2", shopper=SHOPPER, placed_at=NOW, state="placed", lines={asin: (2, 700)}, now=NOW)
    found = (await got(desk, f"/shop/orders/{SHOPPER}"))["orders"]
    newest, older = found[:2]
    assert [newest["number"], older["number"]] == ["A2", "A1"]
    assert (newest["total"], newest["can_cancel"], newest["can_return"]) == ("€14.00", True, False)
    assert (older["can_cancel"], older["can_return"]) == (False, True)
    assert newest["lines"][0]["title"] == desk.product().title
    assert newest["lines"][0]["price"] == "€7.00"
    assert (await got(desk, "/shop/orders/somebody-new"))["orders"] == []
    assert (await desk.client.get("/shop/orders/anonymous")).status_code == 401


async def test_what_cannot_be_returned_is_not_offered_for_it(desk):
    """Digital editions alone, and what was delivered too long ago, have no return."""
    printed, digital = (
        desk.conn.execute(f"SELECT asin FROM products WHERE format {sign} 'digital'").fetchone()[0]
        for sign in ("<>", "=")
    )
    for number, lines, days in (
        ("A1", [digital], 1), ("A2", [digital, printed], 1), ("A3", [printed], 30), ("A4", [printed], 31),
    ):  # fmt: skip
        orders.put_order(
            desk.conn, number, shopper=SHOPPER, placed_at=NOW, state="delivered",
            lines=dict.fromkeys(lines, (1, 900)), now=NOW - days * 86_400,
        )  # fmt: skip
    found = {o["number"]: o["can_return"] for o in (await got(desk, f"/shop/orders/{SHOPPER}"))["orders"]}
    assert [found[number] for number in ("A1", "A2", "A3", "A4")] == [False, True, True, False]


async def test_the_page_has_the_words_of_the_shop(desk):
    """The page is called as the shop is, and its scripts find there what the shop sells; all of it is text."""
    text = (await desk.client.get("/")).text
    assert "<title>Inkwell Books</title>" in text
    assert 'data-item="book" data-an-item="a book" data-items="books"' in text
    for path in ("main.js", "browse.js", "product.js", "cart.js", "suggestions.js"):
        script = (await desk.client.get(f"/static/{path}")).text
        assert not re.search(r"(?i)[\"`][^\"`]*\bbooks?\b[^-\"`]*[\"`]", script)
    (page, _) = page_routes(Trade("pot & pan", "pots & pans", name='"Kitchen" <b>'))
    text = bytes((await page.handler(None)).body).decode()
    assert 'data-items="pots &amp; pans"' in text
    assert "<title>&quot;Kitchen&quot; &lt;b&gt;</title>" in text


async def test_only_the_pages_own_files_are_served(desk):
    """Names outside the folder, and files that do not belong to the page, get 404."""
    assert {route.path for route in page_routes(Trade())} == {"/", "/static/{name}"}
    for name in ("..%2Fpage.py", "nothing.js", "%2e%2e%2fpage.html", "page.html"):
        assert (await desk.client.get(f"/static/{name}")).status_code == 404
