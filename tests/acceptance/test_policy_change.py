"""Acceptance 1: after a policy changes, every reply has the new text, and who was told a wrong one is told so."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import httpx
import msgspec
import pytest
from cluster import APP, HERE, KEY, ON_EVERY_STORE, Cluster, Process, Server
from tests.waiting import HANGS_S, eventually

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


def recall(cluster: Cluster, server: Server, since: int) -> list[dict[str, Any]]:
    """Recall what was told of returns with the product's command, and let it tell the shop."""
    command = [sys.executable, "-m", "parbake", "recall", APP, "policy/returns", "--since", str(since)]
    webhook = {"PARBAKE_RECALL_WEBHOOK": f"{server.url}/shop/notices", "PARBAKE_RECALL_TOKEN": KEY}
    done = subprocess.run(
        [*command, "--webhook", "--json"],
        cwd=HERE,
        env=cluster.environment | webhook,
        capture_output=True,
        text=True,
        timeout=HANGS_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(msgspec.json.decode(done.stdout))


def test_who_was_told_a_wrong_policy_is_told_what_holds(cluster: Cluster, server: Server) -> None:
    """Of three shoppers the one in between is recalled; the shop tells only that one, until it was read."""
    server.put("/shop/policies/returns", {"facts": {"window_days": 30}})
    assert "30 days" in server.chat(WORDINGS[1], user="u00001").text
    wrong = server.put("/shop/policies/returns", {"facts": {"window_days": 90}})
    assert "90 days" in server.chat(WORDINGS[1], user="u00003").text
    server.put("/shop/policies/returns", {"facts": {"window_days": 30}})
    assert "30 days" in server.chat(WORDINGS[1], user="u00007").text
    for _ in range(2):  # a command that is run again tells nobody twice
        recalled = recall(cluster, server, wrong["acked"])
        assert [one["recipient"] for one in recalled] == ["u00003"]
    notices = {user: unread(server, user) for user in ("u00001", "u00003", "u00007")}
    assert [len(found) for found in notices.values()] == [0, 1, 0]
    (notice,) = notices["u00003"]
    assert "30 days" in notice["now"]
    assert notice["about"]
    server.client.delete("/shop/notices/u00003/policy/returns").raise_for_status()
    recall(cluster, server, wrong["acked"])
    assert unread(server, "u00003") == []
    assert httpx.post(f"{server.url}/shop/notices", json={}, timeout=HANGS_S).status_code in (401, 403)


def unread(server: Server, user: str) -> list[dict[str, Any]]:
    """Return what a shopper has not read yet."""
    return list(server.client.get(f"/shop/notices/{user}").raise_for_status().json()["notices"])
