"""Candidates for many shoppers, for long histories, and after changes of the catalog."""

import contextlib
import sys
import tracemalloc

import numpy as np
import pytest

from parbake.adapters.sqlite import SqliteSource
from retail_assistant.recs import als, taste_view
from retail_assistant.recs.log import confidence
from retail_assistant.recs.recs_tasks import candidates, preferences
from retail_assistant.recs.taste_view import History
from retail_assistant.shop import records

from .conftest import FAMILIES, NOW, Quiet

MANY = 100_000


class Counting(Quiet):
    """A tracker that counts queries."""

    def __init__(self):
        self.queries = 0

    def query(self, *_):
        self.queries += 1


@contextlib.contextmanager
def history(path, tracker=None):
    """Open the history of a shop file."""
    source = SqliteSource(path, families=FAMILIES, views=(History,))
    with contextlib.closing(source), source.open(History, tracker or Quiet()) as view:
        yield view


async def rebuilt(floor, task, *shoppers):
    """Run a task and return what these shoppers are served."""
    await floor.app.drain()
    await floor.app.materialize(task)
    return [await floor.app.serve(task, shopper) for shopper in shoppers]


@pytest.fixture
def busy(floor):
    """Return the shopper with the most purchases, with 100,000 more views."""
    shopper, asins = floor.keen(), sorted(floor.column("listed"))
    rows = [(shopper, asins[n % len(asins)], NOW + n) for n in range(MANY)]
    with floor.conn:
        floor.conn.execute("BEGIN")
        floor.conn.executemany("INSERT INTO views (shopper, asin, ts) VALUES (?, ?, ?)", rows)
    return shopper


async def test_a_very_long_history_is_handled(floor, busy):
    """A shopper with 100,000 events gets candidates, none of them owned."""
    found = (await rebuilt(floor, candidates, busy))[0].unwrap()
    assert len(found) == als.TOP
    assert not {(busy, c.asin) for c in found} & floor.owned()


async def test_a_vector_is_made_of_the_newest_products(floor, busy, tmp_path, monkeypatch):
    """A long history is cut to the newest distinct products, and all purchases are kept."""
    monkeypatch.setattr(taste_view, "RECENT", 20)
    with history(tmp_path / "copy" / "shop.db") as view:
        taste = view.tastes([busy])[busy]
    asins = sorted(floor.column("listed"))
    newest = {asins[n % len(asins)] for n in range(MANY - 20, MANY)}
    assert {t.asin for t in taste if t.is_recent} == newest
    bought = {asin for shopper, asin in floor.owned() if shopper == busy}
    assert {t.asin for t in taste if t.purchases} == bought
    assert len(taste) == len(newest | bought)


async def test_only_what_is_recent_is_folded_in(floor, busy, log, monkeypatch):
    """The vector is computed from the recent products only."""
    monkeypatch.setattr(taste_view, "RECENT", 1)
    (served,) = await rebuilt(floor, preferences, busy)
    newest = sorted(floor.column("listed"))[(MANY - 1) % len(floor.column("listed"))]
    model, bought = als.train(log), (busy, newest) in floor.owned()
    alone = (np.array([model.positions[newest]]), confidence(np.array([bought]), np.array([MANY])))
    assert np.allclose(served.unwrap(), als.fold_in(model, [alone])[0], atol=1e-6)


async def test_no_history_and_nobody_are_a_cold_start(floor):
    """Shoppers without events, unknown shoppers and those with only new products are cold starts."""
    floor.conn.execute("INSERT INTO shoppers (id, segment, created_at) VALUES ('quiet', 'new', ?)", (NOW,))
    records.put_product(floor.conn, "NEW", now=NOW, title="New", author="a", genre="b", cents=100, quantity=1)
    records.add_view(floor.conn, shopper="ahead", asin="NEW", now=NOW)
    for task in (candidates, preferences):
        *cold, known = await rebuilt(floor, task, "quiet", "nobody", "ahead", floor.keen())
        assert [served.reason for served in cold] == ["cold_start"] * 3
        assert known.reason != "cold_start"


@pytest.mark.parametrize("way", ["gone", "delisted"])
async def test_products_that_the_catalog_lost_are_no_candidates(floor, way):
    """Products that are gone are replaced by the next best, and new ones are not candidates yet."""
    shopper = floor.keen()
    before = [c.asin for c in (await floor.app.serve(candidates, shopper)).unwrap()]
    records.put_product(floor.conn, "NEW", now=NOW, title="New", author="a", genre="b", cents=100, quantity=1)
    floor.conn.execute("PRAGMA foreign_keys=OFF")
    for asin in before[:10]:
        change = "DELETE FROM products" if way == "gone" else "UPDATE products SET listed = 0"
        floor.conn.execute(f"{change} WHERE asin = ?", (asin,))
    found = [c.asin for c in (await rebuilt(floor, candidates, shopper))[0].unwrap()]
    assert found[: als.TOP - 10] == before[10:]
    assert len(found) == als.TOP
    assert "NEW" not in found


def test_one_query_reads_a_chunk(built, log):
    """One query reads the histories of a whole chunk, with the same result as single reads."""
    counting = Counting()
    with history(built / "shop.db", counting) as view:
        together = view.tastes(log.shoppers)
        assert counting.queries == 1
        assert all(view.tastes([shopper]).get(shopper) == together.get(shopper) for shopper in log.shoppers[:20])


def test_folding_in_is_flat():
    """Apart from its result, folding in needs no more memory for 4,000 histories than for 1,000."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((50, 64)).astype(np.float32)
    gram = rows.T @ rows + np.eye(64, dtype=np.float32)
    model = als.AlsModel([f"A{n}" for n in range(50)], 64, rows.tobytes(), gram.tobytes())
    one = (np.arange(5), confidence(np.ones(5), np.zeros(5)))
    als.fold_in(model, [one])

    def peak(count):
        tracemalloc.start()
        histories = [one] * count
        vectors = als.fold_in(model, histories)
        (_, most) = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most - vectors.nbytes - sys.getsizeof(histories)

    assert peak(4_000) < 1.2 * peak(1_000)
