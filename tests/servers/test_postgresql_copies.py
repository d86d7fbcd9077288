"""Which copy of its data a PostgreSQL store has reached: what loses nothing, and what may have lost something."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
from pathlib import Path

import psycopg
import pytest
from tests.servers import pg
from tests.servers.opening import opening
from tests.waiting import eventually, until

from parbake.adapters.postgresql_store import PostgresqlItems
from parbake.stores import open_store
from parbake.stores.steps.item_names import SEQUENCE
from parbake.stores.steps.item_steps import Commit

GUIDE = (Path(__file__).parents[2] / "docs/howto/stores.md").read_text()


@pytest.fixture
def place():
    """Return a folder for the data of servers."""
    with pg.folder() as folder:
        yield folder


@pytest.fixture
def server(place):
    """Return a server of the test's own."""
    with pg.postgresql(place / "data") as started:
        yield started


@pytest.fixture
async def opened():
    """Return a function that opens items by URL and closes them after the test."""
    async with opening(PostgresqlItems) as open_items:
        yield open_items


def copied(place, name):
    """Copy a data folder as its owner, with the times and rights of its files."""
    target = place / name
    shutil.copytree(place / "data", target, symlinks=True, ignore=shutil.ignore_patterns("*.pid", ".s.*"))
    if os.geteuid() == 0:
        for path in [target, *target.rglob("*")]:
            shutil.chown(path, pg.USER, pg.USER)
    return target


def put_back(place, name):
    """Put a copied data folder in the place of the data."""
    shutil.rmtree(place / "data")
    (place / name).rename(place / "data")


async def test_what_loses_nothing_keeps_the_copy(opened, server):
    """A crash, a shutdown, the crash of one of its processes, a vacuum and reset statistics change no host."""
    items = await opened(server.address)
    host, n = items.host, 0
    harms = (
        server.restart,
        lambda: (server.end(), server.restart()),
        lambda: kill_a_backend(server),
        lambda: server.sql("VACUUM FULL parbake.parbake_items", "CHECKPOINT"),
        lambda: server.sql("VACUUM FREEZE parbake.parbake_items", "SELECT pg_stat_reset_shared('bgwriter')"),
    )
    for n, harm in enumerate(harms):
        assert await items.commit(Commit({b"ca": b"%d" % (n - 1) if n else None}, {b"ca": b"%d" % n}))
        harm()
        assert await items.fetch([b"ca"]) == [b"%d" % n]
        assert items.host == host
        other = await opened(server.address)
        assert other.host == host


def kill_a_backend(server):
    """Kill one of the server's processes, whereupon the server ends all others and recovers."""
    others = server.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'parbake'")
    with psycopg.connect(server.address, autocommit=True) as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone()
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(psycopg.OperationalError):
            connection.execute("SELECT 1")
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for (pid,) in others))
    eventually(server.answers)


@pytest.mark.parametrize("is_ahead", [False, True], ids=["behind", "ahead"])
async def test_an_older_folder_is_another_copy(opened, place, server, is_ahead):
    """A process that has seen more notices it, also if the log has grown beyond that in the meantime."""
    items, other = await opened(server.address), await opened(server.address)
    await items.put([(b"ca", b"kept")])
    await other.fetch([b"ca"])
    before = items.host
    server.end()
    copied(place, "older")
    server.restart()
    assert await items.commit(Commit({b"ca": b"kept"}, {b"ca": b"lost"}))
    server.clear_away()
    put_back(place, "older")
    server.restart()
    if is_ahead:
        server.sql("CREATE TABLE filler AS SELECT generate_series(1, 100000)")
    assert await items.fetch([b"ca"]) == [b"kept"]
    assert items.host != before
    assert await other.fetch([b"ca"]) == [b"kept"]
    assert other.host == items.host
    third = await opened(server.address)
    assert third.host == items.host
    assert not await other.commit(Commit({}, {b"ca": b"1"}, before))


@pytest.mark.parametrize("who", ["writes", "reads"])
async def test_an_older_folder_that_others_wrote_to_is_another_copy(opened, place, server, who):
    """The log has grown beyond what was seen before the last start; the counter tells who wrote or read the event."""
    writer, reader = await opened(server.address), await opened(server.address)
    server.end()
    copied(place, "older")
    server.restart()
    assert await writer.commit(Commit({SEQUENCE: None}, {SEQUENCE: (1).to_bytes(8, "big")}))
    await reader.fetch([b"ca"])
    server.clear_away()
    put_back(place, "older")
    server.restart()
    server.sql("CREATE TABLE filler AS SELECT generate_series(1, 100000)")
    server.end()
    server.restart()
    items = writer if who == "writes" else reader
    before = items.host
    assert await items.fetch([SEQUENCE]) == [None]
    assert items.host != before


async def test_all_who_notice_agree(opened, place, server):
    """Eight processes that have seen more connect at once: one names the new copy, and the others follow."""
    everybody = [await opened(server.address) for _ in range(8)]
    before = everybody[0].host
    server.end()
    copied(place, "older")
    server.restart()
    await everybody[0].put([(b"ca", b"lost")])
    await asyncio.gather(*(items.fetch([b"ca"]) for items in everybody))
    server.clear_away()
    put_back(place, "older")
    server.restart()
    await asyncio.gather(*(items.fetch([b"ca"]) for items in everybody))
    await asyncio.gather(*(items.fetch([b"ca"]) for items in everybody))
    (after,) = {items.host for items in everybody}
    assert after != before


async def test_an_older_name_is_another_copy(opened, place, server):
    """A process that knows a later name notices a folder from before it, and does not go back to the earlier name."""
    items = await opened(server.address)
    first = items.host
    server.end()
    copied(place, "older")
    server.restart()
    server.sql("TRUNCATE parbake.parbake_items")
    assert await items.fetch([b"ca"]) == [None]
    second = items.host
    server.clear_away()
    put_back(place, "older")
    server.restart()
    await items.fetch([b"ca"])
    assert len({first, second, items.host}) == 3


async def test_a_promoted_standby_is_another_copy(opened, place, server):
    """With two hosts in the URL the store follows a failover, and sees another copy, also if nothing was lost."""
    words = ["-h", "127.0.0.1", "-p", server.port, "-U", "postgres", "-X", "stream", "-c", "fast", "-R"]
    pg.run("pg_basebackup", "-D", place / "standby", *words)
    with pg.postgresql(place / "standby", made=True) as standby:
        both = f"postgresql://postgres@127.0.0.1:{server.port},127.0.0.1:{standby.port}/postgres"
        items = await opened(both)
        await items.put([(b"ca", b"1")])
        before = items.host
        replayed = "SELECT pg_last_wal_replay_lsn() - '0/0'"
        (written,) = server.sql("SELECT pg_current_wal_flush_lsn() - '0/0'")
        await until(lambda: standby.sql(replayed)[0] >= written)
        server.kill()
        standby.sql("SELECT pg_promote()")
        assert await items.fetch([b"ca"]) == [b"1"]
        assert items.host != before
        after = items.host
        standby.restart()
        assert await items.fetch([b"ca"]) == [b"1"]
        assert items.host == after


async def test_a_recovery_from_the_archive_is_another_copy(opened, place, server):
    """A recovery ends on another timeline, wherever it ends."""
    items = await opened(server.address)
    await items.put([(b"ca", b"1")])
    before = items.host
    server.end()
    (place / "data" / "recovery.signal").touch()
    with (place / "data" / "postgresql.auto.conf").open("a") as file:
        file.write("restore_command = 'false'\n")
    server.restart()
    await until(lambda: server.sql("SELECT pg_is_in_recovery()") == [(False,)])
    assert await items.fetch([b"ca"]) == [b"1"]
    assert items.host != before


LOADED = "INSERT INTO parbake.parbake_items SELECT * FROM dump"
RESTORED = {
    "truncated": ["TRUNCATE parbake.parbake_items", LOADED],
    "deleted": ["DELETE FROM parbake.parbake_items", LOADED],
    "overwritten": [f"{LOADED} ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value"],
    "renamed": [
        "DROP TABLE parbake.parbake_items", "ALTER TABLE dump SET SCHEMA parbake",
        "ALTER TABLE parbake.dump RENAME TO parbake_items",
    ],
}  # fmt: skip


@pytest.mark.parametrize("is_written", [False, True])
async def test_rows_from_elsewhere_are_another_copy(opened, server, is_written):
    """A dump of an earlier state that was loaded in any way is noticed by the next read or write of a process."""
    items = await opened(server.address)
    for way, statements in RESTORED.items():
        await items.put([(b"ca", b"old")])
        before = items.host
        server.sql(
            "DROP TABLE IF EXISTS dump",
            "CREATE TABLE dump (LIKE parbake.parbake_items INCLUDING ALL)",
            "INSERT INTO dump SELECT * FROM parbake.parbake_items",
        )
        await items.put([(b"ca", b"lost")])
        server.sql("BEGIN", *statements, "COMMIT")
        if is_written:
            assert await items.commit(Commit({}, {b"ca": b"new"}, before)) is False, way
        assert await items.fetch([b"ca"]) == [b"old"]
        assert items.host != before, way
    other = await opened(server.address)
    assert other.host == items.host


async def test_a_database_made_of_another_is_another_copy(opened, server):
    """A database that was copied as a template has all rows as they were, and lacks what was written since."""
    items = await opened(server.address)
    await items.put([(b"ca", b"1")])
    before = items.host
    await items.close()
    server.sql("CREATE DATABASE cloned TEMPLATE postgres", dbname="template1")
    clone = await opened(server.address.removesuffix("postgres") + "cloned")
    assert await clone.fetch([b"ca"]) == [b"1"]
    assert clone.host != before


@pytest.mark.parametrize(
    "statement",
    ["TRUNCATE parbake.parbake_items", "DELETE FROM parbake.parbake_items", "DROP SCHEMA parbake CASCADE"],
)
async def test_an_emptied_store_is_another_copy(opened, server, statement):
    """The next read finds it empty under another host, and dropped tables are made again."""
    items = await opened(server.address)
    await items.put([(b"ca", b"1")])
    before = items.host
    server.sql(statement)
    assert await items.fetch([b"ca"]) == [None]
    assert items.host != before
    assert await items.commit(Commit({b"ca": None}, {b"ca": b"2"}, items.host))


async def test_an_operator_can_say_that_the_data_is_another_copy(opened, server):
    """The statement of the guide keeps the items, and a process that goes on follows."""
    (statement,) = re.findall(r"^(DELETE FROM .*);$", GUIDE, re.MULTILINE)
    items = await opened(server.address)
    await items.put([(b"ca", b"1")])
    before = items.host
    server.sql(statement)
    assert await items.fetch([b"ca"]) == [b"1"]
    assert items.host != before


async def test_an_unlogged_table_needs_consent(opened, server):
    """It is refused, and with consent a crash, which empties it, shows another copy."""
    items = await opened(server.address)
    await items.put([(b"ca", b"1")])
    server.sql("ALTER TABLE parbake.parbake_items SET UNLOGGED")
    with pytest.raises(Exception, match="SET LOGGED") as caught:
        await opened(server.address)
    assert caught.value.field == "store.durability"
    loose = await opened(f"{server.address}?durability=server")
    before = loose.host
    server.restart()
    assert await loose.fetch([b"ca"]) == [None]
    assert loose.host != before


@pytest.mark.parametrize("harm", ["restart", "backend"])
@pytest.mark.parametrize("setting", ["synchronous_commit=off", "fsync=off"])
async def test_a_loose_server_is_another_copy_after_each_crash(opened, place, setting, harm):
    """Where a crash may lose what was acknowledged, a restart or a crash of one process shows another copy."""
    with pg.postgresql(place / "data", setting) as server:
        with pytest.raises(Exception, match="durability=server"):
            await opened(server.address)
        items = await opened(f"{server.address}?durability=server")
        before = items.host
        server.restart() if harm == "restart" else kill_a_backend(server)
        await items.fetch([b"ca"])
        assert items.host != before


async def test_a_store_trusts_nothing_on_another_copy(place, server):
    """After an older folder was put in place, the store starts an incarnation that is not blessed yet."""
    store = open_store(server.address)
    _, before = await store.stamp()
    server.end()
    copied(place, "older")
    server.restart()
    await store.swap("a", None, b"lost")
    server.clear_away()
    put_back(place, "older")
    server.restart()
    _, after = await store.stamp()
    assert before.blessed == before.incarnation
    assert after.blessed != after.incarnation
    assert after.incarnation > before.incarnation
    assert await store.get("a") is None
    await store.close()
