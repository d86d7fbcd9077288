"""Versioned views of the shop. Price, stock and carts are live, so no view contains them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

import parbake as pb
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.queries import Product, Promotion
from retail_assistant.shop.trade import Trade, of_meta

_PRODUCT = "SELECT asin, title, series, volume, author, genre, format, description, listed, created_at FROM products"
_MANY = f"{_PRODUCT} WHERE listed = 1 AND asin IN (SELECT value FROM json_each(:asins))"  # noqa: S608  # constants only
_PROMOTION = "SELECT id, title, category, segment, percent, starts_at, ends_at FROM promotions"


class ReviewText(msgspec.Struct, frozen=True):
    """The parts of a review that a summary uses: ``rating`` (1 to 5) and text."""

    rating: int
    body: str


class LoggedQuery(msgspec.Struct, frozen=True):
    """One wording of the query log, with the number of shoppers who asked it, its tag, and its intent."""

    text: str
    count: int
    question: str | None
    intent: str


class Policies(pb.View):
    """Policies by id."""

    families = ("policy",)

    def trade(self) -> Trade:
        """The shop's own words, which only a new shop file changes."""
        self.whole_set("policy")
        return of_meta((row[0], row[1]) for row in self.rows("SELECT key, value FROM meta"))

    def ids(self) -> list[str]:
        """All ids."""
        self.whole_set("policy")
        return [row[0] for row in self.rows("SELECT id FROM policies ORDER BY id")]

    def get(self, policy_id: str) -> Policy | None:
        """One policy; ``None`` if it does not exist."""
        self.entity(f"policy/{policy_id}")
        rows = self.rows("SELECT id, title, body, facts, updated_at FROM policies WHERE id = :id", id=policy_id)
        return Policy(rows[0][0], rows[0][1], rows[0][2], json.loads(rows[0][3]), rows[0][4]) if rows else None

    def all(self) -> list[Policy]:
        """Every policy; the reader depends on the whole set."""
        self.whole_set("policy")
        rows = self.rows("SELECT id, title, body, facts, updated_at FROM policies ORDER BY id")
        return [Policy(r[0], r[1], r[2], json.loads(r[3]), r[4]) for r in rows]


class Catalog(pb.View):
    """Products without their live values."""

    families = ("product",)

    def asins(self) -> list[str]:
        """The products on sale."""
        self.whole_set("product")
        return [row[0] for row in self.rows("SELECT asin FROM products WHERE listed = 1 ORDER BY asin")]

    def get(self, asin: str) -> Product | None:
        """One listed product; ``None`` if it is not sold (any more)."""
        self.entity(f"product/{asin}")
        rows = self.rows(f"{_PRODUCT} WHERE asin = :asin AND listed = 1", asin=asin)
        return _product(rows[0]) if rows else None

    def many(self, asins: Sequence[str]) -> dict[str, Product]:
        """The listed ones among some products."""
        for asin in asins:
            self.entity(f"product/{asin}")
        wanted = json.dumps(list(asins))
        rows = self.rows(_MANY, asins=wanted)
        return {row[0]: _product(row) for row in rows}

    def all(self) -> list[Product]:
        """Every listed product."""
        self.whole_set("product")
        return [_product(row) for row in self.rows(f"{_PRODUCT} WHERE listed = 1 ORDER BY asin")]

    def genres(self) -> list[str]:
        """The genres on sale."""
        self.whole_set("product")
        return [row[0] for row in self.rows("SELECT DISTINCT genre FROM products WHERE listed = 1 ORDER BY genre")]


class Promotions(pb.View):
    """Promotions, including past and future ones; the reader's clock decides which are valid."""

    families = ("promotion",)

    def all(self) -> list[Promotion]:
        """Every promotion."""
        self.whole_set("promotion")
        return [Promotion(*row) for row in self.rows(f"{_PROMOTION} ORDER BY starts_at, id")]


class Reviews(pb.View):
    """Reviews by product."""

    families = ("reviews",)

    def of(self, asin: str) -> list[ReviewText]:
        """A product's reviews, newest first, at most 200."""
        self.entity(f"reviews/{asin}")
        statement = "SELECT rating, body FROM reviews WHERE asin = :asin ORDER BY ts DESC, id DESC LIMIT 200"
        return [ReviewText(*row) for row in self.rows(statement, asin=asin)]


class QueryLog(pb.View):
    """The questions of shoppers, with the tags that support gave them."""

    families = ()

    def wordings(self) -> list[LoggedQuery]:
        """Distinct wordings, ignoring case, those that most shoppers asked first."""
        statement = (
            "SELECT min(text), count(DISTINCT shopper) AS n, max(question), max(intent) FROM queries"
            " GROUP BY lower(text) ORDER BY n DESC, min(text)"
        )
        return [LoggedQuery(*row) for row in self.rows(statement)]


class Exploration(msgspec.Struct, frozen=True):
    """A question that was answered well without the bank, with its shopper and the bank's answer that fits it."""

    shopper: str
    text: str
    answer: str


class Feedback(pb.View):
    """The shoppers' feedback: withdrawn answers, and questions that were answered without the bank."""

    families = ("faq",)

    def is_withdrawn(self, answer: str) -> bool:
        """Whether complaints have withdrawn an answer from everybody, and its owner has not checked it yet."""
        self.entity(f"faq/{answer}")
        statement = (
            "SELECT 1 FROM complaints WHERE answer = :answer AND closed_at IS NULL AND withdrew_at IS NOT NULL LIMIT 1"
        )
        return bool(self.rows(statement, answer=answer))

    def explorations(self) -> list[Exploration]:
        """All stored explorations, oldest first."""
        return [Exploration(*row) for row in self.rows("SELECT shopper, text, answer FROM explorations ORDER BY id")]


VIEWS = (Policies, Catalog, Promotions, Reviews, QueryLog, Feedback)


def _product(row: Any) -> Product:
    asin, title, series, volume, author, genre, form, description, listed, created_at = row
    return Product(asin, title, series, volume, author, genre, form, description, bool(listed), created_at)
