"""A semantic cache that several processes share through the app's store: each app here stands for a process."""

import asyncio
import dataclasses
import random
import time

import numpy as np
import pytest
from tests.unit.cache_processes import DETAILS, NEAR, QUESTION, Processes, ask, on_a_server
from tests.unit.embedders import TOPICS, Words
from tests.unit.test_fenced_cache import Desk

import parbake as pb
from parbake.errors import DeclarationError
from parbake.protocol.record import Stamp
from parbake.stores.memory import MemoryStore
from parbake.stores.steps import record_steps
from parbake_semantic import AdaptivePolicy, Bound, Handling, Known, Scope, SemanticCache, fixed


@pytest.fixture(params=[MemoryStore, on_a_server], ids=["embedded", "on a server"])
def processes(request):
    """Return processes with a store of each kind."""
    found = Processes(request.param())
    yield found
    found.close()


def test_an_answer_is_shared_with_every_process(processes):
    """What one process stores is a hit in another, for the same text at once and for a near one."""
    one, two = processes.start(), processes.start()
    assert ask(two, "what is topicbb", "b").reason == "empty_cache"
    assert ask(one, QUESTION, "30 days").reason == "cosine_below_threshold"
    assert (ask(two, QUESTION, "?").value, ask(two, QUESTION, "?").is_hit) == ("30 days", True)
    two._shared._followed_at = float("-inf")  # a store on a server is followed twenty times a second
    assert (ask(two, NEAR, "?").value, ask(two, NEAR, "?").is_hit) == ("30 days", True)


def test_a_change_ends_an_answer_in_every_process(processes):
    """After an acknowledged change no process serves what was made from it, and each keeps the others."""
    one, two = processes.start(), processes.start()
    ask(one, QUESTION, "30 days")
    ask(one, "what does topicbb cost", "4 euros", tags=["policy/shipping"])
    assert ask(two, QUESTION, "?").is_hit
    processes.touch("policy/returns")
    for cache in (one, two):
        assert ask(cache, "what does topicbb cost", "?", tags=["policy/shipping"]).is_hit
    assert (ask(two, QUESTION, "14 days").value, ask(one, QUESTION, "?").value) == ("14 days", "14 days")


def test_answers_outlast_the_process(tmp_path):
    """A process that starts later finds the answers, by a near question too, and no change from meanwhile is lost."""
    store = f"lmdb://{tmp_path}/store"
    first = Processes(store)
    cache = first.start()
    ask(cache, QUESTION, "30 days")
    ask(cache, "what does topicbb cost", "4 euros", tags=["policy/shipping"])
    first.close()
    second = Processes(store)
    cache = second.start()
    second.touch("policy/shipping")
    assert ask(cache, NEAR, "?").value == "30 days"
    assert ask(cache, "what does topicbb cost", "5 euros").value == "5 euros"
    second.close()


def test_a_complaint_holds_in_every_process(processes):
    """A withdrawn answer is served by no process, nor stored again, until the facts that it was made from change."""
    one, two = processes.start(), processes.start()
    ask(one, QUESTION, "wrong")
    hit = ask(two, QUESTION, "?")
    two.demote(hit)
    for cache in (one, two):
        assert ask(cache, QUESTION, "wrong").reason == "demoted"
        assert ask(cache, QUESTION, "wrong").reason == "demoted"
    processes.touch("policy/returns")
    ask(one, QUESTION, "wrong")
    assert ask(two, QUESTION, "?").is_hit
    assert ask(two, QUESTION, "?", scope=Scope(tenant="other")).reason == "empty_cache"


def test_a_complaint_wins_over_an_answer_that_is_being_made(processes):
    """An answer that is computed while an equal one is withdrawn is not served afterwards."""
    one, two = processes.start(), processes.start()
    first = ask(one, QUESTION, "wrong")

    def slow(_question):
        one.demote(first)
        return "wrong"

    assert two.ask("how long may topiccc be returned", slow, tags=["policy/returns"]).value == "wrong"
    assert not ask(two, "how long may topiccc be returned", "right").is_hit


async def test_complaints_and_clearing_work_on_an_event_loop():
    """``demote_async`` withdraws an answer, and another process sees it at once."""
    store = MemoryStore()
    apps = [pb.App(pb.Registry(), store=store, open=["policy"]) for _ in range(2)]
    one, two = (SemanticCache(Words(), app=app, policy=lambda: fixed(0.8)) for app in apps)

    async def answer(_question):
        await asyncio.sleep(0)
        return "wrong"

    reply = await one.ask_async(QUESTION, answer, tags=["policy"])
    assert (await two.ask_async(QUESTION, answer, tags=["policy"])).is_hit
    await one.demote_async(reply)
    assert (await two.ask_async(QUESTION, answer, tags=["policy"])).reason == "demoted"


def test_a_cleared_cache_serves_nothing_in_any_process(processes):
    """After ``clear`` every process answers afresh, and new answers are stored."""
    one, two = processes.start(), processes.start()
    ask(one, QUESTION, "30 days")
    two.clear()
    assert ask(one, QUESTION, "14 days").reason == "tag_changed"
    assert ask(two, QUESTION, "?").value == "14 days"


def test_what_one_process_drops_no_process_serves(processes):
    """A full cache drops what saves least, in the store too, and another process gives the question to its model."""
    one, two = processes.start(capacity=2), processes.start(capacity=2)
    topics = [f"what is {topic} please" for topic in TOPICS[:6]]
    for question in topics:
        ask(one, question, question)
    left = [row.entry.question for row in processes.apps[0].sync.iterate(one._shared._entries.all())]
    assert len(left) == 2
    for question in set(topics) - set(left):
        assert not ask(two, question, question).is_hit


def test_answers_take_no_more_bytes_than_allowed():
    """The sum of the sizes in the store stays below ``max_bytes``."""
    found = Processes(MemoryStore(), max_bytes="4KiB")
    cache = found.start()
    for topic in TOPICS:
        ask(cache, f"what is {topic} please", topic * 100)
    rows = found.apps[0].sync.iterate(cache._shared._entries.all())
    sizes = [one.size for one in rows]
    assert sizes
    assert sum(sizes) <= 4096
    assert cache._shared.size == sum(sizes)
    found.close()


def stream(*caches, asks, seed):
    """Ask caches in turn: questions of one topic are near to each other, and have one answer but for their weight."""
    rng, wrong, hits = random.Random(seed), 0, 0
    for n in range(asks):
        topic, word = rng.choice(TOPICS), rng.choice(("cost", "weigh", "need", "offer", "mean"))
        question = f"what does {topic} {word} {rng.choice(DETAILS)} {rng.choice(DETAILS)}"
        right = f"{topic} weighs 3 kg" if word == "weigh" else topic
        reply = caches[n % len(caches)].ask(question, lambda _, right=right: right, tags=["policy/returns"])
        hits += reply.is_hit
        wrong += reply.is_hit and reply.value != right
    return hits, wrong


def test_processes_learn_together():
    """Two processes serve nearly as much as one that is asked the same, within one bound, and a new one knows it."""
    options = {"policy": lambda: AdaptivePolicy(Bound(0.05, per="request"))}
    alone, together = Processes(MemoryStore(), **options), Processes(MemoryStore(), **options)
    hits, _ = stream(alone.start(), asks=900, seed=1)
    shared, wrong = stream(together.start(), together.start(), asks=900, seed=1)
    assert shared >= 0.8 * hits
    assert wrong <= 0.05 * 900
    late = together.start()
    assert ask(late, "what does topicaa cost bona deri", "?").reason != "learning"
    for found in (alone, together):
        found.close()


@dataclasses.dataclass
class Told:
    """An answer with a source."""

    text: str
    source: str


def test_answers_have_the_type_that_was_declared(processes):
    """A declared type comes back as it was; another type and another model have entries of their own."""
    one, two = processes.start(answers=Told), processes.start(answers=Told)
    ask(one, QUESTION, Told("30 days", "terms"))
    assert ask(two, QUESTION, None).value == Told("30 days", "terms")
    assert ask(processes.start(), QUESTION, "text").value == "text"
    processes._embedder = lambda: Words("other model")
    assert ask(processes.start(answers=Told), QUESTION, Told("new", "")).value.text == "new"
    with pytest.raises(DeclarationError, match="cannot store"):
        processes.start(answers=Untold)


class Untold:
    """A type that nothing can store."""


@pytest.mark.parametrize("value", [Told("a", "b"), ("a", "b"), {1, 2}, np.zeros(2)], ids=str)
def test_what_would_come_back_as_something_else_is_not_stored(processes, caplog, value):
    """Without ``answers=``, a value that msgpack would change is returned, not stored, and the log says what to do."""
    cache = processes.start()
    for _ in range(2):
        reply = ask(cache, QUESTION, value)
        assert reply.value is value
        assert reply.stored is None
    assert caplog.text.count("give the cache answers=") == 1


def test_what_was_erased_is_no_hit_anywhere(processes):
    """An entry that the store has erased is served by no process, by a near question neither."""
    one, two = processes.start(), processes.start()
    ask(one, QUESTION, "as Erika Mustermann wrote")
    assert ask(two, QUESTION, "?").is_hit
    app = processes.apps[0]
    app.sync.run(app.engine.store.erase(["Mustermann"], (), Stamp(0, 0)))
    for cache in (one, two):
        assert ask(cache, NEAR, "x", scope=Scope()).value == "x"
        app.sync.run(app.engine.store.erase(["topicaa"], (), Stamp(0, 0)))


def test_a_process_that_was_away_for_long_reads_everything_again(monkeypatch, processes):
    """If entries of the log are gone, all entries are read again, and none is missed."""
    monkeypatch.setattr(record_steps, "NOTED", 3)
    one, two = processes.start(), processes.start()
    ask(two, "what is topictt please", "t")
    for topic in TOPICS[:8]:
        ask(one, f"what is {topic} please", topic)
    two._shared._followed_at = float("-inf")
    for topic in TOPICS[:8]:
        assert ask(two, f"now what is {topic} please", "?").value == topic


def test_two_caches_of_an_app_have_two_names(processes):
    """An app refuses a second cache of the same name, and a name with other signs than it allows."""
    cache = processes.start()
    with pytest.raises(pb.BadInput, match="another name="):
        SemanticCache(Words(), app=processes.apps[0])
    with pytest.raises(pb.BadInput, match="small letters"):
        SemanticCache(Words(), app=processes.apps[0], name="My cache")
    other = SemanticCache(Words(), app=processes.apps[0], name="other", policy=lambda: fixed(0.8))
    ask(cache, QUESTION, "one")
    assert ask(other, QUESTION, "two").value == "two"


def test_statistics_say_what_hits_have_saved(processes):
    """Hits, refusals by reason, and the seconds that the answers of hits took."""
    cache = processes.start()
    assert cache.statistics.answers == 0

    def slow(_question):
        time.sleep(0.02)
        return "30 days"

    started_s = time.monotonic()
    cache.ask(QUESTION, slow, tags=["policy"])
    took_s = time.monotonic() - started_s
    for _ in range(3):
        assert ask(cache, QUESTION, "?").is_hit
    found = cache.statistics
    assert (found.hits, found.asked["empty_cache"], found.answers) == (3, 1, 1)
    assert 3 * 0.02 <= found.saved_s <= 3 * took_s


async def test_a_caller_answers_in_steps_of_its_own(world):
    """``begin`` looks up; what is read while listening binds the answer that ``finish`` stores."""
    desk = Desk(world)
    await desk.app.drain()
    asked = await desk.cache.begin(QUESTION)
    assert (asked.reply, asked.reason) == (None, "empty_cache")
    with asked.listening():
        value = (await desk.app.serve(desk.tasks["fact"], "returns")).value
    assert (await asked.finish(value)).value == value
    again = await desk.cache.begin(QUESTION)
    assert again.reply is not None
    assert again.age_s == 0.0
    await desk.change("returns", "new returns")
    assert (await desk.cache.begin(QUESTION)).reason == "tag_changed"
    await desk.app.close()


async def test_one_question_can_be_handled_otherwise(world):
    """A question can be kept from being looked up or stored, and say how old an answer may be or become."""
    app = world.app(pb.Registry(), open=["policy"])
    cache = SemanticCache(Words(), app=app, freshness_sla="1h", policy=lambda: fixed(0.8))

    async def told(value, **handling):
        asked = await cache.begin(QUESTION, handling=Handling(**handling))
        return (asked.reason, (asked.reply or await asked.finish(value)).value)

    assert await told("a", stores=False) == ("empty_cache", "a")
    assert await told("b", ttl_s=60.0) == ("empty_cache", "b")
    assert await told("?") == ("", "b")
    world.clock.advance(1.0)
    assert await told("c", looks_up=False, ttl_s=60.0) == ("bypassed", "c")
    world.clock.advance(30.0)
    assert await told("d", max_age_s=20.0, stores=False) == ("past_max_age", "d")
    assert await told("?", max_age_s=40.0) == ("", "c")
    world.clock.advance(31.0)
    assert await told("e") == ("valid_until_passed", "e")
    await app.close()


def test_without_an_embedder_only_repeated_texts_are_hits():
    """A cache without an embedder needs no vectors, and forgets like any other."""
    app = pb.App(pb.Registry(), open=["policy"])
    cache = SemanticCache(None, app=app, capacity=2)
    assert ask(cache, QUESTION, "30 days").reason == "not_stored"
    assert ask(cache, QUESTION + "?", "?").value == "30 days"
    assert ask(cache, NEAR, "other").reason == "not_stored"
    ask(cache, "what is topicbb", "b")
    assert cache.statistics.answers == 2
    app.sync.close()


def test_processes_without_an_embedder_keep_one_limit(processes):
    """Also without vectors a process knows what others have stored, and keeps the limit with them."""
    one, two = processes.start(embedder=None, capacity=2), processes.start(embedder=None, capacity=2)
    for cache, topic in ((one, "topicaa"), (one, "topicbb"), (two, "topiccc"), (two, "topicdd")):
        two._shared._followed_at = float("-inf")
        ask(cache, f"what is {topic}", topic)
    assert len(list(processes.apps[0].sync.iterate(one._shared._entries.all()))) == 2


def test_a_complaint_about_an_old_answer_lasts_as_long_as_about_a_new_one(world):
    """What was withdrawn is not stored again, however old the answer was, until a fact of it changes."""
    app = world.app(pb.Registry(), open=["policy"], store=MemoryStore())
    cache = SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))
    first = ask(cache, QUESTION, "wrong")
    store, before = app.engine.store, app.sync.run(app.stamp())
    app.sync.run(app.touch("policy/shipping"))
    cache.demote(first)
    app.sync.run(store.raise_floor(Stamp(before.incarnation, before.sequence + 1)))  # as a sweep does
    for _ in range(2):
        assert not ask(cache, QUESTION, "wrong").is_hit
    app.sync.run(app.touch("policy/returns"))
    ask(cache, QUESTION, "wrong")
    assert ask(cache, QUESTION, "?").is_hit
    app.sync.close()


def test_an_answer_is_served_only_to_who_names_nothing_else(processes):
    """An answer that a change of the asker's tags would not outdate is not served to that asker."""
    cache = processes.start()
    ask(cache, QUESTION, "old", tags=["policy/shipping"])
    assert ask(cache, QUESTION, "?", tags=["policy/shipping"]).is_hit
    for question in (QUESTION, NEAR):
        assert ask(cache, question, "new", tags=["policy/returns"]).reason in ("tags_differ", "")
    assert ask(cache, QUESTION, "?", tags=["policy/returns"]).value == "new"
    processes.touch("policy/returns")
    assert ask(cache, QUESTION, "newer", tags=["policy/returns"]).value == "newer"


@pytest.mark.parametrize("whole", ["policy", "policy/*"])
def test_an_answer_about_one_entity_is_not_served_to_who_names_its_family(processes, whole):
    """Who names a family gets no answer that a change of another entity of the family would not outdate."""
    cache = processes.start()
    ask(cache, QUESTION, "old", tags=["policy/returns"])
    assert ask(cache, QUESTION, "new", tags=[whole]).value == "new"
    assert ask(cache, QUESTION, "?", tags=["policy/returns"]).is_hit
    processes.touch("policy/shipping")
    assert ask(cache, QUESTION, "newer", tags=[whole]).value == "newer"


def test_an_answer_that_was_withdrawn_stays_so_for_who_names_further_tags(processes):
    """The same answer to the same question, made from further facts, is not stored while the complaint holds."""
    cache = processes.start()
    cache.demote(ask(cache, QUESTION, "wrong", tags=["policy/returns"]))
    for tags in (["policy/returns", "policy/shipping"], ["policy/returns"], ["policy/shipping"]):
        assert not ask(cache, QUESTION, "wrong", tags=tags).is_hit
    assert ask(cache, NEAR, "wrong", tags=["policy/shipping"]).reason
    assert ask(cache, QUESTION, "right", tags=["policy/returns"]).reason
    assert ask(cache, QUESTION, "?", tags=["policy/returns"]).value == "right"


def test_a_list_that_is_seeded_at_each_start_does_not_bring_back_what_has_changed(processes):
    """A question that has an answer keeps it, outdated or not: who seeds the same list again does not know better."""
    one, two = processes.start(), processes.start()
    known = [Known("30 days", [QUESTION], ["policy/returns"])]
    one.seed(known)
    assert ask(two, QUESTION, "?", tags=["policy/returns"]).value == "30 days"
    processes.touch("policy/returns")
    processes.start().seed(known)
    assert not ask(two, QUESTION, "14 days", tags=["policy/returns"]).is_hit
    processes.start().seed(known)
    assert ask(one, QUESTION, "?", tags=["policy/returns"]).value == "14 days"


def test_answers_that_were_read_before_a_change_are_not_served_after_it(processes):
    """A seed with the stamp from before its answers were read ends with changes since then, and replaces older ones."""
    cache = processes.start()
    before = processes.apps[0].sync.run(processes.apps[0].stamp())
    cache.seed([Known("30 days", [QUESTION], ["policy/returns"])])
    processes.touch("policy/returns")
    cache.seed([Known("30 days", [QUESTION], ["policy/returns"])], as_of=before)
    assert not cache.begin_sync(QUESTION).reply
    now = processes.apps[0].sync.run(processes.apps[0].stamp())
    cache.seed([Known("14 days", [QUESTION], ["policy/returns"])], as_of=now)
    assert ask(cache, QUESTION, "?", tags=["policy/returns"]).value == "14 days"
    with pytest.raises(pb.BadInput, match="stamp"):
        cache.seed([Known("14 days", [QUESTION], ["policy/returns"])], as_of=5)


def test_askers_who_name_different_tags_for_one_text_share_its_answer(processes):
    """The second asker's answer ends with the tags of both, and answers each of them until one of the tags changes."""
    cache = processes.start()
    tags = ["policy/returns"], ["policy/shipping"]
    assert [ask(cache, QUESTION, str(n), tags=tags[n % 2]).value for n in range(4)] == ["0", "1", "1", "1"]
    for changed in ("policy/shipping", "policy/returns"):
        processes.touch(changed)
        assert ask(cache, QUESTION, changed, tags=["policy/shipping"]).value == changed
        ask(cache, QUESTION, changed, tags=["policy/returns"])


def test_askers_who_name_ever_new_tags_do_not_bind_an_answer_by_all_of_them(processes):
    """An answer is bound by so many tags at most; beyond that it is bound by those of the last asker only."""
    cache = processes.start()
    for n in range(70):
        ask(cache, QUESTION, str(n), tags=[f"policy/{n}"])
    processes.touch("policy/0")
    assert ask(cache, QUESTION, "?", tags=["policy/69"]).is_hit


def test_a_renewed_answer_keeps_what_had_ended_it(processes):
    """A near question without tags that renews an answer leaves the answer's own tags on it."""
    cache = processes.start()
    ask(cache, QUESTION, "1", tags=["policy/returns"])
    processes.touch("policy/returns")
    assert ask(cache, NEAR, "2", tags=["policy/shipping"]).reason in ("tag_changed", "tags_differ")
    processes.touch("policy/returns")
    assert not ask(cache, QUESTION, "3", tags=()).is_hit


def test_texts_can_be_compared_to_the_letter():
    """With ``form=str.strip`` case and white space within a text make another question."""
    cache = SemanticCache(None, freshness_sla="1h", form=str.strip)
    for text in ("print( x )", "print(x)", "is fooBar right", "is foobar right"):
        assert cache.ask(text, lambda asked: asked).value == text
    assert cache.ask(" print(x)\n", lambda _: "?").value == "print(x)"
