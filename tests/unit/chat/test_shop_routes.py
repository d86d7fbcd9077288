"""The shop's routes: each write is one transaction, acknowledged with its position, and bad input writes nothing."""

import asyncio
import json
import sqlite3
import threading
import time

import pytest
from tests.waiting import HANGS_S, as_far_as_it_gets

import parbake as pb
from retail_assistant.shop import connections, schema
from retail_assistant.shop.connections import PerThread
from retail_assistant.shop.once import KEPT_S

NOW = 1_790_000_000.0
SHOPPER = "u00003"


def bodies(asin):
    """Return (method, path, body, status, whether it raises a tag) for each write."""
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


@pytest.mark.parametrize("tag", ["policy/returns", "policy"])
async def test_a_notice_is_read_by_its_tag_or_its_family(desk, tag):
    """A recall of a family notes the family, and its notice goes once the shopper has read it, like that of a tag."""
    recalled = {"answer_id": "0" * 32, "tag": tag, "at": 1.0, "recipient": SHOPPER}
    assert (await desk.client.post("/shop/notices", json=recalled)).json() == {"is_new": True}
    notices = f"/shop/notices/{SHOPPER}"
    async with desk.visitor(await desk.session(SHOPPER)) as client:
        assert [one["tag"] for one in (await client.get(notices)).json()["notices"]] == [tag]
        assert (await client.delete(f"{notices}/{tag}")).json() == {"is_new": True}
        assert (await client.get(notices)).json()["notices"] == []


async def test_what_operators_change_is_noted_with_what_was_before(desk, tmp_path, monkeypatch):
    """Policies, promotions and what is off sale are in the log of actions with before and after; carts never are."""
    monkeypatch.setenv("PARBAKE_ACTIONS_FILE", str(tmp_path / "actions.jsonl"))
    asin = desk.product().asin
    for method, path, body, *_ in bodies(asin):
        await desk.client.request(method, path, json=body)
    done = [json.loads(line) for line in (tmp_path / "actions.jsonl").read_text().splitlines()]
    about = ["policy/returns", "promotion/px", "promotion/px", f"product/{asin}"]
    assert [(one["what"], one["about"]) for one in done] == [("shop change", tag) for tag in about]
    policy, made, ended, delisted = done
    assert '"window_days":30' in policy["before"]
    assert '"window_days":45' in policy["after"]
    assert (made["before"], ended["after"]) == ("", "")
    assert made["after"] == ended["before"] != ""
    assert ('"listed":true' in delisted["before"], '"listed":false' in delisted["after"]) == (True, True)


async def test_an_arrival_is_told_and_a_name_that_is_none_is_refused(desk):
    """A session raises a tag for any shopper; an empty, too long or unprintable name is refused."""
    before = (await desk.http.app.stamp()).sequence
    answer = await desk.client.post("/shop/sessions", json={"shopper": "newcomer"})
    assert (answer.status_code, answer.json()["stamp"]) == (202, before + 1)
    for name in ("", "x" * 65, "a\nb", "a/b"):
        refused = await desk.client.post("/shop/sessions", json={"shopper": name})
        assert (refused.status_code, refused.json()["field"]) == (422, "shopper")
    assert (await desk.http.app.stamp()).sequence == before + 1


async def test_what_was_written_is_read_back(desk):
    """Reads show the last write of price, stock, cart, policy text and promotions."""
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
    """A refused write names its field and changes no table."""
    asin = desk.product().asin

    def state():
        tables = ("products", "prices", "inventory", "carts", "policies", "promotions", "reviews", "parbake_outbox")
        return [desk.conn.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]

    before = state()
    answer = await desk.client.request(method, path.format(asin=asin), json=body)
    assert answer.status_code == status, answer.text
    assert answer.json()["field"] == field
    assert state() == before


class Gone:
    """Makes the app's drain fail until ``back`` is called."""

    def __init__(self, monkeypatch, app):
        """Make ``drain`` fail."""

        async def fail():
            raise pb.errors.StoreError("it does not answer")

        self._patch = monkeypatch
        monkeypatch.setattr(app, "drain", fail)

    def back(self):
        """Restore ``drain``."""
        self._patch.undo()


async def test_a_write_that_is_not_acknowledged_yet_says_that_it_is_committed(desk, monkeypatch):
    """If the store is down, a write gets 202 with its position and a URL that reports its acknowledgement."""
    gone = Gone(monkeypatch, desk.http.app)
    answer = await desk.client.put("/shop/policies/returns", json={"facts": {"window_days": 45}})
    told = answer.json()
    assert (answer.status_code, told["acked"], told["stamp"]) == (202, None, None)
    assert told["ask"] == answer.headers["location"] == f"/shop/changes/{told['position']}"
    gone.back()
    assert desk.shop.rules.policy("returns").facts["window_days"] == 45
    asked = {"position": told["position"], "is_acknowledged": False}
    assert (await desk.client.get(told["ask"])).json() == asked
    await desk.http.app.drain()
    assert (await desk.client.get(told["ask"])).json() == asked | {"is_acknowledged": True}
    text, _ = await desk.ask("What is your return window?")
    assert "45 days" in text
    for position in ("x", "-1", "9" * 40):
        refused = await desk.client.get(f"/shop/changes/{position}")
        assert (refused.status_code, refused.json()["field"]) == (422, "position")
    never = await desk.client.get(f"/shop/changes/{told['position'] + 1}")
    assert (never.status_code, never.json()["field"]) == (404, "position")


def bought(desk):
    """Return the number of the shopper's purchases, and the total stock."""
    count = desk.conn.execute("SELECT count(*) FROM purchases WHERE shopper = ?", (SHOPPER,)).fetchone()[0]
    return count, desk.conn.execute("SELECT sum(quantity) FROM inventory").fetchone()[0]


async def test_a_purchase_that_is_sent_three_times_with_its_key_is_made_once(desk, monkeypatch):
    """Repeated requests with one idempotency key make one purchase, and all return its position."""
    body, key = {"shopper": SHOPPER, "asin": desk.product().asin}, {"idempotency-key": "a-purchase"}
    count, copies = bought(desk)
    gone = Gone(monkeypatch, desk.http.app)
    tries = [await desk.client.post("/shop/purchases", json=body, headers=key) for _ in range(3)]
    assert [answer.status_code for answer in tries] == [202] * 3
    gone.back()
    last = await desk.client.post("/shop/purchases", json=body, headers=key)
    assert last.status_code == 201
    assert {answer.json()["position"] for answer in (*tries, last)} == {last.json()["position"]}
    assert bought(desk) == (count + 1, copies - 1)
    await desk.client.post("/shop/purchases", json=body, headers={"idempotency-key": "another"})
    await desk.client.post("/shop/purchases", json=body)
    assert bought(desk) == (count + 3, copies - 3)


async def test_a_key_belongs_to_one_request_for_a_day(desk, monkeypatch):
    """A key with another request is refused for a day; a refused write does not use its key up."""
    asin, key = desk.product().asin, {"idempotency-key": "k"}
    missing = await desk.client.post("/shop/purchases", json={"shopper": SHOPPER, "asin": "NOPE"}, headers=key)
    assert missing.status_code == 404
    body = {"shopper": SHOPPER, "asin": asin}
    assert (await desk.client.post("/shop/purchases", json=body, headers=key)).status_code == 201
    before = bought(desk)
    for path, other in (
        ("/shop/purchases", body | {"shopper": "u00004"}),
        ("/shop/views", body),
        ("/shop/reviews", body | {"rating": 5, "body": "Good."}),
    ):
        refused = await desk.client.post(path, json=other, headers=key)
        assert (refused.status_code, refused.json()["field"]) == (422, "idempotency-key")
    assert bought(desk) == before
    monkeypatch.setattr(desk.http.app.settings.clock, "now", lambda: NOW + KEPT_S + 1)
    assert (await desk.client.post("/shop/purchases", json=body, headers=key)).status_code == 201
    assert bought(desk) == (before[0] + 1, before[1] - 1)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "ü"])
async def test_a_key_that_is_none_is_refused(desk, key):
    """An empty, too long or unprintable key is refused and nothing is written."""
    before = bought(desk)
    body = {"shopper": SHOPPER, "asin": desk.product().asin}
    headers = {"idempotency-key": key.encode("latin-1")}
    refused = await desk.client.post("/shop/purchases", json=body, headers=headers)
    assert (refused.status_code, refused.json()["field"]) == (422, "idempotency-key")
    assert bought(desk) == before


async def test_a_policy_is_added_on_purpose_and_removed(desk):
    """A new policy needs ``create=true``; a removed one is 404, as is its second removal."""
    body = {"title": "Gifts", "body": "## Wrapping\nWe wrap gifts for {fee_eur} euros.", "facts": {"fee_eur": 4}}
    mistyped = await desk.client.put("/shop/policies/gift", json=body)
    assert (mistyped.status_code, mistyped.json()["field"]) == (404, "id")
    odd = await desk.client.put("/shop/policies/gifts?create=yes", json=body)
    assert (odd.status_code, odd.json()["field"]) == (422, "create")
    assert (await desk.client.put("/shop/policies/gifts?create=true", json=body)).status_code == 200
    assert "4 euros" in (await desk.client.get("/shop/policies/gifts")).json()["sections"][0]["text"]
    assert (await desk.client.delete("/shop/policies/gifts")).status_code == 200
    assert (await desk.client.get("/shop/policies/gifts")).status_code == 404
    assert (await desk.client.delete("/shop/policies/gifts")).status_code == 404


async def test_an_acknowledgement_comes_with_its_ticket(desk):
    """A write returns a ticket that a later read accepts."""
    told = (await desk.client.put("/shop/policies/returns", json={"facts": {"window_days": 21}})).json()
    asked = await desk.client.get("/shop/policies/returns", headers={"parbake-after": told["ticket"]})
    assert asked.status_code == 200


async def test_a_write_that_is_sent_again_gets_the_same_ticket(desk):
    """A repeated write returns its own acknowledgement, without tags of later writes."""
    key, body = {"idempotency-key": "k"}, {"facts": {"window_days": 21}}
    first = (await desk.client.put("/shop/policies/returns", json=body, headers=key)).json()
    await desk.client.put("/shop/policies/shipping", json={"facts": {"standard_eur": 3}})
    again = (await desk.client.put("/shop/policies/returns", json=body, headers=key)).json()
    assert (again["position"], again["acked"]) == (first["position"], first["acked"])
    assert again["ticket"]
    own = {tag for tag in (await desk.http.app.engine.tickets.read(again["ticket"])) if "shipping" in tag}
    assert own == set()


async def test_a_locked_file_holds_up_writers_and_nobody_else(desk, monkeypatch):
    """While the file is locked, writers wait, and reads, chats and probes are answered."""
    monkeypatch.setattr(connections, "WAIT_S", HANGS_S)
    body = {"shopper": SHOPPER, "asin": desk.product().asin}
    before = bought(desk)
    await desk.ask("What is your return window?")  # a server is warm before it is ready
    other = schema.connect(desk.folder / "shop.db")
    other.execute("BEGIN IMMEDIATE")
    writing = [asyncio.create_task(desk.client.post("/shop/purchases", json=body)) for _ in range(30)]
    await as_far_as_it_gets()
    for path in ("/readyz", "/shop/policies/returns", f"/shop/products/{body['asin']}", "/v1/tasks"):
        assert (await desk.client.get(path)).status_code in (200, 503)
    text, _ = await desk.ask("What is your return window?")
    assert "days" in text
    assert not any(one.done() for one in writing), "those who read were answered while they waited"
    other.execute("ROLLBACK")
    other.close()
    answers = await asyncio.gather(*writing)
    taken = sum(answer.status_code == 201 for answer in answers)
    assert taken > 0
    assert bought(desk)[0] == before[0] + taken


async def test_a_write_to_a_locked_file_is_refused_after_a_while(desk, monkeypatch):
    """If the file stays locked, each waiting writer gets 503 with Retry-After and has written nothing."""
    monkeypatch.setattr(connections, "WAIT_S", 0.05)
    body = {"shopper": SHOPPER, "asin": desk.product().asin}
    before = bought(desk)
    other = schema.connect(desk.folder / "shop.db")
    other.execute("BEGIN IMMEDIATE")
    answers = await asyncio.gather(*(desk.client.post("/shop/purchases", json=body) for _ in range(30)))
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in answers} == {(503, "1")}
    other.execute("ROLLBACK")
    other.close()
    assert bought(desk) == before
    monkeypatch.undo()
    assert (await desk.client.post("/shop/purchases", json=body)).status_code == 201


async def test_a_file_that_was_moved_and_put_back_is_written_again(desk):
    """While the file is missing a write gets 503; once it is back, writes succeed without a restart."""
    body = {"shopper": SHOPPER, "asin": desk.product().asin}
    before, place, aside = bought(desk), desk.folder / "shop.db", desk.folder / "moved.db"
    desk.http.app.settings.resources[PerThread].close()  # so that the next write opens the file anew
    place.rename(aside)
    refused = await desk.client.post("/shop/purchases", json=body)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert not place.exists()
    aside.rename(place)
    assert (await desk.client.post("/shop/purchases", json=body)).status_code == 201
    assert bought(desk)[0] == before[0] + 1


async def test_connections_are_closed_after_their_running_uses():
    """To close waits for what a thread is doing, because a connection that is closed under it crashes the process."""
    began, shop = threading.Event(), PerThread(lambda: sqlite3.connect(":memory:", check_same_thread=False))

    def slow(conn):
        began.set()
        time.sleep(0.1)
        return conn.execute("SELECT 7").fetchone()[0]

    using = asyncio.create_task(shop.write(slow))
    await asyncio.to_thread(began.wait)
    shop.close()
    assert await using == 7
