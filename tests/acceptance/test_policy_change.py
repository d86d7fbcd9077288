"""Acceptance 1: after a policy changes, every reply has the new text."""

from __future__ import annotations

import re

import pytest
from cluster import ON_EVERY_STORE, Process, Server
from tests.waiting import eventually

pytestmark = ON_EVERY_STORE

WORDINGS = (
    "What is your return window?",
    "How many days do I have to send a book back?",
    "Until when can I return my order?",
    "If I don't like a book, how long can I take to bring it back?",
    "What's the time limit on returns?",
    "How long after delivery are returns accepted?",
    "Do I still have time to return a book I got two weeks ago?",
    "Return deadline?",
    "By when must I return an item for my money back?",
    "For how many days are returns possible?",
)
DAYS = re.compile(r"(\d+) days")


def windows(text: str) -> set[str]:
    """Return the numbers of days that a reply states."""
    return set(DAYS.findall(text))


@pytest.mark.usefixtures("worker")
def test_wordings_never_seen_are_served_precompiled_and_none_wrongly(server: Server) -> None:
    """At least 6 of 10 hand-written wordings are answered from the bank, with the return window."""
    replies = [server.chat(w) for w in WORDINGS]
    precompiled = [r for r in replies if r.is_precompiled]
    assert len(precompiled) >= 6, [r.made["refusals"] for r in replies]
    assert all("30" in windows(r.text) for r in precompiled), [r.text for r in precompiled]
    assert all(windows(r.text) <= {"30", "14"} for r in replies), [r.text for r in replies]


def test_every_reply_after_the_acknowledgement_follows_the_change(server: Server, worker: Process) -> None:
    """After a PUT no reply has the old window, and every step's stamp reaches the acknowledged one."""
    body = server.client.get("/shop/policies/returns").json()["body"]
    clause = "Please keep the original wrapping until you are sure."
    changed = body.replace("The day the parcel arrives counts as day zero.", clause)
    assert changed != body
    ack = server.put("/shop/policies/returns", {"facts": {"window_days": 21}, "body": changed})
    for wording in WORDINGS:
        reply = server.chat(wording)
        assert "30" not in windows(reply.text), (wording, reply.text)
        assert windows(reply.text) <= {"21", "14"}, (wording, reply.text)
        older = [step for step in reply.made["steps"] if step["stamp"] < ack["stamp"]]
        assert not older, (wording, older)
        if reply.is_precompiled:
            assert "21 days" in reply.text
            assert clause in reply.text
            assert "day zero" not in reply.text
    assert worker.popen.poll() is None

    def again() -> bool:
        reply = server.chat(WORDINGS[1])
        return reply.is_precompiled and reply.lane == "event" and clause in reply.text

    assert eventually(again)


def test_a_second_change_is_in_the_very_next_reply(server: Server) -> None:
    """After each of ten changes the next reply states the new number and no older one."""
    for days in range(31, 41):
        server.put("/shop/policies/returns", {"facts": {"window_days": days}})
        reply = server.chat(WORDINGS[days % 2 * 3 + 1])
        assert windows(reply.text) <= {str(days), "14"}, reply.text
        assert str(days) in windows(reply.text), reply.text
