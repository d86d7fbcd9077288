"""The shop's own words, compiled from its catalog and policies: titles, authors, genres, formats, and all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

import parbake as pb
from retail_assistant.knowledge.views import Catalog, Policies
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.queries import Product
from retail_assistant.understand.words import words

tasks = pb.Registry()
SHOP = "shop"
MOST_LINES = 50_000
"""A larger catalog is known by its first titles only; the others are found by the full-text index."""


class Line(msgspec.Struct, frozen=True):
    """What is sold under one title: a series or a single book, whatever the volume and the format."""

    name: str
    author: str
    genre: str


class Lexicon(msgspec.Struct, frozen=True):
    """The words of a shop; ``terms`` counts the texts in which a word occurs."""

    lines: tuple[Line, ...] = ()
    genres: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    terms: dict[str, int] = {}


def _whole_shop() -> Sequence[str]:
    return (SHOP,)


@tasks.artifact(
    freshness_sla="26h",
    refresh=pb.every("24h", budget="2h", off_peak=True),
    invalidated_by=[pb.refresh("product", debounce="2s"), pb.refresh("policy", debounce="2s")],
    fallback_if_stale=pb.Recompute(),
    owner="search",
    keys=_whole_shop,
    why="Messages are read with the shop's own words, which change with the catalog and the policies",
)
def lexicon(_shop: str, *, catalog: pb.Source[Catalog], policies: pb.Source[Policies]) -> Lexicon:
    """The words of the whole shop."""
    return compile_lexicon(catalog.all(), policies.all())


def compile_lexicon(products: Iterable[Product], policies: Iterable[Policy]) -> Lexicon:
    """Collect the words of products and policies."""
    terms: Counter[str] = Counter()
    lines: dict[str, Line] = {}
    genres: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    authors: Counter[str] = Counter()
    for product in products:
        name = product.line
        if len(lines) < MOST_LINES:
            lines.setdefault(name, Line(name, product.author, product.genre))
        terms.update(set(words(f"{product.title} {product.description} {product.author}")))
        genres[product.genre] += 1
        formats[product.format] += 1
        authors[product.author] += 1
    for policy in policies:
        terms.update(set(words(f"{policy.title} {policy.text}")))
    return Lexicon(tuple(lines.values()), _names(genres), _names(formats), _names(authors), dict(terms))


def _names(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in found if name))
