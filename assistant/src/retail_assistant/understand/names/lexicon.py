"""The shop's own words, compiled from its catalog and policies: titles, authors, genres, formats, and all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

import parbake as pb
from retail_assistant.knowledge.shop_views import Catalog, Policies
from retail_assistant.shop.policies import Policy
from retail_assistant.shop.queries import Product
from retail_assistant.understand.plain_words import words

tasks = pb.Registry()
SHOP = "shop"
MOST_LINES = 50_000
"""A larger catalog is known by its first titles only; the others are found by the full-text index."""


class Line(msgspec.Struct, frozen=True):
    """What is sold under one title: a series or a single book, whatever the volume and the format."""

    name: str
    author: str


class Lexicon(msgspec.Struct, frozen=True):
    """The words of a shop; ``terms`` are all words of its texts."""

    lines: tuple[Line, ...] = ()
    genres: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()


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
    lines: dict[str, Line] = {}
    terms, genres, formats, authors = set[str](), set[str](), set[str](), set[str]()
    for product in products:
        name = product.line
        if len(lines) < MOST_LINES:
            lines.setdefault(name, Line(name, product.author))
        terms.update(words(f"{product.title} {product.description} {product.author}"))
        genres.add(product.genre)
        formats.add(product.format)
        authors.add(product.author)
    for policy in policies:
        terms.update(words(f"{policy.title} {policy.text}"))
    return Lexicon(tuple(lines.values()), _names(genres), _names(formats), _names(authors), _names(terms))


def _names(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in found if name))
