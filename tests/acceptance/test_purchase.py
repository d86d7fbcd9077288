"""Acceptance 2: a purchase leaves the next recommendations at once, and the candidates follow within a second."""

from __future__ import annotations

import time

import pytest
from cluster import FOLLOWS_S, ON_EVERY_STORE, Server

pytestmark = ON_EVERY_STORE

SHOPPER = "u00007"


@pytest.mark.usefixtures("worker")
def test_a_bought_item_is_gone_and_the_candidates_are_refreshed_behind(server: Server, store: str) -> None:
    """The live filter acts on the next request; the event lane renews the candidates, and no request waits for it."""
    before = server.serve("candidates", SHOPPER)
    first = server.chat("Can you recommend me something to read?", user=SHOPPER)
    assert first.cards, first.text
    bought = first.cards[0]["asin"]
    ack = server.post("/shop/purchases", {"shopper": SHOPPER, "asin": bought})
    acked_at = time.monotonic()
    started = time.monotonic()
    second = server.chat("Can you recommend me something to read?", user=SHOPPER)
    assert time.monotonic() - started < FOLLOWS_S[store]
    assert bought not in [c["asin"] for c in second.cards]
    while True:
        after = server.serve("candidates", SHOPPER)
        if after["lane"] == "event" and after["stamp"] >= ack["stamp"]:
            break
        assert time.monotonic() - acked_at < FOLLOWS_S[store], after
        time.sleep(0.02)
    assert bought not in [c["asin"] for c in after["value"]]
    assert [c["asin"] for c in after["value"]] != [c["asin"] for c in before["value"]]


def test_an_unknown_shopper_gets_what_is_popular(server: Server) -> None:
    """An unknown shopper is answered with trending, and the reason says cold_start."""
    served = server.serve("candidates", "nobody-knows-me")
    assert served["reason"] == "cold_start"
    assert served["value"]
    assert server.chat("Recommend me something", user="nobody-knows-me").cards
