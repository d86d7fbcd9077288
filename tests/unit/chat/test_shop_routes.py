"""The shop's routes: each write is one transaction, acknowledged with its position, and bad input writes nothing."""

import pytest

import parbake as pb

SHOPPER = "u00003"


def bodies(asin):
    """Return (method, path, body, status, whether it raises a tag) of every write."""
    return [
        ("PUT", "/shop/policies/returns", {"facts": {"window_days": 45}}, 200, True),
        ("PUT", f"/shop/products/{asin}", {"title": "Another name"}, 200, True),
        ("PUT", f"/shop/products/{asin}", {"cents": 500, "quantity": 2}, 200, False),
        ("PUT", f"/shop/prices/{asin}", {"cents": 501}, 200, False),
        ("PUT", f"/shop/inventory/{asin}", {"quantity": 4}, 200, False),
        ("PUT", f"/shop/carts/{SHOPPER}", {"lines": {asin: 2}}, 200, False),
        (
            "PUT",
            "/shop/promotions/px",
            {"title": "Sale", "percent": 10, "starts_at": 1.0, "ends_at": 1.8e9},
            200,
            True,
        ),
        ("DELETE", "/shop/promotions/px", None, 200, True),
        ("POST", "/shop/purchases", {"shopper": SHOPPER, "asin": asin}, 201, True),
        ("POST", "/shop/views", {"shopper": SHOPPER, "asin": asin}, 201, False),
        ("POST", "/shop/reviews", {"shopper": SHOPPER, "asin": asin, "rating": 5, "body": "Good."}, 201, True),
        ("DELETE", f"/shop/products/{asin}", None, 200, True),
    ]


async def test_every_write_is_acknowledged_with_its_position(desk):
    """A write that raises a tag returns its outbox position and a higher stamp; a live one returns none."""
    position, stamp = 0, 0
    for method, path, body, status, raises in bodies(desk.product().asin):
        answer = await desk.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        acked = answer.json()
        assert (acked["acked"] is not None) is raises, path
        if raises:
            assert acked["acked"] > position
            assert acked["stamp"] > stamp
            position, stamp = acked["acked"], acked["stamp"]


async def test_an_arrival_is_told_and_a_name_that_is_none_is_refused(desk):
    """A session raises a tag for whoever it is; an empty, endless or unprintable name raises nothing."""
    before = (await desk.http.app.stamp()).sequence
    answer = await desk.client.post("/shop/sessions", json={"shopper": "new/comer"})
    assert (answer.status_code, answer.json()["stamp"]) == (202, before + 1)
    for name in ("", "x" * 201, "a\nb"):
        refused = await desk.client.post("/shop/sessions", json={"shopper": name})
        assert (refused.status_code, refused.json()["field"]) == (422, "shopper")
    assert (await desk.http.app.stamp()).sequence == before + 1


async def test_what_was_written_is_read_back(desk):
    """Reads show the last write: price, stock, cart, policy text and running promotions."""
    asin = desk.product().asin
    await desk.client.put(f"/shop/products/{asin}", json={"cents": 777, "quantity": 5})
    product = (await desk.client.get(f"/shop/products/{asin}")).json()
    assert (product["cents"], product["quantity"]) == (777, 5)
    assert (await desk.client.get(f"/shop/inventory/{asin}")).json()["quantity"] == 5
    await desk.client.put(f"/shop/carts/{SHOPPER}", json={"lines": {asin: 2}})
    cart = (await desk.client.get(f"/shop/carts/{SHOPPER}")).json()
    assert cart["lines"] == [{"asin": asin, "quantity": 2}]
    await desk.client.put("/shop/policies/returns", json={"facts": {"window_days": 45}})
    policy = (await desk.client.get("/shop/policies/returns")).json()
    assert "45 days" in policy["sections"][0]["text"]
    assert len((await desk.client.get("/shop/policies")).json()["policies"]) == 12
    sale = {"title": "Sale", "percent": 10, "starts_at": 1.0, "ends_at": 1.8e9}
    await desk.client.put("/shop/promotions/px", json=sale)
    running = (await desk.client.get("/shop/promotions")).json()["promotions"]
    assert "px" in {p["id"] for p in running}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("PUT", "/shop/products/{asin}", {"cents": 500, "quantity": -1}, 422, "quantity"),
        ("PUT", "/shop/products/NOPE", {}, 404, "asin"),
        ("PUT", "/shop/products/{asin}", {"colour": "red"}, 422, "colour"),
        ("PUT", "/shop/products/{asin}", {"title": ""}, 422, "title"),
        ("PUT", "/shop/policies/nope", {"facts": {"a": 1}}, 404, "id"),
        ("PUT", "/shop/carts/u00003", {"lines": {"NOPE": 1}}, 404, "asin"),
        ("POST", "/shop/reviews", {"shopper": "u1", "asin": "NOPE", "rating": 6, "body": "b"}, 422, "rating"),
        ("DELETE", "/shop/promotions/nope", None, 404, "id"),
    ],
)
async def test_a_bad_write_names_its_field_and_writes_nothing(  # noqa: PLR0917  # a table's columns
    desk, method, path, body, status, field
):
    """What is refused leaves prices, stock, carts and the outbox as they were."""
    asin = desk.product().asin

    def state():
        tables = ("products", "prices", "inventory", "carts", "policies", "promotions", "reviews", "parbake_outbox")
        return [desk.conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]

    before = state()
    answer = await desk.client.request(method, path.format(asin=asin), json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field
    assert state() == before


async def test_a_write_that_is_not_acknowledged_yet_says_that_it_is_committed(desk, monkeypatch):
    """When the tags cannot be raised the answer is 503 with the position; the row is there, and the next poll heals."""

    async def fail():
        raise pb.StoreError("full")

    monkeypatch.setattr(desk.http.app, "drain", fail)
    answer = await desk.client.put("/shop/policies/returns", json={"facts": {"window_days": 45}})
    assert answer.status_code == 503
    assert "committed at position" in answer.json()["detail"]
    monkeypatch.undo()
    assert desk.shop.policy("returns").facts["window_days"] == 45
    await desk.http.app.drain()
    text, _ = await desk.ask("What is your return window?")
    assert "45 days" in text
