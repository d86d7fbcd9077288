"""Acceptance 4: a question that depends on the conversation is never answered from the bank alone."""

from __future__ import annotations

import pytest
from cluster import Chat, Server

ASKED = [{"role": "user", "content": "What is your return window?"}]


def used_bank(reply: Chat) -> bool:
    """Return whether a bank answer was served."""
    return any(step["task"] == "faq_answers" for step in reply.made["steps"])


@pytest.mark.parametrize(
    "message", ["and for opened boxes?", "what about opened items?", "does it also apply to gifts?"]
)
def test_a_follow_up_is_never_a_bare_faq_hit(server: Server, message: str) -> None:
    """A follow-up is answered by retrieval with the conversation, not from the bank."""
    first = server.chat(ASKED[0]["content"])
    history = [*ASKED, {"role": "assistant", "content": first.text}]
    reply = server.chat(message, history=history)
    assert not used_bank(reply), reply.made


def test_an_opened_box_follow_up_is_answered_from_its_own_section(server: Server) -> None:
    """A follow-up about opened boxes states the window of opened items."""
    first = server.chat(ASKED[0]["content"])
    reply = server.chat("and for opened boxes?", history=[*ASKED, {"role": "assistant", "content": first.text}])
    assert "14 days" in reply.text, reply.text


def test_a_cheaper_edition_is_compared_live(server: Server) -> None:
    """A question for a cheaper edition is answered with live prices, not from the bank."""
    found = server.client.get("/shop/products/B000001").json()
    reply = server.chat(
        "is it cheaper in paperback?",
        metadata={"page": "B000001"},
        history=[
            {"role": "user", "content": f"tell me about {found['title']}"},
            {"role": "assistant", "content": found["title"]},
        ],
    )
    assert not used_bank(reply)
    assert "€" in reply.text, reply.text


@pytest.mark.parametrize("message", ["Where is my order?", "where's my parcel", "Has my refund arrived yet?"])
def test_a_shoppers_own_order_is_not_answered_from_the_bank(server: Server, message: str) -> None:
    """Questions about one's own order are not answered from the bank."""
    assert not used_bank(server.chat(message, user="u00003"))
