"""The generators for hosted models, with the official clients, against a local server that speaks their protocols."""

import asyncio
import contextlib
import socket
import time
import traceback

import msgspec
import pytest
from tests.waiting import HANGS_S

from parbake.errors import FailureKind, ProviderError
from parbake.ports.usage import Usage
from parbake_llm.caching.live_plan import LivePlan
from parbake_llm.caching.policies_of_caching import AlwaysMark
from parbake_llm.generators.anthropic import AnthropicGenerator
from parbake_llm.generators.bedrock import AwsAccount, BedrockGenerator
from parbake_llm.generators.openai import OpenAIGenerator
from parbake_llm.ports.prompts import Block, Breakpoint, Exchange, Prompt, Tool, ToolCall
from parbake_llm.testing import ProviderBox, ProviderFault, ScriptedReply
from parbake_llm.writing.placement import CachePlace, CacheRules

RULES = CacheRules(mechanism="breakpoints", minimum=1024, ttls=("5m", "1h"))
DIALECTS = ["openai", "anthropic", "bedrock"]
MARKED = ["anthropic", "bedrock"]
SECRET = "aws-secret-0123456789"
PRICE = Tool("price", "The price of an item.", {"type": "object", "properties": {"id": {"type": "integer"}}})
CALL = ToolCall("call_1", "price", '{"id": 7}')
SHARED, OWN = "s" * 4800, "u" * 400  # 1,200 and 100 of the box's tokens
PROMPT = Prompt(
    blocks=(Block("rules", SHARED), Block("profile", OWN, "user")),
    turns=(("user", "hi"), ("assistant", "hello")),
    question="What?",
)
KINDS = {
    ProviderFault.DOWN: {FailureKind.UNREACHABLE},
    ProviderFault.RATE_LIMITED: {FailureKind.RATE_LIMITED},
    ProviderFault.OVERLOADED: {FailureKind.OVERLOADED},
    ProviderFault.BROKEN: {FailureKind.UNAVAILABLE},
    ProviderFault.SLOW: {FailureKind.TIMEOUT},
    ProviderFault.CUT: {FailureKind.CUT},
    ProviderFault.MALFORMED: {FailureKind.MALFORMED},
    ProviderFault.ERROR_EVENT: {FailureKind.UNAVAILABLE, FailureKind.OVERLOADED},
    ProviderFault.ENDLESS: {FailureKind.TOO_LONG},
}
BEFORE_ANY_TEXT = (
    ProviderFault.DOWN, ProviderFault.RATE_LIMITED, ProviderFault.OVERLOADED, ProviderFault.BROKEN, ProviderFault.SLOW,
)  # fmt: skip


@pytest.fixture
def box():
    """Return a box that serves."""
    with ProviderBox() as found:
        yield found


def made(dialect, box, model="m", *, key=None, rules=RULES, **options):
    """Return a generator of a dialect that asks the box."""
    key = box.key if key is None else key
    if dialect == "openai":
        return OpenAIGenerator(model=model, api_key=key, base_url=box.openai_url, **options)
    if dialect == "anthropic":
        return AnthropicGenerator(model=model, api_key=key, base_url=box.anthropic_url, rules=rules, **options)
    account = AwsAccount("eu-west-1", key, SECRET)
    return BedrockGenerator(model=model, account=account, endpoint_url=box.bedrock_url, rules=rules, **options)


async def replies(generator, *prompts, max_tokens=100, timeout_s=HANGS_S):
    """Return the pieces of each prompt's reply, and close the generator."""
    async with contextlib.aclosing(generator):
        return [
            [delta async for delta in generator.stream(prompt, max_tokens=max_tokens, timeout_s=timeout_s)]
            for prompt in prompts
        ]


def ask(generator, prompt=PROMPT, **options):
    """Return the pieces of one reply."""
    return asyncio.run(replies(generator, prompt, **options))[0]


def failure(generator, prompt=PROMPT, **options):
    """Return the error of a reply that fails, and what was read before it."""
    seen = []

    async def read():
        async with contextlib.aclosing(generator):
            async for delta in generator.stream(prompt, **({"max_tokens": 50, "timeout_s": HANGS_S} | options)):
                seen.append(delta)  # noqa: PERF401  # what came before the failure is wanted, too

    with pytest.raises(ProviderError) as caught:
        asyncio.run(read())
    return caught.value, seen


def usages(generator, box, *steps):
    """Return the usage of each prompt in ``steps``; a number in between lets so many seconds pass."""

    async def run():
        found = []
        async with contextlib.aclosing(generator):
            for step in steps:
                if isinstance(step, Prompt):
                    pieces = [delta async for delta in generator.stream(step, max_tokens=100, timeout_s=HANGS_S)]
                    found.append(pieces[-1].usage)
                else:
                    box.advance(step)
        return found

    return asyncio.run(run())


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reply_is_streamed_word_by_word(dialect, box):
    """The text comes in several pieces, and the tokens of the reply come with the last."""
    box.reply(ScriptedReply("You can return it within 30 days.", reasoning=5))
    deltas = ask(made(dialect, box))
    assert [delta.text for delta in deltas[:3]] == ["You ", "can ", "return "]
    assert "".join(delta.text for delta in deltas) == "You can return it within 30 days."
    assert deltas[-1].usage.output == 9 + 5
    assert deltas[-1].usage.reasoning == (None if dialect == "bedrock" else 5)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tool_calls_come_whole_and_their_results_go_back(dialect, box):
    """A call that is streamed in pieces is one delta; its result is accepted in the next request."""
    other = ToolCall("call_2", "price", "{}")
    box.reply(ScriptedReply("Let me look.", (CALL, other)), "It costs 4.99.")
    exchange = Exchange((CALL, other), ("4.99", "5.99"), "Let me look.")
    first, second = asyncio.run(
        replies(
            made(dialect, box),
            Prompt(tools=(PRICE,), question="How much?"),
            Prompt(tools=(PRICE,), question="How much?", exchanges=(exchange,)),
        )
    )
    assert [delta.call for delta in first if delta.call] == [CALL, other]
    assert "".join(delta.text for delta in second) == "It costs 4.99."


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_without_text_and_malformed_arguments_go_back_too(dialect, box):
    """A round in which the model said nothing, and one whose arguments are no JSON, are accepted."""
    exchanges = (Exchange((CALL,), ("4.99",)), Exchange((ToolCall("call_2", "price", "{"),), ("not JSON",)))
    deltas = ask(made(dialect, box), Prompt(tools=(PRICE,), question="How much?", exchanges=exchanges))
    assert "".join(delta.text for delta in deltas)


def test_anthropic_compares_each_request_with_the_sessions_last_reply(box):
    """With ``diagnose=True`` a session's request names the reply before it; requests without a session name nothing."""
    generator = made("anthropic", box, diagnose=True)
    first, other, alone = (msgspec.structs.replace(PROMPT, session=name) for name in ("one", "two", ""))
    asyncio.run(replies(generator, first, first, other, alone))
    named = [request.body.get("diagnostics") for request in box.requests]
    assert named == [
        {"previous_message_id": None}, {"previous_message_id": "msg_box"}, {"previous_message_id": None}, None,
    ]  # fmt: skip


@pytest.mark.parametrize("dialect", MARKED)
def test_a_prefix_is_written_and_then_read(dialect, box):
    """A cold prefix is written: what everybody shares for an hour, the rest for minutes. Then all of it is read."""
    cold, warm = usages(made(dialect, box), box, PROMPT, PROMPT)
    assert (cold.cache_read, cold.cache_write_hour, cold.cache_write) == (0, 1200, 103)
    assert (warm.cache_read, warm.cache_write_hour or 0, warm.cache_write) == (1303, 0, 0)
    assert cold.uncached == warm.uncached == 2
    assert cold.input == warm.input == box.requests[-1].usage.total


@pytest.mark.parametrize("dialect", MARKED)
def test_each_part_of_a_prefix_lapses_after_its_own_time(dialect, box):
    """After five minutes what everybody shares is still read; after an hour nothing is."""
    _, later, much_later = usages(made(dialect, box), box, PROMPT, 301.0, PROMPT, 3601.0, PROMPT)
    assert (later.cache_read, later.cache_write) == (1200, 103)
    assert much_later.cache_read == 0


@pytest.mark.parametrize("dialect", MARKED)
def test_a_prefix_that_is_read_lives_on(dialect, box):
    """Each read begins the five minutes anew."""
    *_, last = usages(made(dialect, box), box, PROMPT, 200.0, PROMPT, 200.0, PROMPT)
    assert last.cache_read == 1303


@pytest.mark.parametrize("dialect", MARKED)
def test_a_plan_keeps_a_prefix_warm_at_the_provider(dialect, box):
    """A prefix for five minutes is still read after an hour in which only warm-ups of one token were sent."""
    plan, place = LivePlan(lambda warms: AlwaysMark(warm=warms), block=128), CachePlace(dialect, "m")
    now, warm_ups = 0.0, []

    async def an_hour():
        nonlocal now
        async with contextlib.aclosing(made(dialect, box)) as generator:
            await asked(generator, plan(place, RULES, PROMPT, now), 100, is_warm_up=False)
            while now < 3400.0:
                now += 5.0
                box.advance(5.0)
                warm_ups.extend(
                    [await asked(generator, plan(place, RULES, one.prompt, now), 1) for one in plan.due(now)]
                )
            return await asked(generator, plan(place, RULES, PROMPT, now), 100, is_warm_up=False)

    async def asked(generator, sent, longest, *, is_warm_up=True):
        usage = [d async for d in generator.stream(sent.prompt, max_tokens=longest, timeout_s=HANGS_S)][-1].usage
        plan.answered(place, sent, usage, now, is_warm_up=is_warm_up)
        return usage

    last = asyncio.run(an_hour())
    assert len(warm_ups) == 11
    assert {(usage.cache_read, usage.cache_write) for usage in warm_ups} == {(1200, 0)}
    assert last.cache_read == 1200


@pytest.mark.parametrize("dialect", MARKED)
def test_a_prefix_below_the_minimum_is_not_cached(dialect, box):
    """A short prefix is neither written nor read, whether or not the generator marks it."""
    short = Prompt(blocks=(Block("rules", "s" * 400),), question="What?")
    marked = Prompt(blocks=short.blocks, question="What?", breakpoints=(Breakpoint("rules"),))
    for usage in usages(made(dialect, box), box, short, short, marked, marked):
        assert (usage.cache_read, usage.cache_write or 0, usage.uncached) == (0, 0, 102)


@pytest.mark.parametrize("dialect", MARKED)
def test_too_many_breakpoints_are_refused(dialect, box):
    """Five breakpoints of the caller's are an error of the request, which is not tried again."""
    blocks = tuple(Block(f"b{n}", SHARED) for n in range(5))
    prompt = Prompt(blocks=blocks, question="What?", breakpoints=tuple(Breakpoint(block.name) for block in blocks))
    error, _ = failure(made(dialect, box), prompt)
    assert error.kind is FailureKind.REJECTED
    assert "4 breakpoints" in str(error)
    assert len(box.requests) == 1


@pytest.mark.parametrize("dialect", MARKED)
def test_a_conversation_that_grows_reads_what_it_wrote(dialect, box):
    """With the next turns the prefix is longer, and the part before them is read."""
    turns = (*PROMPT.turns, ("user", "What?"), ("assistant", "That."))
    longer = Prompt(blocks=PROMPT.blocks, turns=turns, question="And?")
    _, second = usages(made(dialect, box), box, PROMPT, longer)
    assert second.cache_read == 1303
    assert second.cache_write == 4


def test_tools_alone_can_be_a_cached_prefix():
    """Without blocks the tools are marked, and both protocols that can mark them are understood."""
    many = tuple(Tool(f"t{n}", "d" * 300, {"type": "object"}) for n in range(20))
    for dialect in MARKED:
        with ProviderBox() as box:
            cold, warm = usages(made(dialect, box), box, *[Prompt(tools=many, question="What?")] * 2)
            assert cold.cache_write_hour == warm.cache_read > 1024


def test_openai_caches_whole_granules_by_itself(box):
    """From 1,024 tokens on, whole granules of 128 are read, as long as they are asked for within five minutes."""
    found = usages(made("openai", box, caching="key"), box, PROMPT, PROMPT, 301.0, PROMPT)
    assert [usage.cache_read for usage in found] == [0, 1280, 0]
    assert all(usage.input == 1304 for usage in found)


def test_another_cache_key_finds_another_cache(box):
    """Requests with other tools or blocks have another key; requests without the field share one."""
    other = Prompt(blocks=(*PROMPT.blocks, Block("more", "m", "user")), question="What?")
    generator = made("openai", box, caching="key")
    usages(generator, box, PROMPT, PROMPT, other)
    keys = [request.body["prompt_cache_key"] for request in box.requests]
    assert keys[0] == keys[1] != keys[2]
    usages(made("openai", box), box, PROMPT)
    assert "prompt_cache_key" not in box.requests[-1].body


def test_openai_with_explicit_breakpoints_writes_and_reads_to_the_token(box):
    """Breakpoints stand on content parts, are written once, and live for half an hour."""
    found = usages(made("openai", box, caching="explicit"), box, PROMPT, PROMPT, 1801.0, PROMPT)
    assert [(usage.cache_write, usage.cache_read) for usage in found] == [(1303, 0), (0, 1303), (1303, 0)]
    assert box.requests[0].body["prompt_cache_options"] == {"mode": "explicit", "ttl": "30m"}
    assert all(usage.uncached == 2 for usage in found)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", ProviderFault)
def test_every_fault_is_a_typed_failure_within_the_deadline(dialect, fault, box):
    """Each fault is a ``ProviderError`` of its kind, and no key is in it or in what caused it."""
    generator, box.slow_s = made(dialect, box, str(fault)), 2 * HANGS_S
    error, seen = failure(generator, timeout_s=2.0 if fault is ProviderFault.SLOW else HANGS_S)
    assert error.kind in KINDS[fault]
    assert bool("".join(delta.text for delta in seen)) == (fault not in BEFORE_ANY_TEXT)
    shown = "".join(traceback.format_exception(error))
    assert not any(secret in shown for secret in (box.key, SECRET))
    assert error.__cause__ is error.__context__ is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_failure_that_passes_is_tried_again_once(dialect, box):
    """A model that fails once answers at the second attempt; one that fails twice does not."""
    assert ask(made(dialect, box, "flaky-1"))[-1].usage is not None
    assert [request.status for request in box.requests] == [529 if dialect == "anthropic" else 503, 200]
    error, _ = failure(made(dialect, box, "flaky-2"))
    assert error.kind is FailureKind.OVERLOADED
    assert len(box.requests) == 4


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_retry_waits_as_long_as_it_is_asked_to_if_that_fits(dialect, box):
    """``retry-after`` is honoured within the deadline; if it is longer, the request fails at once."""
    box.retry_after_s = 0.4
    started = time.monotonic()
    assert ask(made(dialect, box, "flaky-1"))
    assert time.monotonic() - started >= 0.4
    box.retry_after_s = 10 * HANGS_S
    started = time.monotonic()
    error, _ = failure(made(dialect, box, "429"))
    assert error.kind is FailureKind.RATE_LIMITED
    assert time.monotonic() - started < HANGS_S
    assert len(box.requests) == 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_has_begun_is_not_tried_again(dialect, box):
    """After the first piece a failure is raised: a second reply would not continue the first."""
    failure(made(dialect, box, "cut"))
    assert len(box.requests) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nobody_listening_is_known_within_the_deadline(dialect, box, caplog):
    """A port without a listener is unreachable, which is known early; only the log has the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        addresses = type("Closed", (), {"openai_url": url, "anthropic_url": url, "bedrock_url": url, "key": "k" * 9})
        error, _ = failure(made(dialect, addresses))
    assert error.kind is FailureKind.UNREACHABLE
    assert error.field == ("endpoint_url" if dialect == "bedrock" else "base_url")
    assert f"check {error.field}" in str(error)
    assert f"{dialect} was not reached at {url}: " in caplog.text
    assert url not in str(error)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://me:hunter2@127.0.0.1:1",
        "me:hunter2@127.0.0.1:1",
        "127.0.0.1:1",
        "http://[::hunter2",
        "ftp://h",
        "",
        5,
        "http://h/v1?key=hunter2",
        "http://h/v1#hunter2",
        "http://h h:1/hunter2",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_shown(dialect, url):
    """An address without scheme or host, or with a user and a password, is refused when the generator is made."""
    setting = "endpoint_url" if dialect == "bedrock" else "base_url"
    addresses = type("Wrong", (), {"openai_url": url, "anthropic_url": url, "bedrock_url": url, "key": "k" * 9})
    with pytest.raises(ProviderError, match=setting) as caught:
        made(dialect, addresses)
    assert caught.value.field == setting
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", [None, 5, "", " "])
def test_a_model_without_a_name_is_refused(dialect, model, box):
    """Making a generator with an empty model name, or one that is not text, fails with the field ``model``."""
    with pytest.raises(ProviderError, match="must be the name of a model") as caught:
        made(dialect, box, model)
    assert caught.value.field == "model"


UNWRITABLE = {
    "surrogate": Prompt(blocks=(Block("b", "\ud800"),), question="?"),
    "tool": Prompt(tools=(Tool("t", "", {"x": {1, 2}}),), question="?"),
    "ttl": Prompt(blocks=(Block("b", "x" * 9000),), breakpoints=(Breakpoint("b", "2h"),), question="?"),
}


@pytest.mark.parametrize(
    ("dialect", "wrong"), [(d, w) for d in DIALECTS for w in UNWRITABLE if d in MARKED or w != "ttl"]
)
def test_a_prompt_that_cannot_be_written_is_no_fault_of_the_provider(dialect, wrong, box):
    """It is rejected, so that it opens no circuit breaker, whoever notices it."""
    with pytest.raises(ProviderError) as caught:
        ask(made(dialect, box), UNWRITABLE[wrong])
    assert caught.value.kind is FailureKind.REJECTED


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_key_is_named_and_not_shown(dialect, box):
    """The error names the variable; neither the wrong key nor the right one is in it."""
    error, _ = failure(made(dialect, box, key="wrong-key-9876543210"))
    assert error.kind is FailureKind.AUTH
    assert error.field.endswith(("_API_KEY", "_ACCESS_KEY_ID"))
    assert error.field in str(error)
    assert "wrong-key" not in "".join(traceback.format_exception(error))
    assert len(box.requests) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tool_with_a_wrong_schema_is_refused(dialect, box):
    """A schema that is not an object's is an error of the request."""
    prompt = Prompt(tools=(Tool("price", "The price.", {"type": "string"}),), question="How much?")
    error, _ = failure(made(dialect, box), prompt)
    assert error.kind is FailureKind.REJECTED
    assert "schema" in str(error)


@pytest.mark.parametrize(
    ("dialect", "options"),
    [
        ("openai", {"temperature": 0.5}),
        ("anthropic", {"thinking": {"type": "disabled"}}),
        ("bedrock", {"additionalModelRequestFields": {"top_k": 5}}),
    ],
)
def test_further_fields_are_sent_with_every_request(dialect, options, box):
    """What is set for a generator arrives beside its own fields."""
    ask(made(dialect, box, options=options))
    assert options.items() <= box.requests[-1].body.items()
    assert box.requests[-1].body["messages"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_message_of_a_megabyte_is_sent_whole(dialect, box):
    """A question of 1 MB arrives as it is."""
    deltas = ask(made(dialect, box), Prompt(question="x" * (1 << 20)))
    assert deltas[-1].usage.input == (1 << 20) // 4


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_caller_who_leaves_ends_the_reply(dialect, box):
    """A reply without an end stops when its reader does, and the generator answers the next request."""

    async def first_and_then_another():
        generator = made(dialect, box)
        async with contextlib.aclosing(generator):
            box.reply(ScriptedReply("again and again ", fault=ProviderFault.ENDLESS), "whole")
            async with contextlib.aclosing(generator.stream(PROMPT, max_tokens=9999, timeout_s=HANGS_S)) as pieces:
                first = await anext(pieces)
            return first.text, [delta.text async for delta in generator.stream(PROMPT, max_tokens=9, timeout_s=HANGS_S)]

    first, second = asyncio.run(first_and_then_another())
    assert first == "again "
    assert "".join(second) == "whole"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_many_requests_at_once_do_not_mix(dialect, box):
    """Twenty requests at a time each get the reply to their own question."""
    box.reply(lambda request: f"Asked {str(request.body['messages'][-1]).count('q')} times.")

    async def run():
        generator = made(dialect, box)

        async def one(n):
            prompt = Prompt(question="q" * n)
            pieces = [delta async for delta in generator.stream(prompt, max_tokens=50, timeout_s=HANGS_S)]
            return "".join(delta.text for delta in pieces)

        async with contextlib.aclosing(generator):
            return await asyncio.gather(*map(one, range(1, 21)))

    assert asyncio.run(run()) == [f"Asked {n} times." for n in range(1, 21)]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_generator_serves_one_event_loop_after_another(dialect, box):
    """Connections of a loop that has ended are not used again."""
    generator = made(dialect, box)
    assert ask(generator)[-1].usage != Usage()
    assert ask(generator)[-1].usage != Usage()
