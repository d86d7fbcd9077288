"""A shopper who was told a wrong policy is found by the recall, and told what holds, once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import msgspec
from cluster import APP, HERE, KEY, Cluster, Server
from tests.waiting import HANGS_S

QUESTION = "Within how many days can I return a book?"


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
    assert "30 days" in server.chat(QUESTION, user="u00001").text
    wrong = server.put("/shop/policies/returns", {"facts": {"window_days": 90}})
    assert "90 days" in server.chat(QUESTION, user="u00003").text
    server.put("/shop/policies/returns", {"facts": {"window_days": 30}})
    assert "30 days" in server.chat(QUESTION, user="u00007").text
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
