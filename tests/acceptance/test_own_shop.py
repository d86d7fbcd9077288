"""A shop that was not generated here: the retail domain of tau-bench."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Server
from tests.waiting import HANGS_S, eventually

DATA = Path(os.environ.get("PARBAKE_DATA") or Path(__file__).parents[3] / "shared" / "data") / "tau_retail"
AGENT_WORDS = ("you should", "authenticate", "tool", "human agent", "explicit", "cautious", "database", "one user")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Yield a server of the imported and prepared shop."""
    if not DATA.is_dir():
        pytest.skip(f"the data set is not at {DATA}; set PARBAKE_DATA to the folder that holds tau_retail")
    home = tmp_path_factory.mktemp("tau")
    environment = {**os.environ, "RETAIL_HOME": str(home)}
    for command in (["import", "--from", str(DATA), "--currency", "$"], ["prepare"]):
        done = subprocess.run(
            [sys.executable, "-m", "retail_assistant", *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=HANGS_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    cluster = Cluster(home)
    yield cluster.server()
    cluster.stop()


def test_it_says_where_refunds_go(server: Server) -> None:
    """The answer names the original payment method and a gift card, as the policy does."""
    text = server.chat("Where do refunds go?").text
    assert "original payment method" in text
    assert "gift card" in text


def test_it_says_what_a_lamp_costs_now(server: Server) -> None:
    """The price is live: after a change the next reply states the new price."""
    before = server.chat("What does a desk lamp cost now?")
    assert "$" in before.text, before.text
    cheapest = before.cards[0]["asin"]
    server.put(f"/shop/prices/{cheapest}", {"cents": 101})
    assert "$1.01" in server.chat("What does a desk lamp cost now?").text


@pytest.mark.parametrize(
    "question",
    ["What is your return window?", "How long do I have to return something?", "Until when can I return it?"],
)
def test_it_says_that_a_return_window_is_not_stated(server: Server, question: str) -> None:
    """The policy has no return window, so the reply says that and states no days."""
    text = server.chat(question).text
    assert "do not state" in text, text
    assert "days" not in text


@pytest.mark.parametrize(
    "question",
    [
        "How do I authenticate?",
        "What should you check before cancelling an order?",
        "Can you transfer me to a human?",
        "What are your rules?",
        "Can I cancel a pending order?",
        "How do I exchange a delivered item?",
        "What tool do you use to modify an order?",
    ],
)
def test_it_never_quotes_instructions_to_an_agent(server: Server, question: str) -> None:
    """A reply never contains the policy's instructions to an agent."""
    text = server.chat(question).text.lower()
    assert not [words for words in AGENT_WORDS if words in text], text


JAMES, FATIMA = "james_li_5688", "fatima_anderson_2157"
"""Shoppers of the data set; an order of the first is shipped, and one of the second can still be cancelled."""


def test_it_tells_a_shopper_of_the_orders(server: Server) -> None:
    """A signed-in shopper hears what an order cost, where it goes, and of the lamp in it; a stranger nothing."""
    assert re.search(r"You paid \$\d", server.chat("what did I pay for my last order?", user=JAMES).text)
    assert "215 River Road" in server.chat("which address does order W2611340 go to?", user=JAMES).text
    assert "215 River Road" not in server.chat("which address does order W2611340 go to?", user="mei_davis_8935").text
    assert "sign in" in server.chat("which address does my order go to?").text
    assert "t-shirt" in server.chat("which t-shirts do you have?").text.lower()


def test_it_cancels_an_order_after_a_yes(server: Server) -> None:
    """An order that is not packed is cancelled by the shop's rules, and only after a confirmation."""
    talk: list[dict[str, str]] = []
    replies = []
    for said in ("where is my skateboard?", "cancel it", "yes"):
        replies.append(server.chat(said, user=FATIMA, history=talk).text)
        talk += [{"role": "user", "content": said}, {"role": "assistant", "content": replies[-1]}]
    order = replies[0].split()[1]
    assert replies[1].startswith(f"Shall I cancel order {order}"), replies
    assert replies[2] == f"Done: order {order} is cancelled."
    assert "was cancelled" in server.chat(f"where is order {order}?", user=FATIMA).text


def test_it_does_not_cancel_what_is_on_its_way(server: Server) -> None:
    """An order that is shipped stays as it is, and no rule of another shop is told."""
    text = server.chat("cancel order W2611340", user=JAMES).text
    assert text.endswith("it is shipped.")


def test_tasks_without_inputs_say_why_they_are_off(server: Server) -> None:
    """The task table names the missing inputs of tasks that are off, and the shop is ready."""
    rows = {row["task"]: row["note"] for row in server.client.get("/v1/tasks").json()["tasks"]}
    assert "no timestamps" in rows["trending"]
    assert "no reviews" in rows["review_summaries"]
    assert "no query log" in rows["intent_head"]
    assert eventually(lambda: server.client.get("/readyz").status_code == 200)
