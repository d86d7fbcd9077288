"""The full-text index, kept in the same transaction as the rows it describes.

Products are one document each (id: the asin), policies one per section (id: ``returns/return-window``).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from typing import Literal

import msgspec

from retail_assistant.shop.policies import Policy, render_policy

Kind = Literal["product", "policy"]

_WORD = re.compile(r"\w+")


class Document(msgspec.Struct, frozen=True):
    """One searchable text; ``part`` is empty for a product, the section id for a policy."""

    kind: Kind
    entity: str
    part: str
    title: str
    body: str

    @property
    def id(self) -> str:
        """The id that the index returns: ``entity`` or ``entity/part``."""
        return f"{self.entity}/{self.part}" if self.part else self.entity


class Hit(msgspec.Struct, frozen=True):
    """One search result; a lower ``score`` (BM25, negative) is a better match."""

    doc: str
    kind: str
    title: str
    score: float


def replace(conn: sqlite3.Connection, kind: Kind, entity: str, documents: Iterable[Document]) -> None:
    """Replace all documents of one entity; an empty iterable removes it from the index."""
    rows = conn.execute("SELECT id FROM search_rows WHERE kind = ? AND entity = ?", (kind, entity)).fetchall()
    conn.executemany("DELETE FROM search_index WHERE rowid = ?", rows)
    conn.executemany("DELETE FROM search_rows WHERE id = ?", rows)
    for document in documents:
        add(conn, document)


def add(conn: sqlite3.Connection, document: Document) -> None:
    """Add one document that is not in the index yet."""
    cursor = conn.execute(
        "INSERT INTO search_rows (kind, entity, part) VALUES (?, ?, ?)",
        (document.kind, document.entity, document.part),
    )
    conn.execute(
        "INSERT INTO search_index (rowid, doc, kind, title, body) VALUES (?, ?, ?, ?, ?)",
        (cursor.lastrowid, document.id, document.kind, document.title, document.body),
    )


def product_document(asin: str, title: str, author: str, genre: str, description: str) -> Document:
    """Return the searchable text of a product."""
    return Document("product", asin, "", title, f"{description} {genre}. By {author}.")


def policy_documents(policy: Policy) -> list[Document]:
    """Return one searchable text per section, with the current facts filled in."""
    return [
        Document("policy", policy.id, section.id, f"{policy.title}: {section.title}", section.text)
        for section in render_policy(policy)
    ]


def search(conn: sqlite3.Connection, text: str, *, kind: Kind | None = None, limit: int = 20) -> list[Hit]:
    """Return the documents that share words with ``text``, best BM25 first; a title counts twice.

    Any text is accepted: it is split into words (at most 64), and query operators in it have no effect.
    """
    words = _WORD.findall(text)[:64]
    if not words:
        return []
    rows = conn.execute(
        "SELECT doc, kind, title, bm25(search_index, 0, 0, 2.0, 1.0) AS score FROM search_index"
        " WHERE search_index MATCH ? AND (? IS NULL OR kind = ?) ORDER BY score, doc LIMIT ?",
        (" OR ".join(f'"{word}"' for word in words), kind, kind, limit),
    )
    return [Hit(*row) for row in rows]


def starting(conn: sqlite3.Connection, text: str, *, limit: int) -> list[str]:
    """Return the products that have every word of a text, of which the last may be only its beginning, best first."""
    words = _WORD.findall(text)[:64]
    if not words:
        return []
    rows = conn.execute(
        "SELECT doc FROM search_index WHERE search_index MATCH ? AND kind = 'product'"
        " ORDER BY bm25(search_index, 0, 0, 4.0, 1.0), doc LIMIT ?",
        (" AND ".join([*(f'"{word}"' for word in words[:-1]), f'("{words[-1]}" OR "{words[-1]}" *)']), limit),
    )
    return [row[0] for row in rows]


def best(conn: sqlite3.Connection, words: Iterable[str], *, limit: int, among: Iterable[str] | None) -> list[str]:
    """Return the products that have any of some words, best BM25 first; ``among`` are the only ones that may be found.

    A title counts twice.
    """
    if not (asked := " OR ".join(filter(None, map(_quoted, words)))):
        return []
    rows = conn.execute(
        "SELECT r.entity FROM search_index JOIN search_rows r ON r.id = search_index.rowid"
        " WHERE search_index MATCH :asked AND r.kind = 'product'"
        " AND (:among IS NULL OR r.entity IN (SELECT value FROM json_each(:among)))"
        " ORDER BY bm25(search_index, 0, 0, 2.0, 1.0), r.entity LIMIT :limit",
        {"asked": asked, "limit": limit, "among": None if among is None else json.dumps(sorted(among))},
    )
    return [row[0] for row in rows]


def having(conn: sqlite3.Connection, word: str, *, in_title: bool = False) -> set[str]:
    """Return the products that have a word in any of its forms, in their text or only in their title."""
    if not (quoted := _quoted(word)):
        return set()
    rows = conn.execute(
        "SELECT r.entity FROM search_index JOIN search_rows r ON r.id = search_index.rowid"
        " WHERE search_index MATCH ? AND r.kind = 'product'",
        (f"{{title}} : {quoted}" if in_title else quoted,),
    )
    return {row[0] for row in rows}


def _quoted(word: str) -> str:
    """A word as the index is asked for it, in which no operator has an effect; empty without any letter."""
    phrase = " ".join(_WORD.findall(word))
    return f'"{phrase}"' if phrase else ""
