"""The index of product vectors: exact or by a graph, it holds what it was given last."""

import numpy as np
import pytest

from retail_assistant.knowledge.product_index import ProductIndex

COUNT = 300
DRAWN = np.random.default_rng(0).normal(size=(COUNT, 32)).astype(np.float32)
UNITS = DRAWN / np.linalg.norm(DRAWN, axis=1, keepdims=True)


@pytest.fixture(params=[10_000, 100], ids=["exact", "graph"])
def index(request):
    """Return an index of the vectors, that is exact or has a graph."""
    if request.param < COUNT:
        pytest.importorskip("usearch")
    made = ProductIndex(exact_up_to=request.param)
    made.replace({f"a{n}": UNITS[n].tobytes() for n in range(COUNT)})
    return made


def test_each_product_is_nearest_to_itself(index):
    """Every product is found by its own vector."""
    assert [index.search(vector, 1)[0].asin for vector in UNITS] == [f"a{n}" for n in range(COUNT)]


def test_a_graph_loses_no_product():
    """However often it is built, a graph leads to each of its products."""
    pytest.importorskip("usearch")
    for _ in range(40):
        made = ProductIndex(exact_up_to=100)
        made.replace({f"a{n}": UNITS[n].tobytes() for n in range(COUNT)})
        lost = [n for n, vector in enumerate(UNITS) if made.search(vector, 1)[0].asin != f"a{n}"]
        assert not lost


def test_products_are_changed_added_and_removed_in_place(index):
    """After events the index finds what is sold now, and nothing else, under the vectors that hold now."""
    index.put("a5", None)
    index.put("never there", None)
    index.put("new", UNITS[5].tobytes())
    index.put("a7", UNITS[9].tobytes())
    assert len(index) == COUNT
    assert [one.asin for one in index.search(UNITS[5], 1)] == ["new"]
    assert {one.asin for one in index.search(UNITS[9], 2)} == {"a7", "a9"}
    assert index.search(UNITS[7], 1)[0].cosine < 0.9
    assert index.search(UNITS[299], 1)[0].asin == "a299"


def test_cosines_are_those_of_the_vectors(index):
    """The cosine of a hit is that of the two vectors, although products are compared apart from their middle."""
    for hit in index.search(UNITS[3], 10):
        assert hit.cosine == pytest.approx(float(UNITS[int(hit.asin[1:])] @ UNITS[3]), abs=1e-5)


def test_a_choice_is_compared_whole(index):
    """Among a choice, the nearest of the choice are found, however far they are."""
    found = index.search(UNITS[1], 5, among=["a2", "a3", "not sold"])
    assert sorted(one.asin for one in found) == ["a2", "a3"]
    assert found[0].apart >= found[1].apart


def test_an_empty_index_takes_its_first_product():
    """An index without products finds nothing, and takes a product."""
    index = ProductIndex()
    assert index.search(UNITS[0], 3) == []
    index.put("first", UNITS[0].tobytes())
    assert [one.asin for one in index.search(UNITS[0], 3)] == ["first"]
