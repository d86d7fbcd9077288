"""The trained head, the index of products, the products that a question is about, and their cards."""

import numpy as np
import pytest

import parbake as pb
from retail_assistant.answers.subjects import Subjects, volumes
from retail_assistant.chat.flow import cards
from retail_assistant.chat.intent import Head, train
from retail_assistant.knowledge.knowledge_tasks import product_embeddings
from retail_assistant.knowledge.product_index import IndexFollower, ProductIndex
from retail_assistant.shop import records
from retail_assistant.understand.ask import Ask, Subject
from retail_assistant.understand.names.volumes import LAST
from retail_assistant.understand.said.concepts import concepts

NOW = 1_790_000_000.0


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_learns_to_tell_its_classes_apart(classes, embedder):
    """A head trained on clear wordings classifies them right, with two or more classes."""
    topics = {"return": "return a book", "price": "price of a manga", "joke": "tell me a joke about cats"}
    labels = list(topics)[:classes] * 4
    texts = [f"{topics[label]} {i}" for i, label in enumerate(labels)]
    head = train(texts, labels, embedder)
    weights = np.frombuffer(head.weights, np.float32).reshape(len(head.classes), -1)
    scores = embedder.embed(texts) @ weights.T + np.array(head.bias, np.float32)
    assert [head.classes[i] for i in scores.argmax(axis=1)] == labels


def test_one_class_needs_no_head(embedder):
    """Training with one class gives an empty head."""
    assert train(["a", "b"], ["faq", "faq"], embedder) == Head((), b"", (), embedder.model_hash)


def vector(*values):
    """Return a raw float32 vector."""
    return np.array(values, np.float32).tobytes()


def test_the_index_finds_the_nearest_and_follows_puts():
    """A search returns the best first; a put adds or changes a product, and without a vector removes it."""
    index = ProductIndex()
    query = np.array([1, 0], np.float32)
    assert (len(index), index.search(query, 3)) == (0, [])
    index.put("a", vector(1, 0))
    index.put("b", vector(0, 1))
    assert [hit.asin for hit in index.search(query, 3)] == ["a", "b"]
    index.put("a", vector(0, -1))
    index.put("b", vector(1, 0))
    assert [(hit.asin, hit.cosine) for hit in index.search(query, 1)] == [("b", 1.0)]
    index.put("b", None)
    assert (len(index), [hit.asin for hit in index.search(query, 3)]) == (1, ["a"])
    index.replace({})
    assert len(index) == 0


async def test_the_follower_keeps_the_index_in_step(desk):
    """The first step loads all stored products; later steps apply changes and removals."""
    app, index = desk.http.app, ProductIndex()
    follower = IndexFollower(app, product_embeddings, index)
    await follower.step()
    listed = desk.conn.execute("SELECT count(*) FROM products WHERE listed = 1").fetchone()[0]
    assert len(index) == listed
    gone, changed = (
        r[0] for r in desk.conn.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin LIMIT 2")
    )
    before = {hit.asin: hit.cosine for hit in index.search(np.ones(384, np.float32), 100)}
    records.delist(desk.conn, gone)
    records.put_product(desk.conn, changed, description="About submarines and whales.", now=NOW)
    await app.drain()
    await follower.step()
    after = {hit.asin: hit.cosine for hit in index.search(np.ones(384, np.float32), 100)}
    assert before.keys() - after.keys() == {gone}
    assert before[changed] != after[changed]
    assert all(after[a] == pytest.approx(before[a], abs=1e-5) for a in after if a != changed)


async def test_the_follower_outlives_a_store_that_fails(desk, monkeypatch, caplog):
    """A failed step is logged, and the follower continues."""
    monkeypatch.setattr("retail_assistant.knowledge.product_index.POLL_S", 0.001)
    follower = IndexFollower(desk.http.app, product_embeddings, ProductIndex())
    looks = []

    async def step():
        looks.append(None)
        if len(looks) == 2:
            raise KeyboardInterrupt
        raise pb.errors.StoreError("gone")

    monkeypatch.setattr(follower, "step", step)
    with pytest.raises(KeyboardInterrupt):
        await follower.run()
    assert "the index cannot follow: gone" in caplog.text


def meant(desk, *, volume=None, form=None, asin=""):
    """Return the editions that a subject means in the series that is sold in two formats."""
    subject = Subject("" if asin else series(desk), "message", asin, volume, form)
    return [(o.product.volume, o.product.format) for o in Subjects(desk.shop).offers(subject)]


def series(desk):
    """Return the series that is sold in two formats, of which one has more volumes."""
    row = desk.conn.execute(
        "SELECT series FROM products WHERE listed = 1 GROUP BY series HAVING count(DISTINCT format) = 2"
        " ORDER BY count(*) DESC, series LIMIT 1"
    )
    return row.fetchone()[0]


def asin_of(desk, volume, form):
    """Return a product of that series."""
    statement = "SELECT asin FROM products WHERE series = ? AND volume = ? AND format = ?"
    return desk.conn.execute(statement, (series(desk), volume, form)).fetchone()[0]


async def test_a_title_means_all_its_editions_and_a_volume_and_a_format_narrow_it(desk):
    """A title means every edition and volume of its line; a volume, the last one, and a format narrow it."""
    every = meant(desk)
    assert {form for _, form in every} == {"paperback", "digital"}
    assert every == sorted(every)
    assert meant(desk, volume=2) == [(2, "digital"), (2, "paperback")]
    assert meant(desk, volume=2, form="digital") == [(2, "digital")]
    assert meant(desk, volume=LAST) == [pair for pair in every if pair[0] == every[-1][0]]
    assert meant(desk, form="digital") == [pair for pair in every if pair[1] == "digital"]
    assert meant(desk, volume=99) == meant(desk, form="hardcover") == []


async def test_a_product_means_itself_and_what_is_asked_for_beside_it(desk):
    """A product by its asin means itself; a volume means that of its line, a format its own other edition."""
    asin = asin_of(desk, 2, "paperback")
    assert meant(desk, asin=asin) == [(2, "paperback")]
    assert meant(desk, asin=asin, form="digital") == [(2, "digital")]
    assert meant(desk, asin=asin, volume=3) == [(3, "digital"), (3, "paperback")]
    records.delist(desk.conn, asin)
    assert meant(desk, asin=asin) == meant(desk, asin=asin, form="digital") == []


async def test_a_line_is_all_that_is_sold_under_a_title(desk):
    """A title and each of its products lead to the same line: everything on sale under that title."""
    subjects, asin = Subjects(desk.shop), asin_of(desk, 2, "paperback")
    named = subjects.line(Subject(series(desk), "message", volume=2, format="digital"))
    assert named == subjects.line(Subject("", "shown", asin)) != []
    assert {o.product.series for o in named} == {series(desk)}
    assert volumes(named) == sorted({o.product.volume for o in named})
    gone = asin_of(desk, 3, "paperback")
    records.delist(desk.conn, gone)
    assert {o.asin for o in named} - {o.asin for o in subjects.line(Subject("", "shown", asin))} == {gone}


async def test_the_next_volume_follows_in_the_same_format(desk):
    """The volume after a product has its format, and all formats of a product are those of its volume."""
    subjects = Subjects(desk.shop)
    subject = Subject("", "shown", asin_of(desk, 2, "digital"))
    assert [(o.product.volume, o.product.format) for o in subjects.offers(subjects.following(subject))] == [
        (3, "digital")
    ]
    assert [(o.product.volume, o.product.format) for o in subjects.in_all_formats(subject)] == [
        (2, "digital"),
        (2, "paperback"),
    ]


async def test_a_question_without_a_subject_has_no_first_product(desk):
    """The first product of a question is that of its first subject; without subjects there is none."""
    subjects = Subjects(desk.shop)
    two = (Subject("", "shown", asin_of(desk, 2, "digital")), Subject("", "shown", asin_of(desk, 3, "digital")))
    assert subjects.first(Ask("x", subjects=two)).product.volume == 2
    assert subjects.first(Ask("x")) is None
    assert subjects.first(Ask("x", subjects=(Subject("No such title", "message"),))) is None


async def test_a_card_shows_what_is_sold_now(desk):
    """A product has a card with its live price and stock; a delisted one has none."""
    product = desk.product()
    (card,) = cards([product.asin], desk.shop)
    assert (card.asin, card.title, card.genre, card.format) == (
        product.asin, product.title, product.genre, product.format,
    )  # fmt: skip
    assert (card.price, card.in_stock) == (desk.shop.price(product.asin), True)
    records.set_inventory(desk.conn, product.asin, 0)
    assert not cards([product.asin], desk.shop)[0].in_stock
    records.delist(desk.conn, product.asin)
    assert cards([product.asin], desk.shop) == ()


@pytest.mark.parametrize(("number", "queries"), [(0, 0), (1, 1), (5, 1)])
async def test_all_cards_are_read_at_once(desk, number, queries):
    """Any number of cards costs one query, and a reply without products none; the cards keep the order of the reply."""
    asins = [row[0] for row in desk.conn.execute("SELECT asin FROM products WHERE listed = 1 ORDER BY asin DESC")]
    sent, _ = [], desk.shop.trade  # the currency is read once
    desk.shop.conn.set_trace_callback(sent.append)
    found = cards(asins[:number], desk.shop)
    desk.shop.conn.set_trace_callback(None)
    assert [card.asin for card in found] == asins[:number]
    assert len(sent) == queries


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("i bought a sealed book 25 days ago, can i still return it?", "unopened"),
        ("sealed manga three weeks ago", "unopened"),
        ("it is still in its shrink wrap", "unopened"),
        ("i unsealed the box set", "opened"),
        ("the seal is broken", "opened"),
        ("i broke the seal, can it go back?", "opened"),
        ("i took off the shrink wrap", "opened"),
    ],
)
def test_a_sealed_book_is_not_an_opened_one(text, name):
    """A seal that is whole says that a book was not opened, and one that is broken that it was."""
    assert concepts(text) & {"opened", "unopened"} == {name}
