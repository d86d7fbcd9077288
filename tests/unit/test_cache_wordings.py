"""Many wordings of one answer: sixty are matched by their vectors, and further ones are hits to the letter."""

import pytest
from tests.unit.cache_processes import Processes, ask, on_a_server

from parbake.stores.memory import MemoryStore
from parbake_semantic import Known
from parbake_semantic.policies.ridge import MAX_ALIASES

WORDINGS = [f"what is topic{first}{second} please" for first in "abcdefgh" for second in "abcdefghij"]
"""Questions that are far from each other."""


@pytest.fixture(params=[MemoryStore, on_a_server], ids=["embedded", "on a server"])
def processes(request):
    """Return processes with a store of each kind."""
    found = Processes(request.param())
    yield found
    found.close()


def fill(cache, count, value="30 days", **options):
    """Ask in so many wordings, which all get the same answer; return them."""
    for question in WORDINGS[:count]:
        ask(cache, question, value, **options)
    return WORDINGS[:count]


def hits(cache, questions):
    """Return the questions that the cache answers, without storing anything new."""
    return [question for question in questions if ask(cache, question, "a fresh answer").value != "a fresh answer"]


def stored(processes, cache):
    """Return the questions in the store."""
    return {row.entry.question for row in processes.apps[0].sync.iterate(cache._shared._entries.all())}


def test_a_wording_beyond_the_sixtieth_is_a_hit_when_it_comes_again(processes):
    """Each of seventy wordings is a hit to the letter, in every process, and all of them are counted."""
    one, two = processes.start(), processes.start()
    questions = fill(one, MAX_ALIASES + 10)
    for cache in (one, two):
        assert [ask(cache, question, "?").is_hit for question in questions] == [True] * len(questions)
    two._shared._followed_at = float("-inf")  # a store on a server is followed twenty times a second
    ask(two, "what is topiczz please", "another answer")
    assert two.statistics.answers == len(questions) + 1


def test_only_sixty_wordings_are_matched_by_their_vectors(processes):
    """A question that is near to one of the first sixty is a hit, and one that is near to a later one is not."""
    cache = processes.start()
    questions = fill(cache, MAX_ALIASES + 1)
    near_first, near_last = (f"{question} indeed" for question in (questions[0], questions[-1]))
    assert ask(cache, near_first, "?").is_hit
    assert ask(cache, near_last, "30 days").reason == "cosine_below_threshold"


def test_a_change_ends_the_wordings_beyond_the_sixtieth(processes):
    """After a change no wording gets the old answer, and a wording that is answered again gets the room of another."""
    one, two = processes.start(), processes.start()
    questions = fill(one, MAX_ALIASES + 5)
    assert ask(two, questions[-1], "?").is_hit
    processes.touch("policy/returns")
    for cache in (one, two):
        assert ask(cache, questions[-1], "14 days").value == "14 days"
        assert ask(cache, questions[-2], "14 days").value == "14 days"
    assert ask(one, questions[-1], "?").is_hit
    assert ask(one, f"{questions[-1]} indeed", "?").value == "14 days"


def test_a_complaint_withdraws_the_wordings_beyond_the_sixtieth(processes):
    """A complaint about any wording withdraws all of them, and none is stored again while the facts hold."""
    one, two = processes.start(), processes.start()
    questions = fill(one, MAX_ALIASES + 5, "wrong")
    two.demote(ask(two, questions[-1], "?"))
    for cache in (one, two):
        for question in (questions[0], questions[-1], questions[-2]):
            assert ask(cache, question, "wrong").reason == "demoted"
            assert ask(cache, question, "wrong").reason == "demoted"
    assert ask(one, questions[-3], "right").reason == "demoted"
    assert ask(two, questions[-3], "?").value == "right"


def test_wordings_to_the_letter_have_a_limit_of_their_own(processes, monkeypatch):
    """Beyond its limit an answer loses the wording that was used least recently, in the store too."""
    monkeypatch.setattr("parbake_semantic.cache.semantic_cache.MAX_EXACT_WORDINGS", 3)
    cache = processes.start()
    questions = fill(cache, MAX_ALIASES + 3)
    assert ask(cache, questions[MAX_ALIASES], "?").is_hit
    last = WORDINGS[MAX_ALIASES + 3]
    ask(cache, last, "30 days")
    assert stored(processes, cache) == {*questions, last} - {questions[MAX_ALIASES + 1]}
    assert cache.statistics.dropped == 1


def test_wordings_to_the_letter_count_towards_the_capacity(processes):
    """A cache of sixty-five entries holds sixty-five, however many wordings one answer gets."""
    cache = processes.start(capacity=MAX_ALIASES + 5)
    fill(cache, MAX_ALIASES + 15)
    assert cache.statistics.answers == len(stored(processes, cache)) == MAX_ALIASES + 5


def test_without_an_embedder_an_answer_may_have_any_number_of_texts(processes, monkeypatch):
    """The limit of an answer's wordings holds beside vectors only; other caches have their capacity."""
    monkeypatch.setattr("parbake_semantic.cache.semantic_cache.MAX_EXACT_WORDINGS", 3)
    cache = processes.start(embedder=None)
    questions = fill(cache, 8)
    assert hits(cache, questions) == questions


def test_every_seeded_wording_is_a_hit(processes):
    """A list of seventy wordings of one answer is known to the letter as a whole."""
    cache = processes.start()
    questions = WORDINGS[: MAX_ALIASES + 10]
    cache.seed([Known("30 days", questions, tags=["policy/returns"])])
    assert hits(cache, questions) == questions


def test_an_embedder_that_fails_leaves_a_wording_to_the_letter(processes):
    """A wording whose answer has changed is answered and stored, though it can get no vector now."""
    cache = processes.start()
    question = fill(cache, MAX_ALIASES + 1)[-1]
    processes.touch("policy/returns")
    cache._embedder.broken = float("nan")
    assert ask(cache, question, "14 days").reason == "tag_changed"
    assert ask(cache, question, "?").value == "14 days"
