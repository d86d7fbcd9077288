"""Finds products by what is said of them: by their words (BM25) and by their meaning (embeddings).

Each way finds candidates, and each candidate is then weighed by both, so that a product need not be found by both.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import msgspec

import parbake as pb
from retail_assistant.knowledge.embedding import query_embedding
from retail_assistant.knowledge.product_index import ProductIndex
from retail_assistant.live import LiveShop

tasks = pb.Registry()
CANDIDATES = 60
"""How many products each way of looking finds."""
_IN_TEXT = 0.6
"""What a word counts that stands in a product's text and not in its title."""
_WORDS = 0.25
"""What all words together count beside the meaning."""


class Near(msgspec.Struct, frozen=True):
    """A product with its nearness to a question.

    Args:
        asin: The product.
        cosine: That of the embeddings of its text and of the question, -1 to 1.
        apart: The same apart from what all products share, -1 to 1. It tells products apart more clearly.
        words: The share of the question's words that the product has, 0 to 1. Rare words count more.
    """

    asin: str
    cosine: float
    apart: float
    words: float

    @property
    def score(self) -> float:
        """By what products are ordered."""
        return self.apart + _WORDS * self.words


class Sought(msgspec.Struct, frozen=True):
    """What is looked for: the words that count, and the only products that may be found (``None``: all)."""

    words: frozenset[str] = frozenset()
    among: frozenset[str] | None = None


class Searched(msgspec.Struct, frozen=True):
    """What a search found.

    Args:
        near: The products, best first.
        rarity: How much each word counted.
        unknown: The words that no product has.
    """

    near: tuple[Near, ...]
    rarity: dict[str, float]
    unknown: frozenset[str]

    def share(self, words: Collection[str]) -> float:
        """How much of what was looked for some words are, 0 to 1."""
        every = sum(self.rarity.values())
        return sum(self.rarity.get(word, 0.0) for word in words) / every if every else 0.0


@tasks.live(why="Each query is unique")
async def product_search(
    text: pb.Live[str],  # noqa: ARG001  # what the embedding is of
    sought: pb.Live[Sought],
    *,
    vector: Any = pb.Input(query_embedding),
    index: pb.Resource[ProductIndex] = pb.GIVEN,
    shop: pb.Resource[LiveShop] = pb.GIVEN,
) -> Searched:
    """The products that come nearest to a text and its words."""
    return search(sought, vector, index, shop)


def search(sought: Sought, vector: Any, index: ProductIndex, shop: LiveShop) -> Searched:
    """Weigh what words and what meaning find.

    Args:
        sought: What is looked for.
        vector: The embedding of the question, float32, shape (dimensions,).
        index: The embeddings of the products.
        shop: Where words are looked up.
    """
    words, among = sorted(sought.words), sought.among
    by_words = shop.words.any_of(words, limit=CANDIDATES, among=among)
    hits = {hit.asin: hit for hit in index.search(vector, CANDIDATES, among)}
    hits |= {hit.asin: hit for hit in index.search(vector, CANDIDATES, [a for a in by_words if a not in hits])}
    having = {word: shop.words.one(word) for word in words}
    titled = {word: shop.words.one(word, in_title=True) if having[word] else set[str]() for word in words}
    rarity = {word: math.log1p(len(index) / (len(asins) + 0.5)) for word, asins in having.items()}
    every = sum(rarity.values()) or 1.0

    def share(asin: str) -> float:
        there = (word for word in words if asin in having[word])
        return sum(rarity[word] * (1.0 if asin in titled[word] else _IN_TEXT) for word in there) / every

    found = [Near(hit.asin, hit.cosine, hit.apart, share(hit.asin)) for hit in hits.values()]
    unknown = frozenset(word for word, asins in having.items() if not asins)
    return Searched(tuple(sorted(found, key=lambda one: (-one.score, one.asin))), rarity, unknown)
