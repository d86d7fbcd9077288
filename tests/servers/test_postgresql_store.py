"""The PostgreSQL store on a local server: the public suites, many at once, and faults of a server."""

import asyncio
import collections
import contextlib
import gc
import os
import signal
import threading
import warnings

import psycopg
import pytest
from tests import prefork
from tests.waiting import HANGS_S, as_far_as_it_gets, until

import parbake as pb
from parbake.adapters.postgresql_store import PostgresqlItems
from parbake.errors import StoreError, StoreUnreachable
from parbake.stores import open_store
from parbake.stores.steps.item_steps import Commit
from parbake.testing.item_suite import ItemsSuite
from parbake.testing.store_suite import StoreSuite


class TestPostgresql(ItemsSuite):
    """The driver."""

    @pytest.fixture(autouse=True)
    def _server(self, pg_server, pg_schema):
        self.server, self.schema = pg_server, pg_schema

    async def open_items(self, tmp_path):
        """Open another client."""
        items = PostgresqlItems.from_url(f"{self.server.address}?schema={self.schema}")
        await items.open()
        return items

    async def cut_off(self, items):
        """Kill the server."""
        self.server.kill()


class TestStoreOnPostgresql(StoreSuite):
    """``postgresql://``."""

    @pytest.fixture(autouse=True)
    def _url(self, pg_server, pg_schema):
        self.url = f"{pg_server.address}?schema={pg_schema}"

    def open_store(self, tmp_path):
        """Open the store."""
        return open_store(self.url)


def wires(items):
    """Return the idle connections of the running loop."""
    return items._link._pools.here().idle


async def test_idle_connections_of_a_restarted_server_are_replaced(pg_items, pg_server):
    """After a restart the first read and the first commit are answered."""
    await pg_items.put([(b"ca", b"1")])
    for n in range(1, 4):
        await asyncio.gather(*(pg_items.fetch([b"ca"]) for _ in range(20)))
        assert len(wires(pg_items)) > 1
        pg_server.restart()
        if n % 2:
            assert await pg_items.fetch([b"ca"]) == [b"%d" % n]
        assert await pg_items.commit(Commit({b"ca": b"%d" % n}, {b"ca": b"%d" % (n + 1)}))


async def test_a_commit_whose_answer_is_lost_is_an_error_and_is_not_repeated(pg_opened, pg_server, pg_schema):
    """If a pg_server hangs during a commit the caller gets an error in time, and the write is made at most once."""
    items = await pg_opened(pg_server.address, schema=pg_schema, timeout_s="0.5")
    await items.put([(b"q", b"0")])
    pids = backends(pg_server)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(HANGS_S):
            with pytest.raises(StoreUnreachable, match="did not answer within"):
                await items.commit(Commit({b"q": b"0"}, {b"q": b"1", b"ca": b"x"}))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    (found,) = await items.fetch([b"q"])
    assert found in {b"0", b"1"}
    assert await items.commit(Commit({b"q": b"0"}, {b"q": b"1"})) == (found == b"0")


def backends(server):
    """Return the processes of the server that work for the driver."""
    return [pid for (pid,) in server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'parbake'")]


async def test_a_lock_that_is_held_ends_in_time(pg_opened, pg_server, pg_schema):
    """A row that somebody else has locked is waited for within the limit, and nothing is written."""
    items = await pg_opened(pg_server.address, schema=pg_schema, timeout_s="0.3")
    await items.put([(b"ca", b"1")])
    with psycopg.connect(pg_server.address) as other:
        other.execute(f"SELECT FROM {pg_schema}.parbake_items FOR UPDATE")
        with pytest.raises(StoreUnreachable, match=r"within 0\.3 s"):
            await items.commit(Commit({b"ca": b"1"}, {b"ca": b"2"}))
    assert await items.fetch([b"ca"]) == [b"1"]


async def test_many_tasks_share_few_connections(pg_opened, pg_server, pg_schema):
    """Many concurrent reads wait for a limited number of connections."""
    items = await pg_opened(pg_server.address, schema=pg_schema, connections=3)
    await items.put([(b"ca", b"1")])
    before = len(backends(pg_server))
    assert await asyncio.gather(*(items.fetch([b"ca"]) for _ in range(500))) == [[b"1"]] * 500
    assert len(backends(pg_server)) - before <= 3


async def test_a_cancelled_read_leaves_no_answer_behind(pg_items):
    """After a cancelled read, the next read gets its own answer."""
    await pg_items.put([(b"c%d" % n, b"%d" % n) for n in range(50)])
    for n in range(50):
        task = asyncio.create_task(pg_items.fetch([b"c0"]))
        for _ in range(n % 6):
            await asyncio.sleep(0)
        task.cancel()
        assert await pg_items.fetch([b"c%d" % n]) == [b"%d" % n]


async def test_absent_items_are_guarded_like_others(pg_opened, pg_server, pg_schema):
    """Commits that only read an absence, make the item, and delete it exclude each other, and none deadlocks."""
    both = [await pg_opened(pg_server.address, schema=pg_schema) for _ in range(2)]
    made = collections.Counter()

    async def claim(items, n):
        for turn in range(25):
            guard, mine, theirs = b"ga", b"g%d" % n, b"g%d" % (1 - n)
            # Whoever finds the other's item absent makes its own: never may both exist.
            if await items.commit(Commit({theirs: None, mine: None, guard: None}, {mine: b"%d" % turn})):
                made[n] += 1
                assert await items.fetch([mine, theirs]) == [b"%d" % turn, None]
                assert await items.commit(Commit({mine: b"%d" % turn, theirs: None}, {mine: None}))

    async with asyncio.timeout(HANGS_S):
        await asyncio.gather(*(claim(items, n) for n in range(2) for items in both[n : n + 1]))
    assert sum(made.values()) > 0
    assert await both[0].fetch([b"g0", b"g1", b"ga"]) == [None, None, None]


async def test_items_that_are_only_read_are_guarded(pg_opened, pg_server, pg_schema):
    """Of two commits that each read what the other writes, only one is made, whether the items exist or not."""
    both = [await pg_opened(pg_server.address, schema=pg_schema) for _ in range(2)]
    names = (b"ga", b"gb")
    for turn in range(60):
        value = b"0" if turn % 2 else None
        await both[0].commit(Commit({}, dict.fromkeys(names, value)))
        seen = dict.fromkeys(names, value)
        done = await asyncio.gather(
            *(items.commit(Commit(seen, {name: b"1"})) for items, name in zip(both, names, strict=True))
        )
        assert sorted(done) == [False, True]
        assert (await both[0].fetch(names)).count(b"1") == 1


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("writes", [{b"gz": b"1"}, {b"ga": b"1"}, {b"ga": None}], ids=["read", "written", "deleted"])
async def test_an_absence_waits_for_who_makes_the_item(pg_items, pg_server, pg_schema, end, writes):
    """A commit that expects an item to be absent fails if it is made meanwhile, and succeeds if that is undone."""
    with psycopg.connect(pg_server.address, autocommit=True) as other:
        other.execute("BEGIN")
        other.execute(f"INSERT INTO {pg_schema}.parbake_items VALUES ('ga', 'other')")
        task = asyncio.create_task(pg_items.commit(Commit({b"ga": None}, writes)))
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'parbake'"
        await until(lambda: pg_server.sql(waiting))
        other.execute(end)
        assert await task == (end == "ROLLBACK")
    found = await pg_items.fetch([b"ga", b"gz"])
    assert found == ([b"other", None] if end == "COMMIT" else [writes.get(b"ga"), writes.get(b"gz")])


async def test_crossing_writers_neither_deadlock_nor_lose_a_write(pg_opened, pg_server, pg_schema):
    """Commits, loads and deletions of the same names in all orders end, and every increment is counted."""
    clients = [await pg_opened(pg_server.address, schema=pg_schema) for _ in range(3)]
    names = [b"b%02d" % n for n in range(20)]

    async def count(items, ordered):
        for turn in range(12):
            while True:
                values = dict(zip(ordered, await items.fetch(ordered), strict=True))
                new = {name: b"%d" % (int(value or 0) + 1) for name, value in values.items()}
                if await items.commit(Commit(values, new)):
                    break
            await items.put([(b"o" + name, b"x" * turn) for name in ordered])
            await items.remove([b"o" + name for name in ordered[turn:]])
            await items.commit(Commit({}, {b"o" + name: None if turn % 2 else b"y" for name in reversed(ordered)}))

    orders = (names, names[::-1], names[10:] + names[:10])
    async with asyncio.timeout(HANGS_S):
        await asyncio.gather(*(count(items, order) for items, order in zip(clients, orders, strict=True)))
    assert await clients[0].fetch(names) == [b"36"] * 20
    (deadlocks,) = pg_server.sql("SELECT sum(deadlocks) FROM pg_stat_database")[0]
    assert deadlocks == 0


async def test_a_load_overwrites(pg_items):
    """A load of many rows of which one exists writes all of them, and the last of two with one name counts."""
    await pg_items.put([(b"b0500", b"old")])
    rows = [(b"b%04d" % n, b"new") for n in range(1000)]
    await pg_items.put([(b"b0001", b"twice"), *rows])
    assert await pg_items.range(b"b", b"", 2000) == rows
    assert await pg_items.count(b"b") == 1000


async def test_more_items_are_counted_than_one_request_counts(pg_items, monkeypatch):
    """Pages are counted one after the other, whether the last is full or not."""
    await pg_items.put([(b"b%04d" % n, b"") for n in range(1000)])
    for size in (7, 500, 999, 1000, 1001):
        monkeypatch.setattr("parbake.adapters.postgresql_store._COUNTED_ROWS", size)
        assert await pg_items.count(b"b") == 1000


async def test_stores_of_two_schemas_do_not_meet(pg_opened, pg_server, pg_schema):
    """Stores in different schemas are separate, and an application's tables are left alone."""
    names = [f"{pg_schema}_a", f"{pg_schema}_b"]
    pg_server.sql(f"CREATE SCHEMA {names[0]}", f"CREATE TABLE {names[0]}.items(name TEXT)")
    first, second = [await pg_opened(pg_server.address, schema=name) for name in names]
    await first.put([(b"e1", b"1")])
    assert await second.fetch([b"e1"]) == [None]
    made = pg_server.sql(
        f"SELECT relname FROM pg_class WHERE relnamespace = '{names[0]}'::regnamespace AND relkind = 'r'"
    )
    assert {name for (name,) in made} == {"items", "parbake_items", "parbake_store"}


async def test_a_first_open_by_many_makes_one_store(pg_opened, pg_server, pg_schema):
    """Eight clients that open an empty place at once find the same store."""
    everybody = await asyncio.gather(*(pg_opened(pg_server.address, schema=pg_schema) for _ in range(8)))
    assert len({items.host for items in everybody}) == 1


async def test_both_schemes_and_a_socket_reach_the_server(pg_opened, pg_server, pg_schema):
    """``postgres://`` is the same, and ``host`` may be a folder with a socket."""
    other = pg_server.address.replace("postgresql://", "postgres://")
    store = open_store(f"{other}?schema={pg_schema}")
    await store.stamp()
    await store.close()
    items = await pg_opened(
        f"postgresql://postgres@:{pg_server.port}/postgres", schema=pg_schema, host=pg_server.folder
    )
    assert await items.commit(Commit({}, {b"zz": b"1"}))


@pytest.mark.parametrize("busy", [(), ("busy",)], ids=["idle", "busy"])
def test_children_connect_for_themselves(pg_server, pg_schema, tmp_path, busy):
    """Forked workers serve and publish with their own connections, and the parent's keep working."""
    workers, parent, complained = prefork.run(tmp_path, f"{pg_server.address}?schema={pg_schema}", *busy)
    prefork.check(workers, parent, complained)
    assert parent["told"] > 0


def counting(url):
    """Return an app with one task that counts its calls, and the task."""
    tasks, calls = pb.Registry(), collections.Counter()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact/{name}")], fallback_if_stale=pb.Recompute(), owner="team"
    )
    async def fact(name: str) -> int:
        calls[name] += 1
        return calls[name]

    return pb.App(tasks, store=url), fact


async def test_two_loops_read_and_write_at_once(pg_server, pg_schema):
    """Concurrent reads and events from two loops are all answered, each value after its own event."""
    app, fact = counting(f"{pg_server.address}?schema={pg_schema}")

    def called(name):
        for n in range(10):
            app.sync.run(app.touch(f"fact/{name}"))
            assert app.sync.serve(fact, name).value == n + 1

    async def awaited(name):
        for n in range(10):
            await app.touch(f"fact/{name}")
            assert (await app.serve(fact, name)).value == n + 1

    async with asyncio.timeout(HANGS_S):
        await asyncio.gather(
            *(awaited(f"a{n}") for n in range(4)), *(asyncio.to_thread(called, f"c{n}") for n in range(4))
        )
    await app.close()


def test_an_app_is_used_by_one_loop_after_another(pg_server, pg_schema):
    """Several ``asyncio.run`` calls use an app, and the connections of an ended loop leave no warning."""
    app, fact = counting(f"{pg_server.address}?schema={pg_schema}")

    async def use():
        return (await app.serve(fact, "a")).value

    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        assert [asyncio.run(use()) for _ in range(3)] == [1, 1, 1]
        app.sync.close()
        gc.collect()
    assert [str(each.message) for each in met] == []


async def test_a_loop_in_another_thread_is_closed_when_it_runs_next(pg_items):
    """``close`` closes the connections of all loops, those of another thread's loop when that loop runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(pg_items.fetch([b"ca"]), loop).result(HANGS_S)
        (pool,) = [pool for each, pool in pg_items._link._pools._made.items() if each is loop]
        (wire,) = pool.idle
        await pg_items.close()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(as_far_as_it_gets(), loop))
        assert not wire.is_open
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    with contextlib.suppress(StoreError):
        await pg_items.fetch([b"ca"])
