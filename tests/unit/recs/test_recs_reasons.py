"""Why a product is recommended: what counted for it, as far as purchases or the page bear it out."""

import msgspec
import numpy as np
import pytest

from retail_assistant.recs.context import COLUMNS, NO_CONTEXT, read_context
from retail_assistant.recs.features import make_table
from retail_assistant.recs.log import DAY, make_log
from retail_assistant.recs.reasons import Reason, explain
from retail_assistant.recs.rerank import RerankerModel
from retail_assistant.recs.training import fitting
from retail_assistant.recs.training.week import Week

from .test_recs_rerank import CATALOG, EVENTS


def counting(**weights):
    """Return a linear reranker over five products that counts some features."""
    table = make_table(make_log(CATALOG, ["u", "v"], EVENTS))
    return RerankerModel("", [weights.get(name, 0.0) for name in COLUMNS], table, 0.0, 0.0, 0.0)


def bought(*asins):
    """Return events of purchases, the last one the newest."""
    return [(asin, (n + 1) * DAY, 1) for n, asin in enumerate(asins)]


@pytest.mark.parametrize(
    ("feature", "past", "asin", "reason"),
    [
        ("is_next_volume", ["A1"], "A2", Reason("next", "A1")),
        ("series_bought", ["A1"], "A3", Reason("series", "A1")),
        ("author_share", ["B1", "A1"], "C1", Reason("author", "A1")),
        ("genre_share", ["B1"], "C1", Reason("genre", "B1")),
    ],
)
def test_a_purchase_bears_a_reason_out(feature, past, asin, reason):
    """What counted most is told with the newest purchase that shares it."""
    assert explain(counting(**{feature: 1.0}), [asin], bought(*past), NO_CONTEXT) == {asin: reason}


def test_what_nothing_bears_out_is_no_reason():
    """A feature that counted, without a purchase that shares it, is not told; nor is a product that nobody knows."""
    model = counting(series_bought=1.0, author_share=1.0, genre_share=1.0, history=9.0)
    assert explain(model, ["A2", "new"], bought("B1"), NO_CONTEXT) == {}
    assert explain(model, ["A2"], [], NO_CONTEXT) == {}
    assert explain(model, [], bought("A1"), NO_CONTEXT) == {}


def test_what_was_looked_at_is_not_told_as_bought():
    """A shopper who only viewed a book of the author is not told that they bought one."""
    assert explain(counting(author_share=1.0), ["C1"], [("A1", DAY, 0)], NO_CONTEXT) == {}


def test_what_counted_against_a_product_is_no_reason_for_it():
    """Only contributions that raise the score are told."""
    model = counting(author_share=-1.0, genre_share=1.0)
    assert explain(model, ["C1"], bought("A1", "B1"), NO_CONTEXT) == {"C1": Reason("genre", "B1")}


def test_the_page_bears_a_reason_out():
    """On a page, its author comes first, and then its genre; a product that shares neither has no reason."""
    model = counting(page_near=1.0, on_page=1.0)
    context = read_context(model.table, "A1", "")
    found = explain(model, ["A2", "C1", "B1"], [], context)
    assert found == {"A2": Reason("page_author", "A1"), "C1": Reason("page_author", "A1")}
    context = read_context(model.table, "C1", "")
    assert explain(model, ["B1"], [], context) == {"B1": Reason("page_genre", "C1")}


def test_trees_tell_by_their_shapley_values(log):
    """With trees, contributions add up to the score, and a shopper's series is the reason for its next volume."""
    model, sold = fitting.train(Week(log)), log.purchases()
    events = [(log.catalog.asins[i], float(t), 1) for i, t in zip(sold.item, sold.ts, strict=True)]
    assert model.trees is not None
    asins = model.table.asins[:40]
    found = explain(model, asins, events[:30], NO_CONTEXT)
    assert found
    for asin, reason in found.items():
        assert reason.of in {event[0] for event in events[:30]} | {""}
        assert reason.of != asin
    rows = np.zeros((2, len(COLUMNS)), np.float32)
    parts = model.trees.predict(rows, pred_contrib=True)
    assert parts.sum(axis=1) == pytest.approx(model.trees.predict(rows))


def test_a_reason_can_be_sent():
    """A reason survives JSON."""
    reason = Reason("author", "A1")
    assert msgspec.json.decode(msgspec.json.encode(reason), type=Reason) == reason
