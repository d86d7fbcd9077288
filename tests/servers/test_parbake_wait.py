"""``parbake_wait``: once it is true, no store serves an older value as fresh, whatever happened to reader and database.

The limits are shortened, so that a store that is silent for about a second trusts nothing any more.
"""

import asyncio
import contextlib
import os
import shutil
import time

import psycopg
import pytest
from tests.servers import pg
from tests.servers.waited_database import (
    REPORT_S,
    SILENCE_S,
    WAIT,
    Database,
    Facts,
    cut_off,
    declared,
    drained,
    reading,
    served_fresh,
)
from tests.waiting import eventually, until

import parbake as pb
from parbake.adapters._postgresql import reports
from parbake.adapters.postgresql import PostgresqlSource
from parbake.errors import ParbakeError, SourceError
from parbake.tasks.served import Verdict


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(reports, "REPORT_S", REPORT_S)
    monkeypatch.setattr(reports, "LASTING_S", 0.0)
    monkeypatch.setattr(reports, "CLOCKS_APART_S", 0.0)


@pytest.fixture(scope="module")
def server():
    """Return a server."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started


@pytest.fixture
def own_server():
    """Return a server of this test's own."""
    with pg.folder() as place, pg.postgresql(place / "data") as started:
        yield started


@pytest.fixture
def database(server):
    """Return a database whose run was noticed long ago."""
    made = Database(server)
    made.begin_runs_earlier()
    return made


def test_a_first_deployment_is_neither_true_nor_false(server):
    """Without any store the answer is "not yet" until the longest silence has passed, and NULL from then on."""
    database = Database(server)
    _, ticket = database.change()
    assert database.wait(ticket) is False
    assert database.answer(ticket) is None


@pytest.mark.parametrize("kind", ["XID8", "TEXT", "VARCHAR", "unknown"])
def test_the_id_of_a_transaction_may_come_as_a_text(server, kind):
    """A driver that binds the id as a text waits for the same transaction, and gets an error for any other text."""
    database = Database(server)
    _, ticket = database.change()
    given = "%s" if kind == "unknown" else f"%s::{kind}"
    with psycopg.connect(database.address, autocommit=True) as connection:
        wait = f"SELECT parbake_wait({given}, '0 s')"
        assert connection.execute(wait, (str(ticket),)).fetchone()[0] is False
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute(wait, ("soon",))


async def test_it_is_true_once_the_store_has_applied_the_change(database):
    """A store that lags keeps the answer from being true, and what it serves then is the change."""
    async with reading(database) as app:
        await app.drain()
        assert await served_fresh(app) == 0
        version, ticket = database.change()
        assert database.wait(ticket) is False
        await app.drain()
        assert database.wait(ticket) is True
        assert await served_fresh(app) == version


async def test_stopped_readers_count_until_they_trust_nothing(database):
    """When all stores are stopped, the answer is true once none of them would trust what it holds."""
    async with reading(database) as app:
        await app.drain()
        assert await served_fresh(app) == 0
        version, ticket = database.change()
        assert await asyncio.to_thread(database.answer, ticket) is True
        assert await served_fresh(app) in (None, version)


async def test_a_reader_that_is_cut_off_is_waited_for_until_it_trusts_nothing(database):
    """A heartbeat just before the next report lengthens the time for which the store is waited for."""
    async with reading(database) as app:

        async def is_report_almost_due():
            await app.drain()
            (sent,) = app.source._reports.values()
            return time.monotonic() - sent.at > 0.6 * REPORT_S

        await until(is_report_almost_due)
        assert await served_fresh(app) == 0
        cut_off(app)
        version, ticket = database.change()
        database.answer(ticket)
        assert await served_fresh(app) in (None, version)


async def test_a_store_in_memory_leaves_with_its_process(database):
    """A closed app with a store in memory is not waited for, and another one still is."""
    async with reading(database) as other:
        async with reading(database) as app:
            await app.drain()
            await other.drain()
            assert await served_fresh(app) == 0
        assert database.sql("SELECT count(*) FROM parbake_reader") == [(1,)]
        _, ticket = database.change()
        await other.drain()
        assert database.wait(ticket) is True
    assert database.wait(ticket) is None


async def test_a_closed_store_in_memory_trusts_nothing_when_it_is_used_again(database):
    """A store object that is passed to another app serves nothing fenced before that has polled its source."""
    from parbake.stores.memory import MemoryStore

    store = MemoryStore()
    async with reading(database, store=store) as app:
        await app.drain()
        assert await served_fresh(app) == 0
    version, ticket = database.change()
    assert database.wait(ticket) is None
    async with reading(database, store=store) as app:
        assert await served_fresh(app) in (None, version)


async def test_a_shared_store_keeps_its_row_when_one_process_ends(database, tmp_path):
    """The row of a store on disk stays, because another process may still serve from it."""
    async with reading(database, store=f"lmdb://{tmp_path}/store") as app:
        await app.drain()
    _, ticket = database.change()
    assert database.wait(ticket) is False


def test_a_forked_child_reports_under_a_name_of_its_own(database):
    """After a fork there are two stores in memory, and a writer waits for both."""
    from parbake.stores.memory import MemoryStore
    from parbake.stores.steps import event_steps

    store = MemoryStore()
    app_source = PostgresqlSource(database.address, families=["fact"], views=[])
    app = pb.App(pb.Registry(), store=store, events=[app_source], silence_limit=f"{SILENCE_S}s")
    app.sync.run(app.drain())
    assert event_steps.applied(store._map.get, "shop").cursor
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"%d" % len(event_steps.applied(store._map.get, "shop").cursor))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 10) == b"0"
    os.close(read)
    os.close(write)
    app.sync.close()


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_folder_that_is_put_back(own_server, is_stopped):
    """Under running and under stopped servers no store, known to the copy or not, is older than a "true"."""
    database = Database(own_server)
    database.begin_runs_earlier()
    copy = own_server.copied()
    async with reading(database) as app:
        for _ in range(3):
            database.change()
            await app.drain()
        assert await served_fresh(app) == 3
        own_server.put_back(copy)
        version, ticket = database.change()
        assert version == 1
        while (answer := database.wait(ticket)) is False:
            if not is_stopped:
                await drained(app)
        assert answer in (True, None)
        assert await served_fresh(app) in (None, version)


async def test_a_replica_that_was_started_long_ago_is_promoted(own_server):
    """After a promotion the answer is not true before stores of the former primary trust nothing."""
    database = Database(own_server)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(pg.folder()) / "standby"
        pg.run("pg_basebackup", "-d", own_server.address, "-D", place, "-R", "-X", "stream", "--checkpoint=fast")
        standby = stack.enter_context(pg.postgresql(place, made=True))
        database.begin_runs_earlier()
        promoted = Database(standby, database.name)
        eventually(lambda: promoted.sql("SELECT noted < now() - INTERVAL '1 hour' FROM parbake_run_start") == [(True,)])
        async with reading(database) as app:
            await app.drain()
            assert await served_fresh(app) == 0
            pg.run("pg_ctl", "promote", "-D", place, "-w")
            _, ticket = promoted.change()
            while promoted.wait(ticket) is False:
                await drained(app)  # the former primary still runs, and the store reads it
            # The store reads another database now: what it serves is as old as that one. Writers of the promoted one
            # were kept until it could have noticed; here it never will, so that only the time is looked at.
            (waited,) = promoted.sql(
                "SELECT clock_timestamp() - noted > value FROM parbake_run_start, parbake_setting"
            )[0]
            assert waited


def test_a_loaded_dump_knows_no_store(server):
    """Rows that were loaded do not count as reports, in a new database and in the same one."""
    database = Database(server)
    database.begin_runs_earlier()
    source = PostgresqlSource(database.address, families=["fact"], views=[])
    cursor = source.read(b"", 10).cursor
    source.report(cursor, SILENCE_S, has_news=True)
    source.close()
    _, ticket = database.change()
    tables = ["-t", "parbake_*", "-t", "facts"]
    printed = pg.output("pg_dump", "-d", database.address, *tables, "--data-only", "--inserts")
    text = "".join(line for line in printed.splitlines(keepends=True) if not line.startswith("\\"))  # psql's own
    new = Database(server)
    for loaded in (new, database):
        loaded.sql(
            "TRUNCATE parbake_reader, parbake_run_start, parbake_setting, parbake_format, facts, parbake_capture"
        )
        loaded.sql("TRUNCATE parbake_outbox, parbake_outbox_gone")
        loaded.sql(text)
        assert loaded.wait(ticket) is False
        noted = "SELECT parbake_is_own(xmin, writer), noted > now() - INTERVAL '1 hour' FROM parbake_run_start"
        assert loaded.sql(noted) == [(True, True)]
        assert loaded.answer(ticket) is None


def test_a_crash_begins_another_run(own_server):
    """After a crash the answer is not true before stores that nobody knows trust nothing."""
    database = Database(own_server)
    database.begin_runs_earlier()
    _, ticket = database.change()
    assert database.wait(ticket) is None
    own_server.restart()
    assert database.wait(ticket) is False
    assert database.answer(ticket) is None


def test_a_clock_that_is_set_back_delays_the_answer_only(database):
    """A report from the future counts, and a run that was noted in the future is noted anew."""
    source = PostgresqlSource(database.address, families=["fact"], views=[])
    cursor = source.read(b"", 10).cursor
    source.report(cursor, SILENCE_S, has_news=True)
    _, ticket = database.change()
    database.sql("UPDATE parbake_reader SET heard = heard + INTERVAL '1 hour', writer = pg_current_xact_id()")
    assert database.wait(ticket) is False
    database.sql("UPDATE parbake_run_start SET noted = noted + INTERVAL '2 days', writer = pg_current_xact_id()")
    database.sql("DELETE FROM parbake_reader")
    assert database.wait(ticket) is False
    assert database.answer(ticket) is None
    source.close()


def test_a_report_in_a_savepoint_is_refused(database):
    """A row names the transaction that wrote it, which a savepoint would not be."""
    report = "SELECT parbake_report('store', 1, pg_current_snapshot(), parbake_run(), INTERVAL '1 s', false)"
    with psycopg.connect(database.address) as connection:
        connection.execute("SAVEPOINT one")
        with pytest.raises(psycopg.errors.RaiseException, match="savepoint"):
            connection.execute(report)
    assert database.sql("SELECT count(*) FROM parbake_reader") == [(0,)]


def test_a_role_without_the_grant_can_neither_invent_nor_answer_for_a_store(server, database):
    """Only the owner, and roles that were granted it, may report, leave, or say since when a run is known."""
    role = f"stranger_{database.name}"
    database.sql(f"CREATE ROLE {role} LOGIN")
    with psycopg.connect(database.address, user=role, autocommit=True) as connection:
        for call in (
            "parbake_report('store', 1, pg_current_snapshot(), parbake_run(), INTERVAL '1 s', false)",
            "parbake_leave('store')",
            "parbake_run_noted('run')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT {call}")
        _, ticket = database.change()
        assert connection.execute(WAIT, (str(ticket),)).fetchone() == (None,)


async def test_a_server_that_may_not_report_trusts_nothing(server, database):
    """It goes on applying events, says which command grants it, and writes no heartbeat, so that nobody misses it."""
    role = f"reader_{database.name}"
    database.sql(
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT ON facts, parbake_outbox, parbake_outbox_gone, parbake_reader, parbake_capture TO {role}",
    )
    tasks, task = declared()
    address = psycopg.conninfo.make_conninfo(database.address, user=role)
    source = PostgresqlSource(address, families=["fact"], views=[Facts])
    app = pb.App(tasks, sources=[source], silence_limit=f"{SILENCE_S}s")
    _, ticket = database.change()
    for _ in range(2):
        with pytest.raises(SourceError, match="--reader ROLE"):
            await app.drain()
    assert (await app.stamp()).sequence > 0
    served = await app.serve(task, "a")
    assert served.verdict is not Verdict.FRESH or served.lane == "realtime"
    served = await app.serve(task, "a")
    assert served.verdict is not Verdict.FRESH or served.lane == "realtime"
    database.sql(f"GRANT EXECUTE ON FUNCTION parbake_report TO {role}")
    await until(lambda: _drains(app))
    assert database.wait(ticket) is True
    await app.close()


async def _drains(app):
    with contextlib.suppress(SourceError):
        await app.drain()
        return True
    return False


async def test_a_store_that_trusts_itself_for_too_long_is_refused(database):
    """A silence limit beyond what the database allows gets no heartbeat, and the error names both."""
    tasks, _ = declared()
    source = PostgresqlSource(database.address, families=["fact"], views=[Facts])
    app = pb.App(tasks, sources=[source], silence_limit="10m")
    with pytest.raises(SourceError, match=r"silence_limit.*--max-silence"):
        await app.drain()
    await app.close()


async def test_two_states_of_one_store_do_not_share_a_name(database, tmp_path):
    """A copy of a store that reports beside the original is found, trusts nothing, and takes a name of its own."""
    store = f"lmdb://{tmp_path}/store"
    async with reading(database, store=store) as app:
        await app.drain()
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    async with reading(database, store=store) as app, reading(database, store=f"lmdb://{tmp_path}/copy") as copy:
        for one in (app, copy, app, copy):
            next(iter(one.source._reports.values()), reports.Reports()).tried_at = float("-inf")
            await drained(one)
        assert database.sql("SELECT count(*) FROM parbake_reader") == [(2,)]
        _, ticket = database.change()
        for one in (app, copy):
            assert database.wait(ticket) is False
            await one.drain()
        assert database.wait(ticket) is True


async def test_a_copy_of_a_store_does_not_answer_for_it(database, tmp_path):
    """A copy is opened while the original is cut off: a writer waits for the original until it trusts nothing."""
    async with reading(database, store=f"lmdb://{tmp_path}/store") as app:
        await app.drain()
        assert await served_fresh(app) == 0
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        cut_off(app)
        version, ticket = database.change()
        async with reading(database, store=f"lmdb://{tmp_path}/copy") as copy:
            answer = False
            while answer is False:
                await drained(copy)
                answer = database.wait(ticket)
            assert answer is True
            assert await served_fresh(app) in (None, version)
            assert await served_fresh(copy) == version


async def test_a_change_that_the_database_has_lost_is_served_no_more(own_server, monkeypatch):
    """A copy of the folder from just before a change comes back, and has grown before the next poll."""
    monkeypatch.setattr(reports, "LASTING_S", 1000.0)
    database = Database(own_server)
    database.begin_runs_earlier()
    async with reading(database) as app:
        await app.drain()
        assert await served_fresh(app) == 0
        copy = own_server.copied()
        await drained(app)
        await app.drain()
        version, _ = database.change()
        await app.drain()
        assert await served_fresh(app) == version
        own_server.put_back(copy)
        database.sql(*(f"CREATE TABLE filler{n} AS SELECT generate_series(1, 10000)" for n in range(20)))
        await drained(app)
        await app.drain()
        assert await served_fresh(app) == 0


async def test_a_ticket_of_a_database_that_was_put_back_is_not_that_of_the_one_before(own_server):
    """A copy gives ids of transactions again: who passes the new one as a ticket gets what it has changed."""
    database = Database(own_server)
    database.begin_runs_earlier()
    async with reading(database) as app:
        await app.drain()
        copy = own_server.copied()
        await drained(app)
        lost = []
        for _ in range(30):
            lost.append(database.change()[1])
            await app.drain()
        assert await served_fresh(app) == 30
        own_server.put_back(copy)
        version, ticket = database.change()
        assert ticket <= lost[-1], "the server has not given an id again, so that this test proves nothing"
        for _ in range(3):
            with contextlib.suppress(ParbakeError):  # such as that this is not the source it was
                async with app.request(after=f"shop:{ticket}"):
                    assert (await app.serve(app.task, "a")).value == version


async def test_a_store_that_went_back_is_distrusted(database, tmp_path):
    """An older copy of a store is found by its own report in the database, although the copy looks whole."""
    from parbake.ports.event_log import Move
    from parbake.stores.memory import MemoryStore

    store = MemoryStore()
    async with reading(database, store=store) as app:
        await app.drain()
        older = (await store.applied("shop")).cursor
        incarnation = (await app.stamp()).incarnation
        database.change()
        await app.drain()
        newer = (await store.applied("shop")).cursor
        await store.apply([], now=1.0, advance=Move("shop", newer, older))
        await app.drain()
        await app.drain()
        assert (await app.stamp()).incarnation > incarnation
        names = database.sql("SELECT store FROM parbake_reader")
        assert len(names) == 2


async def test_a_poll_that_began_before_a_report_revives_no_trust(database, monkeypatch):
    """A silent store, for which nobody waits, does not trust again what it read before a change that was waited for."""
    async with reading(database) as app:
        await app.drain()
        assert await served_fresh(app) == 0
        database.answer(database.change()[1])
        await app.drain()
        await served_fresh(app)
        _, silent = database.change()
        await asyncio.to_thread(database.answer, silent)
        read, answers = app.source.read, []

        def overtaken(cursor, limit):
            page = read(cursor, limit)
            if not answers:
                version, ticket = database.change()
                answers.append((version, database.wait(ticket)))
            return page

        monkeypatch.setattr(app.source, "read", overtaken)
        await drained(app)
        ((version, answer),) = answers
        assert answer is True, "the store was not silent, so that the test proves nothing"
        assert await served_fresh(app) in (None, version)
