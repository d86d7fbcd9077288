"""The search for the best items, compared with a plain implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

import parbake as pb
from retail_assistant.recs import topk

SMALL = {"VECTORS": 3, "_AREA": 64, "_FEWEST": 4, "_MOST": 16, "_FRESH": 2, "_KEPT": 40, "_RESCORED": 5}
KINDS = ("gaussian", "skewed", "integers", "repeated", "zeros", "negative", "tiny", "huge")


@pytest.fixture(autouse=True, params=["as it is", "small blocks"])
def sizes(request, monkeypatch):
    """Run each test with the real block sizes, and with small ones that reach every code path."""
    for name, value in SMALL.items() if request.param == "small blocks" else ():
        monkeypatch.setattr(topk, name, value)


def plain(factors, vectors, barred, hidden, count):
    """Return the expected result: all scores, rounded and stably sorted."""
    scores = np.round(vectors.astype(np.float64) @ factors.T.astype(np.float64), topk.DECIMALS)
    scores[:, hidden | ~factors.any(axis=1)] = -np.inf
    found = []
    for row, items in zip(scores, barred, strict=True):
        row[items] = -np.inf
        best = np.argsort(-row, kind="stable")[:count]
        best = best[row[best] > -np.inf]
        found.append((best.tolist(), row[best].tolist()))
    return found


def searched(factors, vectors, barred, hidden, count):
    """Return the result of the index, as plain lists."""
    found = topk.Index(factors).top(vectors, barred, hidden=hidden, count=count)
    return [(items.tolist(), scores.tolist()) for items, scores in found]


def drawn(rng, kind, shape):
    """Return random values of a kind, coarse enough that float64 sums of products are exact."""
    values = rng.standard_normal(shape)
    if kind == "skewed":
        values *= rng.lognormal(0, 2, (shape[0], 1))
    elif kind == "integers":
        values = rng.integers(-2, 3, shape)
    elif kind == "repeated":
        values = values[rng.integers(0, max(1, shape[0] // 4), shape[0])] if shape[0] else values
    elif kind == "zeros":
        values *= rng.random((shape[0], 1)) < 0.3
    elif kind == "negative":
        values = -np.abs(values)
    return (np.round(values * 2**10) / 2**10 * {"tiny": 2**-20, "huge": 2**40}.get(kind, 1)).astype(np.float32)


@st.composite
def questions(draw):
    """Draw factors, vectors, barred and hidden items, and a count."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    items, dims, vectors = draw(st.integers(0, 90)), draw(st.integers(1, 6)), draw(st.integers(0, 9))
    kinds = st.sampled_from(KINDS)
    factors, asked = drawn(rng, draw(kinds), (items, dims)), drawn(rng, draw(kinds), (vectors, dims))
    share = draw(st.sampled_from((0.0, 0.1, 0.9, 1.0)))
    barred = [np.flatnonzero(rng.random(items) < share) for _ in range(vectors)]
    hidden = rng.random(items) < draw(st.sampled_from((0.0, 0.2, 1.0)))
    return factors, asked, barred, hidden, draw(st.sampled_from((1, 2, 5, 50, 200)))


@settings(max_examples=300)
@given(questions())
def test_equals_the_plain_way(question):
    """Items, scores and order equal the plain result exactly."""
    assert searched(*question) == plain(*question)


@pytest.mark.parametrize("kind", ["gaussian", "skewed", "integers"])
def test_equals_the_plain_way_at_length(kind):
    """With more vectors than one block, so that guessed floors are used, the result is the plain one."""
    rng = np.random.default_rng(11)
    factors, vectors = drawn(rng, kind, (3_000, 16)), drawn(rng, kind, (topk.VECTORS + 100, 16))
    vectors[-30:] *= np.float32(0.01)
    barred = [rng.choice(3_000, rng.integers(0, 30), replace=False) for _ in vectors]
    question = factors, vectors, barred, rng.random(3_000) < 0.05, 50
    assert searched(*question) == plain(*question)


def test_a_guess_that_is_too_high_is_searched_again(monkeypatch):
    """Floors that are guessed too high do not change the result."""
    rng = np.random.default_rng(5)
    factors, vectors = drawn(rng, "gaussian", (500, 8)), drawn(rng, "gaussian", (7, 8))
    question = factors, vectors, [np.empty(0, dtype=np.int64)] * 7, np.zeros(500, dtype=bool), 10
    monkeypatch.setattr(topk, "VECTORS", 2)
    monkeypatch.setattr(topk._Search, "reach", lambda _: 3.0)
    assert searched(*question) == plain(*question)


def test_one_alone_is_what_it_is_among_others():
    """A vector has the same list and scores alone and among others."""
    rng = np.random.default_rng(3)
    factors, vectors = drawn(rng, "gaussian", (2_000, 64)), drawn(rng, "gaussian", (100, 64))
    index, hidden, none = topk.Index(factors), np.zeros(2_000, dtype=bool), np.empty(0, dtype=np.int64)
    together = index.top(vectors, [none] * 100, hidden=hidden, count=50)
    for n, (items, scores) in enumerate(together):
        ((alone, same),) = index.top(vectors[n : n + 1], [none], hidden=hidden, count=50)
        assert items.tolist() == alone.tolist()
        assert scores.tolist() == same.tolist()


def test_most_items_are_never_looked_at():
    """If a few items have long vectors, a search does not multiply the others."""
    rng = np.random.default_rng(2)
    factors = drawn(rng, "gaussian", (9_000, 8))
    factors[60:] *= np.float32(0.001)
    index = topk.Index(factors)
    index.columns[:, 5_000:] = np.nan
    vectors, none = drawn(rng, "gaussian", (4, 8)), np.empty(0, dtype=np.int64)
    question = factors, vectors, [none] * 4, np.zeros(9_000, dtype=bool), 5
    found = index.top(*question[1:3], hidden=question[3], count=5)
    assert [(items.tolist(), scores.tolist()) for items, scores in found] == plain(*question)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(wrong):
    """Factors or vectors that are not finite are refused by name and row."""
    rows = np.ones((3, 2), dtype=np.float32)
    rows[1, 1] = wrong
    with pytest.raises(pb.BadInput, match="factors: row 1 is not finite"):
        topk.Index(rows)
    index, none = topk.Index(np.ones((3, 2), dtype=np.float32)), np.empty(0, dtype=np.int64)
    with pytest.raises(pb.BadInput, match="vectors: row 1 is not finite"):
        index.top(rows, [none] * 3, hidden=np.zeros(3, dtype=bool), count=1)


def test_scores_that_would_not_be_finite_are_refused():
    """Vectors whose products overflow, and a count of 0, are refused."""
    index, none = topk.Index(np.full((1, 2), 1e30, dtype=np.float32)), np.empty(0, dtype=np.int64)
    with pytest.raises(pb.BadInput, match="would not be finite"):
        index.top(np.full((1, 2), 1e30, dtype=np.float32), [none], hidden=np.zeros(1, dtype=bool), count=1)
    with pytest.raises(pb.BadInput, match="at least 1"):
        index.top(np.ones((1, 2), dtype=np.float32), [none], hidden=np.zeros(1, dtype=bool), count=0)


@pytest.mark.parametrize("more", [1.00003, 0.9999])
def test_the_search_ends_where_nothing_can_matter_and_not_before(more):
    """Short items are found exactly if one beats the longer ones."""
    factors = np.array([(1, 2)] * 8_192 + [(more, 0)] * 3, dtype=np.float32)
    question = factors, np.array([(1, 0)], dtype=np.float32), [np.empty(0, dtype=np.int64)], np.zeros(8_195, bool), 4
    assert searched(*question) == plain(*question)
    assert (searched(*question)[0][0][0] == 8_192) == (more > 1)


def test_blas_is_left_as_it_was(monkeypatch):
    """A search limits BLAS to one thread and restores the number afterwards."""
    pools, seen = ThreadpoolController().select(user_api="blas"), []

    def threads():
        """Return the number of threads of numpy's BLAS; scipy has another one."""
        return {pool["num_threads"] for pool in pools.info() if "numpy" in pool["filepath"]}

    monkeypatch.setattr(topk._Search, "reach", lambda _: seen.append(threads()) or -np.inf)
    ones, none = np.ones((2, 2), dtype=np.float32), np.empty(0, dtype=np.int64)
    with pools.limit(limits=2):
        before = threads()
        topk.Index(ones).top(ones, [none] * 2, hidden=np.zeros(2, dtype=bool), count=1)
        assert threads() == before
    assert seen == [{1}] != [before]
