"""What a semantic cache refuses where it is given: settings, answer functions and known questions."""

import pytest
from tests.unit.embedders import Words

import parbake as pb
from parbake_semantic import Known, SemanticCache, fixed

WORDING = "what is topicaa please"


def made(embedder=None, **options):
    """Return a cache without an app."""
    return SemanticCache(Words() if embedder is None else embedder, freshness_sla="1h", **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": fixed(0.9)}, "policy=lambda: fixed"),
        ({"policy": None}, "policy=lambda: fixed"),
        ({"form": 5}, "form=5 must be a function"),
        ({"form": None}, "form=None must be a function"),
        ({"same": 5}, "same=5 must be a function"),
        ({"verifier": 5}, "verifier=5 must be a function"),
        ({"embedder": "minilm"}, "embedder='minilm' must be an object with embed"),
        ({"embedder": Words}, "must be an object with embed"),
    ],
)
def test_a_setting_that_would_fail_at_the_first_question_is_refused_at_once(options, words):
    """A policy that is not a function, and anything else that cannot be called, is refused with its name."""
    with pytest.raises(pb.BadInput, match=words) as raised:
        made(**options)
    assert raised.value.field == next(iter(options))


def test_functions_and_none_are_settings():
    """A class is a policy or a form, and a cache needs neither an embedder nor a verifier."""
    cache = SemanticCache(None, freshness_sla="1h", policy=lambda: fixed(0.9), form=str, verifier=None)
    assert cache.ask(WORDING, str.upper).value == WORDING.upper()


def test_ask_refuses_a_coroutine_function_before_anything_is_asked():
    """``ask`` names ``ask_async`` for a coroutine function, and does not count the question."""

    async def answer(question):
        return question

    cache = made()
    with pytest.raises(pb.BadInput, match="ask_async") as raised:
        cache.ask(WORDING, answer)
    assert raised.value.field == "answer"
    assert not cache.statistics.asked


@pytest.mark.parametrize(
    ("known", "field"),
    [
        (5, "known"),
        ([5], "known"),
        (iter([Known("a", [WORDING])]), "known"),
        (Known("a", [WORDING]), "known"),
        ([Known("a", [5])], "wordings"),
        ([Known("a", [])], "wordings"),
        ([Known("a", (text for text in [WORDING]))], "wordings"),
    ],
)
def test_seed_refuses_what_is_no_known_question(known, field):
    """Anything but a list of ``Known``, and wordings that are no list of texts, are refused; nothing is stored."""
    cache = made()
    with pytest.raises(pb.BadInput, match=f"^{field}") as raised:
        cache.seed(known)
    assert raised.value.field == field
    assert not cache.stored


def test_seed_refuses_a_wording_of_two_answers():
    """A wording of two answers is refused in any spelling that repeats it, and one that is given twice is not."""
    cache = made()
    with pytest.raises(pb.BadInput, match="'What is topicaa please!'") as raised:
        cache.seed([Known("a", [WORDING]), Known("b", ["What is topicaa please!"])])
    assert raised.value.field == "wordings"
    assert not cache.stored
    cache.seed([Known("a", [WORDING, WORDING]), Known("b", ["what is topicbb please"])])
    assert cache.ask(WORDING, str.upper).value == "a"


def test_seed_compares_wordings_by_the_form_of_the_cache():
    """Wordings that differ in case may have two answers in a cache for which case matters."""
    cache = made(form=str.strip)
    cache.seed([Known("a", [WORDING]), Known("b", [WORDING.upper()])])
    assert cache.ask(WORDING.upper(), str.lower).value == "b"


def test_seed_refuses_an_embedder_that_returns_too_few_rows():
    """An embedder that returns fewer rows than texts is refused, and nothing is stored."""
    embedder = Words()
    embedder.embed = lambda texts: Words().embed(texts[1:])
    cache = made(embedder)
    with pytest.raises(pb.BadInput, match="embedder must return 2 rows"):
        cache.seed([Known("a", [WORDING, "please explain topicaa"])])
    assert not cache.stored
