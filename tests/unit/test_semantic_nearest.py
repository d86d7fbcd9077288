"""The search for the nearest stored questions, exact or by a graph."""

import sys

import numpy as np
import pytest

from parbake_semantic.cache.index import Nearest
from parbake_semantic.cache.local_ridge import Neighbours


def unit(count, dimensions=32, seed=0):
    """Return random unit vectors around a few directions."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(20, dimensions))[rng.integers(20, size=count)] + rng.normal(size=(count, dimensions))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def filled(vectors, exact_up_to):
    """Return an index of these vectors."""
    index = Nearest(vectors.shape[1], exact_up_to)
    for vector in vectors:
        index.add(vector)
    return index


def test_beyond_a_number_of_vectors_a_graph_finds_nearly_the_same():
    """The graph finds at least 95 % of the 64 nearest, with cosines and vectors to half precision."""
    pytest.importorskip("usearch")
    vectors, asked = unit(2_000), unit(50, seed=1)
    graph, exact = filled(vectors, 500), filled(vectors, 5_000)
    assert (graph.is_exact, exact.is_exact) == (False, True)
    shared = 0
    for vector in asked:
        places, cosines, rows = graph.nearest(vector, 64)
        assert cosines == pytest.approx(vectors[places] @ vector, abs=2e-3)
        assert rows == pytest.approx(vectors[places], abs=2e-3)
        shared += len(set(places) & set(exact.nearest(vector, 64)[0]))
    assert shared >= 0.95 * 64 * len(asked)


def test_the_change_to_the_graph_loses_and_doubles_nothing():
    """At every size, across the change to the graph, each stored vector is its own nearest, once."""
    pytest.importorskip("usearch")
    vectors = unit(64)
    index = Nearest(32, 20)
    for count, vector in enumerate(vectors, start=1):
        index.add(vector)
        assert index.size == count
        assert index.is_exact == (count <= 20)
        for place in range(count):
            places, cosines, _ = index.nearest(vectors[place], 3)
            assert places[cosines.argmax()] == place
            assert len(set(places)) == min(3, count)


def test_without_the_library_the_search_stays_exact(monkeypatch):
    """Without usearch the search stays exact at any size."""
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    assert filled(unit(100), 20).is_exact


def test_matches_are_the_same_by_either_search():
    """Nearly all matches are the same by the graph as by the exact search."""
    pytest.importorskip("usearch")
    vectors, asked = unit(600), unit(40, seed=2)
    caches = Neighbours(32, None, exact_up_to=100), Neighbours(32, None)
    for i, vector in enumerate(vectors):
        for cache in caches:
            cache.add(vector, str(i % 30), str(i))
    same = 0
    for vector in asked:
        by_graph, exact = (cache.match(vector) for cache in caches)
        same += by_graph.answer == exact.answer and by_graph.features == pytest.approx(exact.features, abs=0.02)
    assert same >= 38
