"""Products that are found by conditions, each of which every result keeps."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assistant.shop import queries, records, schema
from retail_assistant.shop.finding import Conditions, find, one_a_line, with_words

FORMATS = ("paperback", "hardcover", "digital")


@pytest.fixture(scope="module")
def fixed(built):
    """Return a connection to the small shop, which no test of this module changes."""
    conn = schema.connect(built)
    yield conn
    conn.close()


@pytest.fixture(scope="module")
def offers(fixed):
    """Return everything on sale, sold out or not."""
    return find(fixed, Conditions(in_stock=False))


def line_of(offer):
    """Return the name under which a product is sold."""
    return offer.product.series or offer.product.title


def keeps(offer, wanted, lines):
    """Whether a product keeps every condition; ``lines`` is how many volumes each line has."""
    product = offer.product
    lists = [
        (wanted.genres, wanted.no_genres, product.genre),
        (wanted.formats, wanted.no_formats, product.format),
        (wanted.authors, wanted.no_authors, product.author),
        (wanted.titles, wanted.no_titles, line_of(offer)),
        (wanted.asins or (), wanted.no_asins, offer.asin),
    ]
    return (
        all((not some or value in some) and value not in none for some, none, value in lists)
        and (wanted.asins is None or offer.asin in wanted.asins)
        and wanted.volume in (None, product.volume)
        and (not wanted.single or lines[line_of(offer)] == 1)
        and (wanted.most_cents is None or offer.cents <= wanted.most_cents)
        and (wanted.least_cents is None or offer.cents >= wanted.least_cents)
        and (not wanted.in_stock or offer.quantity > 0)
    )


def conditions(offers):
    """Return a strategy for conditions of the values that a shop has, few of them at once."""
    genres = sorted({o.product.genre for o in offers})
    authors = sorted({o.product.author for o in offers})
    lines, asins = sorted({line_of(o) for o in offers}), sorted(o.asin for o in offers)
    cents = st.none() | st.sampled_from(sorted({o.cents for o in offers}))

    def some(values, most):
        return st.just(()) | st.lists(st.sampled_from(values), max_size=most, unique=True)

    return st.builds(
        Conditions,
        genres=some(genres, 3), no_genres=some(genres, 2), formats=some(FORMATS, 2), no_formats=some(FORMATS, 1),
        authors=some(authors, 3), no_authors=some(authors, 3), titles=some(lines, 4), no_titles=some(lines, 4),
        volume=st.none() | st.integers(1, 4), single=st.booleans(), most_cents=cents, least_cents=cents,
        asins=st.none() | some(asins, 20), no_asins=some(asins, 20), in_stock=st.booleans(),
    )  # fmt: skip


@settings(max_examples=300)
@given(data=st.data())
def test_every_result_keeps_every_condition_and_none_is_missing(fixed, offers, data):
    """Whatever is asked, exactly the products that keep all conditions are found."""
    wanted = data.draw(conditions(offers))
    volumes = {}
    for offer in offers:
        volumes.setdefault(line_of(offer), set()).add(offer.product.volume)
    lines = {line: max(some) for line, some in volumes.items()}
    found = find(fixed, wanted)
    assert found == [offer for offer in offers if keeps(offer, wanted, lines)]


@pytest.mark.parametrize("name", ["genres", "formats", "authors", "titles", "volume", "single", "most_cents", "asins"])
def test_each_condition_alone_narrows_the_shop(fixed, offers, name):
    """Each condition by itself finds some products, and fewer than all."""
    first = offers[0]
    values = {
        "genres": [first.product.genre], "formats": [first.product.format], "authors": [first.product.author],
        "titles": [line_of(first)], "volume": 1, "single": True, "most_cents": first.cents, "asins": [first.asin],
    }  # fmt: skip
    found = find(fixed, Conditions(**{name: values[name]}, in_stock=False))
    assert 0 < len(found) < len(offers)


def test_no_condition_finds_all_that_is_in_stock(fixed, offers):
    """Without conditions every product in stock is found, by line, volume and format, with price and stock."""
    found = find(fixed, Conditions())
    assert found == [offer for offer in offers if offer.quantity]
    order = [(line_of(o), o.product.volume, o.product.format, o.asin) for o in found]
    assert order == sorted(order)
    for offer in found[:20]:
        assert offer.cents == queries.get_price(fixed, offer.asin).cents
        assert offer.quantity == queries.get_stock(fixed, offer.asin).quantity
        assert offer.product == queries.get_product(fixed, offer.asin)


@pytest.mark.parametrize(("asins", "finds"), [(None, True), ((), False), (("B000001",), True), (("NOPE",), False)])
def test_no_product_is_not_any_product(fixed, asins, finds):
    """``None`` asks for any product; an empty set of products finds none."""
    assert bool(find(fixed, Conditions(asins=asins, in_stock=False))) is finds


def test_a_large_shop_is_searched_whole(shop):
    """The cheapest of many products is found, wherever its title stands in the alphabet."""
    shop.executescript("""
        CREATE TEMP TABLE many AS
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
            SELECT 'M' || i AS asin FROM n;
        INSERT INTO products (asin, title, series, volume, author, genre, format, description, listed, created_at)
            SELECT asin, 'Zz ' || asin, '', 1, '', 'horror', '', '', 1, 0 FROM many;
        INSERT INTO prices (asin, cents, changed_at) SELECT asin, 1, 0 FROM many;
        INSERT INTO inventory (asin, quantity) SELECT asin, 1 FROM many;
    """)
    assert len(find(shop, Conditions(most_cents=1))) == 6_000


def test_the_limit_cuts_the_list(fixed, offers):
    """At most as many products as the limit are returned, the first ones of the order."""
    assert find(fixed, Conditions(in_stock=False), limit=3) == offers[:3]


def test_delisted_and_sold_out_products(shop, now):
    """A delisted product is never found, a sold-out one only if that is asked for."""
    gone, sold_out = (o.asin for o in find(shop, Conditions())[:2])
    records.delist(shop, gone)
    records.set_inventory(shop, sold_out, 0)
    both = Conditions(asins=[gone, sold_out])
    assert find(shop, both) == []
    assert [o.asin for o in find(shop, msgspec.structs.replace(both, in_stock=False))] == [sold_out]


def test_a_changed_price_is_found_at_once(shop, now):
    """A price condition holds for the present price, both ends included."""
    asin = find(shop, Conditions())[0].asin
    records.set_price(shop, asin, 123, now=now)
    for most, least, finds in ((123, 123, True), (122, None, False), (None, 124, False), (None, 123, True)):
        found = find(shop, Conditions(asins=[asin], most_cents=most, least_cents=least))
        assert [o.cents for o in found] == ([123] if finds else [])


def test_values_are_not_taken_for_sql(fixed):
    """Quotation marks in a condition are part of its value."""
    assert find(fixed, Conditions(genres=["x' OR '1'='1"])) == []
    assert find(fixed, Conditions(titles=['"'], in_stock=False)) == []


def put_alone(conn, asin, title, volume, now):
    """Store a product without a series, as the importer does for a file that has none."""
    records.put_product(conn, asin, title=title, author="a", genre="b", volume=volume, cents=100, quantity=1, now=now)
    conn.execute("UPDATE products SET series = '' WHERE asin = ?", (asin,))


def test_a_book_without_a_series_is_a_line_of_its_own(shop, now):
    """A book without a series is found by its title, and is complete in one volume, whatever other books are."""
    put_alone(shop, "S1", "A Book", 1, now)
    put_alone(shop, "S2", "Another Book", 2, now)
    assert [o.asin for o in find(shop, Conditions(titles=["A Book"]))] == ["S1"]
    assert [o.asin for o in find(shop, Conditions(titles=["A Book"], single=True))] == ["S1"]
    assert [o.asin for o in find(shop, Conditions(asins=["S1", "S2"], no_titles=["A Book"]))] == ["S2"]


@pytest.fixture
def told(shop, now):
    """Return the shop with two products that tell of rare things."""
    for asin, text in (("T1", "Two zeppelins cross a glacier."), ("T2", "A zeppelin lands.")):
        records.put_product(
            shop, asin, title=f"Title {asin}", author="a", genre="b", description=text, cents=100, quantity=1, now=now
        )
    return shop


@pytest.mark.parametrize(
    ("words", "asins"),
    [
        (["zeppelin"], {"T1", "T2"}),
        (["Zeppelins"], {"T1", "T2"}),
        (["zeppelin", "glacier"], {"T1"}),
        (["zeppelin", "volcano"], set()),
        (["crossing"], {"T1"}),
        (["zeppelin crosses"], {"T1"}),
        (["glacier zeppelin"], set()),
        ([], set()),
        (["!?"], set()),
        (['zeppelin" OR "a'], set()),
    ],
)
def test_products_are_found_by_all_words_in_any_form(told, words, asins):
    """A product is found if it has every word, in any form; no words find nothing, and query syntax has no effect."""
    assert with_words(told, words) & {"T1", "T2"} == asins


def test_words_of_policies_and_of_delisted_products_find_nothing(told, now):
    """Only products on sale are found by their words."""
    records.put_policy(told, "pets", title="Pets", body="## Zeppelins\nNo hovercrafts.", create=True, now=now)
    assert with_words(told, ["hovercraft"]) == set()
    records.delist(told, "T2")
    assert with_words(told, ["zeppelin"]) == {"T1"}


def test_the_first_of_each_line_is_kept(offers):
    """Of the products of one line only the first stays, and the order stays as it was."""
    backwards = offers[::-1]
    kept = one_a_line(iter(backwards))
    lines = list(dict.fromkeys(line_of(offer) for offer in backwards))
    assert [line_of(offer) for offer in kept] == lines
    assert all(offer is next(o for o in backwards if line_of(o) == line_of(offer)) for offer in kept)
