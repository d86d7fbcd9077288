"""Acceptance 5: two server processes and one worker on one store."""

from __future__ import annotations

import pytest
from cluster import ON_EVERY_STORE, Cluster, Server

pytestmark = ON_EVERY_STORE

QUESTION = "How many days do I have to send a book back?"


@pytest.mark.usefixtures("worker")
def test_an_event_acknowledged_by_one_server_is_respected_by_the_others_next_read(
    cluster: Cluster, server: Server
) -> None:
    """After one server acknowledges a change, the next read of the other, which has just served the key, has it."""
    second = cluster.server()
    for days in range(40, 60):
        assert second.chat(QUESTION).text
        ack = server.put("/shop/policies/returns", {"facts": {"window_days": days}})
        reply = second.chat(QUESTION)
        assert f"{days} days" in reply.text, reply.text
        assert all(s["stamp"] >= ack["stamp"] for s in reply.made["steps"])
