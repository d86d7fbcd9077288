"""Texts of outsiders: their length is looked at before anything works on them."""

import json
import time

import pytest
from tests.unit.test_proxy import KEY, front  # noqa: F401  # a fixture

from parbake.values.redaction import visible
from parbake_proxy import Proxy
from parbake_proxy.upstream import _AT_ONCE, _Pieces
from parbake_semantic import is_personal, screen
from parbake_semantic.bank.explorations import Explorations

WORST = {
    "ligatures": "\ufdfa", "marks": "\u0301\u0327", "commas": ",", "spaces": " ", "digits": "1", "brackets": "[]",
    "opened": "[", "controls": "\x01", "where": "where my ", "mail": "a@", "letters": "a",
}  # fmt: skip
MANY = 1_000_000


def cpu_s(work):
    """Return the least CPU time of three calls, in seconds."""
    taken = []
    for _ in range(3):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


DOORS = {
    "screen": screen,
    "is_personal": is_personal,
    "the name of a user": lambda text: Explorations().note("how are topics returned", "a", text),
    "the question of a user": lambda text: Explorations().note(text, "a", "ann"),
    "a reason": lambda text: visible(text, 500),
}


@pytest.mark.parametrize("letters", WORST.values(), ids=WORST)
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_text_of_a_million_letters_costs_no_more_than_one_at_the_limit(door, letters):
    """Whatever letters it has, a text over the limit is not read to its end."""
    at_limit, beyond = (letters * size for size in (1_000 // len(letters), MANY // len(letters)))
    assert cpu_s(lambda: door(beyond)) <= 0.01 + 3 * cpu_s(lambda: door(at_limit))


@pytest.mark.parametrize("letters", WORST.values(), ids=WORST)
async def test_a_long_question_through_the_proxy_is_passed_on_without_work(front, letters):  # noqa: F811  # a fixture
    """A question of a million letters reaches the provider for the CPU time of decoding it."""
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": letters * (MANY // len(letters))}]})
    front.models.reply = lambda _: "short"
    began = time.thread_time()
    answer = await front.http.post(
        "/v1/chat/completions", content=body, headers=KEY | {"content-type": "application/json"}
    )
    assert answer.headers["cache-status"].endswith(("detail=too_long", "detail=too_large"))
    assert time.thread_time() - began < 0.5


async def test_a_large_request_is_passed_on_as_it_is_without_the_wishes(front):  # noqa: F811  # a fixture
    """A request over the limit is not decoded: it goes on to the letter, without what is for the proxy."""
    text = "[" * 2_000_000
    body = {"model": "m", "cache": {"ttl": 1}, "messages": [{"role": "user", "content": text}], "top_k": 10**30}
    front.models.reply = lambda _: "short"
    answer = await front.chat(**body)
    assert answer.headers["cache-status"] == "parbake; fwd=bypass; detail=too_large"
    sent = front.models.asked[0]
    assert sent["messages"][0]["content"] == text
    assert sent["top_k"] == 10**30
    assert "cache" not in sent
    assert front.app.plugins[Proxy].account.statement().spent


async def test_a_request_of_more_than_16_mib_is_passed_on_unread(front):  # noqa: F811  # a fixture
    """A request over the greater limit goes on to the letter, with what is for the proxy."""
    body = {"model": "m", "cache": {"ttl": 1}, "messages": [{"role": "user", "content": "[" * 17_000_000}]}
    front.models.reply = lambda _: "short"
    answer = await front.chat(**body)
    assert answer.headers["cache-status"] == "parbake; fwd=bypass; detail=too_large"
    assert front.models.asked[0]["cache"] == {"ttl": 1}


@pytest.mark.parametrize("size", [_AT_ONCE + 1, 5_000_000])
def test_a_large_body_is_sent_without_a_copy(size):
    """The client library sees the length and the bytes of a body, and its buffer is the body itself."""
    body = bytes(range(250)) * (size // 250)
    pieces = _Pieces(body)
    assert pieces.getbuffer().obj is body
    assert b"".join(iter(lambda: pieces.read(65_536), b"")) == body
