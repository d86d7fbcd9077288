"""Acceptance 2: a bought item leaves the next reply, and only the buyer's candidates are refreshed."""

from __future__ import annotations

from typing import Any

from cluster import ON_TWO_STORES, Chat, Process, Server
from tests.waiting import eventually

pytestmark = ON_TWO_STORES

SHOPPER, OTHER = "u00007", "u00008"
QUESTION = "Can you recommend me something to read?"


def test_a_bought_item_is_gone_and_the_candidates_are_refreshed_behind(server: Server, worker: Process) -> None:
    """The next reply lacks the bought item, and the event lane refreshes the buyer's candidates and no others."""
    others = server.serve("candidates", OTHER)
    before = server.serve("candidates", SHOPPER)
    bought, reply, after = _buy(server, SHOPPER)
    assert server.serve("candidates", OTHER)["stamp"] == others["stamp"]
    assert bought not in [c["asin"] for c in reply.cards]
    assert reply.lane in {"batch", "event"}, "the request has computed the candidates itself"
    assert bought not in [c["asin"] for c in after["value"]]
    assert [c["asin"] for c in after["value"]] != [c["asin"] for c in before["value"]]


def _buy(server: Server, shopper: str) -> tuple[str, Chat, dict[str, Any]]:
    """Buy a recommended product; return it, the next reply, and the refreshed candidates."""
    first = server.chat(QUESTION, user=shopper)
    assert first.cards, first.text
    bought = str(first.cards[0]["asin"])
    ack = server.post("/shop/purchases", {"shopper": shopper, "asin": bought})
    reply = server.chat(QUESTION, user=shopper)

    def refreshed() -> dict[str, Any] | None:
        served = server.serve("candidates", shopper)
        return served if served["lane"] == "event" and served["stamp"] >= ack["stamp"] else None

    return bought, reply, eventually(refreshed)


def test_an_unknown_shopper_gets_what_is_popular(server: Server) -> None:
    """An unknown shopper gets trending products, with the reason ``cold_start``."""
    served = server.serve("candidates", "nobody-knows-me")
    assert served["reason"] == "cold_start"
    assert served["value"]
    assert server.chat("Recommend me something", user="nobody-knows-me").cards
