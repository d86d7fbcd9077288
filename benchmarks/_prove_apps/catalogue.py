"""A catalogue on SQLite: joins, aggregates, orders and windows."""

import sqlite3
from pathlib import Path

import msgspec

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from parbake_capture.sqlite_triggers import SqliteCapture
from parbake_capture.tables import Captured

FAMILIES = ("product", "brand", "review", "promotion", "category")
TABLES = (
    Captured("products", ("product/{id}", "category/{category}")),
    Captured("brands", ("brand/{id}",)),
    Captured("reviews", ("review/{product}",)),
    Captured("promotions", ("promotion/{product}",)),
)
SCHEMA = """
CREATE TABLE brands(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, country TEXT);
CREATE TABLE products(
  id INTEGER PRIMARY KEY, title TEXT NOT NULL, brand INTEGER NOT NULL REFERENCES brands(id), category TEXT NOT NULL,
  cents INTEGER NOT NULL CHECK (cents > 0), listed INTEGER NOT NULL CHECK (listed IN (0, 1)), added TEXT NOT NULL
);
CREATE TABLE reviews(
  product INTEGER NOT NULL REFERENCES products(id), shopper TEXT NOT NULL, stars INTEGER NOT NULL
    CHECK (stars BETWEEN 1 AND 5), body TEXT, PRIMARY KEY (product, shopper)
) WITHOUT ROWID;
CREATE TABLE promotions(product INTEGER PRIMARY KEY REFERENCES products(id), percent INTEGER NOT NULL, until TEXT);
CREATE TABLE visits(product INTEGER NOT NULL, day TEXT NOT NULL, count INTEGER NOT NULL);
CREATE VIEW sold AS SELECT id, title, brand, category, cents FROM products WHERE listed = 1;
"""
CATEGORIES = ("books", "games", "music", "tools")


def create(path: Path) -> None:
    """Fill a new file, and capture its tables."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(SCHEMA)
    for brand in range(1, 9):
        db.execute("INSERT INTO brands VALUES (?, ?, ?)", (brand, f"Brand {brand}", [None, "DE", "US"][brand % 3]))
    for number in range(1, 121):
        values = (
            number, f"Product {number}", 1 + number % 8, CATEGORIES[number % 4], 500 + 37 * (number * 7 % 50),
            int(number % 9 != 0), f"2026-0{1 + number % 9}-1{number % 10}",
        )  # fmt: skip
        db.execute("INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        for shopper in range(number % 5):
            db.execute(
                "INSERT INTO reviews VALUES (?, ?, ?, ?)", (number, f"u{shopper}", 1 + (number + shopper) % 5, "ok")
            )
        if number % 6 == 0:
            db.execute("INSERT INTO promotions VALUES (?, ?, ?)", (number, 5 + number % 20, "2027-01-01"))
        db.execute("INSERT INTO visits VALUES (?, '2026-10-01', ?)", (number, number % 13))
    capture = SqliteCapture(db)
    capture.run(capture.install(TABLES, app="catalogue"))
    db.close()


class Card(msgspec.Struct, frozen=True):
    """What a page shows of a product."""

    title: str
    brand: str
    cents: int
    percent: int = 0


class Catalogue(pb.View):
    families = ("product", "brand", "promotion", "category")

    def ids(self) -> list[int]:
        self.whole_set("product")
        return [row[0] for row in self.rows("SELECT id FROM products ORDER BY id")]

    def card(self, product: int) -> Card | None:
        self.entity(f"product/{product}")
        self.entity(f"promotion/{product}")
        rows = self.rows(
            "SELECT p.title, b.name, p.cents, coalesce(m.percent, 0), b.id FROM products p "
            "JOIN brands b ON b.id = p.brand LEFT JOIN promotions m ON m.product = p.id "
            "WHERE p.id = :product AND p.listed = 1",
            product=product,
        )
        if not rows:
            return None
        self.entity(f"brand/{rows[0][4]}")
        return Card(*rows[0][:4])

    def cheapest(self, category: str, count: int) -> list[tuple[str, int]]:
        self.entity(f"category/{category}")
        return self.rows(
            "SELECT title, cents FROM sold WHERE category = :c ORDER BY cents, id LIMIT :n", c=category, n=count
        )

    def average(self, category: str) -> float:
        self.entity(f"category/{category}")
        return self.rows("SELECT coalesce(avg(cents), 0) FROM products WHERE category = :c AND listed", c=category)[0][
            0
        ]

    def share(self, brand: int) -> float:
        """The share of all products that a brand has."""
        self.whole_set("product")
        own, every = self.rows("SELECT sum(brand = :b), count(*) FROM products", b=brand)[0]
        return own / max(1, every)

    def brand(self, brand: int) -> tuple[str, str] | None:
        self.entity(f"brand/{brand}")
        rows = self.rows("SELECT name, coalesce(country, '?') FROM brands WHERE id = :b", b=brand)
        return rows[0] if rows else None

    def has_promotions(self, brand: int) -> bool:
        self.whole_set("product")
        self.whole_set("promotion")
        statement = "SELECT count(*) FROM promotions m WHERE m.product IN (SELECT id FROM products WHERE brand = :b)"
        return self.rows(statement, b=brand)[0][0] > 0

    def newest(self, brand: int) -> list[str]:
        """The two newest products of a brand in each category."""
        self.whole_set("product")
        statement = (
            "WITH ranked AS (SELECT title, category, row_number() OVER (PARTITION BY category ORDER BY added DESC, id) "
            "AS place FROM products WHERE brand = :b) SELECT title FROM ranked WHERE place < 3 ORDER BY category, place"
        )
        return [row[0] for row in self.rows(statement, b=brand)]


class Opinions(pb.View):
    families = ("review", "product")

    def stars(self, product: int) -> tuple[int, float]:
        self.entity(f"review/{product}")
        rows = self.rows("SELECT count(*), coalesce(avg(stars), 0) FROM reviews WHERE product = :p", p=product)
        return tuple(rows[0])

    def best(self, category: str) -> list[int]:
        """The products of a category with the best reviews."""
        self.whole_set("review")
        self.whole_set("product")
        statement = (
            "SELECT p.id FROM products p JOIN (SELECT product, avg(stars) AS mean FROM reviews GROUP BY product "
            "HAVING count(*) > 1) r ON r.product = p.id WHERE p.category = :c AND p.listed = 1 "
            "ORDER BY r.mean DESC, p.id LIMIT 3"
        )
        return [row[0] for row in self.rows(statement, c=category)]


class Visits(pb.View):
    families = ()  # no event tells of a visit

    def of(self, product: int) -> int:
        return self.rows("SELECT coalesce(sum(count), 0) FROM visits WHERE product = :p", p=product)[0][0]


tasks = pb.Registry()
TERMS = {"freshness_sla": "1d", "fallback_if_stale": pb.Recompute(), "owner": "catalogue"}


def every_product(catalogue: pb.Source[Catalogue]) -> list[int]:
    return catalogue.ids()


def every_category() -> list[str]:
    return list(CATEGORIES)


@tasks.artifact(
    invalidated_by=[
        pb.fence("product"), pb.fence("brand"), pb.fence("promotion"), pb.ignore("category", "a card has none"),
    ],
    keys=every_product,
    **TERMS,
)  # fmt: skip
def card(product: int, *, catalogue: pb.Source[Catalogue]) -> Card | pb.Absent:
    return catalogue.card(product) or pb.Absent("not sold")


def _not(*families: str) -> list:
    return [pb.ignore(name, "not shown") for name in families]


@tasks.artifact(
    invalidated_by=[pb.fence("category/{category}"), *_not("product", "brand", "promotion")],
    keys=every_category,
    **TERMS,
)
def cheapest(category: str, *, catalogue: pb.Source[Catalogue]) -> list[str]:
    return [f"{title} {cents}" for title, cents in catalogue.cheapest(category, 5)]


@tasks.artifact(invalidated_by=[pb.fence("category"), *_not("product", "brand", "promotion")], **TERMS)
def average(category: str, *, catalogue: pb.Source[Catalogue]) -> float:
    return catalogue.average(category)


@tasks.artifact(invalidated_by=[pb.fence("product"), pb.fence("review")], keys=every_category, **TERMS)
async def best(category: str, *, opinions: pb.Source[Opinions]) -> list[int]:
    return opinions.best(category)


@tasks.artifact(invalidated_by=[pb.fence("product"), pb.fence("brand"), *_not("category", "promotion")], **TERMS)
def share(brand: int, *, catalogue: pb.Source[Catalogue]) -> list[str] | pb.Absent:
    found = catalogue.brand(brand)
    if found is None:
        return pb.Absent("no such brand")
    part = round(catalogue.share(brand), 4)
    return [*found, str(part)]


@tasks.artifact(invalidated_by=[pb.fence("product"), pb.fence("promotion"), *_not("category", "brand")], **TERMS)
def promoted(brand: int, *, catalogue: pb.Source[Catalogue]) -> bool:
    return catalogue.has_promotions(brand)


@tasks.artifact(invalidated_by=[pb.fence("product"), *_not("category", "brand", "promotion")], **TERMS)
def newest(brand: int, *, catalogue: pb.Source[Catalogue]) -> list[str]:
    return catalogue.newest(brand)


@tasks.artifact(
    invalidated_by=[pb.fence("review/{product}"), pb.ignore("product", "read by the card")], keys=every_product, **TERMS
)
def opinion(
    product: pb.Keys[int], *, opinions: pb.Source[Opinions], visits: pb.Source[Visits]
) -> dict[int, tuple[int, float, int]]:
    return {one: (*opinions.stars(one), visits.of(one)) for one in product}


@tasks.artifact(
    invalidated_by=[pb.fence("product"), pb.fence("brand"), pb.fence("promotion"), pb.fence("review")], **TERMS
)
def page(
    product: int,
    *,
    cards: pb.Reader[int, Card] = pb.Input(card),
    opinions: pb.Reader[int, tuple[int, float, int]] = pb.Input(opinion),
) -> str:
    shown = cards.read(product).value
    return f"{shown}: {opinions.read(product).value}"


def build(path: Path) -> pb.App:
    source = SqliteSource(path, families=FAMILIES, views=[Catalogue, Opinions, Visits], name="catalogue")
    return pb.App(tasks, sources=[source])
