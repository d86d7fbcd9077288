"""Whatever size a caller or the provider chooses, the proxy holds its event loop for a short time only."""

import asyncio
import json

import pytest
from tests.loop_turns import longest_turn, unit_s
from tests.model_server import _Handler
from tests.unit.test_proxy import KEY, QUESTION, front  # noqa: F401  # a fixture

from parbake_proxy import answers
from parbake_proxy.wire.events import Events
from parbake_proxy.wire.openai_chat import OpenAiChat

MOST_UNITS = 4
"""About 100 ms on an idle machine: twice what the guide names."""
MIB = 1024 * 1024
ASKED = b'{"model": "m", "cache": {"ttl": 60}, "messages": [{"role": "user", "content": "what is topicaa"}], '
BODIES = {
    "members": ASKED + b",".join(b'"%x":1' % number for number in range(1_400_000)) + b"}",
    "lists": ASKED + b'"x": [' + b"[]," * (MIB // 4) + b"0]}",
    "many lists": ASKED + b'"x": [' + b"[]," * (5 * MIB) + b"0]}",
    "numbers": ASKED + b'"x": [' + b"1," * (MIB // 3) + b"0]}",
    "numbers with exponents": ASKED + b'"x": [' + b"1e308," * (MIB // 6 - 64) + b"0]}",
    "members of one name": ASKED + b'"x":1,' * 2_000_000 + b'"x":1}',
}
ANSWERS = {"words": "a " * 125_000, "letters": "a" * (2 * MIB), "few words": "a " * 10_001}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_request_of_many_small_values_takes_a_short_turn(front, monkeypatch, body):  # noqa: F811  # a fixture
    """A body that would take long to decode is passed on, and not looked up."""
    monkeypatch.setattr(_Handler, "do_POST", read)
    kind = KEY | {"content-type": "application/json"}
    least_s = float("inf")
    for _ in range(3):
        with longest_turn() as longest:
            asking = front.http.post("/v1/chat/completions", content=body, headers=kind)
            answer = await asyncio.create_task(asking)  # a task of its own, so that its first turn counts
        assert answer.status_code == 200
        least_s = min(least_s, longest[0])
    assert least_s <= MOST_UNITS * unit_s()


def read(handler):
    """Answer a request whose body nobody decodes."""
    handler.rfile.read(int(handler.headers["content-length"]))
    handler._whole({"usage": {"prompt_tokens": 1}})


@pytest.mark.parametrize("made", ANSWERS.values(), ids=ANSWERS)
async def test_a_long_answer_takes_a_short_turn(front, made):  # noqa: F811  # a fixture
    """An answer of many words or letters is passed on and counted, but not stored."""
    front.models.reply = lambda _: made
    least_s = float("inf")
    for _ in range(3):
        with longest_turn() as longest:
            answer = await asyncio.create_task(front.chat())
        assert answer.json()["choices"][0]["message"]["content"] == made
        assert answer.headers["x-parbake-cache"] == "miss"
        least_s = min(least_s, longest[0])
    assert least_s <= MOST_UNITS * unit_s()
    (spent,) = (await front.http.get("/v1/proxy")).json()["spent"]
    assert (spent["calls"], spent["tokens"]["output"]) == (3, 15)


async def test_an_answer_of_usual_length_is_stored(front):  # noqa: F811  # a fixture
    """Ten thousand words are not too many."""
    front.models.reply = lambda _: "word " * 9_900
    await front.chat()
    streamed = await front.chat(QUESTION, stream=True)
    assert streamed.headers["x-parbake-cache"] == "hit"
    assert streamed.text.count("word ") == 9_900


def test_only_the_tokens_of_a_long_answer_are_read():
    """Its usage is known, and the rest is not decoded."""
    long = {"usage": {"prompt_tokens": 9, "completion_tokens": 4}, "choices": [[]] * MIB}
    made = answers.plain(OpenAiChat(), 200, json.dumps(long).encode())
    assert (made.usage.uncached, made.usage.output, made.is_complete) == (9, 4, False)
    assert made.document.keys() == {"usage"}


def test_a_stream_of_too_many_events_is_not_read():
    """A stream whose events would take long to put together is passed on only, to its end."""
    events = Events()
    for _ in range(50):
        events.feed(b"data: {}\n\n" * 1_000)
    assert not events.is_whole
    assert events.all == []
