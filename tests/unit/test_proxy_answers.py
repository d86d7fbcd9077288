"""What comes back from a provider: its size, its form, its headers."""

import gzip
import time

import pytest
from tests.unit.test_proxy import KEY, front  # noqa: F401  # a fixture

from parbake_proxy import upstream
from parbake_proxy.headers import returned
from parbake_proxy.wire.events import Events


def test_an_event_that_does_not_end_costs_its_length_once():
    """The end of an event is looked for only in what is new."""
    events = Events()
    began = time.thread_time()
    for _ in range(15_000):
        events.feed(b"x" * 256)
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n"])
def test_an_event_is_found_wherever_the_chunks_are_cut(end):
    """Each place of a cut, also within the separator, gives the same events."""
    sent = (b"data: 1" + end) * 3
    for size in range(1, len(sent) + 1):
        events = Events()
        for at in range(0, len(sent), size):
            events.feed(sent[at : at + size])
        assert [event.data for event in events.all] == [1, 1, 1]


async def test_an_answer_over_the_limit_is_passed_on_and_not_stored(front, monkeypatch):  # noqa: F811  # a fixture
    """A client gets a large answer to the letter, though the proxy does not hold it, and asks for it again."""
    monkeypatch.setattr(upstream, "_MOST_KEPT", 100_000)
    front.models.reply = lambda _: "a" * 500_000
    for _ in range(2):
        answer = await front.chat()
        assert answer.json()["choices"][0]["message"]["content"] == "a" * 500_000
        assert answer.headers["x-parbake-cache"] == "miss"


async def test_a_compressed_answer_is_passed_on_as_it_is(front, monkeypatch):  # noqa: F811  # a fixture
    """An answer that was compressed unasked is not unpacked here: the client learns its form, and it is not stored."""

    def compressed(handler, document):
        raw = gzip.compress(b'{"packed": true}')
        handler.send_response(200)
        for name, value in (("content-type", "application/json"), ("content-encoding", "gzip")):
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    monkeypatch.setattr("tests.model_server._Handler._whole", compressed)
    for _ in range(2):
        answer = await front.chat(headers=KEY | {"accept-encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.json() == {"packed": True}
        assert answer.headers["x-parbake-cache"] == "miss"


@pytest.mark.parametrize(
    "name",
    ["access-control-allow-origin", "access-control-allow-credentials", "refresh", "set-cookie", "clear-site-data",
     "strict-transport-security", "alt-svc", "report-to", "nel", "x-content-type-options", "referrer-policy",
     "cross-origin-resource-policy", "cross-origin-opener-policy", "service-worker-allowed"],
)  # fmt: skip
def test_headers_that_rule_a_browser_do_not_come_from_the_provider(name):
    """What a provider's page may let a browser do does not hold for the proxy's address."""
    assert returned({name: "x", "Request-Id": "r"}) == (("request-id", "r"),)


def test_a_header_that_cannot_be_sent_is_left_out():
    """A control character costs the header, not the answer, and other letters go on as their bytes."""
    assert returned({"x-a": "a\x01b", "x-b": "a\r\nb", "x-c": "漢", "x-d": "a\tb"}) == (
        ("x-c", "漢".encode().decode("latin-1")),
        ("x-d", "a\tb"),
    )
