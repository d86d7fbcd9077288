"""The chat endpoint: streams, generators, bad requests, and the page."""

import json
import re

import pytest

import parbake as pb
import parbake_semantic.guard
from parbake_llm.ports.generator import Delta
from retail_assistant.shop import orders

from .conftest import NOW

CHAT = "/v1/chat/completions"


class Inventor:
    """A generator that says what it is told to, after the first sentence of its evidence if that is wanted."""

    name = "inventor"

    def __init__(self, *pieces, begins=False):
        self.pieces, self.begins = pieces, begins

    async def stream(self, prompt, *, max_tokens, timeout_s):
        if self.begins:
            yield Delta(next(iter(parbake_semantic.guard.sentences(prompt.evidence[0]))) + " ")
        for piece in self.pieces:
            yield Delta(piece)


OPENED = "and for opened boxes?"
ASKED = [{"role": "user", "content": "What is your return window?"}]


@pytest.mark.parametrize(
    ("pieces", "violation"),
    [
        (("You have 99 days ", "for that."), "guard: ungrounded duration: 99"),
        (("Write to boss@shop", ".example."), "guard: personal data"),
        (("It costs {{price:NOPE}}.",), "guard: unfilled slot: price"),
    ],
)
async def test_what_a_generator_makes_up_is_replaced_by_the_evidence(opened, pieces, violation):
    """If the first sentence makes something up, the evidence stands in for the reply; a later one is left out."""
    desk = await opened(Inventor(*pieces, " You pay the return label."))
    text, made = await desk.ask(OPENED, history=ASKED)
    assert made["refusals"][-1] == violation
    assert "14 days" in text
    assert made["worded"] is False
    desk = await opened(Inventor(*pieces, begins=True))
    text, made = await desk.ask(OPENED, history=ASKED)
    assert made["refusals"][-1] == violation
    assert "14 days" in text
    assert not any(wrong in text for wrong in ("99", "boss", "NOPE"))
    assert made["worded"] is True


async def test_a_fragment_is_no_sentence(opened):
    """What begins in the middle of a sentence, such as a repeated question, is not shown."""
    desk = await opened(Inventor(" and for opened boxes? - Thanks for asking about them."))
    text, _ = await desk.ask(OPENED, history=ASKED)
    assert "and for opened" not in text
    assert "14 days" in text


class Reader:
    """A generator that repeats the first sentence of its evidence."""

    name = "reader"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        yield Delta(next(iter(parbake_semantic.guard.sentences(prompt.evidence[0]))))


class Polite:
    """A generator that is only polite."""

    name = "polite"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        yield Delta("I'm sorry for any confusion. I'm here to help.")


class Thief:
    """A generator that puts the slot of somebody's address into what its evidence states."""

    name = "thief"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        first = next(iter(parbake_semantic.guard.sentences(prompt.evidence[0])))
        yield Delta(f"{first.rstrip('.')} {{{{address:N77001}}}}.")


async def test_a_generator_cannot_look_up_an_address(opened):
    """A slot that a generator writes never fetches the address of an order."""
    desk = await opened(Thief())
    orders.put_order(desk.conn, "N77001", shopper="u00004", placed_at=NOW - 9, state="shipped", lines={}, now=NOW)
    desk.conn.execute("UPDATE orders SET address = 'Lane, Town' WHERE number = 'N77001'")
    asked = [{"role": "user", "content": "What is your return window?"}]
    text, _ = await desk.ask("and for opened boxes?", history=asked)
    assert "14 days" in text
    assert "Lane" not in text


async def test_the_evidence_stands_in_for_mere_courtesies(opened):
    """A generator that states nothing has not answered, so the section is quoted instead."""
    desk = await opened(Polite())
    asked = [{"role": "user", "content": "What is your return window?"}]
    text, made = await desk.ask("and for opened boxes?", history=asked)
    assert "14 days" in text
    assert "sorry" not in text
    assert made["worded"] is False


async def test_a_reply_says_whether_a_generator_worded_it(opened):
    """What a generator worded and the check let through is marked; what the shop wrote is not."""
    desk = await opened(Reader())
    asked = [{"role": "user", "content": "What is your return window?"}]
    text, made = await desk.ask("and for opened boxes?", history=asked)
    assert "14 days" in text
    assert made["worded"] is True
    _, made = await desk.ask("how many points do I have?", user="u00003")
    assert made["worded"] is False


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("How long does a refund take? How many points do I have?", ("refund", "points")),
        ("what are my points worth?", ("You have", "voucher")),
    ],
)
async def test_a_generator_leaves_nothing_out_of_a_reply_of_several_parts(opened, message, said):
    """What a policy answers is quoted beside another answer, so that both are in the reply."""
    desk = await opened(Inventor())
    text, _ = await desk.ask(message, user="u00003")
    assert all(part in text for part in said), text


async def test_a_stream_is_the_same_reply_in_sentences(desk):
    """The chunks of a stream add up to the plain reply; the last chunk has its details."""
    plain, _ = await desk.ask("What is your return window?")
    body = {"messages": [{"role": "user", "content": "What is your return window?"}], "stream": True}
    answer = await desk.client.post(CHAT, json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    chunks = [json.loads(line) for line in lines]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks).strip() == plain
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["parbake"]["lane"] == "batch"


class Down:
    """A generator whose provider does not answer."""

    name = "down"

    async def stream(self, prompt, *, max_tokens, timeout_s):
        yield Delta("")
        raise pb.errors.ProviderError("the provider is down", field="openai")


async def test_without_its_provider_the_assistant_quotes_and_says_so(opened):
    """If the provider fails, the reply quotes the policy, and its refusals say that the model has failed."""
    desk = await opened(Down())
    history = [{"role": "user", "content": "What is your return window?"}]
    body = {"messages": [*history, {"role": "user", "content": "and for opened boxes?"}]}
    plain = (await desk.client.post(CHAT, json=body)).json()
    text = plain["choices"][0]["message"]["content"]
    assert "14 days" in text
    assert plain["parbake"]["refusals"][-1] == "model_failed: unknown"
    assert plain["parbake"]["worded"] is False
    streamed = await desk.client.post(CHAT, json=body | {"stream": True})
    events = [event.removeprefix("data: ") for event in streamed.text.split("\n\n")]
    chunks = [json.loads(event) for event in events if event.startswith("{")]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks).strip() == text
    assert chunks[-1]["parbake"]["refusals"][-1] == "model_failed: unknown"


def one(text, **members):
    """Return a chat body with one message."""
    return {"messages": [{"role": "user", "content": text}], **members}


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"messages": []}, 422, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 422, "messages"),
        (one(" "), 422, "messages[0].content"),
        (one("a\u0007b"), 422, "messages[0].content"),
        (one("a" * 8001), 422, "messages[0].content"),
        (one("hi", user=""), 422, "user"),
        (one("hi", user="a\nb\u0000"), 422, "user"),
        (one("hi", metadata={"page": "NOPE"}), 404, "metadata.page"),
    ],
)
async def test_a_bad_conversation_names_the_member_at_fault(desk, body, status, field):
    """A bad member gets a problem document with its name and OpenAI's error object."""
    answer = await desk.client.post(CHAT, json=body)
    assert answer.status_code == status
    assert answer.json()["field"] == field
    assert answer.json()["error"]["type"] == "invalid_request_error"


async def test_content_may_come_in_parts(desk):
    """Text parts are joined, and parts of other types are ignored."""
    parts = [{"type": "text", "text": "hel"}, {"type": "image_url"}, {"type": "text", "text": "lo"}]
    answer = await desk.client.post(CHAT, json={"messages": [{"role": "user", "content": parts}]})
    assert answer.json()["parbake"]["intent"] == "social"


async def test_the_page_is_served_without_scripts_from_elsewhere(desk):
    """The page loads only its own modules and style sheets, which exist, and its policy forbids inline scripts."""
    answer = await desk.client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert re.findall(r"<(?:script|link|style)[^>]*>", answer.text) == [
        '<link rel="icon" href="data:,">',
        '<link rel="stylesheet" href="static/base.css">',
        '<link rel="stylesheet" href="static/shop.css">',
        '<link rel="stylesheet" href="static/chat.css">',
        '<script type="module" src="static/main.js">',
    ]
    assert not re.search(r"\s(?:style|on\w+)=", answer.text)
    kinds = {"css": "text/css", "js": "text/javascript"}
    found, seen = set(re.findall(r"static/([\w.]+)", answer.text)), set()
    while name := next(iter(found - seen), None):
        seen.add(name)
        file = await desk.client.get(f"/static/{name}")
        assert file.headers["content-type"].startswith(kinds[name.rpartition(".")[2]]), name
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|https?://(?!www\.w3\.org)", file.text
        )
        found |= set(re.findall(r'from "\./([\w.]+)"', file.text))
    assert len(seen) > 10
