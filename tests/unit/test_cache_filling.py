"""Answers that enter a semantic cache piece by piece, or before anybody has asked."""

import asyncio

import pytest
from tests.unit.cache_processes import DETAILS, NEAR, QUESTION, Processes, ask, on_a_server
from tests.unit.embedders import TOPICS, Words
from tests.unit.test_fenced_cache import Desk

import parbake as pb
from parbake.stores.memory import MemoryStore
from parbake_semantic import AdaptivePolicy, Bound, Form, Known, SemanticCache, fixed


@pytest.fixture(params=[MemoryStore, on_a_server], ids=["embedded", "on a server"])
def processes(request):
    """Return processes with a store of each kind."""
    found = Processes(request.param())
    yield found
    found.close()


TEXT = Form("".join, lambda text: text.split(" "))


async def pieces(*given, fails=False):
    """Give pieces, one at a time; then fail, if wanted."""
    for piece in given:
        await asyncio.sleep(0)
        yield piece
    if fails:
        raise RuntimeError("cut")


async def taken(stream):
    """Take all pieces of a stream."""
    return [piece async for piece in stream]


@pytest.fixture
def streaming():
    """Return a cache for answers in pieces."""
    app = pb.App(pb.Registry(), open=["policy"])
    yield SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))
    app.sync.close()


async def test_an_answer_in_pieces_is_passed_on_and_given_in_pieces_again(streaming):
    """Pieces come as they are made; the whole is stored, and serves streams and plain questions alike."""
    made = await streaming.stream(QUESTION, lambda _: pieces("30 ", "days"), form=TEXT, tags=["policy"])
    assert (made.is_hit, await taken(made)) == (False, ["30 ", "days"])
    again = await streaming.stream(NEAR, lambda _: pieces("?"), form=TEXT, tags=["policy"])
    assert (again.is_hit, again.reason, await taken(again)) == (True, "", ["30", "days"])
    assert streaming.ask(QUESTION, lambda _: "?", tags=["policy"]).value == "30 days"
    assert streaming.statistics.hits == 2
    assert streaming.statistics.answers == 1


async def test_a_stream_that_fails_or_is_cut_is_not_stored(streaming):
    """An error reaches the caller behind the pieces before it; neither that nor an abandoned stream is stored."""
    failing = await streaming.stream(QUESTION, lambda _: pieces("30 ", fails=True), form=TEXT, tags=["policy"])
    with pytest.raises(RuntimeError, match="cut"):
        await taken(failing)
    left = await streaming.stream(QUESTION, lambda _: pieces(*"abc" * 100), form=TEXT, tags=["policy"])
    iterator = aiter(left)
    assert await anext(iterator) == "a"
    await iterator.aclose()
    await asyncio.sleep(0.01)
    assert (await streaming.stream(QUESTION, lambda _: pieces("x"), form=TEXT, tags=["policy"])).reason == "empty_cache"


async def test_what_a_stream_reads_binds_it(world):
    """A stream that reads through the app ends with a change of what it read, and its caller's own reads do not."""
    desk = Desk(world)
    await desk.app.drain()

    async def answer(_question):
        yield (await desk.app.serve(desk.tasks["fact"], "returns")).value

    made = await desk.cache.stream(QUESTION, answer, form=TEXT)
    async for _ in made:
        await desk.app.serve(desk.tasks["fact"], "shipping")
    await desk.change("shipping", "new shipping")
    assert (await desk.cache.stream(QUESTION, answer, form=TEXT)).is_hit
    await desk.change("returns", "new returns")
    assert await taken(await desk.cache.stream(QUESTION, answer, form=TEXT)) == ["new returns"]
    await desk.app.close()


def wordings(topic, count):
    """Return wordings of one question."""
    verbs, ends = ("what does", "how would", "please explain what", "tell me what"), ("cost", "offer", "mean", "need")
    return [f"{verbs[n % 4]} {topic} {ends[n // 4 % 4]} {DETAILS[n % len(DETAILS)]}" for n in range(count)]


def test_known_questions_are_answered_from_the_first_question_on(processes):
    """Seeded wordings are hits, unseen ones too, in every process; a change of a fact ends its answer only."""
    options = {"policy": lambda: AdaptivePolicy(Bound(0.05, per="request"))}
    one, two = processes.start(**options), processes.start(**options)
    known = [Known(f"{topic} it is", wordings(topic, 16), [f"policy/{topic}"]) for topic in TOPICS]
    made = one.seed(known)
    assert made is not None
    assert made.least is not None
    assert ask(two, wordings("topicaa", 1)[0], "?", tags=["policy/topicaa"]).value == "topicaa it is"
    two._shared._followed_at = float("-inf")
    replies = [ask(two, f"say what {topic} may offer lona", "?", tags=[f"policy/{topic}"]) for topic in TOPICS]
    assert sum(reply.is_hit for reply in replies) >= 14
    assert all(reply.value == f"{topic} it is" for topic, reply in zip(TOPICS, replies, strict=True) if reply.is_hit)
    processes.touch("policy/topicaa")
    assert ask(one, wordings("topicaa", 1)[0], "new", tags=["policy/topicaa"]).value == "new"
    assert ask(one, wordings("topicbb", 1)[0], "?", tags=["policy/topicbb"]).value == "topicbb it is"


def test_a_seed_that_proves_too_little_says_which_bound_it_would_prove(processes, caplog):
    """Few answers hold no small bound: the log says so at once, with the bound that they hold, and that one holds."""
    known = [Known(f"{topic} it is", wordings(topic, 16), [f"policy/{topic}"]) for topic in TOPICS[:3]]
    made = processes.start(policy=lambda: AdaptivePolicy(Bound(0.01, per="request"))).seed(known)
    assert made is not None
    assert made.least is None
    assert made.holds_from is not None
    assert f"from {made.holds_from:.0%} on one would hold" in caplog.text


def test_what_cannot_be_seeded_is_refused(processes):
    """Seeding refuses a text without words, one text in place of a list, and an answer that would never end."""
    cache = processes.start()
    for known, field in (
        (Known("a", ["?!"], ["policy"]), "wordings"),
        (Known("a", "what is topicaa", ["policy"]), "wordings"),
        (Known("a", ["what is topicaa"], ["unknown"]), "tags"),
        (Known("a", ["what is topicaa"]), "value"),
        (Known({1}, ["what is topicaa"], ["policy"]), "value"),
    ):
        with pytest.raises(pb.BadInput) as caught:
            cache.seed([known])
        assert caught.value.field == field


async def test_seeding_works_on_an_event_loop():
    """``seed_async`` stores known questions, also for a policy that learns nothing."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.8))
    assert await cache.seed_async([Known("30 days", [QUESTION])]) is None
    assert cache.ask(NEAR, lambda _: "?").value == "30 days"
