"""What the generators for hosted models send and read: requests, events, usage, failures and keys."""

import asyncio
import datetime as dt
import sys
import threading
import traceback

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.waiting import until

from parbake.errors import FailureKind, MissingDependency, ProviderError
from parbake.ports.usage import Usage
from parbake_llm.generators._hosted.anthropic_messages import MessageReply, message_request, message_usage
from parbake_llm.generators._hosted.bedrock_converse import ConverseReply, converse_request, converse_usage
from parbake_llm.generators._hosted.calls import LONGEST_ARGUMENTS, CallPieces, arguments_of
from parbake_llm.generators._hosted.chat import StreamReply
from parbake_llm.generators._hosted.claude_rules import bedrock_rules, claude_rules
from parbake_llm.generators._hosted.clients.failures import kind_of_code, kind_of_status, retry_after
from parbake_llm.generators._hosted.clients.keys import masked
from parbake_llm.generators._hosted.handover import AHEAD, handed_over
from parbake_llm.generators._hosted.openai_chat import EXPLICIT, cache_key, chat_request
from parbake_llm.generators._hosted.parts import fitting
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import BedrockGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.generator import Delta
from parbake_llm.ports.prompts import TTL_S, Block, Breakpoint, Exchange, Prompt, Tool, ToolCall
from parbake_llm.writing.placement import NO_CACHE, CacheRules, placed

RULES = CacheRules(mechanism="breakpoints", minimum=1, ttls=("5m", "1h"))
HOUR = {"type": "ephemeral", "ttl": "1h"}
MINUTES = {"type": "ephemeral"}
TOOLS = (Tool("b", "Second.", {"type": "object"}), Tool("a", "First.", {"type": "object", "properties": {}}))
CALL = ToolCall("c1", "a", '{"x": 1}')
PROMPT = Prompt(
    tools=TOOLS,
    blocks=(Block("rules", "Rules."), Block("shop", "Shop.", "shared"), Block("me", "Me.", "user"), Block("no", "")),
    turns=(("user", "hi"), ("assistant", "hello")),
    evidence=("One.",),
    question="What?",
    exchanges=(Exchange((CALL,), ("42",), "Let me see."),),
)


def test_an_anthropic_request_has_its_parts_in_order_and_marks_where_prefixes_end():
    """Tools by name, the blocks, the turns, the question, the tool calls; what everybody shares lives longest."""
    body = message_request(placed(PROMPT, RULES), RULES)
    assert [tool["name"] for tool in body["tools"]] == ["a", "b"]
    assert [(block["text"], block.get("cache_control")) for block in body["system"]] == [
        ("Rules.", HOUR),
        ("Shop.", HOUR),
        ("Me.", MINUTES),
    ]
    first, second, question, call, result = body["messages"]
    assert "cache_control" not in first["content"][0]
    assert second["content"][0]["cache_control"] == MINUTES
    assert question["content"] == [{"type": "text", "text": "Evidence:\n- One.\n\nWhat?"}]
    assert call["content"][1] == {"type": "tool_use", "id": "c1", "name": "a", "input": {"x": 1}}
    assert result["content"] == [{"type": "tool_result", "tool_use_id": "c1", "content": "42"}]


def test_a_bedrock_request_has_cache_points_as_elements_of_their_own():
    """A cache point follows the block, the message's content or the tools that it ends."""
    body = converse_request(placed(PROMPT, RULES), RULES)
    hour, minutes = {"cachePoint": {"type": "default", "ttl": "1h"}}, {"cachePoint": {"type": "default"}}
    assert body["system"] == [{"text": "Rules."}, hour, {"text": "Shop."}, hour, {"text": "Me."}, minutes]
    assert body["messages"][1]["content"] == [{"text": "hello"}, minutes]
    assert body["messages"][3]["content"][1] == {"toolUse": {"toolUseId": "c1", "name": "a", "input": {"x": 1}}}
    assert "cachePoint" not in str(body["toolConfig"])
    tools_only = converse_request(placed(Prompt(tools=TOOLS, question="?"), RULES), RULES)
    assert tools_only["toolConfig"]["tools"][-1] == hour


def test_bedrocks_roles_alternate():
    """Neighbours of one role become one message with several blocks."""
    prompt = Prompt(turns=(("user", "a"), ("user", "b"), ("assistant", "c")), question="?")
    messages = converse_request(placed(prompt, NO_CACHE), NO_CACHE)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[0]["content"] == [{"text": "a"}, {"text": "b"}]


def test_an_openai_request_says_about_caching_what_the_server_understands():
    """By default nothing; with a key one system message; with breakpoints the blocks are parts."""
    plain, none = chat_request(placed(PROMPT, NO_CACHE), NO_CACHE, "server")
    assert none == {}
    assert plain["messages"][0]["content"] == "Rules.\n\nShop.\n\nMe."
    _, keyed = chat_request(placed(PROMPT, NO_CACHE), NO_CACHE, "key")
    assert keyed == {"prompt_cache_key": cache_key(PROMPT)}
    rules = msgspec.structs.replace(EXPLICIT, minimum=1)
    body, extra = chat_request(placed(PROMPT, rules), rules, "explicit")
    assert extra["prompt_cache_options"] == {"mode": "explicit", "ttl": "30m"}
    assert [part["prompt_cache_breakpoint"] for part in body["messages"][0]["content"]] == [{"mode": "explicit"}] * 3
    assert "prompt_cache_breakpoint" in body["messages"][2]["content"][0]


def test_the_cache_key_depends_on_tools_and_blocks_alone():
    """The order of the tools, the conversation and the question do not change it; a block's text does."""
    other = msgspec.structs.replace(PROMPT, tools=TOOLS[::-1], turns=(), question="And?", exchanges=())
    assert cache_key(other) == cache_key(PROMPT)
    assert cache_key(msgspec.structs.replace(PROMPT, blocks=PROMPT.blocks[1:])) != cache_key(PROMPT)


@pytest.mark.parametrize("request_of", [message_request, converse_request])
def test_a_breakpoint_after_nothing_is_refused_by_name(request_of):
    """A misspelt block is an error; a conversation that has not begun is not."""
    with pytest.raises(ProviderError, match="'ruels'") as caught:
        request_of(Prompt(question="?", breakpoints=(Breakpoint("ruels"),)), RULES)
    assert (caught.value.field, caught.value.kind) == ("breakpoints", FailureKind.REJECTED)
    assert request_of(Prompt(question="?", breakpoints=(Breakpoint("conversation"),)), RULES)


@pytest.mark.parametrize("request_of", [message_request, converse_request])
@pytest.mark.parametrize("exchange", [Exchange((CALL,), ()), Exchange((), ()), Exchange((), ("x",))])
def test_a_round_without_one_result_for_each_call_is_refused(request_of, exchange):
    """The number of the round is named."""
    with pytest.raises(ProviderError, match="round 1"):
        request_of(Prompt(question="?", exchanges=(exchange,), breakpoints=()), RULES)


@given(st.sampled_from(list(TTL_S)), st.sets(st.sampled_from(list(TTL_S)), min_size=1))
def test_a_time_to_live_is_one_that_the_provider_offers_and_long_enough_if_possible(ttl, offered):
    """It is the shortest that suffices, or else the longest that there is."""
    found = fitting(ttl, tuple(offered))
    enough = [one for one in offered if TTL_S[one] >= TTL_S[ttl]]
    assert found == (min(enough, key=TTL_S.get) if enough else max(offered, key=TTL_S.get))


@pytest.mark.parametrize(
    ("model", "minimum"),
    [("claude-opus-4-5-20251101", 4096), ("claude-3-5-haiku-latest", 2048), ("claude-sonnet-4-5", 1024), ("x", 1024)],
)
def test_the_least_length_of_a_prefix_depends_on_the_model(model, minimum):
    """Known models have their published minimum, and others the least one."""
    assert claude_rules(model).minimum == minimum
    assert bedrock_rules(f"eu.anthropic.{model}").minimum == minimum


def test_models_at_bedrock_are_marked_only_if_they_understand_it():
    """Other makers' models have no cache points, and older ones no hour."""
    assert bedrock_rules("meta.llama3-1-70b-instruct-v1:0") == NO_CACHE
    assert bedrock_rules("eu.amazon.nova-pro-v1:0").ttls == ("5m",)
    assert bedrock_rules("anthropic.claude-3-7-sonnet-20250219-v1:0").ttls == ("5m",)
    assert bedrock_rules("anthropic.claude-sonnet-4-5-20250929-v1:0").ttls == ("5m", "1h")


def test_other_rules_are_a_setting():
    """The rules of a generator replace the defaults."""
    assert AnthropicGenerator(model="claude-opus-4-5", api_key="k", rules=RULES).rules == RULES
    assert OpenAIGenerator(model="m", api_key="k", caching="explicit").rules == EXPLICIT


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({}, Usage()),
        ({"input_tokens": 3, "output_tokens": True}, Usage(uncached=3)),
        ({"cache_creation_input_tokens": 7}, Usage(cache_write=7)),
        (
            {
                "input_tokens": 3,
                "cache_read_input_tokens": 5,
                "cache_creation_input_tokens": 9,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 7},
            },
            Usage(uncached=3, cache_read=5, cache_write=2, cache_write_hour=7),
        ),
        (
            {"cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_1h_input_tokens": 7}},
            Usage(cache_write=2, cache_write_hour=7),
        ),
        ({"output_tokens": 9, "output_tokens_details": {"thinking_tokens": 4}}, Usage(output=9, reasoning=4)),
    ],
)
def test_anthropics_usage_is_read_as_far_as_it_is_reported(reported, usage):
    """What is missing or malformed is ``None``; a total without its division counts as written for minutes."""
    assert message_usage(reported) == usage


@pytest.mark.parametrize(
    ("reported", "usage"),
    [
        ({}, Usage()),
        ({"inputTokens": 3, "outputTokens": 4}, Usage(uncached=3, output=4)),
        ({"cacheWriteInputTokens": 9}, Usage(cache_write=9)),
        (
            {
                "cacheReadInputTokens": 1,
                "cacheWriteInputTokens": 9,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 7}, {"ttl": "5m", "inputTokens": 2}],
            },
            Usage(cache_read=1, cache_write=2, cache_write_hour=7),
        ),
    ],
)
def test_bedrocks_usage_is_read_as_far_as_it_is_reported(reported, usage):
    """What is written for an hour is taken from the details; what is missing is ``None``."""
    assert converse_usage(reported) == usage


@pytest.mark.parametrize(
    "event",
    [
        "no object",
        None,
        {"type": "message_start", "message": 5},
        {"type": "content_block_start", "index": 0, "content_block": None},
        {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "x", "name": "y"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "x", "name": 5}},
        {"type": "content_block_delta", "index": 0, "delta": "x"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": 5}},
        {"type": "content_block_delta", "index": 3, "delta": {"type": "input_json_delta", "partial_json": "{"}},
    ],
    ids=repr,
)
def test_an_event_of_anthropics_that_has_a_wrong_shape_is_malformed(event):
    """Each wrong shape is a typed failure."""
    with pytest.raises(ProviderError) as caught:
        list(MessageReply("anthropic").deltas(event))
    assert caught.value.kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("diagnostics", "told"),
    [
        ({"cache_miss_reason": {"type": "system_changed", "cache_missed_input_tokens": 900}}, "system_changed"),
        ({"cache_miss_reason": None}, ""),
        (None, ""),
        ("odd", ""),
    ],
)
def test_anthropics_word_for_a_miss_is_read_where_it_is_given(diagnostics, told):
    """The reason that the provider gives is kept with the reply's id; a comparison without a result is not one."""
    reply = MessageReply("anthropic")
    assert list(reply.deltas({"type": "message_start", "message": {"id": "msg_1", "diagnostics": diagnostics}})) == []
    assert (reply.id, reply.told) == ("msg_1", told)


def test_events_that_are_not_known_are_skipped():
    """Kinds of events and of content that a provider adds later change nothing; thinking is not shown."""
    reply = MessageReply("anthropic")
    delta = {"type": "thinking_delta", "thinking": "hm"}
    for event in ({"type": "ping"}, {"type": "new"}, {"type": "content_block_delta", "index": 0, "delta": delta}):
        assert list(reply.deltas(event)) == []
    with pytest.raises(ProviderError) as caught:
        reply.check_whole()
    assert caught.value.kind is FailureKind.CUT


def test_bedrocks_reasoning_is_not_shown_and_stray_arguments_are_malformed():
    """Text of other kinds is skipped, and arguments without a call are a typed failure."""
    reply = ConverseReply("bedrock")
    with pytest.raises(ProviderError, match="ended the stream"):
        reply.check_whole()
    hidden = {"contentBlockDelta": {"delta": {"reasoningContent": {"text": "hm"}}, "contentBlockIndex": 0}}
    assert list(reply.deltas(hidden)) == []
    with pytest.raises(ProviderError) as caught:
        list(reply.deltas({"contentBlockDelta": {"delta": {"toolUse": {"input": "{"}}, "contentBlockIndex": 1}}))
    assert caught.value.kind is FailureKind.MALFORMED


def chunk(*calls):
    """Return a chunk with tool calls."""
    return {"choices": [{"delta": {"tool_calls": list(calls)}}]}


def test_calls_of_the_chat_protocol_are_put_together_from_their_pieces():
    """Pieces of two calls may alternate; each call comes out whole and in order."""
    reply = StreamReply("f", "it")
    reply.texts(chunk({"index": 0, "id": "x", "function": {"name": "a", "arguments": '{"n"'}}))
    reply.texts(chunk({"index": 1, "id": "y", "function": {"name": "b"}}))
    reply.texts(chunk({"index": 0, "function": {"arguments": ": 1}"}}, {"index": 1, "function": {"arguments": "{}"}}))
    assert reply.calls() == [ToolCall("x", "a", '{"n": 1}'), ToolCall("y", "b", "{}")]


def test_servers_that_send_calls_whole_need_no_index_and_no_id():
    """Without an index each named call is a new one, and gets an id of its own."""
    reply = StreamReply("f", "it")
    reply.texts(chunk({"function": {"name": "a", "arguments": "{}"}}, {"function": {"name": "b", "arguments": ""}}))
    assert reply.calls() == [ToolCall("call_0", "a", "{}"), ToolCall("call_1", "b", "{}")]


@pytest.mark.parametrize(
    "calls",
    [{"index": 0}, [5], [{"index": 0, "function": "x"}], [{"index": 0, "function": {"arguments": "{}"}}],
     [{"index": 0, "id": 5, "function": {"name": "a"}}]],
)  # fmt: skip
def test_a_call_of_a_wrong_shape_is_malformed(calls):
    """Each wrong shape is a typed failure."""
    with pytest.raises(ProviderError) as caught:
        StreamReply("f", "it").texts({"choices": [{"delta": {"tool_calls": calls}}]})
    assert caught.value.kind is FailureKind.MALFORMED


def test_endless_arguments_end():
    """The arguments of a reply's calls are limited together."""
    pieces = CallPieces("f")
    pieces.start(0, "x", "a")
    pieces.add(0, "x" * LONGEST_ARGUMENTS)
    with pytest.raises(ProviderError) as caught:
        pieces.add(0, "x")
    assert caught.value.kind is FailureKind.TOO_LONG


@pytest.mark.parametrize(
    ("arguments", "found"),
    [("", {}), ('{"a": 1}', {"a": 1}), ("[1]", {"arguments": "[1]"}), ("{", {"arguments": "{"})],
)
def test_arguments_that_are_no_object_go_back_as_text(arguments, found):
    """Providers take an object only."""
    assert arguments_of(ToolCall("x", "a", arguments)) == found


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "rejected"), (401, "auth"), (403, "auth"), (404, "rejected"), (408, "unavailable"), (409, "unavailable"),
     (413, "rejected"), (429, "rate_limited"), (500, "unavailable"), (503, "overloaded"), (529, "overloaded")],
)  # fmt: skip
def test_a_status_has_a_kind(status, kind):
    """Each status of an error is of one kind."""
    assert kind_of_status(status) == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [("overloaded_error", "overloaded"), ("ThrottlingException", "rate_limited"), ("api_error", "unavailable"),
     ("modelStreamErrorException", "unavailable"), ("invalid_request_error", "rejected"), ("new", None), (None, None)],
)  # fmt: skip
def test_a_providers_name_for_an_error_has_a_kind(code, kind):
    """The names of all three providers are known in any spelling."""
    assert kind_of_code(code) == kind


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("2", 2.0), ("0.5", 0.5), ("-3", 0.0), ("Fri, 27 Nov 2026 12:00:30 GMT", 30.0), ("soon", None), ("", None)],
)
def test_the_time_to_wait_is_a_number_or_a_date(said, seconds):
    """Both forms of ``retry-after`` are read, and anything else counts as none."""
    now = dt.datetime(2026, 11, 27, 12, 0, tzinfo=dt.UTC)
    assert retry_after({"retry-after": said}, now) == seconds
    assert retry_after(None) is None


def test_secrets_are_masked_the_longest_first():
    """A secret that contains another one leaves nothing behind."""
    assert masked("a key-123-long b key-123", ("key-123", "key-123-long", "")) == "a *** b ***"


async def test_a_thread_hands_its_items_over_in_order():
    """All items arrive, and then the error that the thread raised."""

    def read():
        yield from range(3 * AHEAD)
        raise OSError("broken")

    items = handed_over(read)
    assert [await anext(items) for _ in range(3 * AHEAD)] == list(range(3 * AHEAD))
    with pytest.raises(OSError, match="broken"):
        await anext(items)


async def test_a_thread_is_not_far_ahead_of_its_reader_and_ends_when_the_reader_leaves():
    """It waits once it is a bounded number of items ahead, and is closed when nobody reads any more."""
    made, closed = [], threading.Event()

    def read():
        try:
            for n in range(100 * AHEAD):
                made.append(n)
                yield n
        finally:
            closed.set()

    items = handed_over(read)
    assert await anext(items) == 0
    await until(lambda: len(made) >= AHEAD)
    assert len(made) <= AHEAD + 2
    await items.aclose()
    await until(closed.is_set)
    assert len(made) <= AHEAD + 3


SETTINGS = {
    OpenAIGenerator: {"OPENAI_API_KEY": "sk-secret-1"},
    AnthropicGenerator: {"ANTHROPIC_API_KEY": "sk-secret-1"},
    BedrockGenerator: {
        "BEDROCK_MODEL": "m",
        "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "sk-secret-1",
        "AWS_SECRET_ACCESS_KEY": "sk-secret-2",
    },
}
REQUIRED = [(kind, name) for kind, environment in SETTINGS.items() for name in environment]
KEYS = [(kind, name) for kind, name in REQUIRED if "KEY" in name]


@pytest.mark.parametrize(("kind", "variable"), REQUIRED)
def test_a_missing_setting_is_named(kind, variable):
    """Without a variable the error names it, and shows no other value."""
    environment = {name: value for name, value in SETTINGS[kind].items() if name != variable}
    with pytest.raises(ProviderError, match=variable) as caught:
        kind.from_environment(environment)
    assert caught.value.field == variable
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(("kind", "variable"), KEYS)
def test_a_key_comes_from_a_file_too(kind, variable, tmp_path):
    """The file that ``<variable>_FILE`` names is read; one that cannot be read is named by its variable alone."""
    file = tmp_path / "key"
    file.write_text(f"{SETTINGS[kind][variable]}\n")
    environment = {name: value for name, value in SETTINGS[kind].items() if name != variable}
    assert "sk-secret" not in repr(kind.from_environment(environment | {f"{variable}_FILE": str(file)}))
    file.write_bytes(b"\xff\xfe")
    for path in (file, tmp_path / "none", tmp_path):
        with pytest.raises(ProviderError, match=f"{variable}_FILE") as caught:
            kind.from_environment(environment | {f"{variable}_FILE": str(path)})
        assert str(tmp_path) not in "".join(traceback.format_exception(caught.value)).rpartition("ProviderError")[2]


@pytest.mark.parametrize(("kind", "variable"), KEYS)
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(kind, variable):
    """A line break or a character outside ASCII in a key is an error that names the variable."""
    for wrong in ("sk-secret\nx", "sk-secr\u00e9t"):
        with pytest.raises(ProviderError, match=variable) as caught:
            kind.from_environment(SETTINGS[kind] | {variable: wrong})
        assert "sk-secr" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_ROLE_ARN", "AWS_BEARER_TOKEN_BEDROCK"])
def test_with_a_profile_or_a_role_bedrock_needs_no_keys(name):
    """The client then finds the credentials itself."""
    environment = {"BEDROCK_MODEL": "m", "AWS_DEFAULT_REGION": "eu-west-1", name: "x"}
    assert BedrockGenerator.from_environment(environment)._client._arguments == {"region_name": "eu-west-1"}


def test_settings_of_openai_are_checked():
    """An unknown kind of caching is named, in the environment and as a parameter."""
    with pytest.raises(ProviderError, match="OPENAI_CACHING"):
        OpenAIGenerator.from_environment(SETTINGS[OpenAIGenerator] | {"OPENAI_CACHING": "much"})
    with pytest.raises(ProviderError, match="caching"):
        OpenAIGenerator(model="m", api_key="k", caching="much")
    found = OpenAIGenerator.from_environment(SETTINGS[OpenAIGenerator] | {"OPENAI_CACHING": "explicit"})
    assert found._length_field() == "max_completion_tokens"
    assert OpenAIGenerator(model="m", api_key="k", base_url="http://x")._length_field() == "max_tokens"


@pytest.mark.parametrize(
    ("kind", "package", "extra"),
    [(OpenAIGenerator, "openai", "openai"), (AnthropicGenerator, "anthropic", "anthropic"),
     (BedrockGenerator, "boto3", "bedrock")],
)  # fmt: skip
def test_a_missing_client_is_named_when_the_generator_is_made(kind, package, extra, monkeypatch):
    """The extra that installs the client is in the message."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"\.\[{extra}\]"):
        kind.from_environment(SETTINGS[kind])


async def test_pieces_that_arrive_together_do_not_keep_other_requests_waiting():
    """Between two pieces other tasks of the loop go on."""

    class Ready(OpenAIGenerator):
        async def _attempt(self, prompt, max_tokens, attempt):
            for n in range(50):
                yield Delta(str(n))

    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    generator = Ready(model="m", api_key="k", base_url="http://x")
    assert len([delta async for delta in generator.stream(Prompt(question="?"), max_tokens=99, timeout_s=9.0)]) == 50
    task.cancel()
    assert turns >= 49


async def test_without_time_a_request_fails_at_once():
    """A deadline of 0 seconds is a timeout and not a request."""
    generator = OpenAIGenerator(model="m", api_key="k", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ProviderError, match="did not finish") as caught:
        await anext(generator.stream(Prompt(question="?"), max_tokens=9, timeout_s=0.0))
    assert caught.value.kind is FailureKind.TIMEOUT
    await generator.aclose()
