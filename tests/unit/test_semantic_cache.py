"""The semantic cache: what it serves, learns and forgets, and how it handles failures."""

import asyncio
import threading

import numpy as np
import pytest
from tests.unit.embedders import TOPICS, Words

from parbake_semantic import Scope, SemanticCache, Veto, fixed


def broken(_question):
    """Raise, as an application might."""
    raise RuntimeError("down")


def llm(question):
    """Return the topic word of a question."""
    return next((w for w in question.lower().split() if w.startswith("topic")), "nothing")


def test_a_cache_serves_near_questions_and_counts_equal_answers_as_one():
    """A near question is a hit, and an exact repeat is a hit without an embedding."""
    embedder = Words()
    cache = SemanticCache(embedder, freshness_sla="1h", policy=lambda: fixed(0.8))
    first = cache.ask("please explain topicaa now", llm)
    near = cache.ask("please explain topicaa now thanks", llm)
    assert (first.is_hit, first.reason) == (False, "empty_cache")
    assert (near.is_hit, near.value) == (True, "topicaa")
    embedder.broken = [np.nan] * 48
    assert cache.ask("Please explain topicaa now!", llm).is_hit
    assert cache.ask("please describe topicbb", llm).reason == "bad_embedding"


async def test_a_cache_works_in_async_code():
    """``ask_async`` serves many concurrent questions from the cache."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.8))

    async def answer(question):
        await asyncio.sleep(0)
        return llm(question)

    await cache.ask_async("please explain topicaa now", answer)
    replies = await asyncio.gather(*(cache.ask_async("please explain topicaa now", answer) for _ in range(20)))
    assert {(r.is_hit, r.value) for r in replies} == {(True, "topicaa")}


@pytest.mark.parametrize(
    "question",
    [
        "",
        " \u200b\u2060\n",
        "?!",
        "topicaa " * 10_000,
        "a " * 150,
        "\U0001f600\U0001f4e6\U0001f49a",
        "please explain t\u043epicaa",
    ],
)
def test_a_cache_neither_looks_up_nor_stores_what_is_no_question(question):
    """Text that is not a question is answered by the application each time, with a reason, and not stored."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(-1.0))
    for _ in range(2):
        reply = cache.ask(question, lambda _: "fresh")
        assert reply.value == "fresh"
        assert reply.reason
    assert cache.ask("how do returns work", lambda _: "other").reason == "empty_cache"


def test_a_cache_keeps_scopes_apart_and_forgets_what_was_complained_about():
    """Another scope is a miss, and a demoted answer is not served in its scope."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.8))
    one, two = Scope(tenant="one"), Scope(tenant="two")
    cache.ask("what is topicaa please", lambda _: "secret of one", scope=one)
    assert cache.ask("what is topicaa please", lambda _: "of two", scope=two).value == "of two"
    hit = cache.ask("what is topicaa please", llm, scope=one)
    assert hit.value == "secret of one"
    cache.demote(hit)
    assert cache.ask("what is topicaa please", lambda _: "better", scope=one).reason == "demoted"
    assert cache.ask("what is topicaa please", llm, scope=two).is_hit


def test_a_failing_answer_stores_nothing():
    """The application's exception is raised, and the next question is a miss."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.8))
    with pytest.raises(RuntimeError):
        cache.ask("what is topicaa please", broken)
    assert cache.ask("what is topicaa please", llm).reason == "empty_cache"


def test_a_full_cache_goes_on_answering():
    """A full cache keeps as many answers as it may, and those that are asked for most."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.95), capacity=3)
    for topic in TOPICS:
        cache.ask(f"what is {topic} please", llm)
        hot = [cache.ask(f"what is {TOPICS[0]} please", llm).is_hit for _ in range(5)]
        assert hot == [True] * 5
        assert sum(cache.stored.values()) <= 3


def test_threads_share_a_cache():
    """Eight threads with the same questions get only right answers."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.95))
    wrong = []

    def work():
        for topic in TOPICS * 3:
            wrong.extend(r for r in [cache.ask(f"what is {topic} please", llm)] if r.value != topic)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def ask(cache, question, value, **options):
    """Ask with a given answer."""
    return cache.ask(question, lambda _: value, **options)


def test_a_fresh_answer_can_be_complained_of_too():
    """Demoting a fresh reply withdraws its own answer, and not the nearest other one."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.97))
    scope = Scope(tenant="one")
    ask(cache, "what is topicaa please", "fine", scope=scope)
    fresh = ask(cache, "what is topicbb please", "wrong", scope=scope)
    cache.demote(fresh)
    assert not fresh.is_hit
    assert ask(cache, "what is topicaa please", "?", scope=scope).value == "fine"
    assert ask(cache, "what is topicbb please", "right", scope=scope).reason == "demoted"
    assert ask(cache, "what is topicbb please", "?", scope=scope).value == "right"


@pytest.mark.parametrize("wrong", ["wrong", ["wrong"]], ids=["hashable", "not hashable"])
def test_an_answer_stays_withdrawn_when_the_application_gives_it_again(wrong):
    """An answer that was demoted is not cached again when the application returns it again."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.9))
    cache.demote(ask(cache, "what is topicaa please", wrong))
    for _ in range(3):
        assert not ask(cache, "what is topicaa please", wrong).is_hit


def test_a_reply_that_was_not_stored_demotes_nothing():
    """Demoting a reply that was not stored does not withdraw the nearest stored answer."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.97), capacity=1)
    ask(cache, "what is topicaa please", "fine")
    cache.demote(ask(cache, "my name is ann, what is topicaa", "wrong"))
    cache.demote(ask(cache, "what is topicbb please", "no room"))
    assert ask(cache, "what is topicaa please", "?").is_hit


def test_another_model_begins_anew():
    """After a change of the embedding model the cache starts empty."""
    embedder = Words()
    cache = SemanticCache(embedder, freshness_sla="1h", policy=lambda: fixed(0.8))
    ask(cache, "what is topicaa please", "old")
    embedder.model_hash = "other"
    assert ask(cache, "what is topicaa please", "new").reason == "empty_cache"
    assert ask(cache, "what is topicaa please now", "?").value == "new"


def test_an_embedder_that_breaks_its_word_costs_hits_only():
    """With a wrong dimension or an exception of the embedder, the question is answered without a hit."""
    embedder = Words()
    cache = SemanticCache(embedder, freshness_sla="1h", policy=lambda: fixed(0.8))
    embedder.broken = [1.0, 0.0]
    assert ask(cache, "what is topicaa please", "fresh").reason == "bad_embedding"
    embedder.embed = broken
    reply = ask(cache, "what is topicaa please", "fresh")
    assert (reply.value, reply.reason) == ("fresh", "embedder_failed")
    del embedder.embed
    embedder.broken = None
    assert ask(cache, "what is topicaa please", "fresh").reason == "empty_cache"


def test_a_judge_that_fails_costs_no_answer(caplog):
    """If answers such as arrays cannot be compared, they are returned, and the log suggests a comparison."""
    kind = np.ndarray[tuple[int], np.dtype[np.float64]]
    cache = SemanticCache(Words(), freshness_sla="1h", answers=kind, policy=lambda: fixed(0.999))
    ask(cache, "what is topicaa please", np.ones(2))
    reply = ask(cache, "what is topicaa please now", np.zeros(2))
    assert reply.value.tolist() == [0.0, 0.0]
    assert "numpy.array_equal" in caplog.text
    assert ask(cache, "what is topicaa please now", None).value.tolist() == [0.0, 0.0]


class Odd:
    """A value that cannot be hashed or compared."""

    def __hash__(self):
        raise ValueError("no hash")

    def __eq__(self, _other):
        raise ValueError("no comparison")


def failing(*_arguments):
    """Raise, as a user's callable might."""
    raise RuntimeError("down")


def test_whatever_fails_beside_the_answer_costs_no_answer():
    """The answer is returned if a comparison, a veto, a policy or a verifier raises."""
    policy = fixed(0.8)
    for options in (
        {},
        {"vetoes": [Veto("mine", failing)]},
        {"policy": failing},
        {"verifier": failing},
        {"same": failing},
    ):
        cache = SemanticCache(Words(), **{"policy": lambda: policy, "freshness_sla": "1h", **options})
        for question in ("what is topicaa please", "what is topicaa please now"):
            value = Odd()
            assert ask(cache, question, value).value is value or cache.ask(question, failing).is_hit


def test_a_mark_behind_a_number_is_part_of_the_question():
    """A factorial and a square differ from the number; other final punctuation is ignored."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(1.0))
    ask(cache, "what is 5 in words?", "five")
    ask(cache, "what is the value of 5?", "five")
    assert ask(cache, "What is the value of 5", "?").is_hit
    assert ask(cache, "what is the value of 5!?", "120").value == "120"
    assert ask(cache, "what is the value of 5\u00b2", "25").value == "25"
    assert ask(cache, "what is the value of 52", "52").value == "52"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("how much is .5 mg of salt", "how much is 5 mg of salt"),
        ("how tall is 5'?", 'how tall is 5"?'),
        ("what is the size of (5!), please", "what is the size of (5), please"),
        ("what is the value of n!", "what is the value of n"),
        ("what is the value of 5!,", "what is the value of 5"),
    ],
)
def test_signs_that_change_the_question_are_part_of_its_text(one, other):
    """Texts that differ in a sign with meaning are not an exact match; extra exclamation marks are ignored."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(1.0))
    ask(cache, one, "one")
    assert not ask(cache, other, "other").match.is_exact
    ask(cache, "please explain topicaa now!!", "so")
    assert ask(cache, "Please explain topicaa now?!", "?").is_hit


def test_values_of_different_types_are_different_answers():
    """``1`` and ``True`` are different answers, though they are equal in Python."""
    cache = SemanticCache(Words(), freshness_sla="1h", policy=lambda: fixed(0.999))
    ask(cache, "what is topicaa please", 1)
    ask(cache, "what is topicbb please", True)
    assert ask(cache, "what is topicbb please", "?").value is True
