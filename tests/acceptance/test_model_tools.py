"""The assistant with a hosted model that calls its tools, through each provider's client and a provider in a box."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Server
from conftest import NO_CREDENTIALS

from parbake_llm.ports.prompts import ToolCall
from parbake_llm.testing import BoxRequest, ProviderBox, ProviderFault, ScriptedReply

QUESTION = "Tell me something about that, would you?"
"""A question that neither the bank nor a rule answers."""
PROVIDERS = ("openai", "anthropic", "bedrock")


def environment(llm: str, box: ProviderBox, model: str = "small") -> dict[str, str]:
    """Return the settings of an assistant whose provider is the box."""
    bedrock = {"AWS_ACCESS_KEY_ID": box.key, "AWS_SECRET_ACCESS_KEY": "testing-secret", "AWS_REGION": "eu-central-1"}
    return {
        "LLM": llm,
        "OPENAI_API_KEY": box.key, "OPENAI_BASE_URL": box.openai_url, "OPENAI_MODEL": model,
        "ANTHROPIC_API_KEY": box.key, "ANTHROPIC_BASE_URL": box.anthropic_url, "ANTHROPIC_MODEL": model,
        **NO_CREDENTIALS, **bedrock,
        "BEDROCK_MODEL": f"anthropic.claude-{model}", "BEDROCK_ENDPOINT_URL": box.bedrock_url,
        **{f"{name.upper()}_FAILURES": "1000" for name in PROVIDERS},  # the box fails more often than a provider may
    }  # fmt: skip


@pytest.fixture(scope="module", params=PROVIDERS)
def opened(
    request: pytest.FixtureRequest, prepared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, ProviderBox]]:
    """Return a server with each provider in turn, and its box."""
    home = tmp_path_factory.mktemp("tools") / "data"
    shutil.copytree(prepared, home)
    with ProviderBox() as box:
        cluster = Cluster(home, **environment(request.param, box))
        try:
            yield cluster.server(), box
        finally:
            cluster.stop()


@pytest.fixture
def served(opened: tuple[Server, ProviderBox]) -> Server:
    """Return the server."""
    return opened[0]


@pytest.fixture
def box(opened: tuple[Server, ProviderBox]) -> ProviderBox:
    """Return the box, which has received nothing in this test."""
    opened[1].requests.clear()
    opened[1].reply(lambda _: "")
    return opened[1]


def called(name: str, **arguments: object) -> ScriptedReply:
    """Return a reply that calls one tool."""
    return ScriptedReply(calls=(ToolCall("call-1", name, json.dumps(arguments)),))


def tool_results(request: BoxRequest) -> str:
    """Return what a request says, as text."""
    return json.dumps(request.body, ensure_ascii=False)


def test_a_model_looks_up_and_refers(served: Server, box: ProviderBox) -> None:
    """Through each client the model's call is answered, its reference is quoted, and the second request is cached."""
    box.reply(called("policy_section", question="How long is the return window?"), "Thanks for asking! [r1]")
    reply = served.chat(QUESTION)
    assert "30 days" in reply.text, reply.made["refusals"]
    assert len(box.requests) == 2
    assert "[r1.1] " in tool_results(box.requests[1])
    assert [one.status for one in box.requests] == [200, 200]
    usage = box.requests[1].usage
    assert usage is not None
    assert usage.read > 1000


def test_a_lying_model_is_corrected(served: Server, box: ProviderBox) -> None:
    """A wrong number with a reference is replaced by what the reference states, and one without is not shown."""
    box.reply("You have 99 days [returns#return-window]. Everything is free.")
    reply = served.chat(QUESTION)
    assert "30 days" in reply.text, reply.made["refusals"]
    assert "99" not in reply.text
    assert "free" not in reply.text


def test_a_rule_without_a_reference_is_shown_with_its_conditions(served: Server, box: ProviderBox) -> None:
    """A sentence that a section bears out is shown, and after it what the section demands besides, in its own words."""
    box.reply(lambda _: ScriptedReply("Opened items can be returned within 14 days of delivery. Happy to help."))
    reply = served.chat("opened box set, bought 10 days ago - return possible?")
    assert reply.text.startswith("Opened items can be returned within 14 days of delivery. ")
    assert "must still look unread" in reply.text
    assert reply.text.endswith("Happy to help.")
    assert len(box.requests) == 1


def test_malformed_calls_do_not_end_the_turn(served: Server, box: ProviderBox) -> None:
    """An unknown tool and arguments of a wrong type come back to the model as errors, and it goes on."""
    calls = (ToolCall("1", "fly", "{}"), ToolCall("2", "product_facts", '{"product": 7}'))
    box.reply(ScriptedReply(calls=calls), "[returns#return-window]")
    reply = served.chat(QUESTION)
    assert "30 days" in reply.text, reply.made["refusals"]
    sent = tool_results(box.requests[1])
    assert "there is no tool" in sent
    assert "arguments of product_facts" in sent


@pytest.mark.parametrize("fault", [f for f in ProviderFault if f not in (ProviderFault.SLOW, ProviderFault.ENDLESS)])
def test_every_fault_leaves_the_turn_to_the_rules(served: Server, box: ProviderBox, fault: ProviderFault) -> None:
    """Whatever the provider does, the turn is answered by the rules, marked, and without the key."""
    box.reply(lambda _: ScriptedReply("You have 99 days. You have 98 days.", fault=fault))
    reply = served.chat("What is your return window, for opened boxes and all?")
    assert any(refusal.startswith("model_failed") for refusal in reply.made["refusals"]), reply.made["refusals"]
    assert reply.text
    assert "99" not in reply.text
    assert not [line for line in served.lines if box.key in line]


def test_a_policy_change_reaches_the_next_prompt(served: Server, box: ProviderBox) -> None:
    """After an acknowledged change the next prompt has the new policy, and the reply states it."""
    box.reply("[returns#return-window]", "[returns#return-window]")
    assert "30 days" in served.chat(QUESTION).text
    policy = served.client.get("/shop/policies/returns").json()
    facts = {**policy["facts"], "window_days": 9}
    changed = served.client.put(
        "/shop/policies/returns", json={"title": policy["title"], "body": policy["body"], "facts": facts}
    )
    assert changed.status_code == 200, changed.text
    reply = served.chat(f"{QUESTION} Please.")
    assert "9 days" in reply.text
    assert "return a book within 9 days" in tool_results(box.requests[-1])
    assert "return a book within 30 days" not in tool_results(box.requests[-1])
