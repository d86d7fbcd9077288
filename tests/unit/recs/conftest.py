"""A small shop whose recommendations were built once, and a fresh copy of both for each test."""

import asyncio
import contextlib
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

import parbake as pb
from parbake.adapters.sqlite import SqliteSource
from retail_assistant.recs.recs_tasks import factors, reranker, tasks, trending
from retail_assistant.recs.shelf import LiveShelf
from retail_assistant.recs.taste_view import History
from retail_assistant.shop import records, schema
from retail_assistant.world import generate

NOW = 1_790_000_000.0
FAMILIES = ("user", "product", "policy", "promotion", "reviews")


class Quiet:
    """A tracker that records nothing."""

    def entity(self, tag):
        pass

    def whole_set(self, family):
        pass

    def query(self, *_):
        """Ignore a query."""

    def unnamed(self, *_):
        """Ignore rows without a tag."""


def read_log(path):
    """Return the whole log of a shop file."""
    source = SqliteSource(path, families=FAMILIES, views=(History,))
    with contextlib.closing(source), source.open(History, Quiet()) as view:
        return view.log()


@dataclass
class Floor:
    """A shop with its app, connection and shelf."""

    app: pb.App
    conn: sqlite3.Connection
    shelf: LiveShelf

    def buy(self, shopper, asin):
        return records.add_purchase(self.conn, shopper=shopper, asin=asin, now=NOW + 60)

    def owned(self):
        """Return the pairs of shopper and asin that were bought."""
        return set(self.conn.execute("SELECT shopper, asin FROM purchases"))

    def column(self, name, table="products"):
        """Return a column by asin."""
        return dict(self.conn.execute(f"SELECT asin, {name} FROM {table}"))

    def keen(self):
        """Return the shopper with the most purchases."""
        row = self.conn.execute("SELECT shopper FROM purchases GROUP BY shopper ORDER BY COUNT(*) DESC, 1 LIMIT 1")
        return row.fetchone()[0]

    def shoppers(self):
        return [row[0] for row in self.conn.execute("SELECT id FROM shoppers ORDER BY id")]


def make_app(folder):
    """Return an app over a folder's shop and store, with its shelf."""
    shelf = LiveShelf(folder / "shop.db")
    source = SqliteSource(folder / "shop.db", families=FAMILIES, views=(History,))
    app = pb.App(
        tasks,
        store=f"lmdb://{folder}/store",
        sources=[source],
        open=["session"],
        resources={LiveShelf: shelf},
        durability=pb.Durability(journal=folder / "rollbacks.jsonl", replayable=True),
    )
    return app, shelf


async def build(folder):
    """Materialize every batch task and close the store."""
    app, shelf = make_app(folder)
    await app.drain()
    for task in (trending, factors, reranker):
        await app.materialize(task)
    await app.close()
    shelf.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """Return the folder of a small shop and its store, which no test writes to."""
    folder = tmp_path_factory.mktemp("recs")
    generate(folder / "shop.db", seed=7, now=NOW, products=200, shoppers=400, messages=4_000)
    conn = schema.connect(folder / "shop.db")
    popular = conn.execute("SELECT asin FROM purchases GROUP BY asin ORDER BY COUNT(*) DESC, asin LIMIT 1").fetchone()
    records.delist(conn, popular[0])
    conn.close()
    asyncio.run(build(folder))
    return folder


@pytest.fixture(scope="session")
def log(built):
    """Return the small shop's log."""
    return read_log(built / "shop.db")


@pytest.fixture
async def floor(built, tmp_path):
    """Return a fresh copy of the small shop with everything built."""
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    app, shelf = make_app(folder)
    conn = schema.connect(folder / "shop.db")
    await app.drain()
    yield Floor(app, conn, shelf)
    conn.close()
    await app.close()
    shelf.close()
