"""Damage to a store in PostgreSQL: a bit of a value flips, and a page that the server's own checksums refuse."""

import collections

import pytest
from tests.servers import pg

import parbake as pb
from parbake.errors import DamagedStore
from parbake.lanes.worker.healing import Healing
from parbake.protocol.cause import Cause
from parbake.stores import open_store

KEYS = [f"k{n:03d}" for n in range(200)]


def counting(url):
    """Return an app with one task that counts its calls, and the task."""
    tasks, calls = pb.Registry(), collections.Counter()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact/{name}")], fallback_if_stale=pb.Recompute(), owner="team"
    )
    async def fact(name: str) -> str:
        calls[name] += 1
        return f"{calls[name]} {name}" + "x" * 900

    return pb.App(tasks, store=url), fact


@pytest.fixture
def server():
    """Return a server with page checksums."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        if server.sql("SHOW data_checksums") == [("off",)]:
            pytest.skip("this version of PostgreSQL makes no checksums by default")
        yield server


def damage(server, where):
    """Overwrite a part of the page on which a row is, while the server is down."""
    place = f"SELECT pg_relation_filepath('parbake.parbake_items'), (ctid::text::point)[0]::int FROM {where}"
    path, page = server.sql("CHECKPOINT", place)[0]
    server.end()
    with (server.folder / path).open("r+b") as file:
        file.seek(page * 8192 + 8000)
        file.write(b"damage")
    server.restart()


async def test_a_record_whose_bytes_changed_is_computed_again(pg_server, pg_schema):
    """A bit that flipped in a stored value counts as missing, and is overwritten."""
    app, fact = counting(f"{pg_server.address}?schema={pg_schema}")
    assert (await app.serve(fact, "a")).value.startswith("1 a")
    bit = "length(value) * 4"
    pg_server.sql(
        f"UPDATE {pg_schema}.parbake_items SET value = set_bit(value, {bit}, 1 - get_bit(value, {bit})) "
        "WHERE substr(name, 1, 1) = 'o'"
    )
    for _ in range(2):
        assert (await app.serve(fact, "a")).value.startswith("2 a")
    assert dict(app.counters.damaged) == {"fact": 1}
    await app.close()


async def test_a_worker_replaces_a_damaged_store(server):
    """Whoever meets a damaged page leaves a mark; a worker sets the table aside, and everything is computed again."""
    app, fact = counting(server.address)
    for key in KEYS:
        assert (await app.serve(fact, key)).value.startswith("1 ")
    worker = open_store(server.address)
    assert await worker.heal() == ""
    before = (await worker.stamp()).control.incarnation
    damage(server, "parbake.parbake_items WHERE substr(name, 1, 1) = 'o' OFFSET 100 LIMIT 1")
    assert await worker.heal() == ""
    seen = [await app.serve(fact, key) for key in KEYS]
    computed = {key for key, served in zip(KEYS, seen, strict=True) if served.cause is Cause.WITHOUT_STORE}
    assert 0 < len(computed) < 20, "those on the damaged page"
    with pytest.raises(DamagedStore, match="page is damaged"):
        await worker.read(fact.ref, b"s" + next(iter(computed)).encode())
    await Healing(worker).step()
    assert await worker.heal() == ""
    for key in KEYS:
        assert (await app.serve(fact, key)).value.startswith("3 " if key in computed else "2 ")
    assert (await worker.stamp()).control.incarnation > before
    assert len(server.sql("SELECT 1 FROM pg_tables WHERE tablename LIKE 'parbake_items_damaged_%'")) == 1
    server.sql("CREATE TABLE parbake.parbake_items_damaged_by_hand()")
    (dropped,) = await worker.discard()
    assert dropped.startswith("parbake.parbake_items_damaged_")
    assert await worker.discard() == []
    assert len(server.sql("SELECT 1 FROM pg_tables WHERE tablename LIKE 'parbake_items_damaged_%'")) == 1
    server.sql("DROP TABLE parbake.parbake_items_damaged_by_hand")
    await worker.close()
    await app.close()


async def test_a_store_that_cannot_be_opened_is_replaced_once(server):
    """The page with the name of the copy is damaged: the first of two workers replaces it."""
    workers = [open_store(server.address) for _ in range(2)]
    await workers[0].stamp()
    damage(server, "parbake.parbake_items WHERE name = '\\x00'")
    for worker in workers:
        with pytest.raises(DamagedStore):
            await worker.stamp()
    told = [await worker.heal() for worker in workers]
    assert ["an empty one is in its place" in each for each in told] == [True, False]
    for worker in workers:
        await worker.stamp()
        await worker.close()
