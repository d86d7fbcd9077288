"""Normalization, the product that a message names, its intent, and the index of products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import parbake as pb
from retail_assistant.chat.index import IndexFollower, ProductIndex
from retail_assistant.chat.intent import Head, by_words, train
from retail_assistant.chat.products import card, named_line, named_product, product_of
from retail_assistant.chat.turn import Turn
from retail_assistant.chat.wording import has_control_characters, key_words, named_format, named_genre, normalize
from retail_assistant.knowledge.tasks import product_embeddings
from retail_assistant.shop import records

NOW = 1_790_000_000.0
POLITE = st.sampled_from(["hi", "Hello,", "please", "thanks", "how long", "is shipping", "the book", "?", "!"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hi there, how long can I return it, please?", "how long can i return it"),
        ("Hello! Good morning, where is it? Thanks!", "where is it"),
        ("Thanks!", "thanks"),
        ("hello, please", "hello, please"),
        ("How long?!", "how long"),
        ("  ", ""),
    ],
)
def test_politeness_and_closing_marks_are_no_part_of_a_question(text, found):
    """Greetings, thanks and final marks are removed, unless nothing else is left."""
    assert normalize(text) == found


@given(st.lists(POLITE, max_size=6).map(" ".join))
def test_normalizing_twice_is_normalizing_once(text):
    """Normalizing a normalized question does not change it."""
    once = normalize(text)
    assert normalize(once) == once == once.lower().strip()


def test_formats_genres_and_words_are_read_from_a_message():
    """Synonyms name a format, the longest genre wins, and key words are in lower case."""
    assert [named_format(t) for t in ("in Hardback?", "an e-book", "paperback!", "a book")] == [
        "hardcover",
        "digital",
        "paperback",
        None,
    ]
    assert named_genre("any dark fantasy?", ["fantasy", "dark fantasy"]) == "dark fantasy"
    assert named_genre("anything?", ["fantasy"]) is None
    assert key_words("It's Vol. 3") == {"it's", "vol", "3"}


@pytest.mark.parametrize(("text", "holds"), [("a\tb\nc", False), ("a\u0000", True), ("a\u007f", True), ("\r", True)])
def test_tab_and_newline_are_the_only_control_characters_of_a_message(text, holds):
    """Tab and newline are allowed; other control characters are detected."""
    assert has_control_characters(text) is holds


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("where is my order", "order_status"),
        ("how much is it", "price_stock"),
        ("any discounts", "promotion"),
        ("suggest something", "recommendation"),
        ("is it well rated", "reviews"),
        ("show the bestsellers", "trending"),
        ("looking for manga", "product_search"),
        ("can i return a book", "faq"),
    ],
)
def test_plain_words_give_an_intent(text, intent):
    """Without a trained head the words decide, and anything else is a policy question."""
    assert by_words(pb.semantic.screen(text)).name == intent


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
    assert [asin for asin, _ in index.search(query, 3)] == ["a", "b"]
    index.put("b", vector(2, 0))
    assert index.search(query, 1) == [("b", 2.0)]
    index.put("b", None)
    assert (len(index), [asin for asin, _ in index.search(query, 3)]) == (1, ["a"])
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
    before = dict(index.search(np.ones(384, np.float32), 100))
    records.delist(desk.conn, gone, now=NOW)
    records.put_product(desk.conn, changed, description="About submarines and whales.", now=NOW)
    await app.drain()
    await follower.step()
    after = dict(index.search(np.ones(384, np.float32), 100))
    assert before.keys() - after.keys() == {gone}
    assert before[changed] != after[changed]
    assert all(after[a] == pytest.approx(before[a], abs=1e-5) for a in after if a != changed)


async def test_the_follower_outlives_a_store_that_fails(desk, monkeypatch, caplog):
    """A failed step is logged, and the follower continues."""
    monkeypatch.setattr("retail_assistant.chat.index.POLL_S", 0.001)
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
    assert "the index could not follow: gone" in caplog.text


async def test_a_product_is_named_by_its_whole_title(desk):
    """A whole title names a product, and volume and format choose the edition."""
    product = desk.product()
    assert named_product(f"tell me about {product.title} in {product.format}", desk.shop) == product
    for other in desk.shop.line(product.series):
        found = named_product(f"{other.title}, {other.format}", desk.shop)
        assert (found.series, found.volume, found.format) == (other.series, other.volume, other.format)
    assert named_product("what is your return window", desk.shop) is None


async def test_a_turns_product_is_the_named_one_then_the_page_then_the_last_spoken_of(desk):
    """The product is the one in the message, else the page's, else the last one in the history."""
    rows = desk.conn.execute("SELECT DISTINCT series FROM products WHERE listed = 1 ORDER BY series LIMIT 2")
    first, second = (desk.shop.line(row[0])[0] for row in rows)
    named = f"{first.title} in {first.format}"
    history = (("user", named), ("assistant", "Yes."))
    assert product_of(Turn(named, "s", second.asin), desk.shop) == first
    assert product_of(Turn("what does it cost", "s", second.asin, history), desk.shop) == second
    assert product_of(Turn("what does it cost", "s", None, history), desk.shop) == first
    assert product_of(Turn("what does it cost", "s"), desk.shop) is None


async def test_a_line_is_named_by_its_last_word_and_comes_cheapest_first(desk):
    """A series name gives its products by live price; other words give none."""
    product = desk.product()
    line = named_line(f"what do {product.series} cost", desk.shop)
    assert {p.series for p in line} == {product.series}
    assert [desk.shop.cents(p.asin) for p in line] == sorted(desk.shop.cents(p.asin) for p in line)
    assert named_line("what is your return window", desk.shop) == []


async def test_a_line_of_products_is_answered_with_its_range(desk):
    """A question about a series is answered with its live price range."""
    product = desk.product()
    for other in desk.shop.line(product.series):
        records.set_price(desk.conn, other.asin, 1000, now=NOW)
    records.set_price(desk.conn, product.asin, 2500, now=NOW)
    word = product.series.split()[-1]
    text, made = await desk.ask(f"How much do {word} books cost?")
    assert made["intent"] == "price_stock"
    assert "€10.00 to €25.00" in text


async def test_a_card_shows_what_is_sold_now(desk):
    """A product has a card with its live price; a delisted one has none."""
    product = desk.product()
    assert card(product.asin, desk.shop).price == desk.shop.price(product.asin)
    records.delist(desk.conn, product.asin, now=NOW)
    assert card(product.asin, desk.shop) is None
