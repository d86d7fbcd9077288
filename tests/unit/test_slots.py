"""What the caches for other libraries are made of; tests/installed/test_adapters.py uses them with the libraries."""

import importlib

import pytest

import parbake as pb
import parbake_semantic
from parbake.errors import BadInput, MissingDependency
from parbake.testing.clocks import FakeClock
from parbake_semantic.adapters.calls import EXACT, Calls, Request, by_text, digest, tagged

ANYWHERE = parbake_semantic.Scope()


@pytest.fixture
def clock():
    """Return the clock of the app."""
    return FakeClock()


@pytest.fixture
def cache(clock):
    """Return a cache of exact questions with an app that knows policies."""
    app = pb.App(pb.Registry(), open=["policy"], clock=clock)
    yield parbake_semantic.SemanticCache(None, app=app)
    app.sync.close()


def ask(calls, call, answer=None):
    """Look a call up, and store an answer for it if it waits and one is given."""
    found = calls.look_up(Request(EXACT, ANYWHERE, calls.tags(["policy/returns"])), call)
    if found is None and answer is not None:
        calls.store(answer, call)
    return found


def test_synchronous_code_answers_a_question_in_steps_of_its_own(cache, clock):
    """A question that was begun and finished is a hit, for as long as its answer may be served."""
    asked = cache.begin_sync("What is a lamp?")
    assert (asked.reply, asked.reason) == (None, "not_stored")
    asked.finish_sync("a light", tags=["policy/returns"], ttl_s=60)
    assert cache.begin_sync("What is a lamp?").reply.value == "a light"
    clock.advance(61)
    assert cache.begin_sync("What is a lamp?").reason == "valid_until_passed"


def test_equal_calls_are_told_apart(cache):
    """The answer of a call that began before a change is not stored with the stamp of an equal one that began later."""
    calls, old, new = Calls(cache), ["call"], ["call"]
    assert ask(calls, old) is None
    assert calls.holds(old)
    cache_app = cache._bonding.app
    cache_app.sync.run(cache_app.touch("policy/returns"))
    assert ask(calls, new) is None
    calls.store("before the change", old)
    calls.store("after the change", new)
    assert ask(calls, old) == "after the change"


def test_calls_that_cannot_be_told_apart_are_not_stored(cache):
    """If a library passes one object for two calls at a time, the answer of neither is stored."""
    calls, call = Calls(cache), object()
    assert [ask(calls, call), ask(calls, call)] == [None, None]
    calls.store("one", call)
    calls.store("other", call)
    assert ask(calls, object()) is None


def test_a_call_whose_answer_never_comes_is_forgotten(cache):
    """At most 1,024 calls wait; the one that waits longest is dropped, and its answer is not stored."""
    calls, first = Calls(cache), object()
    assert ask(calls, first) is None
    others = [object() for _ in range(1_024)]
    assert [ask(calls, each) for each in others] == [None] * 1_024
    assert not calls.holds(first)
    calls.store("too late", first)
    assert ask(calls, object()) is None


def test_tags_of_a_block_are_checked_before_anybody_is_asked(cache):
    """Blocks add their tags to those of the call, and a tag that the app never raises is refused."""
    calls = Calls(cache)
    with tagged("policy/returns"), tagged("policy/lamps"):
        assert calls.tags(["policy/chairs"]) == ("policy/returns", "policy/lamps", "policy/chairs")
    with tagged("weather/today"), pytest.raises(BadInput, match="weather"):
        calls.tags()
    assert calls.tags() == ()


def test_answers_are_compared_by_their_texts():
    """Two answers are the same if their texts are, whatever else they hold."""
    same = by_text(lambda known, fresh: known.lower() == fresh)
    assert same({"text": "Yes", "whole": "1"}, {"text": "yes", "whole": "2"})
    assert not by_text()({"text": "Yes"}, {"text": "yes"})


def test_a_scope_is_the_hash_of_all_that_shapes_an_answer():
    """Equal requests have one hash, others have others, and an object without a form equals itself only."""
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    one, other = object(), object()
    assert digest(one) == digest(one)
    assert digest(one) != digest(other)


@pytest.mark.parametrize("library", ["langchain", "langgraph", "litellm"])
def test_a_library_that_is_not_installed_is_named_with_its_extra(library):
    """Without the library, the adapter says in one line how to install it."""
    with pytest.raises(MissingDependency, match=rf"pip install '\.\[{library}\]'"):
        importlib.import_module(f"parbake_semantic.adapters.{library}")
