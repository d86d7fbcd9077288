"""The page and the words of a request, as features and as candidates."""

from dataclasses import replace

import numpy as np
import pytest

from retail_assistant.recs import rerank
from retail_assistant.recs.als import Candidate
from retail_assistant.recs.context import COLUMNS, CONTEXT, NO_CONTEXT, context_rows, nearby, read_context
from retail_assistant.recs.features import Past, make_rows, make_table
from retail_assistant.recs.log import DAY, make_log
from retail_assistant.recs.text_vectors import learn
from retail_assistant.recs.training.examples import Lists, occasion_lists
from retail_assistant.recs.training.week import Week, find_occasions, popular, spread
from retail_assistant.recs.trends import VIEW_SHARE

from .test_recs_rerank import CATALOG, EVENTS

NOBODY = Past(np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=bool))


@pytest.fixture(scope="module")
def table():
    """Return the item table of a catalog of five products."""
    return make_table(make_log(CATALOG, ["u", "v"], EVENTS))


def features(table, asins, page=None, words=""):
    """Return the features of some products by name."""
    rows = context_rows(table, table.find(asins), read_context(table, page, words))
    return dict(zip(CONTEXT, rows.T.tolist(), strict=True))


def test_a_page_relates_to_each_product(table):
    """Series, author, genre and format of the page are compared, and volumes counted from it, within its series."""
    rows = features(table, ["A1", "A3", "B1", "C1"], page="A2")
    assert rows["on_page"] == [1, 1, 1, 1]
    assert rows["page_series"] == [1, 1, 0, 0]
    assert rows["page_author"] == [1, 1, 0, 1]
    assert rows["page_genre"] == [1, 1, 0, 0]
    assert rows["page_format"] == [1, 1, 0, 1]
    assert rows["page_ahead"] == [-1, 1, 0, 0]
    assert rows["page_near"][1] > rows["page_near"][2]


def test_words_relate_to_each_product(table):
    """What a text says, a named genre and format, and a price limit are compared with each product."""
    rows = features(table, ["A2", "B1", "C1"], words="a comedy about ghosts in paperback, under €10")
    assert rows["asked"] == [1, 1, 1]
    assert rows["asked_near"][2] > rows["asked_near"][1]
    assert rows["asked_genre"] == [-1, 1, 1]
    assert rows["asked_format"] == [1, -1, 1]
    assert rows["asked_price"][1] < rows["asked_price"][0] < 0.01
    assert rows["asked_price"][2] > 0.5


@pytest.mark.parametrize("request_", [{}, {"page": "unknown"}, {"words": "   "}, {"words": "zyx"}])
def test_a_request_that_says_nothing_has_zeros(table, request_):
    """Without a known page, word or wish all these features are 0, and nothing is added to a list."""
    rows = features(table, ["A1", "new"], **request_)
    assert not np.array(list(rows.values())).any()
    assert not len(nearby(table, read_context(table, request_.get("page"), request_.get("words", ""))))


def test_a_product_newer_than_the_model_has_features(table):
    """A product that the table does not know is near nothing, and its features are finite."""
    rows = features(table, ["new"], page="A1", words="a comedy about ghosts")
    assert np.isfinite(np.array(list(rows.values()))).all()
    assert rows["page_near"] == [0]


def test_products_near_the_request_are_added(table, monkeypatch):
    """The next volumes of the page's series come before other books of its author, and what is asked for is found."""
    monkeypatch.setattr("retail_assistant.recs.context.NEARBY", 2)
    found = [table.asins[n] for n in nearby(table, read_context(table, "A1", ""))]
    assert found == ["A2", "A3"]
    found = [table.asins[n] for n in nearby(table, read_context(table, None, "a kitchen comedy"))]
    assert found == ["B1", "C1"]
    within = table.find(["A1", "B1", "A3"])
    assert sorted(nearby(table, NO_CONTEXT, within=within)) == sorted(within)


def test_added_products_are_ranked_with_the_list(table):
    """A model that learned to follow the request shows an added product first, and never one twice."""
    weights = [1.0 if name == "asked_near" else 0.0 for name in COLUMNS]
    model = rerank.RerankerModel("", weights, table, 0.0, 0.0, 0.0)
    context = read_context(table, None, "a cheerful kitchen")
    listed = [Candidate("A1", 2.0), Candidate("A2", 1.0)]
    shown = rerank.rerank(model, listed, NOBODY, top=9, context=context, added=table.find(["B1"]))
    assert shown[0].asin == "B1"
    assert sorted(c.asin for c in shown) == ["A1", "A2", "B1"]
    assert rerank.rerank(model, [], NOBODY, top=9, context=context, added=table.find(["B1"]))[0].asin == "B1"


def test_occasions_are_what_a_page_or_a_message_led_to():
    """A view counts if another product followed within the hour, and a message if any did; a purchase is not a page."""
    log = make_log(
        CATALOG,
        ["u", "v"],
        [("u", "A1", 100.0, 0), ("u", "A2", 160.0, 1), ("u", "B1", 2 * DAY, 0), ("v", "C1", 500.0, 0)],
        [("u", 90.0, "something haunted"), ("v", 50 * DAY, "nothing follows"), ("stranger", 1.0, "hello")],
    )
    found = [(o.who, o.page, o.words, o.wanted) for o in find_occasions(log)]
    assert found == [(0, 0, "something haunted", (1,)), (0, None, "something haunted", (0, 1))]


def test_occasions_with_words_are_kept_first():
    """Where there are too many occasions, those with words stay and the others are thinned out evenly."""
    log = make_log(
        CATALOG,
        [f"u{n}" for n in range(40)],
        [(f"u{n}", asin, n * DAY + t, 0) for n in range(40) for asin, t in (("A1", 0.0), ("A2", 60.0))],
        [("u7", 7 * DAY - 5, "ghosts")],
    )
    found = spread(find_occasions(log), 10)
    assert len(found) <= 10
    assert sum(bool(o.words) for o in found) == 2
    assert len({o.who for o in found}) > 5


def test_texts_with_the_same_rare_words_are_near():
    """Two texts that share rare words are nearer than others; a text of unknown words has no vector."""
    space = learn([*CATALOG.texts, "", "the dragons of the north", "dragons and kings of the north"])
    items = space.items
    assert items[6] @ items[7] > items[6] @ items[0]
    assert np.argmax(items @ space.of("a Dragon, please")) in (6, 7)
    assert space.of("xyzzy 12 !") is None
    assert not items[5].any()
    assert not items[-1].any()


@pytest.mark.parametrize("texts", [[], [""], ["one"], ["", ""]])
def test_a_catalog_without_words_has_an_empty_space(texts):
    """Too few texts give a space in which nothing is near anything."""
    space = learn(texts)
    assert space.of("one") is None or not (space.items @ space.of("one")).any()
    assert len(space.items) == len(texts) + 1
    assert not space.items[-1].any()


def test_messages_stay_in_their_time():
    """A part of a log has the messages of its time."""
    log = make_log(CATALOG, ["u"], EVENTS[:2], [("u", 5.0, "early"), ("u", 50.0, "late")])
    assert [m.text for m in log.between(0.0, 50.0).messages] == ["early"]
    assert replace(log, messages=()).between(0.0, 99.0).messages == ()


def test_a_list_may_be_longer_than_the_models_catalog(table):
    """A young shop's trending list has more products than the model has seen."""
    items = table.find([f"new{n}" for n in range(50)])
    assert make_rows(table, items, np.linspace(1, 0, 50), NOBODY).shape[0] == 50


def test_messages_in_any_order_give_the_same_log():
    """Messages are ordered by shopper and time, because later words win over earlier ones."""
    rows = [("v", 1.0, "a"), ("u", 9.0, "late"), ("u", 2.0, "early")]
    logs = [make_log(CATALOG, ["u", "v"], EVENTS, some) for some in (rows, rows[::-1])]
    assert logs[0].messages == logs[1].messages
    assert [m.text for m in logs[0].messages] == ["early", "late", "a"]


def test_the_page_of_a_series_suggests_its_next_volumes_and_other_books(table, monkeypatch):
    """Of its own series a page suggests the next volumes; the ones before it come last, and the page itself."""
    monkeypatch.setattr("retail_assistant.recs.context.NEARBY", 3)
    assert [table.asins[n] for n in nearby(table, read_context(table, "A2", ""))] == ["A3", "B1", "C1"]


def test_strangers_learn_from_the_counts_that_trending_serves():
    """What sells is scored by decayed counts within the window; unlisted and unsold products are left out."""
    catalog = replace(CATALOG, listed=(True, True, False, True, True))
    events = [("u", "A1", 100 * DAY, 1), ("u", "A2", 100 * DAY, 0), ("u", "A3", 99 * DAY, 1), ("u", "B1", 1.0, 1)]
    items, counts = popular(make_log(catalog, ["u"], events))
    assert items.tolist() == [0, 1]
    assert counts.tolist() == [1.0, VIEW_SHARE]


def test_the_view_of_the_page_itself_is_not_in_the_past():
    """A request may come before its page is recorded as viewed, so training leaves that view out."""
    log = make_log(CATALOG, ["u"], [("u", "B1", 1.0, 1), ("u", "A1", 8 * DAY, 0), ("u", "A2", 8 * DAY + 60, 1)])
    week = Week(log, days=1)
    lists = Lists(week, np.array([0]))
    ((occasion, (items, rows)),) = occasion_lists(lists, week.occasions)
    assert occasion.page == 0
    assert rows[:, COLUMNS.index("item_views")].sum() == 0
    assert rows[:, COLUMNS.index("on_page")].all()
    assert 0 not in items
