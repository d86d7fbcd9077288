"""The provider in a box: its caches, its tokens, its script, and what it refuses."""

import http.client
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parbake.testing import FakeClock
from parbake_llm.ports.prompts import ToolCall
from parbake_llm.testing import BoxRequest, ProviderBox, ProviderFault, ScriptedReply, event_stream
from parbake_llm.testing.dialect import halves, words
from parbake_llm.testing.prefixes import BoxCache, PromptPiece, Refusal
from parbake_llm.testing.script import Script
from parbake_llm.testing.tokens import counted, split

BIG = "x" * 400  # 100 tokens


def cache(clock=None):
    """Return an empty cache on a clock that stands still."""
    return BoxCache((clock or FakeClock()).now)


def look(found, *pieces, minimum=1, scope="m", lookback=20):
    """Return what is read, and what is written for minutes and for an hour."""
    usage = found.marked(pieces, scope, minimum=minimum, lookback=lookback)
    return usage.read, usage.written, usage.written_hour


def piece(text=BIG, ttl=None):
    """Return a block of a prompt."""
    return PromptPiece(text, ttl)


def test_what_is_written_is_read_until_it_lapses():
    """After its time to live a prefix is written anew; a read begins the time anew."""
    clock = FakeClock()
    found = cache(clock)
    assert look(found, piece(ttl="5m"), piece("?")) == (0, 100, 0)
    for _ in range(3):
        clock.advance(299)
        assert look(found, piece(ttl="5m"), piece("?")) == (100, 0, 0)
    clock.advance(300)
    assert look(found, piece(ttl="5m"), piece("?")) == (0, 100, 0)


def test_each_breakpoint_has_its_own_time_to_live():
    """Tokens before a breakpoint of an hour are written for an hour, and those after it for minutes."""
    clock = FakeClock()
    found = cache(clock)
    pieces = piece(ttl="1h"), piece("y" * 40, "5m")
    assert look(found, *pieces) == (0, 10, 100)
    clock.advance(301)
    assert look(found, *pieces) == (100, 10, 0)


def test_a_change_in_front_misses_everything_behind():
    """A prefix is the same only if all of it is, with its roles and for the same model."""
    found = cache()
    look(found, piece("a"), piece(ttl="5m"))
    assert look(found, piece("b"), piece(ttl="5m"))[0] == 0
    assert look(found, piece("a"), piece(ttl="5m"), scope="other")[0] == 0
    assert look(found, PromptPiece("a", None, "user"), piece(ttl="5m"))[0] == 0
    assert look(found, piece("a"), piece(ttl="5m"))[0] == 101


@pytest.mark.parametrize(("blocks", "is_found"), [(20, True), (21, False)])
def test_an_earlier_prefix_is_found_at_most_twenty_blocks_before_a_breakpoint(blocks, is_found):
    """A conversation that grows by more blocks at once loses its cache, unless there is no limit."""
    found = cache()
    look(found, piece(ttl="5m"))
    grown = [piece(ttl=None), *[piece(f"t{n}") for n in range(blocks - 1)], piece("last", "5m")]
    assert (look(found, *grown)[0] > 0) is is_found
    look(found, piece("z", "5m"))
    assert look(found, piece("z"), *grown[1:], lookback=None)[0] > 0


def test_a_short_prefix_is_ignored_and_too_many_breakpoints_are_refused():
    """Below the minimum nothing is written. The fifth breakpoint and a wrong order of times are errors."""
    found = cache()
    assert look(found, piece(ttl="5m"), minimum=101) == (0, 0, 0)
    with pytest.raises(Refusal, match="4 breakpoints"):
        look(found, *[piece(ttl="5m")] * 5)
    with pytest.raises(Refusal, match="longer time"):
        look(found, piece(ttl="5m"), piece(ttl="1h"))


def test_without_breakpoints_whole_granules_are_read():
    """Of a prompt that shares 1,400 tokens, 1,280 are read: the multiple of 128 below, from 1,024 on."""
    found = cache()
    options = {"scope": "m", "minimum": 1024, "ttl_s": 300.0}
    assert found.automatic("x" * 5600, **options).read == 0
    assert found.automatic("x" * 5600 + "y" * 400, **options).read == 1280
    assert found.automatic("x" * 4000, **options).read == 0


@given(st.lists(st.tuples(st.text(max_size=30), st.booleans()), max_size=8), st.integers(0, 20))
def test_every_token_is_read_written_or_neither(parts, minimum):
    """The counts add up to the prompt, cold and warm, and the second time nothing is written."""
    marks = [at for at, (_, is_end) in enumerate(parts) if is_end][-4:]
    pieces = [PromptPiece(text, "5m" if at in marks else None) for at, (text, _) in enumerate(parts)]
    found, total = cache(), sum(counted(text) for text, _ in parts)
    cold = found.marked(pieces, "m", minimum=minimum)
    warm = found.marked(pieces, "m", minimum=minimum)
    assert cold.total == warm.total == total
    assert (cold.read, warm.written, warm.read) == (0, 0, cold.written)


@given(st.text())
def test_texts_fall_into_tokens_words_and_halves_without_loss(text):
    """Put together again they are the text."""
    assert "".join(split(text)) == "".join(words(text)) == "".join(halves(text)) == text
    assert len(split(text)) == counted(text)


@given(st.binary(max_size=50), st.dictionaries(st.text("ab:-", min_size=1, max_size=9), st.text(max_size=9)))
def test_amazons_decoder_reads_what_is_encoded(payload, headers):
    """Any payload and headers come back unchanged, with their checksums right."""
    from botocore.eventstream import EventStreamBuffer

    buffer = EventStreamBuffer()
    buffer.add_data(event_stream.encoded(headers, payload))
    (message,) = list(buffer)
    assert (message.headers, message.payload) == (headers, payload)


def request(model="m", dialect="openai"):
    """Return a request to the box."""
    return BoxRequest(dialect, model, {})


def test_replies_are_given_in_order_and_then_the_function_answers():
    """Texts and scripted replies are given once; the function is kept."""
    script = Script()
    for reply in ("one", ScriptedReply("two"), lambda asked: f"for {asked.model}"):
        script.add(reply)
    assert [script.reply(request()).text for _ in range(4)] == ["one", "two", "for m", "for m"]


def test_a_fault_of_the_models_name_keeps_the_replies():
    """A request that fails does not use up a reply; a flaky model fails so many times in each dialect."""
    script = Script()
    script.add("one")
    assert script.reply(request("cut")).fault is ProviderFault.CUT
    flaky = [script.reply(request("flaky-2")) for _ in range(3)]
    assert [reply.fault for reply in flaky] == [ProviderFault.OVERLOADED] * 2 + [None]
    assert flaky[2].text == "one"
    assert script.reply(request("flaky-2", "bedrock")).fault is ProviderFault.OVERLOADED


@pytest.fixture(scope="module")
def box():
    """Return a box that serves."""
    with ProviderBox() as found:
        yield found


def post(box, path, body, **headers):
    """Return the status and the document of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", box._port, timeout=60)
    try:
        connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


CHAT = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
MESSAGE = CHAT | {"max_tokens": 9}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
CALLED = {"role": "assistant", "tool_calls": [{"id": "x"}]}
WRONG = [
    ("/openai/v1/chat/completions", CHAT | {"stream": False}),
    ("/openai/v1/chat/completions", CHAT | {"messages": []}),
    ("/openai/v1/chat/completions", CHAT | {"messages": "hi"}),
    ("/openai/v1/chat/completions", CHAT | {"messages": [5]}),
    ("/openai/v1/chat/completions", CHAT | {"model": ""}),
    ("/openai/v1/chat/completions", CHAT | {"messages": [*CHAT["messages"], CALLED]}),
    (
        "/openai/v1/chat/completions",
        CHAT | {"tools": [{"function": {"name": "a b", "parameters": {"type": "object"}}}]},
    ),
    ("/openai/v1/chat/completions", b"{"),
    ("/openai/v1/chat/completions", b"[]"),
    ("/openai/v1/chat/completions", b"\xff"),
    ("/anthropic/v1/messages", MESSAGE | {"max_tokens": 0}),
    ("/anthropic/v1/messages", MESSAGE | {"stream": None}),
    ("/anthropic/v1/messages", MESSAGE | {"messages": [{"role": "assistant", "content": "hi"}]}),
    ("/anthropic/v1/messages", MESSAGE | {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}),
    ("/anthropic/v1/messages", MESSAGE | {"system": [{"type": "text", "text": "x", "cache_control": {"type": "x"}}]}),
    ("/bedrock/model/m/converse-stream", CONVERSE | {"messages": CONVERSE["messages"] * 2}),
    ("/bedrock/model/m/converse-stream", CONVERSE | {"system": [{"cachePoint": {"type": "default"}}]}),
]


@pytest.mark.parametrize(("path", "body"), WRONG, ids=str)
def test_a_wrong_request_is_refused_with_a_sentence(path, body, box):
    """Every wrong shape is a status of 400 with a document, and is kept without a usage."""
    status, document = post(box, path, body, Authorization=f"Bearer {box.key}")
    assert status == 400
    assert json.loads(document)
    assert (box.requests[-1].status, box.requests[-1].usage) == (400, None)


def test_an_unknown_path_is_not_found(box):
    """Only the three protocols are spoken."""
    assert post(box, "/v1/nothing", {})[0] == 404


@pytest.mark.parametrize("header", ["x-api-key", "Authorization"])
def test_the_key_is_checked_and_never_kept(header, box):
    """A wrong key is refused; the requests that are kept have no header with a key."""
    value = box.key if header == "x-api-key" else f"Bearer {box.key}"
    assert post(box, "/anthropic/v1/messages", MESSAGE, **{header: value})[0] == 200
    assert post(box, "/anthropic/v1/messages", MESSAGE, **{header: "wrong"})[0] == 401
    assert post(box, "/anthropic/v1/messages", MESSAGE)[0] == 401
    assert box.key not in repr(box.requests)


def test_evicting_forgets_every_prefix():
    """After an eviction the same prompt is cold."""
    with ProviderBox(minimum=1) as box:
        body = MESSAGE | {"system": [{"type": "text", "text": BIG, "cache_control": {"type": "ephemeral"}}]}
        for _ in range(2):
            post(box, "/anthropic/v1/messages", body, **{"x-api-key": box.key})
        box.evict()
        post(box, "/anthropic/v1/messages", body, **{"x-api-key": box.key})
    assert [request.usage.read for request in box.requests] == [0, 100, 0]


def test_a_box_has_addresses_only_while_it_serves():
    """Before it is entered, the error says how to use it; closing it ends a silent reply."""
    with pytest.raises(RuntimeError, match="with ProviderBox"):
        _ = ProviderBox().openai_url
    with ProviderBox() as box:
        assert box.openai_url.startswith("http://127.0.0.1:")


def test_a_call_is_streamed_in_pieces_that_are_its_arguments(box):
    """The stream of a scripted call has its name once, and its arguments in two pieces."""
    box.reply(ScriptedReply(calls=(ToolCall("x", "price", '{"id": 7}'),)))
    _, stream = post(box, "/openai/v1/chat/completions", CHAT, Authorization=f"Bearer {box.key}")
    chunks = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: {")]
    calls = [call for one in chunks for choice in one["choices"] for call in choice["delta"].get("tool_calls", [])]
    assert "".join(call["function"]["arguments"] for call in calls) == '{"id": 7}'
    assert [call["function"].get("name") for call in calls] == ["price", None, None]
