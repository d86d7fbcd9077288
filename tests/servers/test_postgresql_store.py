"""The PostgreSQL store on local servers: the public suites, and faults of a server."""

import asyncio
import collections
import contextlib
import gc
import itertools
import os
import signal
import sys
import threading
import warnings

import psycopg
import pytest
from tests import prefork
from tests.servers import pg
from tests.waiting import HANGS_S, as_far_as_it_gets, until

import parbake as pb
from parbake.adapters.postgresql_store import PostgresqlItems, open_url
from parbake.errors import ForeignStore, MissingDependency, StoreError, StoreFull, StoreUnreachable
from parbake.stores import open_store
from parbake.stores.steps.item_steps import Commit
from parbake.testing.item_suite import ItemsSuite
from parbake.testing.store_suite import StoreSuite

schemas = (f"t{n}" for n in itertools.count(1))
PASSWORD = "hunter2-geheim"


@pytest.fixture(scope="module")
def shared_server():
    """Return a running server; tests use different schemas."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        yield server


@pytest.fixture
def server(shared_server):
    """Return the shared server, and restart it if the test has killed it."""
    yield shared_server
    if not shared_server.is_running:
        shared_server.restart()


class TestPostgresql(ItemsSuite):
    """The driver."""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.server, self.schema = server, next(schemas)

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
    def _url(self, server):
        self.url = f"{server.address}?schema={next(schemas)}"

    def open_store(self, tmp_path):
        """Open the store."""
        return open_store(self.url)


@pytest.fixture
async def opened():
    """Return a function that opens items by URL and closes them after the test."""
    everything = []

    async def open_items(url, **options):
        items = PostgresqlItems.from_url(url + "?" + "&".join(f"{name}={value}" for name, value in options.items()))
        everything.append(items)
        await items.open()
        return items

    yield open_items
    for items in everything:
        await items.close()


@pytest.fixture
def schema(server):
    """Return a schema that nothing uses yet."""
    return next(schemas)


@pytest.fixture
async def items(opened, server, schema):
    """Return an open driver."""
    return await opened(server.address, schema=schema)


def wires(items):
    """Return the idle connections of the running loop."""
    return items._link._pools.here().idle


async def test_idle_connections_of_a_restarted_server_are_replaced(items, server):
    """After a restart the first read and the first commit are answered."""
    await items.put([(b"ca", b"1")])
    for n in range(1, 4):
        await asyncio.gather(*(items.fetch([b"ca"]) for _ in range(20)))
        assert len(wires(items)) > 1
        server.restart()
        if n % 2:
            assert await items.fetch([b"ca"]) == [b"%d" % n]
        assert await items.commit(Commit({b"ca": b"%d" % n}, {b"ca": b"%d" % (n + 1)}))


async def test_a_commit_whose_answer_is_lost_is_an_error_and_is_not_repeated(opened, server, schema):
    """If a server hangs during a commit the caller gets an error in time, and the write is made at most once."""
    items = await opened(server.address, schema=schema, timeout_s="0.5")
    await items.put([(b"q", b"0")])
    pids = backends(server)
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


async def test_a_lock_that_is_held_ends_in_time(opened, server, schema):
    """A row that somebody else has locked is waited for within the limit, and nothing is written."""
    items = await opened(server.address, schema=schema, timeout_s="0.3")
    await items.put([(b"ca", b"1")])
    with psycopg.connect(server.address) as other:
        other.execute(f"SELECT FROM {schema}.parbake_items FOR UPDATE")
        with pytest.raises(StoreUnreachable, match=r"within 0\.3 s"):
            await items.commit(Commit({b"ca": b"1"}, {b"ca": b"2"}))
    assert await items.fetch([b"ca"]) == [b"1"]


async def test_many_tasks_share_few_connections(opened, server, schema):
    """Many concurrent reads wait for a limited number of connections."""
    items = await opened(server.address, schema=schema, connections=3)
    await items.put([(b"ca", b"1")])
    before = len(backends(server))
    assert await asyncio.gather(*(items.fetch([b"ca"]) for _ in range(500))) == [[b"1"]] * 500
    assert len(backends(server)) - before <= 3


async def test_a_cancelled_read_leaves_no_answer_behind(items):
    """After a cancelled read, the next read gets its own answer."""
    await items.put([(b"c%d" % n, b"%d" % n) for n in range(50)])
    for n in range(50):
        task = asyncio.create_task(items.fetch([b"c0"]))
        for _ in range(n % 6):
            await asyncio.sleep(0)
        task.cancel()
        assert await items.fetch([b"c%d" % n]) == [b"%d" % n]


async def test_absent_items_are_guarded_like_others(opened, server, schema):
    """Commits that only read an absence, make the item, and delete it exclude each other, and none deadlocks."""
    both = [await opened(server.address, schema=schema) for _ in range(2)]
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


async def test_crossing_writers_neither_deadlock_nor_lose_a_write(opened, server, schema):
    """Commits, loads and deletions of the same names in all orders end, and every increment is counted."""
    clients = [await opened(server.address, schema=schema) for _ in range(3)]
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
    (deadlocks,) = server.sql("SELECT sum(deadlocks) FROM pg_stat_database")[0]
    assert deadlocks == 0


async def test_a_load_overwrites(items):
    """A load of many rows of which one exists writes all of them, and the last of two with one name counts."""
    await items.put([(b"b0500", b"old")])
    rows = [(b"b%04d" % n, b"new") for n in range(1000)]
    await items.put([(b"b0001", b"twice"), *rows])
    assert await items.range(b"b", b"", 2000) == rows
    assert await items.count(b"b") == 1000


async def test_more_items_are_counted_than_one_request_counts(items, monkeypatch):
    """Pages are counted one after the other, whether the last is full or not."""
    await items.put([(b"b%04d" % n, b"") for n in range(1000)])
    for size in (7, 500, 999, 1000, 1001):
        monkeypatch.setattr("parbake.adapters.postgresql_store._COUNTED_ROWS", size)
        assert await items.count(b"b") == 1000


async def test_stores_of_two_schemas_do_not_meet(opened, server):
    """Stores in different schemas are separate, and an application's tables are left alone."""
    names = [next(schemas), next(schemas)]
    server.sql(f"CREATE SCHEMA {names[0]}", f"CREATE TABLE {names[0]}.items(name TEXT)")
    first, second = [await opened(server.address, schema=name) for name in names]
    await first.put([(b"e1", b"1")])
    assert await second.fetch([b"e1"]) == [None]
    made = server.sql(f"SELECT relname FROM pg_class WHERE relnamespace = '{names[0]}'::regnamespace AND relkind = 'r'")
    assert {name for (name,) in made} == {"items", "parbake_items", "parbake_store"}


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["UPDATE {0}.parbake_store SET format = 9"], "a format that this version does not know"),
        (["DELETE FROM {0}.parbake_store"], "a format that this version does not know"),
        (["DROP TABLE {0}.parbake_store"], "not a store's"),
        (["ALTER TABLE {0}.parbake_items ADD more TEXT"], "not a store's"),
        (
            ["ALTER TABLE {0}.parbake_items RENAME TO i", "CREATE VIEW {0}.parbake_items AS TABLE {0}.i"],
            "not a store's",
        ),
        (["ALTER TABLE {0}.parbake_store RENAME format TO version"], "not a store's"),
    ],
)
async def test_a_schema_that_holds_something_else_is_refused(opened, server, schema, statements, told):
    """Another format or a table of another kind is refused, and left as it is."""
    await opened(server.address, schema=schema)
    server.sql(*(statement.format(schema) for statement in statements))
    with pytest.raises(ForeignStore, match=told) as caught:
        await opened(server.address, schema=schema)
    assert caught.value.field == "store.schema"


async def test_a_first_open_by_many_makes_one_store(opened, server, schema):
    """Eight clients that open an empty place at once find the same store."""
    everybody = await asyncio.gather(*(opened(server.address, schema=schema) for _ in range(8)))
    assert len({items.host for items in everybody}) == 1


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_a_server_that_may_lose_an_acknowledgement_is_refused(opened, server, schema, setting):
    """It is refused by its setting, with the way out; with consent it is used."""
    if setting == "synchronous_commit":
        server.sql("CREATE ROLE hasty LOGIN SUPERUSER", "ALTER ROLE hasty SET synchronous_commit = off")
        address = server.address.replace("postgres@", "hasty@")
    else:
        address = server.address
        server.sql(f"ALTER SYSTEM SET {setting} = off", "SELECT pg_reload_conf()")
    try:
        await until(lambda: server.sql(f"SHOW {setting}") == [("off",)] or "hasty" in address)
        with pytest.raises(StoreError, match=f"{setting}=off") as caught:
            await opened(address, schema=schema)
        assert caught.value.field == "store.durability"
        items = await opened(address, schema=schema, durability="server")
        assert await items.commit(Commit({}, {b"ca": b"1"}))
    finally:
        server.sql("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


async def test_a_standby_is_refused(opened, place_of_standby, server, schema):
    """A standby is refused with a way out."""
    with pg.postgresql(place_of_standby, made=True) as standby:
        with pytest.raises(StoreError, match="is a standby") as caught:
            await opened(standby.address, schema=schema)
        assert caught.value.field == "store.role"


@pytest.fixture
def place_of_standby(server):
    """Return the data folder of a standby of the server."""
    with pg.folder() as folder:
        words = ["-h", "127.0.0.1", "-p", server.port, "-U", "postgres", "-X", "stream", "-c", "fast", "-R"]
        pg.run("pg_basebackup", "-D", folder / "standby", *words)
        yield folder / "standby"


async def test_a_role_needs_few_grants_and_is_told_which(opened, server, schema):
    """The error names the statements; a role that has just these can do all that a store needs."""
    server.sql(f"CREATE ROLE {schema}_app LOGIN")
    address = server.address.replace("postgres@", f"{schema}_app@")
    with pytest.raises(StoreError, match="CREATE ON DATABASE") as caught:
        await opened(address, schema=schema)
    assert caught.value.field == "store.user"
    await opened(server.address, schema=schema)
    with pytest.raises(StoreError, match=f"GRANT USAGE ON SCHEMA {schema} TO {schema}_app;") as caught:
        await opened(address, schema=schema)
    assert caught.value.field == "store.user"
    told = str(caught.value).partition("execute: ")[2].partition(". To create")[0]
    server.sql(f"REVOKE EXECUTE ON FUNCTION {schema}.parbake_commit FROM public", *told.split("; "))
    store = open_store(f"{address}?schema={schema}")
    generation, _, _ = await store.begin()
    await store.append("list", b"k", b"1")
    assert await store.sweep([generation]) == 0
    assert await store.swap("a", None, b"1")
    await store.close()


async def test_a_full_disk_is_named_and_reads_go_on(items, server, schema):
    """What the server cannot extend its files for is ``StoreFull``; nothing was written, and reads are answered."""
    await items.put([(b"ca", b"1")])
    server.sql(
        f"CREATE FUNCTION {schema}.full() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$",
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {schema}.parbake_items FOR EACH ROW "
        f"EXECUTE FUNCTION {schema}.full()",
    )
    for call in (
        lambda: items.commit(Commit({b"cb": None}, {b"cb": b"1"})),
        lambda: items.put([(b"cb", b"1")]),
        lambda: items.put([(b"c%d" % n, b"1") for n in range(100)]),
    ):
        with pytest.raises(StoreFull, match="disk is full") as caught:
            await call()
        assert caught.value.field == "store.disk"
    assert await items.fetch([b"ca", b"cb"]) == [b"1", None]
    await items.remove([b"ca"])


async def test_a_record_whose_bytes_changed_is_computed_again(server, schema):
    """A bit that flipped in a stored value counts as missing, and is overwritten."""
    app, fact = counting(f"{server.address}?schema={schema}")
    assert (await app.serve(fact, "a")).value == 1
    server.sql(
        f"UPDATE {schema}.parbake_items SET value = set_bit(value, length(value) * 4, 1 - get_bit(value, "
        "length(value) * 4)) WHERE substr(name, 1, 1) = 'o'"
    )
    assert (await app.serve(fact, "a")).value == 2
    assert (await app.serve(fact, "a")).value == 2
    assert dict(app.counters.damaged) == {"fact": 1}
    await app.close()


async def test_a_damaged_page_is_an_error_that_says_so(opened, schema):
    """What the server's own checksums refuse is an error for what is on that page, and other items are read."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        items = await opened(server.address, schema=schema)
        if server.sql("SHOW data_checksums") == [("off",)]:
            pytest.skip("this version of PostgreSQL makes no checksums by default")
        await items.put([(b"o%03d" % n, b"x" * 1000) for n in range(100)])
        (path,) = server.sql("CHECKPOINT", f"SELECT pg_relation_filepath('{schema}.parbake_items')")[0]
        server.end()
        with (folder / "data" / path).open("r+b") as file:
            file.seek(5 * 8192 + 4000)
            file.write(b"damage")
        server.restart()
        found = await asyncio.gather(*(items.fetch([b"o%03d" % n]) for n in range(100)), return_exceptions=True)
        errors = [each for each in found if isinstance(each, StoreError)]
        assert 0 < len(errors) < 20
        assert all(error.field == "store.damage" and "page is damaged" in str(error) for error in errors)
        assert [each for each in found if each not in errors] == [[b"x" * 1000]] * (100 - len(errors))


async def test_a_password_is_used_and_never_shown(opened, monkeypatch):
    """A password from the URL or the environment is used, and no error shows it."""
    with pg.folder() as folder, pg.postgresql(folder / "data") as server:
        server.sql(f"CREATE ROLE shop LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (folder / "data" / "pg_hba.conf").write_text(rules)
        server.sql("SELECT pg_reload_conf()")
        server.restart()
        bare = server.address.replace("postgres@", "shop@")
        items = await opened(server.address.replace("postgres@", f"shop:{PASSWORD}@"))
        for variable in ("PARBAKE_POSTGRESQL_PASSWORD", "PGPASSWORD"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, PASSWORD)
                await opened(bare)
        failures = []
        monkeypatch.setenv("PARBAKE_POSTGRESQL_PASSWORD", PASSWORD + "x")
        for attempt in (opened(bare), opened(bare.replace("shop@", f"shop:{PASSWORD}y@"))):
            with pytest.raises(StoreError) as caught:
                await attempt
            assert caught.value.field == "store.user"
            failures.append(caught.value)
        server.kill()
        with pytest.raises(StoreUnreachable) as caught:
            await items.fetch([b"ca"])
        failures.append(caught.value)
    for failure in failures:
        assert f"127.0.0.1:{server.port}" in str(failure)
        assert PASSWORD not in f"{failure} {failure!r} {failure.__cause__}"
        assert failure.__suppress_context__


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("schema=Shop", "store.schema"),
        ("schema=pg_shop", "store.schema"),
        ("duribility=server", "store"),
        ("durability=often", "store.durability"),
        ("timeout_s=soon", "store.timeout_s"),
        ("timeout_s=0", "store.timeout_s"),
        ("connections=0", "store.connections"),
        ("%zz=1", "store"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(query, field):
    """An invalid option is refused by its name, without showing any part that may be a password."""
    with pytest.raises(StoreError) as caught:
        open_url(f"postgresql://user:{PASSWORD}@127.0.0.1:1/shop?{query}")
    assert caught.value.field == field
    assert PASSWORD not in str(caught.value)


def test_an_address_that_cannot_be_read_is_refused():
    """A password that is not percent-encoded is not shown by the error."""
    with pytest.raises(StoreError, match="percent-encode") as caught:
        open_url(f"postgresql://user:%{PASSWORD}@127.0.0.1/shop")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_both_schemes_and_a_socket_reach_the_server(opened, server, schema):
    """``postgres://`` is the same, and ``host`` may be a folder with a socket."""
    other = server.address.replace("postgresql://", "postgres://")
    store = open_store(f"{other}?schema={schema}")
    await store.stamp()
    await store.close()
    items = await opened(f"postgresql://postgres@:{server.port}/postgres", schema=schema, host=server.folder)
    assert await items.commit(Commit({}, {b"zz": b"1"}))


async def test_a_server_that_is_away_is_named():
    """Nothing listens: the error has the address, in time."""
    items = PostgresqlItems.from_url("postgresql://127.0.0.1:1/shop?timeout_s=2")
    with pytest.raises(StoreUnreachable, match=r"postgresql://127\.0\.0\.1:1/shop"):
        await items.open()
    await items.close()


def test_without_the_client_the_extra_is_named(monkeypatch):
    """Without the client the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in [name for name in sys.modules if name.startswith("parbake.adapters") and "postgresql" in name]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependency, match=r"\.\[postgresql\]"):
        __import__("parbake.adapters.postgresql_store")


@pytest.mark.parametrize("busy", [(), ("busy",)], ids=["idle", "busy"])
def test_children_connect_for_themselves(server, schema, tmp_path, busy):
    """Forked workers serve and publish with their own connections, and the parent's keep working."""
    workers, parent, complained = prefork.run(tmp_path, f"{server.address}?schema={schema}", *busy)
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


async def test_two_loops_read_and_write_at_once(server, schema):
    """Concurrent reads and events from two loops are all answered, each value after its own event."""
    app, fact = counting(f"{server.address}?schema={schema}")

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


def test_an_app_is_used_by_one_loop_after_another(server, schema):
    """Several ``asyncio.run`` calls use an app, and the connections of an ended loop leave no warning."""
    app, fact = counting(f"{server.address}?schema={schema}")

    async def use():
        return (await app.serve(fact, "a")).value

    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        assert [asyncio.run(use()) for _ in range(3)] == [1, 1, 1]
        app.sync.close()
        gc.collect()
    assert [str(each.message) for each in met] == []


async def test_a_loop_in_another_thread_is_closed_when_it_runs_next(items):
    """``close`` closes the connections of all loops, those of another thread's loop when that loop runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(items.fetch([b"ca"]), loop).result(HANGS_S)
        (pool,) = [pool for each, pool in items._link._pools._made.items() if each is loop]
        (wire,) = pool.idle
        await items.close()
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(as_far_as_it_gets(), loop))
        assert not wire.is_open
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    with contextlib.suppress(StoreError):
        await items.fetch([b"ca"])
