"""ALS factors, folding in histories, and the best items for a vector."""

import numpy as np
import pytest

import parbake as pb
from retail_assistant.recs import als
from retail_assistant.recs.log import Catalog, confidence, make_log

NONE = np.empty(0, dtype=np.int64)


def history(matrix, row):
    """Return one row of a sparse matrix in the form that fold-in expects."""
    span = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return matrix.indices[span], matrix.data[span].astype(np.float64)


def tiny(*factors):
    """Return a model with these item factors, and asins A, B, C..."""
    rows = np.array(factors, dtype=np.float32)
    gram = rows.T @ rows + np.eye(rows.shape[1], dtype=np.float32)
    asins = [chr(ord("A") + n) for n in range(len(rows))]
    return als.AlsModel(asins, rows.shape[1], rows.tobytes(), gram.tobytes())


def best(model, vector, barred=NONE, *, hidden=(), top=50):
    """Return the asins of the best items."""
    mask = np.array([asin in hidden for asin in model.asins])
    vectors = np.array([vector], dtype=np.float32)
    (found,) = als.top_candidates(model, vectors, [barred], hidden=mask, top=top)
    return [c.asin for c in found]


def test_fold_in_equals_implicits_own(log):
    """Folding a history in gives the vector that implicit's ``recalculate_user`` gives for it."""
    from implicit.cpu.als import AlternatingLeastSquares

    model, matrix = als.train(log), als.interactions(log)
    peer = AlternatingLeastSquares(factors=als.FACTORS, regularization=als.REGULARIZATION, alpha=1.0, num_threads=1)
    peer.item_factors = model.matrix.copy()
    rows = list(range(40))
    expected = peer.recalculate_user(rows, matrix[rows])
    found = als.fold_in(model, [history(matrix, row) for row in rows])
    assert np.abs(found - expected).max() < 1e-4
    assert np.abs(found).max() > 0.1


def test_training_is_deterministic(log):
    """The same log gives the same factors, byte by byte."""
    assert als.train(log) == als.train(log)


def test_items_nobody_touched_are_never_candidates():
    """An item without factors is not a candidate, even if the list is short."""
    assert best(tiny((1, 0), (0, 0), (0.5, 0)), (1, 0)) == ["A", "C"]


def test_barred_and_hidden_items_are_left_out():
    """Neither a shopper's barred items nor those hidden from everybody are returned."""
    model = tiny((4, 0), (3, 0), (2, 0), (1, 0))
    assert best(model, (1, 0), np.array([0]), hidden={"C"}) == ["B", "D"]


@pytest.mark.parametrize("top", [1, 2, 3, 4])
def test_equal_scores_are_ordered_by_asin(top):
    """Ties are broken by asin, also where the list is cut."""
    assert best(tiny((1, 0), (2, 0), (2, 0), (2, 0)), (1, 0), top=top) == ["B", "C", "D", "A"][:top]


def test_one_vector_alone_gives_the_same_list_as_in_a_batch(log):
    """Each vector gives the same list alone and in a batch."""
    model, matrix = als.train(log), als.interactions(log)
    histories = [history(matrix, row) for row in range(64)]
    hidden = np.zeros(len(model.asins), dtype=bool)
    together = als.top_candidates(model, als.fold_in(model, histories), [NONE] * 64, hidden=hidden)
    alone = [als.top_candidates(model, als.fold_in(model, [h]), [NONE], hidden=hidden)[0] for h in histories]
    assert [[c.asin for c in row] for row in together] == [[c.asin for c in row] for row in alone]


def test_an_empty_log_trains_to_nothing():
    """A model of an empty log gives no candidates."""
    catalog = Catalog(("A",), ("",), (1,), ("",), ("x",), ("paperback",), (0.0,), (True,), (999,), ("",))
    model = als.train(make_log(catalog, ["u"], []))
    assert best(model, np.zeros(als.FACTORS)) == []
    assert als.fold_in(model, []).shape == (0, als.FACTORS)


def test_a_purchase_says_more_than_views():
    """Confidence grows from no event over views to a purchase, and further views stop counting."""
    nothing, seen, often, oftener, bought = (confidence(*n) for n in ((0, 0), (0, 1), (0, 3), (0, 30), (1, 0)))
    assert nothing == 1.0 < seen < often == oftener < bought


def test_a_trained_model_is_usable(log):
    """A model trained on a log is usable."""
    assert als.usable(als.train(log)) is None


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([[1, np.nan]], "factors are not finite"),
        ([[np.inf, 1]], "factors are not finite"),
        ([[0, 0], [0, 0]], "all factors are zero: nothing was learned"),
    ],
)
def test_a_spoiled_model_is_not_usable(rows, reason):
    """Factors that are not finite, or all zero, are refused with the reason."""
    with np.errstate(invalid="ignore"):
        assert als.usable(tiny(*rows)) == reason


def test_a_model_without_items_is_not_usable():
    """A model without items, or with a wrong number of factors, is refused."""
    assert als.usable(als.AlsModel([], 2, b"", np.eye(2, dtype=np.float32).tobytes())) == "there are no items"
    assert als.usable(als.AlsModel(["A"], 2, b"", np.eye(2, dtype=np.float32).tobytes())).startswith(
        "there are factors"
    )


def test_a_spoiled_model_gives_no_candidates():
    """A search with factors that are not finite is refused."""
    with np.errstate(invalid="ignore"), pytest.raises(pb.BadInput, match="factors: row 1 is not finite"):
        best(tiny((1, 0), (np.nan, 0)), (1, 0))
