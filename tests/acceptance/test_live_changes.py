"""Acceptance 3: changes of prices, stock, promotions and the catalog are in the next reply."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from cluster import ON_TWO_STORES, Cluster, Server
from tests.waiting import eventually

pytestmark = [pytest.mark.usefixtures("worker"), *ON_TWO_STORES]


@pytest.fixture(scope="module")
def asin(server: Server) -> str:
    """Return a product on sale."""
    return str(server.serve("trending", "all")["value"][0]["asin"])


def test_a_price_and_a_stock_change_are_in_the_next_reply(server: Server, asin: str) -> None:
    """The next reply states the new price and stock."""
    server.put(f"/shop/prices/{asin}", {"cents": 4321})
    server.put(f"/shop/inventory/{asin}", {"quantity": 0})
    reply = server.chat("how much does this cost and is it in stock?", metadata={"page": asin})
    assert "€43.21" in reply.text, reply.text
    assert "out of stock" in reply.text, reply.text
    server.put(f"/shop/inventory/{asin}", {"quantity": 9})
    assert "out of stock" not in server.chat("is this in stock?", metadata={"page": asin}).text


def test_a_promotion_is_said_at_once_and_gone_when_the_clock_says_so(cluster: Cluster, server: Server) -> None:
    """A promotion is in the reply after its PUT, and not in replies after its end."""
    now = cluster.clock.now()
    body = {
        "title": "Lantern days",
        "category": "*",
        "segment": "all",
        "percent": 77,
        "starts_at": now - 1,
        "ends_at": now + 600,
    }
    server.put("/shop/promotions/lantern", body)
    assert "77 %" in server.chat("What promotions do you have right now?").text
    cluster.clock.advance(601)
    eventually(lambda: server.client.get("/readyz").status_code == 200)
    assert "77 %" not in server.chat("What promotions do you have right now?").text


def test_a_delisted_product_is_never_shown_after_the_acknowledgement(server: Server, asin: str) -> None:
    """After its DELETE a product is in no reply, whatever was precomputed."""
    shopper = "u00011"
    first = server.chat("Recommend me a book", user=shopper)
    card = next(card for card in first.cards if card["asin"] != asin)  # other tests need that product
    gone, title = card["asin"], card["title"]
    assert server.client.delete(f"/shop/products/{gone}").status_code == 200
    for message in ("Recommend me a book", f"I am looking for {title}", f"how much is {title}?", "What is popular?"):
        reply = server.chat(message, user=shopper)
        assert gone not in [c["asin"] for c in reply.cards], message
    page = {"messages": [{"role": "user", "content": "hello"}], "metadata": {"page": gone}}
    assert server.client.post("/v1/chat/completions", json=page).status_code == 404
    assert server.serve("product_embeddings", gone)["value"] is None


def test_adding_a_product_kills_no_other_artifact(server: Server, asin: str) -> None:
    """A new product's event does not outdate embeddings and evidence of other products."""
    before = server.serve("product_embeddings", asin)
    fields = {"title": "The Glass Orchard", "author": "Mara Winter", "genre": "fantasy", "cents": 990, "quantity": 5}
    ack = server.put("/shop/products/NEW0001", {**fields, "description": "An orchard of glass trees sings at night."})
    after = server.serve("product_embeddings", asin)
    assert (after["verdict"], after["lane"], after["stamp"]) == ("fresh", before["lane"], before["stamp"])
    assert server.serve("evidence", f"product/{asin}")["lane"] == "batch"
    new = eventually(lambda: _in_event_lane(server, "NEW0001", ack["stamp"]))
    assert new["verdict"] == "fresh"
    asked = "Do you have The Glass Orchard?"
    eventually(lambda: "NEW0001" in [c["asin"] for c in server.chat(asked).cards])


def test_an_event_recomputes_only_what_read_its_entity(server: Server, asin: str) -> None:
    """A product's change recomputes one evidence record and no FAQ answer."""

    def computed(task: str) -> float:
        lines = server.client.get("/v1/costs").json()["costs"]
        return sum(r["calls"] for r in lines if (r["task"], r["lane"]) == (task, "event"))

    eventually(lambda: _stale_share(server, "evidence") == 0.0)
    before = _settled(lambda: computed("evidence"))
    server.put(f"/shop/products/{asin}", {"description": "An orchard of glass trees that sings at noon."})
    eventually(lambda: computed("evidence") > before)
    assert _settled(lambda: computed("evidence")) == before + 1
    assert _stale_share(server, "faq_answers") == 0.0
    assert server.chat("How many days do I have to send a book back?").is_precompiled


def _settled(count: Callable[[], float]) -> float:
    """Return the count when it has not changed for two seconds; a worker writes its ledger twice a second.

    On a busy machine, where a single count takes long, the wait is longer.
    """
    found, took_s, since = None, 0.0, time.monotonic()
    while time.monotonic() < since + max(2.0, 50 * took_s):
        time.sleep(0.1)
        asked_at = time.monotonic()
        now = count()
        took_s = max(took_s, time.monotonic() - asked_at)
        if now != found:
            found, since = now, time.monotonic()
    assert found is not None
    return found


def _stale_share(server: Server, task: str) -> float:
    rows = {row["task"]: row for row in server.client.get("/v1/freshness").json()["tasks"]}
    return float(rows[task]["stale_share"])


def _in_event_lane(server: Server, asin: str, stamp: int) -> dict[str, object] | None:
    row = server.client.get("/v1/freshness").json()
    assert row["tasks"]
    served = server.serve("product_embeddings", asin)
    return served if served["stamp"] >= stamp else None
