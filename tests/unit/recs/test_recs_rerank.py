"""Features and the reranker: what they use, and that they do not use the future."""

from dataclasses import replace

import numpy as np
import pytest

from retail_assistant.recs import rerank
from retail_assistant.recs.als import Candidate
from retail_assistant.recs.features import FEATURES, RECENT_VIEWS, Past, make_rows, make_table, recent
from retail_assistant.recs.log import DAY, Catalog, make_log
from retail_assistant.recs.training import fitting
from retail_assistant.recs.training.examples import make_examples
from retail_assistant.recs.training.week import LABEL_DAYS, Week

CATALOG = Catalog(
    asins=("A1", "A2", "A3", "B1", "C1"),
    series=("A", "A", "A", "B", ""),
    volumes=(1, 2, 3, 1, 1),
    authors=("ann", "ann", "ann", "ben", "ann"),
    genres=("horror", "horror", "horror", "comedy", "comedy"),
    formats=("paperback", "paperback", "paperback", "digital", "paperback"),
    created_at=(0.0, 0.0, 9 * DAY, 0.0, 0.0),
    listed=(True,) * 5,
    cents=(999, 999, 999, 499, 1999),
    texts=(
        "the haunted manor by ann",
        "the haunted manor, ghosts return, by ann",
        "the haunted manor, last ghosts, by ann",
        "a cheerful kitchen by ben",
        "a kitchen full of ghosts by ann",
    ),
)
EVENTS = [("u", "A1", 8 * DAY, 1), ("u", "B1", 9 * DAY, 0), ("v", "A2", 10 * DAY, 1)]


@pytest.fixture(scope="session")
def model(log):
    """Return the reranker of the small shop."""
    return fitting.train(Week(log))


def rows_of(asins, *events):
    """Return the features of a list by name, for a shopper with these (asin, ts, bought) events."""
    table = make_table(make_log(CATALOG, ["u", "v"], EVENTS))
    items, ts, bought = zip(*events, strict=True) if events else ((), (), ())
    past = Past(table.find(items), np.array(ts, dtype=float), np.array(bought, dtype=bool))
    scores = np.linspace(1, 0, len(asins))
    return dict(zip(FEATURES, make_rows(table, table.find(asins), scores, past).T.tolist(), strict=True))


def test_labels_lie_after_features(model, log):
    """Features use only events before the first label, and labels extend to the log's end."""
    assert model.features_until < model.labels_from <= model.labels_until == log.end
    assert model.labels_from >= log.end - LABEL_DAYS * DAY


def test_the_label_week_does_not_reach_the_features(log):
    """Purchases after the cut change the labels and not the features of the lists as of the cut."""
    week, other = Week(log), Week(log)
    week.after = replace(week.after.purchases(), messages=())
    other.after = replace(week.after, item=week.after.item[::-1].copy())
    found, swapped = make_examples(week), make_examples(other)
    assert np.array_equal(found.rows, swapped.rows)
    assert not np.array_equal(found.labels, swapped.labels)
    assert found.labels.sum() > 50


def test_training_is_deterministic(log, model):
    """The same log gives the same trees and weights."""
    again = fitting.train(Week(log))
    assert (again.booster, again.weights, again.table) == (model.booster, model.weights, model.table)


def test_series_are_followed():
    """A bought volume marks the next one and the distance of others; another series is a new start."""
    rows = rows_of(("A2", "A3", "B1"), ("A1", 1.0, True))
    assert rows["is_next_volume"] == [1, 0, 0]
    assert rows["volumes_ahead"] == [1, 2, 0]
    assert rows["series_bought"] == [1, 1, 0]
    assert rows["is_new_start"] == [0, 0, 1]


def test_tastes_are_shares_of_the_history():
    """Shares of genre, format and author follow the history, in which a view counts less than a purchase."""
    rows = rows_of(("A2", "B1"), ("A1", 1.0, True), ("B1", 1.0, False))
    for share in ("genre_share", "format_share", "author_share"):
        assert rows[share][0] > rows[share][1] > 0
    assert rows["item_views"] == [0, 1]


def test_another_edition_is_noticed():
    """A candidate of the same series and volume as a bought item is marked as already read."""
    assert rows_of(("A1", "A2"), ("A1", 1.0, True))["edition_bought"] == [1, 0]


def test_older_events_count_less():
    """An old view counts less as ``lately`` than the newest one."""
    rows = rows_of(("A1", "B1"), ("A1", 0.0, False), ("B1", 30 * DAY, False))
    assert rows["item_viewed_lately"][0] < rows["item_viewed_lately"][1] == pytest.approx(1.0)


def test_unknown_products_and_no_history_are_fine():
    """A product newer than the model, or a shopper without events, gives finite features."""
    for rows in (rows_of(("A1", "new")), rows_of(("A1", "new"), ("new", 1.0, True)), rows_of(())):
        assert np.isfinite(np.array(list(rows.values()))).all()
    assert rows_of(("A1",), ("new", 1.0, True))["history"] == [0]


def test_recent_keeps_all_purchases_and_the_newest_views():
    """A long history is cut to all purchases and the newest views."""
    size = 3 * RECENT_VIEWS
    past = Past(np.arange(size), np.arange(size, dtype=float), np.arange(size) % 3 == 0)
    kept = recent(past)
    assert kept.bought.sum() == past.bought.sum()
    assert (~kept.bought).sum() == RECENT_VIEWS
    assert kept.ts[~kept.bought].min() > past.ts[~past.bought].min()


def test_without_labels_the_list_keeps_its_order():
    """A model without labels keeps the order of a list."""
    model = fitting.train(Week(make_log(CATALOG, ["u", "v"], EVENTS)))
    assert model.trees is None
    listed = [Candidate("A2", 3.0), Candidate("C1", 2.0), Candidate("A1", 1.0)]
    past = Past(model.table.find(["B1"]), np.array([1.0]), np.array([True]))
    assert [c.asin for c in rerank.rerank(model, listed, past, top=3)] == ["A2", "C1", "A1"]
    assert rerank.rerank(model, [], past, top=3) == []


def test_an_empty_log_trains():
    """Training on an empty log gives a model without trees."""
    model = fitting.train(Week(make_log(CATALOG, ["u"], [])))
    assert model.booster == ""
    assert model.table.asins == list(CATALOG.asins)
