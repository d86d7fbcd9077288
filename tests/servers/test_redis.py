"""The Redis driver on a local server: the public suite, and faults of a server."""

import asyncio
import collections
import gc
import itertools
import sys
import warnings

import pytest
from tests import prefork
from tests.servers import launch
from tests.servers.opening import opening
from tests.waiting import HANGS_S, as_far_as_it_gets

import parbake as pb
from parbake.adapters.redis import RedisItems, open_url
from parbake.errors import ForeignStore, MissingDependency, StoreError, StoreFull
from parbake.stores import open_store
from parbake.stores.steps.item_steps import Commit
from parbake.testing.item_suite import ItemsSuite
from parbake.testing.store_suite import StoreSuite

prefixes = (f"t{n}" for n in itertools.count(1))
PASSWORD = "hunter2-geheim"


class TestRedis(ItemsSuite):
    """Valkey."""

    @pytest.fixture(autouse=True)
    def _server(self, valkey_server):
        self.server, self.prefix = valkey_server, next(prefixes)

    async def open_items(self, tmp_path):
        """Open another client."""
        items = RedisItems.from_url(f"{self.server.url}?prefix={self.prefix}")
        await items.open()
        return items

    async def cut_off(self, items):
        """Kill the server."""
        self.server.kill()


class TestStoreOnRedis(StoreSuite):
    """``redis://``."""

    @pytest.fixture(autouse=True)
    def _url(self, valkey_server):
        self.url = f"{valkey_server.url}?prefix={next(prefixes)}"

    def open_store(self, tmp_path):
        """Open the store."""
        return open_store(self.url)


@pytest.fixture
async def opened():
    """Return a function that opens items by URL and closes them after the test."""
    async with opening(RedisItems) as open_items:
        yield open_items


@pytest.fixture
def url(valkey_server):
    """Return the address of the shared server."""
    return valkey_server.url


async def test_a_restart_shows_a_new_host_before_the_first_answer(opened, valkey_server):
    """The first read after a restart returns only once the new host is known."""
    items = await opened(valkey_server.url, prefix=next(prefixes))
    await items.put([(b"ca", b"1")])
    before = items.host
    valkey_server.restart()
    assert await items.fetch([b"ca"]) == [b"1"]
    assert items.host != before


async def test_a_commit_after_a_restart_shows_a_new_host(opened, valkey_server):
    """A commit after a restart also updates the host."""
    items = await opened(valkey_server.url, prefix=next(prefixes))
    before = items.host
    valkey_server.restart()
    await asyncio.sleep(0.05)
    assert await items.commit(Commit({b"ca": None}, {b"ca": b"1"}))
    assert items.host != before


async def test_a_lost_tail_shows_a_new_host(opened, tmp_path):
    """If the end of the append-only file is lost, the last write is gone and the host changes."""
    with launch.valkey(tmp_path) as server:
        items = await opened(server.url)
        await items.put([(b"ca", b"kept")])
        await items.put([(b"cb", b"lost")])
        before = items.host
        server.kill()
        newest = server.aof[-1]
        newest.write_bytes(newest.read_bytes()[:-3])
        server.restart()
        assert await items.fetch([b"ca", b"cb"]) == [b"kept", None]
        assert items.host != before


async def test_connections_to_the_server_of_before_are_not_read_from(opened, valkey_server, tmp_path):
    """Once a connection has reached another server, older connections are not read from."""
    items = await opened(valkey_server.url, prefix=next(prefixes))
    await items.put([(b"ca", b"past")])
    with launch.valkey(tmp_path) as other:
        await asyncio.gather(*(items.fetch([b"ca"]) for _ in range(10)))
        connected = items._link._pools.here()
        old, pool = list(connected.idle), connected.making
        # The name now leads to another server, while the first server and its connections still exist.
        pool.connection_kwargs["port"] = other.port
        await pool.release(await pool.get_connection())
        for connection in old:
            connection.port = other.port
        host = items.host
        assert len(old) > 5
        assert all(connection.parbake_host != host for connection in old)
        assert await items.fetch([b"ca"]) == [None]
        assert all(not connection.is_connected or connection.parbake_host == host for connection in old)
        await pool.release(await pool.get_connection())


async def test_an_answer_of_a_server_that_was_replaced_meanwhile_is_not_passed_on(opened, valkey_server):
    """If the host changes during a call, a read is repeated on a new connection and a commit is an error."""
    items = await opened(valkey_server.url, prefix=next(prefixes))
    await items.put([(b"ca", b"1")])
    host = items.host
    for call in (lambda: items.fetch([b"ca"]), lambda: items.commit(Commit({}, {b"ca": b"2"}))):
        valkey_server.stop()
        task = asyncio.create_task(call())
        await as_far_as_it_gets()  # the call is sent and waits for its answer
        items._link.host = "as another connection has found"
        valkey_server.cont()
        (answer,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(answer, StoreError):
            assert "replaced" in str(answer)
            assert await items.fetch([b"ca"]) == [b"2"]
        else:
            assert answer == [b"1"]
        assert items.host == host


async def test_a_commit_whose_answer_is_lost_is_an_error_and_is_not_repeated(opened, valkey_server):
    """If a server hangs during a commit the caller gets an error, and the write is made at most once."""
    items = await opened(valkey_server.url, prefix=next(prefixes), timeout_s=3)
    await items.put([(b"q", b"0")])
    valkey_server.stop()
    try:
        async with asyncio.timeout(HANGS_S):
            with pytest.raises(StoreError, match="did not answer within"):
                await items.commit(Commit({b"q": b"0"}, {b"q": b"1", b"ca": b"x"}))
    finally:
        valkey_server.cont()
    # The caller learns from a read whether the commit was made; a second one with its expectation then fails or not.
    (found,) = await items.fetch([b"q"])
    assert found in {b"0", b"1"}
    assert await items.commit(Commit({b"q": b"0"}, {b"q": b"1"})) == (found == b"0")


async def test_many_tasks_share_few_connections(opened, url):
    """Many concurrent reads wait for a limited number of connections."""
    from parbake.adapters._redis_link import MAX_CONNECTIONS

    items = await opened(url, prefix=next(prefixes))
    await items.put([(b"ca", b"1")])
    answers = await asyncio.gather(*(items.fetch([b"ca"]) for _ in range(500)))
    assert answers == [[b"1"]] * 500
    clients = await items._link.read("CLIENT", "LIST")
    assert len(clients.splitlines()) <= MAX_CONNECTIONS + 1


async def test_a_cancelled_read_leaves_no_answer_behind(opened, url):
    """After a cancelled read, the next read on the connection gets its own answer."""
    items = await opened(url, prefix=next(prefixes))
    await items.put([(b"c%d" % n, b"%d" % n) for n in range(50)])
    for n in range(50):
        task = asyncio.create_task(items.fetch([b"c0"]))
        for _ in range(n % 6):
            await asyncio.sleep(0)
        task.cancel()
        assert await items.fetch([b"c%d" % n]) == [b"%d" % n]


async def test_the_scripts_are_sent_again_when_they_are_gone(opened, url):
    """Scripts that the server does not know are sent with the next write."""
    items = await opened(url, prefix=next(prefixes))
    await items._link.read("SCRIPT", "FLUSH")
    assert await items.commit(Commit({b"ca": None}, {b"ca": b"1"}))
    await items._link.read("SCRIPT", "FLUSH")
    await items.remove([b"ca"])
    assert await items.fetch([b"ca"]) == [None]


async def test_a_library_of_functions_changes_no_write(opened, url):
    """Whoever may load functions, as for a store beside this one, changes nothing of what this store's writes do."""
    items = await opened(url, prefix=next(prefixes))
    planted = "#!lua name=parbake\n" + "".join(
        f"redis.register_function('{name}', function() return 1 end)\n" for name in ("parbake_commit", "parbake_remove")
    )
    await items._link.read("FUNCTION", "LOAD", "REPLACE", planted)
    assert await items.commit(Commit({b"ca": None}, {b"ca": b"1"}))
    assert not await items.commit(Commit({b"ca": None}, {b"ca": b"2"}))
    assert await items.fetch([b"ca"]) == [b"1"]
    await items.remove([b"ca"])
    assert await items.fetch([b"ca"]) == [None]
    await items._link.read("FUNCTION", "FLUSH")


async def test_stores_of_two_prefixes_do_not_meet(opened, url):
    """Stores with different prefixes are separate, and every key begins with its prefix in braces."""
    names = [next(prefixes), next(prefixes)]
    first, second = [await opened(url, prefix=name) for name in names]
    await first.put([(b"e1", b"1")])
    assert await second.fetch([b"e1"]) == [None]
    assert await second.range(b"e", b"", 9) == []
    keys = await first._link.read("KEYS", f"*{names[0]}*")
    assert sorted(keys) == sorted(b"{%s}%s" % (names[0].encode(), rest) for rest in (b":e1", b".format", b".listed"))


async def test_a_prefix_of_an_unknown_format_is_refused(opened, url):
    """A prefix with another format version is refused."""
    prefix = next(prefixes)
    items = await opened(url, prefix=prefix)
    await items._link.read("SET", items._mark, "parbake-items-9")
    with pytest.raises(ForeignStore, match="format"):
        await opened(url, prefix=prefix)


async def test_a_replica_is_refused(opened, valkey_server, tmp_path):
    """A replica is refused, also if a connected primary becomes one."""
    with launch.valkey(tmp_path) as other:
        items = await opened(other.url)
        await items._link.read("REPLICAOF", "127.0.0.1", valkey_server.port)
        with pytest.raises(StoreError, match="replica") as caught:
            await items.commit(Commit({}, {b"ca": b"1"}))
        assert caught.value.field == "store.role"
        with pytest.raises(StoreError, match="replica") as caught:
            await opened(other.url)
        assert caught.value.field == "store.role"


@pytest.mark.parametrize(
    ("settings", "field", "told"),
    [
        (["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"], "store.maxmemory_policy", "noeviction"),
        (["--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"], "store.maxmemory_policy", "noeviction"),
        (["--appendonly", "no"], "store.durability", "durability=server"),
        (["--appendfsync", "everysec"], "store.durability", "appendfsync always"),
        (["--no-appendfsync-on-rewrite", "yes"], "store.durability", "no-appendfsync-on-rewrite no"),
        (["--cluster-enabled", "yes"], "store.cluster", "cluster"),
    ],
)
async def test_an_unfit_server_is_refused(opened, tmp_path, settings, field, told):
    """A server that evicts keys, may lose acknowledged writes or belongs to a cluster is refused by its setting."""
    bus = ["--cluster-port", str(launch.free_port())]  # it would be 10,000 above the port, which there may not be
    with launch.valkey(tmp_path, *settings, *bus) as server:
        with pytest.raises(StoreError, match=told) as caught:
            await opened(server.url)
        assert caught.value.field == field
        if field == "store.durability":
            items = await opened(server.url, durability="server")
            assert await items.commit(Commit({}, {b"ca": b"1"}))


@pytest.mark.parametrize(
    ("told", "match"), [({"redis_version": "6.2.14"}, "needs Redis 7"), ({"run_id": None}, "run_id in INFO")]
)
async def test_a_server_that_is_too_old_or_too_silent_is_refused(opened, url, monkeypatch, told, match):
    """A server before version 7, or without a run id, is refused."""
    from parbake.adapters import _redis_link

    parse = _redis_link._parse_info
    monkeypatch.setattr(
        _redis_link, "_parse_info", lambda raw: {n: v for n, v in {**parse(raw), **told}.items() if v is not None}
    )
    with pytest.raises(StoreError, match=match):
        await opened(url)


async def test_a_user_without_the_rights_is_told_so(opened, tmp_path):
    """The error names the command that the user may not run."""
    with launch.valkey(tmp_path) as server:
        admin = await opened(server.url)
        await admin._link.read("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-evalsha")
        items = await opened(server.url.replace("://", f"://app:{PASSWORD}@"))
        with pytest.raises(StoreError, match="evalsha") as caught:
            await items.commit(Commit({}, {b"ca": b"1"}))
        assert caught.value.field == "store.user"


async def test_a_server_whose_settings_are_hidden_needs_consent(opened, tmp_path):
    """If CONFIG is not permitted, the store needs ?durability=server."""
    with launch.valkey(tmp_path) as server:
        admin = await opened(server.url)
        await admin._link.read("ACL", "SETUSER", "app", "on", f">{PASSWORD}", "~*", "&*", "+@all", "-config")
        address = server.url.replace("://", f"://app:{PASSWORD}@")
        with pytest.raises(StoreError, match="CONFIG GET"):
            await opened(address)
        items = await opened(address, durability="server")
        assert await items.commit(Commit({}, {b"ca": b"1"}))


async def test_a_full_server_says_so_and_still_forgets(opened, tmp_path):
    """On a full server writes raise ``StoreFull``, reads work, and removing items makes room."""
    with launch.valkey(tmp_path, "--maxmemory", "8mb", "--maxmemory-policy", "noeviction") as server:
        items = await opened(server.url)
        with pytest.raises(StoreFull, match="maxmemory") as caught:
            await items.put([(b"ot\0%d" % n, b"x" * 500_000) for n in range(100)])
        assert caught.value.field == "store.maxmemory"
        kept = await items.range(b"o", b"", 100)
        assert kept
        assert not any(await items.fetch([b"ca"]))
        await items.remove([name for name, _ in kept])
        assert await items.commit(Commit({}, {b"ca": b"1"}))


async def test_a_password_is_used_and_never_shown(opened, tmp_path, monkeypatch):
    """A password from the URL or the environment is used, and no error shows it."""
    with launch.valkey(tmp_path, "--requirepass", PASSWORD) as server:
        address = server.url.replace("://", f"://:{PASSWORD}@")
        items = await opened(address)
        monkeypatch.setenv("PARBAKE_REDIS_PASSWORD", PASSWORD)
        await opened(server.url)
        monkeypatch.setenv("PARBAKE_REDIS_PASSWORD", PASSWORD + "x")
        failures = []
        for attempt in (opened(server.url), opened(server.url.replace("://", f"://:{PASSWORD}y@"))):
            with pytest.raises(StoreError) as caught:
                await attempt
            failures.append(caught.value)
        server.kill()
        with pytest.raises(StoreError) as caught:
            await items.fetch([b"ca"])
        failures.append(caught.value)
    for failure in failures:
        assert f"127.0.0.1:{server.port}" in str(failure)
        assert PASSWORD not in f"{failure} {failure!r} {failure.__cause__}"
        assert failure.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        f"redis://user:{PASSWORD}/x@127.0.0.1:1",
        f"redis://user:[{PASSWORD}@127.0.0.1:1",
        "redis://127.0.0.1:99999",
        "redis://127.0.0.1/shop",
        "redis://127.0.0.1?prefix={x}",
        "redis://127.0.0.1?duribility=server",
        "redis://127.0.0.1?durability=often",
        "redis://127.0.0.1?timeout_s=soon",
        "redis://127.0.0.1?timeout_s=0",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url):
    """An invalid URL is refused without showing any part that may be a password."""
    with pytest.raises(StoreError) as caught:
        open_url(url)
    assert caught.value.field.startswith("store")
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("url", "shown", "is_tls"), [
    ("valkey://user@127.0.0.1:1/2", "valkey://127.0.0.1:1/2", False),
    ("valkeys://user@127.0.0.1:1/2", "valkeys://127.0.0.1:1/2", True),
    ("unix:///run/valkey.sock?db=2", "unix:///run/valkey.sock", False),
])  # fmt: skip
def test_every_scheme_of_the_documentation_is_opened(url, shown, is_tls):
    """Valkey's own schemes mean what Redis's mean, and a local socket is reached by its path."""
    store = open_store(url)
    address = store.items._link.address
    assert (address.shown, address.connect["db"]) == (shown, 2)
    assert ("connection_class" in address.connect and "SSL" in address.connect["connection_class"].__name__) == is_tls


async def test_a_store_trusts_nothing_after_a_restart(valkey_server):
    """After a server's restart the store starts a new incarnation that is not blessed yet."""
    store = open_store(f"{valkey_server.url}?prefix={next(prefixes)}")
    _, before = await store.stamp()
    valkey_server.restart()
    _, after = await store.stamp()
    assert before.blessed == before.incarnation
    assert after.blessed != after.incarnation
    assert after.incarnation > before.incarnation
    await store.close()


async def test_a_store_speaks_tls():
    """The ``rediss`` scheme opens a store with the same driver."""
    store = open_store("rediss://127.0.0.1:1")
    with pytest.raises(StoreError, match=r"rediss://127\.0\.0\.1:1"):
        await store.stamp()
    await store.close()


async def test_tls_and_sockets_have_their_own_schemes(tmp_path):
    """URLs of sockets, TLS and database numbers reach the client unchanged."""
    for url in (f"unix://{tmp_path}/none.sock", "rediss://127.0.0.1:1", "redis://127.0.0.1:1/3?timeout_s=1"):
        items = RedisItems.from_url(url)
        with pytest.raises(StoreError, match=url.partition("?")[0]):
            await items.open()
        await items.close()


async def test_a_socket_reaches_the_server(opened, tmp_path):
    """A store works over a Unix socket."""
    with launch.valkey(tmp_path, "--unixsocket", str(tmp_path / "s")):
        items = await opened(f"unix://{tmp_path}/s", db=2)
        assert await items.commit(Commit({}, {b"ca": b"1"}))


def test_without_the_client_the_extra_is_named(monkeypatch):
    """Without the client the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "parbake.adapters.redis")
    monkeypatch.delitem(sys.modules, "parbake.adapters._redis_link")
    with pytest.raises(MissingDependency, match=r"\.\[redis\]"):
        __import__("parbake.adapters.redis")


@pytest.mark.parametrize("busy", [(), ("busy",)], ids=["idle", "busy"])
def test_children_connect_for_themselves(url, tmp_path, busy):
    """Forked workers serve and publish with their own connections, and the parent's keep working."""
    workers, parent, complained = prefork.run(tmp_path, f"{url}?prefix={next(prefixes)}", *busy)
    prefork.check(workers, parent, complained)
    assert parent["told"] > 0


@pytest.fixture
async def shop(url):
    """Yield an app on the server with one task that counts its calls."""
    tasks, calls = pb.Registry(), collections.Counter()

    @tasks.artifact(
        freshness_sla="1h", invalidated_by=[pb.fence("fact/{name}")], fallback_if_stale=pb.Recompute(), owner="team"
    )
    async def fact(name: str) -> int:
        calls[name] += 1
        return calls[name]

    app = pb.App(tasks, store=f"{url}?prefix={next(prefixes)}")
    yield app, fact
    await app.close()


async def test_a_notebook_awaits_and_calls_by_turns(shop):
    """One app is used with ``await`` and ``app.sync`` in turn, and each sees the other's events."""
    app, fact = shop
    seen = []
    for _ in range(3):
        seen += [(await app.serve(fact, "a")).value, app.sync.serve(fact, "a").value]
        app.sync.run(app.touch("fact/a"))
        seen += [(await app.serve(fact, "a")).value]
        await app.touch("fact/a")
        seen += [app.sync.serve(fact, "a").value]
    assert seen == [1, 1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 7]


async def test_two_loops_read_and_write_at_once(shop):
    """Concurrent reads and events from two loops are all answered, each value after its own event."""
    app, fact = shop

    def called(name):
        for n in range(20):
            app.sync.run(app.touch(f"fact/{name}"))
            assert app.sync.serve(fact, name).value == n + 1
        return name

    async def awaited(name):
        for n in range(20):
            await app.touch(f"fact/{name}")
            assert (await app.serve(fact, name)).value == n + 1
        return name

    async with asyncio.timeout(HANGS_S):
        names = await asyncio.gather(
            *(awaited(f"a{n}") for n in range(4)), *(asyncio.to_thread(called, f"c{n}") for n in range(4))
        )
    assert names == ["a0", "a1", "a2", "a3", "c0", "c1", "c2", "c3"]


def test_an_app_is_used_by_one_loop_after_another(url):
    """An app works in several ``asyncio.run`` calls, without using connections of an ended loop."""
    app = pb.App(pb.Registry(), store=f"{url}?prefix={next(prefixes)}", open=["fact"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a closed loop cannot close its connections
        stamps = [asyncio.run(app.touch("fact/a")).stamp for _ in range(3)]
        app.sync.close()
        gc.collect()
    assert stamps == sorted(set(stamps))
