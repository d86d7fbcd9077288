"""The generated shop is reproducible, plausible and learnable."""

import contextlib
import re
import sqlite3
import statistics

import pytest

from retail_assistant.shop import queries
from retail_assistant.shop.data_file import pattern, read
from retail_assistant.shop.errors import BadValue, ShopError
from retail_assistant.world import estimate_size, generate, questions
from retail_assistant.world.__main__ import main
from retail_assistant.world.texts.grammar import expand_all
from retail_assistant.world.texts.texts_read import Theme, chatter

RESERVED = """
What is your return window?
How many days do I have to send a book back?
Until when can I return my order?
If I don't like a book, how long can I take to bring it back?
What's the time limit on returns?
How long after delivery are returns accepted?
Do I still have time to return a book I got two weeks ago?
Return deadline?
By when must I return an item for my money back?
For how many days are returns possible?
tell me the number of days for returns please
""".strip().splitlines()


PATTERNS = [p for one in (*questions(), *chatter().values()) for p in one.patterns]


def _dump(path):
    """The statements that make a file, without events and guards, which have names of their own."""
    own = ('INSERT INTO "parbake_outbox"', 'CREATE VIEW "parbake_guard_')
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return [line for line in conn.iterdump() if not line.startswith(own)]


def _plain(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def test_same_arguments_same_rows(built, now, tmp_path):
    """The same seed, time and sizes give the same rows, and another seed gives others."""
    again, other = tmp_path / "again.db", tmp_path / "other.db"
    generate(again, seed=7, now=now, products=200, shoppers=300, messages=1500)
    generate(other, seed=8, now=now, products=200, shoppers=300, messages=1500)
    assert _dump(again) == _dump(built)
    assert _dump(other) != _dump(built)


def test_more_shoppers_leave_the_first_as_they_were(built, now, tmp_path):
    """Catalog, policies and promotions do not depend on the number of shoppers."""
    larger = tmp_path / "larger.db"
    generate(larger, seed=7, now=now, products=200, shoppers=301, messages=0)
    with contextlib.closing(sqlite3.connect(larger)) as a, contextlib.closing(sqlite3.connect(built)) as b:
        for table in ("products", "prices", "inventory", "policies", "promotions"):
            query = f"SELECT * FROM {table}"
            assert a.execute(query).fetchall() == b.execute(query).fetchall()


def test_sizes(shop, built):
    """Products, shoppers and messages have the requested numbers, and the size estimate is close."""
    size = estimate_size(products=200, shoppers=300, days=90, messages=1500)
    found = {name: shop.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in size.rows}
    assert (found["products"], found["shoppers"], found["queries"]) == (200, 300, 1500)
    for name, count in size.rows.items():
        assert 0.5 * count <= found[name] <= 1.5 * count, name
    assert 0.6 * size.bytes <= built.stat().st_size <= 1.6 * size.bytes
    assert shop.execute("SELECT count(*) FROM parbake_outbox WHERE subject LIKE '%/%'").fetchone() == (0,)


def test_history_is_consistent(shop, now):
    """Events lie within 90 days and after a product's release, and nobody buys the same volume twice."""
    for table in ("views", "purchases", "reviews", "queries"):
        first, last = shop.execute(f"SELECT min(ts), max(ts) FROM {table}").fetchone()
        assert now - 90 * 86_400 <= first
        assert last < now
    early = "SELECT count(*) FROM purchases JOIN products USING (asin) WHERE ts < created_at"
    assert shop.execute(early).fetchone() == (0,)
    twice = """SELECT count(*) FROM (SELECT 1 FROM purchases JOIN products USING (asin)
               GROUP BY shopper, series, volume HAVING count(*) > 1)"""
    assert shop.execute(twice).fetchone() == (0,)
    assert shop.execute("PRAGMA foreign_key_check").fetchall() == []


def test_evenings_are_busier(shop):
    """Purchases and messages follow a daily cycle: 18 to 22 h (UTC) sees more of them than 0 to 6 h."""
    for table in ("purchases", "queries"):
        hours = [int(ts % 86_400 // 3600) for (ts,) in shop.execute(f"SELECT ts FROM {table}")]
        assert sum(18 <= h < 22 for h in hours) > 3 * sum(h < 6 for h in hours)


def test_series_are_followed(shop):
    """Most shoppers buy the next volume of a series, soon after the last."""
    rows = shop.execute(
        """SELECT b.ts - a.ts FROM purchases a JOIN products p ON p.asin = a.asin
           JOIN products q ON q.series = p.series AND q.volume = p.volume + 1 AND q.format = p.format
           LEFT JOIN purchases b ON b.shopper = a.shopper AND b.asin = q.asin"""
    ).fetchall()
    gaps = [row[0] for row in rows if row[0] is not None]
    assert len(gaps) > 0.5 * len(rows)
    assert statistics.median(gaps) < 7 * 86_400


def test_promotions_surround_now(shop, now):
    """Of forty promotions some are over, about fifteen run, one ends soon and some are yet to come."""
    every = queries.list_promotions(shop)
    running = queries.list_promotions(shop, at=now)
    assert len(every) == 40
    assert 13 <= len(running) <= 17
    assert min(p.ends_at for p in running) - now < 3600
    assert any(p.ends_at <= now for p in every)
    assert any(p.starts_at > now for p in every)


def test_some_products_are_sold_out_and_some_prices_moved(shop, now):
    """Some products are sold out, some prices have changed, and every product has a price."""
    assert shop.execute("SELECT count(*) FROM inventory WHERE quantity = 0").fetchone()[0] > 0
    moved = "SELECT count(*) FROM prices JOIN products USING (asin) WHERE changed_at > created_at AND changed_at <= ?"
    assert shop.execute(moved, (now,)).fetchone()[0] > 0
    missing = "SELECT count(*) FROM products LEFT JOIN prices USING (asin) WHERE cents IS NULL OR cents <= 0"
    assert shop.execute(missing).fetchone() == (0,)


def test_log_has_the_intents_in_proportion(shop):
    """About 60 % of the messages are recurring questions; every other intent occurs."""
    counts = dict(shop.execute("SELECT intent, count(*) FROM queries GROUP BY intent"))
    assert set(counts) == {"faq", *chatter()}
    assert 0.55 < counts["faq"] / sum(counts.values()) < 0.65
    unlabelled = "SELECT count(*) FROM queries WHERE (question IS NULL) = (intent = 'faq')"
    assert shop.execute(unlabelled).fetchone() == (0,)


def test_questions_point_at_sections(shop):
    """Each recurring question has its own id and names a section that exists."""
    assert len({q.id for q in questions()}) == len(questions()) >= 60
    sections = {d for (d,) in shop.execute("SELECT doc FROM search_index WHERE kind = 'policy'")}
    assert {f"{q.policy}/{q.section}" for q in questions()} <= sections


def test_wordings_are_many():
    """Each recurring question has at least ten wordings, and no wording belongs to two questions."""
    owner = {}
    for question in questions():
        ways = {_plain(w) for p in question.patterns for w in expand_all(p)}
        assert len(ways) >= 10, question.id
        for way in ways | {_plain(question.canonical)}:
            assert owner.setdefault(way, question.id) == question.id


def test_reserved_sentences_cannot_occur(shop):
    """The sentences reserved for acceptance tests are in no pattern and not in the log."""
    reserved = {_plain(text) for text in RESERVED}
    patterns = [*PATTERNS, *(question.canonical for question in questions())]
    possible = {_plain(sentence) for pattern in patterns for sentence in expand_all(pattern)}
    assert not possible & reserved
    logged = " \n ".join(_plain(text) for (text,) in shop.execute("SELECT text FROM queries"))
    assert not [text for text in reserved if text in logged]


def test_patterns_are_well_formed():
    """Expanded patterns have no brackets, bars or unknown slots."""
    for sentence in (s for p in PATTERNS for s in expand_all(p)):
        assert not re.search(r"[()|]|  ", sentence), sentence
        assert set(re.findall(r"<(\w+)>", sentence)) <= {"series", "title", "author", "genre", "theme"}
    assert sum(one.share for one in chatter().values()) == pytest.approx(1.0)


def test_no_slot_is_left_in_any_text(shop):
    """Descriptions, reviews and messages have no slots left."""
    for query in ("SELECT description FROM products", "SELECT body FROM reviews", "SELECT text FROM queries"):
        for (text,) in shop.execute(query):
            assert text.strip()
            assert not re.search(r"[{}<>|]", text)


def test_unfinished_file_is_never_seen(tmp_path, now):
    """A failed generation keeps the existing file, and a leftover does not stop the next run."""
    path = tmp_path / "shop.db"
    path.write_bytes(b"as it was")
    left_over = tmp_path / "shop.db.building"
    left_over.write_bytes(b"half a file")

    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(path, now=now, products=20, shoppers=5, messages=5, progress=stop)
    assert path.read_bytes() == b"as it was"
    generate(path, now=now, products=20, shoppers=5, messages=5)
    assert not left_over.exists()


@pytest.mark.parametrize("sizes", [{"products": 1}, {"shoppers": 1}, {"days": 1}, {"messages": 0}])
def test_small_worlds_work(tmp_path, now, sizes):
    """The smallest sizes give a shop."""
    sizes = {"products": 30, "shoppers": 20, "days": 14, "messages": 10} | sizes
    generate(tmp_path / "shop.db", now=now, **sizes)
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as conn:
        assert conn.execute("SELECT count(*) FROM products").fetchone() == (sizes["products"],)


def test_size_must_be_positive(tmp_path, now):
    """A size of zero is refused by its name."""
    with pytest.raises(BadValue) as caught:
        generate(tmp_path / "shop.db", now=now, shoppers=0)
    assert caught.value.field == "shoppers"


def test_command_prints_the_size_first(tmp_path, capsys):
    """The command prints the sizes, writes the shop, and refuses bad sizes with status 1."""
    arguments = ["--out", str(tmp_path / "shop.db"), "--products", "20", "--messages", "5", "--now", "1790000000"]
    assert main([*arguments, "--shoppers", "5"]) == 0
    assert capsys.readouterr().out.startswith("20 products, 5 shoppers")
    assert main([*arguments, "--shoppers", "0"]) == 1
    assert "shoppers: send a positive number" in capsys.readouterr().out


def test_a_message_leads_to_a_purchase(shop):
    """Many messages that name a genre are followed within 20 minutes by a purchase of that genre."""
    followed = shop.execute(
        """SELECT EXISTS (
             SELECT 1 FROM purchases b JOIN products p ON p.asin = b.asin
             WHERE b.shopper = q.shopper AND b.ts BETWEEN q.ts AND q.ts + 1200 AND p.genre = g.genre
           )
           FROM queries q JOIN (SELECT DISTINCT genre FROM products) g ON instr(lower(q.text), g.genre)
           WHERE q.intent IN ('recommendation', 'product_search')"""
    ).fetchall()
    assert len(followed) > 30
    assert statistics.mean(is_followed for (is_followed,) in followed) > 0.4


def test_a_page_leads_to_a_related_one(shop):
    """Shortly after a view of another series, many views are of the same author or genre: far more than by chance."""
    rows = shop.execute(
        """SELECT a.genre = b.genre FROM (
             SELECT asin, ts, shopper, lead(asin) OVER w AS next, lead(ts) OVER w AS next_ts FROM views
             WINDOW w AS (PARTITION BY shopper ORDER BY ts)
           ) v JOIN products a ON a.asin = v.asin JOIN products b ON b.asin = v.next
           WHERE v.next_ts - v.ts < 120 AND a.series <> b.series"""
    ).fetchall()
    assert len(rows) > 100
    assert statistics.mean(same for (same,) in rows) > 0.5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[love]\nname = "first love"\nclause = 1\ngenres = []', r"love: .*got `int` - at `\$\.clause`"),
        ('[love]\nname = "first love"\ngenres = []', "love: .*missing required field `clause`"),
        ('[love]\nname = "first love"\nclause = ""\ngenres = []\nshare = 1', "unknown field `share`"),
        ("[love]\nname = first love", "line 2"),
    ],
)
def test_a_malformed_text_file_is_named(tmp_path, text, problem):
    """The error for a malformed file of texts names the file, and the field or the line."""
    path = tmp_path / "themes.toml"
    path.write_text(text)
    with pytest.raises(ShopError, match=f"themes.toml: .*{problem}"):
        read(path, dict[str, Theme])


def test_a_malformed_table_of_words_is_named_with_every_key(tmp_path):
    """The error for a table within a table names the keys of both."""
    path = tmp_path / "foreign.toml"
    path.write_text('[german]\nbook = ["buch"]\nreturn = "retoure"')
    with pytest.raises(ShopError, match=r"foreign\.toml: german: return: Expected `array`"):
        read(path, dict[str, dict[str, tuple[str, ...]]])


def test_a_malformed_pattern_is_named_with_its_place():
    """The error for an invalid pattern names the file and the key."""
    with pytest.raises(ShopError, match=r"orders\.toml: refund: missing \)"):
        pattern("(refund", "orders.toml: refund")
