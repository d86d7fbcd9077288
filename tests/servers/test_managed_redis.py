"""The guide to managed Redis: its user, its settings, TLS, and a failover that loses acknowledged changes."""

import asyncio
import contextlib
import re
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest
import redis.asyncio
from tests.servers import launch
from tests.waiting import until

import parbake as pb
from parbake.adapters.redis import RedisItems
from parbake.adapters.sqlite import OUTBOX_DDL, SqliteSource
from parbake.errors import ParbakeError, StoreError, StoreUnreachable
from parbake.stores import open_store

GUIDE = (Path(__file__).parents[2] / "docs/howto/managed-redis.md").read_text()
(ACCESS,) = re.findall(r'--access-string "on (.*?)"', GUIDE)
(OPTIONS,) = re.findall(r'STORE="rediss://\S+?\?(\S+?)"', GUIDE)
PASSWORD = "hunter2-geheim"
AS_MANAGED = ("--appendonly", "no", "--maxmemory", "100mb", "--maxmemory-policy", "noeviction")


class Facts(pb.View):
    """Versions by name."""

    families = ("fact",)

    def version(self, name):
        """One version."""
        self.entity(f"fact/{name}")
        return self.rows("SELECT version FROM fact WHERE name = :name", name=name)[0][0]


class Endpoint:
    """A name that moves: forwards connections to the server that is the primary now."""

    def __init__(self):
        """Lead nowhere yet."""
        self.target, self._writers = 0, set()

    async def __aenter__(self):
        """Listen."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        """End every connection."""
        self._server.close()
        self.move(0)

    def move(self, target):
        """Lead to another port, and end the connections to the last one."""
        self.target = target
        for writer in self._writers:
            writer.transport.abort()

    async def _forward(self, reader, writer):
        with contextlib.suppress(OSError):
            there, to = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers |= {writer, to}
            await asyncio.gather(self._copy(reader, to), self._copy(there, writer))
        self._writers -= {writer}
        writer.close()

    async def _copy(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


async def admin(server, *command):
    """Send a command as the service itself does, which needs no password here."""
    async with redis.asyncio.Redis(port=server.port) as client:
        return await client.execute_command(*command)


@pytest.fixture
async def primary(tmp_path, monkeypatch):
    """Return a server as the service runs it, with the guide's user."""
    monkeypatch.setenv("PARBAKE_REDIS_PASSWORD", PASSWORD)
    (tmp_path / "primary").mkdir()
    with launch.valkey(tmp_path / "primary", *AS_MANAGED) as server:
        await let_in(server)
        yield server


async def let_in(server):
    """Make the guide's user; its password is set apart from the access string, as the service does it."""
    await admin(server, "ACL", "SETUSER", "shop", "on", f">{PASSWORD}", *ACCESS.split())


class Shop:
    """An app over a database with an outbox."""

    def __init__(self, folder, store):
        """Create the database and the app."""
        self.path = folder / "shop.db"
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(OUTBOX_DDL)
            connection.execute("CREATE TABLE fact(name TEXT PRIMARY KEY, version INTEGER)")
            connection.execute("INSERT INTO fact VALUES ('a', 0)")
        self.source = SqliteSource(self.path, families=["fact"], views=[Facts])
        tasks = pb.Registry()

        def names() -> list[str]:
            return ["a"]

        @tasks.artifact(freshness_sla="2h", invalidated_by=[pb.fence("fact")], fallback_if_stale=pb.Recompute(),
                        owner="shop", refresh=pb.every("1h"), keys=names)  # fmt: skip
        def note(name: str, *, facts: pb.Source[Facts]) -> int:
            return facts.version(name)

        self.note = note
        durability = pb.Durability(journal=folder / "journal.jsonl", replayable=True)
        self.app = pb.App(tasks, sources=[self.source], store=store, durability=durability)

    async def change(self, version):
        """Commit a version with its event, and have it acknowledged."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE fact SET version = ? WHERE name = 'a'", (version,))
            self.source.emit(connection, "fact/a", "fact.changed")
        await self.app.drain()

    async def read(self):
        """Return the served version; ``None`` while the store is away or not trusted."""
        with contextlib.suppress(ParbakeError):
            return (await self.app.serve(self.note, "a")).value
        return None


async def test_the_guides_user_may_do_all_that_a_store_needs(primary, tmp_path):
    """With the access string of the guide an app serves, computes ahead, hears of changes and sweeps."""
    shop = Shop(tmp_path, f"redis://shop@127.0.0.1:{primary.port}/0?{OPTIONS}")
    await shop.change(1)
    await shop.app.materialize(shop.note)
    assert (await shop.app.serve(shop.note, "a")).lane == "batch"
    await shop.change(2)
    assert await shop.read() == 2
    await shop.app.engine.housekeeping.step()
    await shop.app.close()


async def test_without_consent_and_under_another_prefix_the_store_is_refused(primary):
    """The guide's table: CONFIG is hidden, and the access string holds for one prefix only."""
    for options, field, told in (
        ("prefix=shop", "store.durability", "does not let this user check with CONFIG GET"),
        ("prefix=other&durability=server", "store.user", "does not permit what the store needs"),
    ):
        items = RedisItems.from_url(f"redis://shop@127.0.0.1:{primary.port}/0?{options}")
        with pytest.raises(StoreError, match=told) as caught:
            await items.open()
        assert caught.value.field == field
        assert PASSWORD not in str(caught.value)
        await items.close()


async def test_a_failover_that_loses_acknowledged_changes_serves_nothing_outdated(primary, tmp_path):
    """The new primary lacks the last change, which is noticed: no read afterwards returns the value from before it."""
    (tmp_path / "replica").mkdir()
    async with Endpoint() as endpoint:
        with launch.valkey(tmp_path / "replica", *AS_MANAGED) as replica:
            await let_in(replica)
            await admin(replica, "REPLICAOF", "127.0.0.1", primary.port)
            endpoint.move(primary.port)
            shop = Shop(tmp_path, f"redis://shop@127.0.0.1:{endpoint.port}/0?{OPTIONS}&timeout_s=1")
            await shop.change(1)
            assert await shop.read() == 1
            await until(lambda: has_all(primary, replica))
            await admin(replica, "REPLICAOF", "NO", "ONE")
            await shop.change(2)  # acknowledged, and never replicated; the replica holds a value that this outdates
            primary.kill()
            endpoint.move(0)
            assert await shop.read() == 2, "from the source, while there is no store"
            endpoint.move(replica.port)
            seen = []
            async with shop.app.serving():
                await until(lambda: noted(shop, seen))
            assert set(seen) <= {None, 2}
            await shop.app.close()


async def has_all(primary, replica):
    """Whether a replica has received and applied everything."""
    told = [await admin(server, "INFO", "replication") for server in (primary, replica)]
    return told[0]["master_repl_offset"] == told[1]["master_repl_offset"] and told[1]["master_link_status"] == "up"


async def noted(shop, seen):
    """Read once and note the result; whether it is the last version."""
    seen.append(await shop.read())
    return seen[-1] == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a folder with a certificate of 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", folder / "key.pem",
         "-out", folder / "cert.pem", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


async def test_the_connection_is_encrypted_and_the_certificate_is_verified(certificate, tmp_path, monkeypatch):
    """``rediss://`` reaches a server whose certificate is trusted, and no other."""
    port = launch.free_port()
    words = ["--tls-port", str(port), "--tls-cert-file", str(certificate / "cert.pem"), "--tls-key-file",
             str(certificate / "key.pem"), "--tls-auth-clients", "no"]  # fmt: skip
    with launch.valkey(tmp_path, *AS_MANAGED, *words) as server:
        await let_in(server)
        monkeypatch.setenv("PARBAKE_REDIS_PASSWORD", PASSWORD)
        items = RedisItems.from_url(f"rediss://shop@127.0.0.1:{port}/0?{OPTIONS}")
        with pytest.raises(StoreError, match="certificate verify failed"):
            await items.open()
        await items.close()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
        trusting = RedisItems.from_url(f"rediss://shop@127.0.0.1:{port}/0?{OPTIONS}")
        await trusting.open()
        assert await trusting.fetch([b"ca"]) == [None]
        await trusting.close()


async def test_a_server_that_takes_no_connection_is_an_outage(monkeypatch):
    """A connection that is never accepted ends as an outage of the store, which a start outlives."""
    monkeypatch.setattr("parbake.adapters._redis_link.CONNECT_S", 0.2)
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):  # as many as its queue holds, and more
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        store = open_store(f"redis://127.0.0.1:{full.getsockname()[1]}/0")
        with pytest.raises(StoreUnreachable, match="Timeout connecting"):
            await store.stamp()
        await store.close()
