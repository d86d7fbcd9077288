"""A semantic cache with an app: an answer is outdated exactly by changes of what it read."""

import asyncio
import logging

import pytest
from tests.unit.embedders import Words
from tests.unit.shopfloor import Facts, contract

import parbake as pb
from parbake.process.system_clock import SystemClock
from parbake.stores.memory import MemoryStore
from parbake.testing import FakeClock
from parbake_semantic import AdaptivePolicy, Scope, SemanticCache, fixed

RETURNS, SHIPPING = "how long may topicaa be returned", "what does shipping of topicbb cost"


class Desk:
    """An app with tasks of each kind, and a cache over it."""

    def __init__(self, world, **options):
        """Open the app."""
        tasks, self.world, self.asked = pb.Registry(), world, []

        @tasks.artifact(**contract())
        def fact(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        @tasks.artifact(**contract(invalidated_by=[pb.refresh("fact")]))
        def soft(key: str, *, facts: pb.Source[Facts]) -> str:
            return facts.get(key)

        @tasks.live(why="the words of the question")
        async def spoken(key: pb.Live[str], *, inner: pb.Reader[str, str] = pb.Input(fact)) -> str:
            return (await inner.get(key)).unwrap()

        @tasks.live(why="a view, at request time")
        def looked(key: pb.Live[str], *, facts: pb.Source[Facts] = pb.GIVEN) -> str:
            return facts.get(key)

        self.tasks = {task.name: task for task in (fact, soft, spoken, looked)}
        self.app = world.app(tasks, open=["policy"], **options)
        self.cache = SemanticCache(Words(), app=self.app, policy=lambda: fixed(0.8))
        for key in ("returns", "shipping"):
            world.put(key, f"old {key}", tell=False)

    def answering(self, key, task="fact"):
        """Return a coroutine function that serves a key."""

        async def answer(question):
            self.asked.append(question)
            return (await self.app.serve(self.tasks[task], key)).value

        return answer

    async def change(self, key, value):
        """Change a fact and wait for the acknowledgement."""
        self.world.put(key, value)
        await self.app.drain()


@pytest.fixture
async def desk(world):
    """Return an open desk."""
    found = Desk(world)
    await found.app.drain()
    yield found
    await found.app.close()


@pytest.mark.parametrize("task", ["fact", "spoken", "looked"])
async def test_an_answer_ends_with_a_change_of_what_it_read(desk, task):
    """A change of what an answer read, also through a live task, outdates it; others stay, and the app counts hits."""
    for question, key in ((RETURNS, "returns"), (SHIPPING, "shipping")):
        await desk.cache.ask_async(question, desk.answering(key, task))
        assert (await desk.cache.ask_async(question, desk.answering(key, task))).is_hit
    await desk.change("returns", "new returns")
    reply = await desk.cache.ask_async(RETURNS, desk.answering("returns", task))
    assert (reply.value, reply.reason) == ("new returns", "tag_changed")
    assert (await desk.cache.ask_async(SHIPPING, desk.answering("shipping", task))).is_hit
    again = await desk.cache.ask_async(RETURNS, desk.answering("returns", task))
    assert (again.value, again.is_hit, desk.app.counters.asked[""]) == ("new returns", True, 4)


async def test_a_cache_inside_a_live_task_says_what_is_true_now(world):
    """A live task that asks the cache returns the new answer after a change."""
    desk = Desk(world)
    tasks = pb.Registry()

    @tasks.live(why="the words of the question")
    async def reply(question: pb.Live[str], *, cache: pb.Resource[SemanticCache[str]] = pb.GIVEN) -> str:
        return (await cache.ask_async(question, desk.answering("returns"))).value

    chat = pb.App(tasks, resources={SemanticCache[str]: desk.cache})
    await desk.app.drain()
    assert (await chat.serve(reply, RETURNS)).value == "old returns"
    await desk.change("returns", "new returns")
    served = await chat.serve(reply, RETURNS)
    assert (served.value, served.verdict) == ("new returns", pb.Verdict.FRESH)


async def test_tags_name_what_only_the_caller_knows(desk):
    """An answer that reads nothing through the app is bound by the tags of its caller."""

    async def answer(question):
        return f"answer {len(desk.asked)}"

    first = await desk.cache.ask_async(RETURNS, answer, tags=["policy/returns"])
    desk.asked.append("changed")
    assert (await desk.cache.ask_async(RETURNS, answer)).value == first.value
    await desk.app.touch("policy/returns")
    assert (await desk.cache.ask_async(RETURNS, answer, tags=["policy/returns"])).value == "answer 1"


def test_the_same_in_synchronous_code(tmp_path):
    """``ask`` in synchronous code returns the new policy once the touch is acknowledged, in every kind of store."""
    policies, tasks = {"returns": "30 days"}, pb.Registry()

    @tasks.artifact(**contract(invalidated_by=[pb.fence("policy/{policy}")]))
    def policy(policy: str) -> str:
        return policies[policy]

    for store in ("memory://", f"lmdb://{tmp_path}/store", Slow()):
        policies["returns"] = "30 days"
        app = pb.App(tasks, store=store)
        cache = SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))

        def answer(question, app=app):
            return f"You have {app.sync.serve(policy, 'returns').value}."

        assert cache.ask(RETURNS, answer).value == "You have 30 days."
        assert cache.ask(RETURNS + " please", answer).is_hit
        policies["returns"] = "14 days"
        assert cache.ask(RETURNS, answer).value == "You have 30 days.", "nobody told the app yet"
        app.sync.run(app.touch("policy/returns"))
        assert cache.ask(RETURNS, answer).value == "You have 14 days."
        assert cache.ask(RETURNS + " please", answer).value == "You have 14 days."
        app.sync.close()


async def test_the_stamp_is_older_than_what_was_read(desk):
    """An answer that was being made during a change is returned to its caller, but not served again."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(question):
        value = (await desk.app.serve(desk.tasks["fact"], "returns")).value
        begun.set()
        await go_on.wait()
        return value

    asking = asyncio.create_task(desk.cache.ask_async(RETURNS, slow))
    await begun.wait()
    await desk.change("returns", "new returns")
    go_on.set()
    assert (await asking).value == "old returns", "its own caller asked before"
    assert (await desk.cache.ask_async(RETURNS, desk.answering("returns"))).value == "new returns"


async def test_equal_answers_of_different_facts_end_apart(desk):
    """Two equal answers from different facts are outdated separately."""
    for key in ("returns", "shipping"):
        desk.world.put(key, "30 days")
    await desk.app.drain()
    for question, key in ((RETURNS, "returns"), (SHIPPING, "shipping")):
        await desk.cache.ask_async(question, desk.answering(key))
    await desk.change("returns", "14 days")
    assert (await desk.cache.ask_async(RETURNS, desk.answering("returns"))).value == "14 days"
    kept = await desk.cache.ask_async(SHIPPING, desk.answering("shipping"))
    assert (kept.value, kept.is_hit) == ("30 days", True)


async def test_two_wordings_of_one_answer_are_one_and_end_together(desk):
    """Wordings with the same answer from the same facts share it, and one change outdates it for both."""
    cache = SemanticCache(Words(), app=desk.app, name="learning", policy=AdaptivePolicy)
    first = await cache.ask_async(RETURNS, desk.answering("returns"))
    near = await cache.ask_async(RETURNS + " please", desk.answering("returns"))
    assert near.stored.entry.group == first.stored.entry.group
    await desk.change("returns", "10 days")
    for question in (RETURNS, RETURNS + " please"):
        assert (await cache.ask_async(question, desk.answering("returns"))).value == "10 days"


async def test_a_question_whose_answer_has_ended_keeps_what_was_learnt_about_it(desk):
    """A policy keeps its observations after a change, and an outdated answer does not count as a wrong match."""
    seen = []

    class Watching:
        ranking, adds_aliases = "cosine", False  # serves an entry from its fifth match on, and records its observations

        def refusal(self, match):
            return None if sum(alias == match.alias for alias, _ in seen) >= 4 else "few_observations"

        def observe(self, match, *, right):
            seen.append((match.alias, right))

    cache = SemanticCache(Words(), app=desk.app, name="watching", policy=Watching)
    for _ in range(8):
        await cache.ask_async(RETURNS + " please", desk.answering("returns"))
        await cache.ask_async(RETURNS, desk.answering("returns"))
    before = list(seen)
    await desk.change("returns", "new returns")
    assert (await cache.ask_async(RETURNS + " please", desk.answering("returns"))).value == "new returns"
    assert seen == before, "the policy learns nothing from an answer that has ended"
    assert not any(not right for _, right in seen)


async def test_a_near_question_renews_the_stored_one(desk):
    """A near question that is asked after a change also renews the answer of the stored wording."""
    await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    await desk.change("returns", "new returns")
    assert (await desk.cache.ask_async(RETURNS + " please", desk.answering("returns"))).reason == "tag_changed"
    stored = await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    assert (stored.value, stored.is_hit) == ("new returns", True)


async def test_an_answer_ends_by_age(world):
    """An answer past ``freshness_sla``, by the app's clock, is made again."""
    desk = Desk(world)
    cache = SemanticCache(Words(), app=desk.app, name="aging", freshness_sla="10m", policy=lambda: fixed(0.8))
    await desk.app.drain()
    await cache.ask_async(RETURNS, desk.answering("returns"))
    world.clock.advance(601)
    await desk.app.drain()
    assert (await cache.ask_async(RETURNS, desk.answering("returns"))).reason == "past_sla"
    assert (await cache.ask_async(RETURNS, desk.answering("returns"))).is_hit


async def test_what_nothing_could_end_is_not_kept_and_says_so(desk, caplog):
    """An answer without reads, tags and age is not stored, and one warning is logged."""

    async def answer(question):
        return "42"

    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert (await desk.cache.ask_async(RETURNS, answer)).reason == "empty_cache"
    assert [record.getMessage()[:39] for record in caplog.records] == ["an answer read nothing through the app "]


async def test_an_answer_made_of_a_refusal_is_not_kept(world):
    """An answer made from a refused value is not stored, as nothing could outdate it."""
    tasks = pb.Registry()

    @tasks.artifact(**contract(fallback_if_stale=pb.Refuse()))
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    app = world.app(tasks)
    world.put("a", "one")
    await app.drain()
    await app.serve(fact, "a")
    world.put("a", "two")
    await app.drain()
    cache = SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))

    async def answer(question):
        return str((await app.serve(fact, "a")).value)

    for _ in range(2):
        assert (await cache.ask_async(RETURNS, answer)).reason == "empty_cache"


async def test_a_silent_source_ends_what_it_told_of(world):
    """While a source is silent, an answer that is fenced by its family is not served."""
    desk = Desk(world)
    await desk.app.drain()
    await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    world.clock.advance(31)
    assert (await desk.cache.ask_async(RETURNS, desk.answering("returns"))).reason == "source_silent"


async def test_a_callers_own_acknowledgement_counts_in_the_cache(desk):
    """An answer that is older than the caller's acknowledgement is not served to that caller."""
    await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    ack = await desk.app.touch("fact/returns")
    async with desk.app.request(after=ack):
        assert (await desk.cache.ask_async(RETURNS, desk.answering("returns"))).reason == "tag_changed"


@pytest.mark.parametrize("tags", ["policy", ["polcy/returns"], ["Policy"], ["policy/"], ["my policy/a"]])
async def test_tags_that_are_never_raised_are_refused(desk, tags):
    """An unknown family, a string instead of a list, and a malformed tag are refused before the model is asked."""
    with pytest.raises(pb.BadInput) as caught:
        await desk.cache.ask_async(RETURNS, desk.answering("returns"), tags=tags)
    assert caught.value.field == "tags"
    assert desk.asked == []


async def test_a_refused_tag_is_told_the_families_that_there_are(desk):
    """The error for an unknown family lists the declared families in order, or none."""
    with pytest.raises(pb.BadInput, match=r"declares \(fact, policy\), such as \['fact'\]"):
        desk.app.bonds.check(["polcy"])
    with pytest.raises(pb.BadInput, match=r"declares \(none\), such as \['policy'\]"):
        pb.App(pb.Registry()).bonds.check(["polcy"])


def test_a_cache_without_an_app_needs_an_age():
    """Without an app a cache needs ``freshness_sla`` and accepts no tags."""
    with pytest.raises(pb.BadInput, match="such as freshness_sla='1h'") as caught:
        SemanticCache(Words())
    assert caught.value.field == "freshness_sla"
    with pytest.raises(pb.BadInput, match="tags= needs app="):
        SemanticCache(Words(), freshness_sla="1h").ask(RETURNS, str, tags=["policy"])


async def test_a_store_that_does_not_answer_costs_no_answer(desk, monkeypatch):
    """If the store fails, the question is answered and the answer is not stored."""

    async def down():
        raise pb.errors.StoreError("down")

    monkeypatch.setattr(desk.app.engine.store, "stamp", down)

    async def answer(question):
        return "all the same"

    reply = await desk.cache.ask_async(RETURNS, answer, tags=["policy"])
    assert (reply.value, reply.stored) == ("all the same", None)


async def test_answers_that_nobody_has_any_more_are_let_go(desk):
    """After a hundred changes of one fact, the store holds one answer."""
    for n in range(100):
        await desk.change("returns", f"value {n}")
        await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    assert desk.cache.stored == {Scope(): 1}
    assert len([key async for key, _ in desk.app.engine.store.scan(desk.cache._shared._entries.place)]) == 1


async def test_in_a_request_a_live_value_from_before_is_computed_again(desk):
    """A live value from earlier in a request is computed again inside ``ask``, so that its reads bind the answer."""
    async with desk.app.request():
        await desk.app.serve(desk.tasks["spoken"], "returns")
        await desk.cache.ask_async(RETURNS, desk.answering("returns", "spoken"))
    await desk.change("returns", "new returns")
    assert (await desk.cache.ask_async(RETURNS, desk.answering("returns", "spoken"))).value == "new returns"


async def test_a_refreshed_family_does_not_end_an_answer(desk):
    """A change of a family that the task only refreshes on does not outdate the answer."""
    await desk.cache.ask_async(RETURNS, desk.answering("returns", "soft"))
    await desk.change("returns", "new returns")
    assert (await desk.cache.ask_async(RETURNS, desk.answering("returns", "soft"))).is_hit


class Slow(MemoryStore):
    """A store without ``glimpse``, such as one behind a network."""

    glimpse = None


@pytest.mark.parametrize("store", [MemoryStore, Slow])
async def test_an_answer_is_judged_in_every_store(world, store):
    """With an immediate check or an awaited one, an answer is stored, and outdated by a change."""
    desk = Desk(world, store=store())
    await desk.app.drain()
    assert desk.app.bonds.is_immediate == (store is MemoryStore)
    await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    assert (await desk.cache.ask_async(RETURNS, desk.answering("returns"))).is_hit
    await desk.change("returns", "new returns")
    reply = await desk.cache.ask_async(RETURNS, desk.answering("returns"))
    assert (reply.value, reply.reason) == ("new returns", "tag_changed")
    await desk.app.close()


async def test_an_answer_as_old_as_its_age_still_holds(world):
    """An answer exactly as old as ``freshness_sla`` is served; an older one is made again."""
    desk = Desk(world)
    await desk.app.drain()
    cache = SemanticCache(Words(), app=desk.app, name="aging", freshness_sla="10m", policy=lambda: fixed(0.8))
    await cache.ask_async(RETURNS, desk.answering("returns"))
    world.clock.advance(600)
    await desk.app.drain()
    assert (await cache.ask_async(RETURNS, desk.answering("returns"))).is_hit
    world.clock.advance(0.5)
    assert (await cache.ask_async(RETURNS, desk.answering("returns"))).reason == "past_sla"


def test_without_an_app_an_age_is_the_same_bound(monkeypatch):
    """Without an app, an answer past ``freshness_sla`` is refused with that age as the reason."""
    clock = FakeClock()
    monkeypatch.setattr(SystemClock, "now", lambda _: clock.now())
    cache = SemanticCache(Words(), freshness_sla="10m", policy=lambda: fixed(0.8))
    assert cache.ask(RETURNS, str).reason == "empty_cache"
    clock.advance(600)
    assert cache.ask(RETURNS, str).is_hit
    clock.advance(0.5)
    assert cache.ask(RETURNS, str).reason == "past_sla"


@pytest.mark.parametrize("is_asked_before", [False, True])
async def test_a_stored_task_that_asks_the_cache_is_bound_by_the_answer(world, is_asked_before):
    """A stored task is bound by the answer that it got from the cache, on a miss and on a hit."""
    desk = Desk(world)
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    @tasks.artifact(**contract(invalidated_by=[]))
    async def page(key: str, *, inner: pb.Reader[str, str] = pb.Input(fact)) -> str:
        async def answer(question):
            return (await inner.get("returns")).unwrap()

        return f"{key}: {(await cache.ask_async(RETURNS, answer)).value}"

    app = world.app(tasks)
    cache = SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))
    await app.drain()
    if is_asked_before:
        await app.serve(page, "first")
    assert (await app.serve(page, "a")).value == "a: old returns"
    world.put("returns", "new returns")
    await app.drain()
    assert (await app.serve(page, "a")).value == "a: new returns"
    await desk.app.close()


async def test_a_stored_task_inherits_the_tags_of_an_answer(world):
    """A stored task inherits the tags that were given to ``ask``, on a miss and on a hit."""
    tasks, said = pb.Registry(), ["old"]

    @tasks.artifact(**contract(invalidated_by=[]))
    async def page(key: str) -> str:
        async def answer(question):
            return said[-1]

        return (await cache.ask_async(RETURNS, answer, tags=["policy/returns"])).value

    app = pb.App(tasks, open=["policy"])
    cache = SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))
    assert [(await app.serve(page, key)).value for key in "ab"] == ["old", "old"]
    said.append("new")
    await app.touch("policy/returns")
    assert [(await app.serve(page, key)).value for key in "ab"] == ["new", "new"]


async def test_an_answer_is_bound_by_the_answers_that_it_is_made_of(desk):
    """An answer that asks another cache is bound by the inner answer, on a miss and on a hit."""
    outer = SemanticCache(Words(), app=desk.app, name="outer", freshness_sla="1h", policy=lambda: fixed(0.8))

    async def answer(question):
        inner = await desk.cache.ask_async(RETURNS, desk.answering("returns"))
        return f"{inner.value}, {(await desk.app.serve(desk.tasks['fact'], 'shipping')).value}"

    for question in (SHIPPING, "what is said of topiccc"):
        await outer.ask_async(question, answer)
    await desk.change("returns", "new returns")
    for question in (SHIPPING, "what is said of topiccc"):
        assert (await outer.ask_async(question, answer)).value == "new returns, old shipping"


async def test_what_a_live_task_has_read_before_it_asks_binds_the_answer(world):
    """Reads of a live task before ``ask`` bind the answer, which may contain them."""
    tasks = pb.Registry()

    @tasks.artifact(**contract())
    def fact(key: str, *, facts: pb.Source[Facts]) -> str:
        return facts.get(key)

    @tasks.live(why="the question")
    async def chat(question: pb.Live[str], *, facts: pb.Reader[str, str] = pb.Input(fact)) -> str:
        evidence = (await facts.get("returns")).unwrap()

        async def answer(question):
            return f"{evidence}, {(await facts.get('shipping')).unwrap()}"

        return (await cache.ask_async(question, answer)).value

    app = world.app(tasks)
    cache = SemanticCache(Words(), app=app, policy=lambda: fixed(0.8))
    for key in ("returns", "shipping"):
        world.put(key, "old")
    await app.drain()
    assert (await app.serve(chat, RETURNS)).value == "old, old"
    world.put("returns", "new")
    await app.drain()
    assert (await app.serve(chat, RETURNS)).value == "new, old"


async def test_an_answer_that_was_read_through_another_app_is_not_kept(desk, world):
    """An answer that reads through another app is not stored, because this app's fence does not cover it."""
    other = SemanticCache(Words(), app=pb.App(pb.Registry(), open=["policy"]), policy=lambda: fixed(0.8))
    for _ in range(2):
        reply = await other.ask_async(RETURNS, desk.answering("returns"), tags=["policy"])
        assert (reply.reason, reply.stored) == ("empty_cache", None)


@pytest.mark.parametrize("app", ["app", object(), pb.App])
def test_what_is_not_an_app_is_refused(app):
    """A string, another object and the class instead of an app are refused by name."""
    with pytest.raises(pb.BadInput, match=r"give the cache pb\.App") as caught:
        SemanticCache(Words(), app=app)
    assert caught.value.field == "app"
