"""The outbox of PostgreSQL: no writer waits, no committed row is missed, and a crash or another server is noticed."""

import contextlib
import os
import random
import signal
import threading
import time

import psycopg
import pytest
from tests.servers import pg, told_outbox
from tests.servers.pg import BEGIN_RUN_EARLIER
from tests.servers.told_outbox import Outbox
from tests.waiting import eventually

import parbake as pb
from parbake.adapters import postgresql
from parbake.adapters.postgresql import OUTBOX_DDL, PostgresqlSource, emit, prune
from parbake.testing.source_suite import told_by

outbox, source, app = told_outbox.outbox, told_outbox.source, told_outbox.app


@pytest.fixture(scope="module")
def server():
    """Return a server that allows prepared transactions."""
    with pg.folder() as place, pg.postgresql(place / "data", "max_prepared_transactions=5") as started:
        yield started


@pytest.fixture
def own_server():
    """Return a server of this test's own, to be killed."""
    with pg.folder() as place, pg.postgresql(place / "data", "synchronous_commit=off", "wal_writer_delay=10s") as one:
        one.sql(OUTBOX_DDL, "CHECKPOINT")
        yield one


def subjects(source, after=None, limit=10):
    """Return the subjects that a source tells after a cursor, and the cursor behind them."""
    events, cursor = told_by(source, after, limit)
    return [event.subject for event in events], cursor


def test_a_slow_transaction_holds_nobody_up_and_is_not_missed(outbox, source):
    """A later transaction commits and is told while an earlier one is open, which is told when it commits."""
    with outbox.connect() as slow:
        emit(slow, "fact/slow", "fact.changed")
        outbox.tell("fact/quick")
        told, cursor = subjects(source)
        assert told == ["fact/quick"]
        assert subjects(source, cursor)[0] == []
        slow.commit()
    told, cursor = subjects(source, cursor)
    assert told == ["fact/slow"]
    assert subjects(source, cursor)[0] == []


def test_a_page_of_huge_tags_raises_their_family(outbox, source):
    """Rows whose tags together are more than the server can put into one answer raise their families, and end there."""
    with outbox.connect() as writer:
        writer.execute(
            "INSERT INTO parbake_outbox(id, subject, type) "
            "SELECT repeat('i', 5000), 'fact/' || n || repeat(E'\\x01', 190000), 'fact.changed' "
            "FROM generate_series(1, 1000) AS n"
        )
        emit(writer, "fact/after", "fact.changed")
    events, cursor = told_by(source, None, 1000)
    assert {(event.subject, event.type) for event in events[:-1]} == {("fact", "capture.bulk")}
    assert events[-1].subject == "fact/after"
    assert subjects(source, cursor)[0] == []


@pytest.mark.parametrize("moment", ["NaN", "Infinity", "-Infinity", "1e308"])
def test_a_time_that_is_none_holds_no_event_up(outbox, source, moment):
    """A row whose time cannot be read is told as one of now."""
    with outbox.connect() as writer:
        writer.execute(
            "INSERT INTO parbake_outbox(subject, type, time) VALUES ('fact/a', 'fact.changed', %s)", (moment,)
        )
    events, _ = told_by(source, None, 10)
    assert [event.subject for event in events] == ["fact/a"]
    assert abs(events[0].at - time.time()) < 60


def test_a_forgotten_prepared_transaction_holds_nobody_up(server, outbox, source):
    """Rows are told beside a prepared transaction of another database, and its own rows once it is committed."""
    other = Outbox(server)
    prepared = other.connect(autocommit=True)
    prepared.execute("BEGIN")
    prepared.execute("INSERT INTO parbake_outbox(subject, type) VALUES ('fact/prepared', 'fact.changed')")
    prepared.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        told, cursor = subjects(source)
        for name in "abc":
            outbox.tell(f"fact/{name}")
            told, cursor = subjects(source, cursor)
            assert told == [f"fact/{name}"]
        reader = other.source()
        told, cursor = subjects(reader)
        assert told == []
    finally:
        prepared.execute("COMMIT PREPARED 'forgotten'")
        prepared.close()
    assert subjects(reader, cursor)[0] == ["fact/prepared"]
    reader.close()


def test_the_server_stamps_the_transaction(outbox, source):
    """A row that claims another transaction, in the past or the future, is told as one of its own."""
    told, cursor = subjects(source)
    with outbox.connect() as connection:
        for xid in ("3", "999999999"):
            connection.execute(
                "INSERT INTO parbake_outbox(xid, subject, type) VALUES (%s, 'fact/' || %s, 'fact.changed')", (xid, xid)
            )
    told, cursor = subjects(source, cursor)
    assert told == ["fact/3", "fact/999999999"]
    assert subjects(source, cursor)[0] == []


def test_what_is_rolled_back_is_never_told(outbox, source):
    """A rolled-back transaction and a rolled-back savepoint tell nothing; what is around the savepoint is told."""
    with outbox.connect() as connection:
        emit(connection, "fact/gone", "fact.changed")
        connection.rollback()
        emit(connection, "fact/kept", "fact.changed")
        with contextlib.suppress(psycopg.errors.DivisionByZero), connection.transaction():
            emit(connection, "fact/undone", "fact.changed")
            connection.execute("SELECT 1/0")
        with connection.transaction():
            emit(connection, "fact/inner", "fact.changed")
    assert subjects(source)[0] == ["fact/kept", "fact/inner"]


def test_many_writers_and_a_reader_lose_nothing(outbox, source):
    """A reader with concurrent writers, who commit in any order, is told every row exactly once."""
    expected = {f"fact/{writer}x{n}" for writer in range(8) for n in range(20)}

    def write(writer):
        pauses = random.Random(writer)
        with outbox.connect() as connection:
            for n in range(20):
                emit(connection, f"fact/{writer}x{n}", "fact.changed")
                time.sleep(pauses.random() / 200)
                connection.commit()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for thread in threads:
        thread.start()
    seen, cursor, ends = [], None, 0
    while ends < 2:
        ends = ends + 1 if not any(thread.is_alive() for thread in threads) else 0
        told, cursor = subjects(source, cursor, limit=7)
        seen += told
    assert len(seen) == len(expected)
    assert set(seen) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM parbake_outbox",
        "TRUNCATE parbake_outbox RESTART IDENTITY",
        "SET LOCAL session_replication_role = replica; DELETE FROM parbake_outbox",
    ],
)
async def test_rows_deleted_unread_raise_everything_once(outbox, app, statement):
    """If unread rows are deleted, all families are raised once, and later rows are told as before."""
    outbox.tell("fact/1")
    await app.drain()
    outbox.tell("fact/unread")
    with outbox.connect() as connection:
        connection.execute(statement)
    ack = await app.drain()
    assert (set(ack.raised), dict(app.counters.gaps)) == ({"fact", "fact/*"}, {"shop": 1})
    assert await app.drain() is None
    outbox.tell("fact/2")
    assert set((await app.drain()).raised) == {"fact/2", "fact/*"}


async def test_a_ticket_is_the_id_of_the_transaction(outbox, app):
    """The acknowledgement of a transaction is there once it is applied, also if it told nothing of interest."""
    with outbox.connect() as connection:
        ticket = emit(connection, "fact/1", "fact.changed")
        await app.drain()
        with pytest.raises(pb.errors.NotAcknowledged):
            await app.acknowledgement(ticket)
    ack = await app.drain()
    assert (await app.acknowledgement(ticket)).raised == ack.raised
    with outbox.connect() as connection:
        (silent,) = connection.execute("SELECT pg_current_xact_id()::TEXT::BIGINT").fetchone()
    with pytest.raises(pb.errors.NotAcknowledged):
        await app.acknowledgement(silent)
    await app.drain()
    assert (await app.acknowledgement(silent)).raised == {}


async def test_a_writer_waits_for_every_store_in_sql(outbox, app):
    """``parbake_wait`` returns once each store that is heard has applied the transaction, and false if one has not."""
    other = pb.App(pb.Registry(), events=[outbox.source()])
    for one in (app, other):
        await one.drain()
    ticket = outbox.tell("fact/1")
    wait = "SELECT parbake_wait(%s::TEXT::XID8, '50 ms')"
    with outbox.connect(autocommit=True) as connection:
        connection.execute(BEGIN_RUN_EARLIER)
        assert connection.execute(wait, (str(ticket),)).fetchone() == (False,)
        await app.drain()
        assert connection.execute(wait, (str(ticket),)).fetchone() == (False,)
        await other.drain()
        assert connection.execute(wait, (str(ticket),)).fetchone() == (True,)
        connection.execute("BEGIN")
        own = emit(connection, "fact/2", "fact.changed")
        with pytest.raises(psycopg.errors.RaiseException, match="own transaction"):
            connection.execute(wait, (str(own),))
        connection.execute("ROLLBACK")
    await other.close()


async def test_a_request_waits_for_a_transaction_that_it_names(outbox, app):
    """``after="shop:<transaction>"`` polls until it is applied; one that is open or unknown is refused at once."""
    with outbox.connect() as connection:
        ticket = emit(connection, "fact/1", "fact.changed")
        with pytest.raises(pb.errors.NotAcknowledged):
            async with app.request(after=f"shop:{ticket}"):
                pass
    before = await app.stamp()
    async with app.request(after=f"shop:{ticket}"):
        assert (await app.stamp()).sequence == before.sequence + 1
    for unknown, error in ((f"shop:{ticket + 10**9}", pb.errors.NotAcknowledged), ("store:1", pb.BadInput)):
        with pytest.raises(error):
            async with app.request(after=unknown):
                pass
    with pytest.raises(pb.BadInput, match="at most 16"):
        async with app.request(after=",".join(f"shop:{n}" for n in range(17))):
            pass


async def test_two_processes_raise_each_event_once(outbox, app):
    """The second process finds the cursor moved, also if both have read the same events."""
    other = pb.App(pb.Registry(), events=[outbox.source()], store=app.engine.store)
    read = other.settings.events[0].read

    def overtaken(cursor, limit):
        reading = read(cursor, limit)
        if reading.events:
            app.sync.run(app.drain())
        return reading

    other.settings.events[0].read = overtaken
    outbox.tell("fact/1")
    before = await app.stamp()
    assert await other.drain() is None
    assert (await app.stamp()).sequence == before.sequence + 1
    assert await app.drain() is None
    await other.close()


async def test_one_source_serves_two_stores(outbox, source):
    """The reports of one store are not taken for those of another that reads by the same source."""
    for subject in ("fact/1", "fact/2"):
        app = pb.App(pb.Registry(), events=[source])
        outbox.tell(subject)
        assert subject in (await app.drain()).raised
        outbox.tell(f"{subject}x")
        assert f"{subject}x" in (await app.drain()).raised


def test_a_source_that_is_closed_during_a_poll_keeps_no_connection(outbox, monkeypatch):
    """The connection of a poll that is under way is closed when the poll ends."""
    source = outbox.source()
    page = postgresql.outbox.resumed

    def closed_meanwhile(*arguments, **named):
        source.close()
        return page(*arguments, **named)

    monkeypatch.setattr(postgresql.outbox, "resumed", closed_meanwhile)
    source.read(b"", 1)
    assert source._idle.empty()


async def test_a_role_needs_no_right_to_write(server, outbox):
    """A reader may SELECT and call one function, and a writer without any right on the outbox is not needed."""
    with outbox.connect() as connection:
        connection.execute(f"CREATE ROLE reader_{outbox.name} LOGIN")
        connection.execute(
            "GRANT SELECT ON parbake_outbox, parbake_outbox_gone, parbake_reader, parbake_capture "
            f"TO reader_{outbox.name}"
        )
        connection.execute(f"GRANT EXECUTE ON FUNCTION parbake_report TO reader_{outbox.name}")
    outbox.tell("fact/1")
    address = psycopg.conninfo.make_conninfo(outbox.address, user=f"reader_{outbox.name}")
    app = pb.App(pb.Registry(), events=[PostgresqlSource(address, families=["fact"], views=[])])
    assert set((await app.drain()).raised) == {"fact/1", "fact/*"}
    with outbox.connect() as connection:
        assert connection.execute("SELECT count(*) FROM parbake_reader").fetchone() == (1,)
        connection.execute(f"REVOKE SELECT ON parbake_outbox FROM reader_{outbox.name}")
    with pytest.raises(pb.errors.SourceError, match="permission denied for table parbake_outbox"):
        await app.drain()
    await app.close()


def test_ids_that_a_crash_gives_again_are_read(own_server):
    """The ids of transactions that a crash has undone are given again, and hide no new row from anybody who asks."""
    source = PostgresqlSource(own_server.address, families=["fact"], views=[])
    with psycopg.connect(own_server.address) as connection:
        connection.execute("CREATE TABLE noise(n INT)")
        connection.commit()
        connection.execute("SET synchronous_commit = on")
        emit(connection, "fact/lasting", "fact.changed")
        connection.commit()
        told, cursor = subjects(source)
        assert told == ["fact/lasting"]
        source.report(cursor, 60.0, has_news=True)
        connection.execute("SET synchronous_commit = off")
        lost = [emit(connection, f"fact/{n}", "fact.changed") for n in range(30) if connection.commit() is None]
        connection.commit()
        told, cursor = subjects(source, cursor, limit=100)
        assert len(told) == 30
        assert source.covers(cursor, lost[-1])
    own_server.restart()
    with psycopg.connect(own_server.address) as connection:
        again = emit(connection, "fact/again", "fact.changed")
        connection.commit()
        assert again <= lost[-1], "the server has not given an id again, so that this test proves nothing"
        with contextlib.suppress(pb.errors.SourceError):
            source.covers(cursor, again)  # its connection has ended
        assert not source.covers(cursor, again)
        wait = "SELECT parbake_wait(%s::TEXT::XID8, '50 ms')"
        assert connection.execute(wait, (str(again),)).fetchone() == (False,)
        assert prune(connection) == 0
        told, cursor = subjects(source, cursor)
        assert "fact/again" in told
        assert source.covers(cursor, again)
        source.report(cursor, 60.0, has_news=True)
        connection.commit()
        connection.execute(BEGIN_RUN_EARLIER)
        connection.commit()
        assert connection.execute(wait, (str(again),)).fetchone() == (True,)
        assert prune(connection) > 0
    assert subjects(source, cursor)[0] == []
    source.close()


def test_a_crash_of_one_backend_counts_as_a_restart(own_server):
    """The server recovers although its first process stays the same; what it lost meanwhile is not trusted."""
    source = PostgresqlSource(own_server.address, families=["fact"], views=[])
    reset = "SELECT stats_reset FROM pg_stat_wal"
    before = own_server.sql(reset)
    with psycopg.connect(own_server.address) as connection:
        emit(connection, "fact/1", "fact.changed")
        connection.commit()
        _, cursor = subjects(source)
        lost = [emit(connection, f"fact/{n}", "fact.changed") for n in range(30) if connection.commit() is None]
        connection.commit()
        _, cursor = subjects(source, cursor, limit=100)
        os.kill(connection.info.backend_pid, signal.SIGKILL)

    def has_recovered():
        with contextlib.suppress(psycopg.OperationalError):
            return own_server.sql(reset) != before

    eventually(has_recovered)
    with psycopg.connect(own_server.address) as connection:
        again = emit(connection, "fact/again", "fact.changed")
        connection.commit()
    assert again <= lost[-1]
    with contextlib.suppress(pb.errors.SourceError):
        source.read(cursor, 1)
    assert "fact/again" in subjects(source, cursor)[0]
    source.close()


async def test_an_older_copy_is_another_source(own_server):
    """A data folder that was restored from a copy is refused, also once it has as many transactions as before."""
    own_server.sql("ALTER SYSTEM SET synchronous_commit = on", "SELECT pg_reload_conf()")
    source = PostgresqlSource(own_server.address, families=["fact"], views=[])
    app = pb.App(pb.Registry(), events=[source])
    await app.drain()
    copy = own_server.copied()
    for number in range(3):
        with psycopg.connect(own_server.address) as connection:
            emit(connection, f"fact/{number}", "fact.changed")
        next(iter(source._reports.values())).lasting_at = float("-inf")  # as if ten seconds had passed
        with contextlib.suppress(pb.errors.SourceError):
            await app.drain()
    assert (await app.stamp()).sequence >= 3
    own_server.put_back(copy)
    for number in range(50):
        with psycopg.connect(own_server.address) as connection:
            emit(connection, f"fact/new{number}", "fact.changed")
    with contextlib.suppress(pb.errors.SourceError):
        source.read(b"", 1)
    with pytest.raises(pb.errors.ForeignSource, match="older copy"):
        await app.drain()
    ack = await app.ops.restart("shop")
    assert "fact" in ack.raised
    assert "fact/new9" in (await app.drain()).raised
    await app.close()


async def test_a_promoted_standby_raises_everything(own_server):
    """After a failover, which may have lost the last transactions, all families are raised and reading goes on."""
    own_server.sql("ALTER SYSTEM SET synchronous_commit = on", "SELECT pg_reload_conf()")
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(pg.folder()) / "standby"
        pg.run("pg_basebackup", "-d", own_server.address, "-D", place, "-R", "-X", "stream", "--checkpoint=fast")
        standby = stack.enter_context(pg.postgresql(place, made=True))
        both = psycopg.conninfo.make_conninfo(
            "", host="127.0.0.1,127.0.0.1", port=f"{own_server.port},{standby.port}", user="postgres", dbname="postgres"
        )
        app = pb.App(pb.Registry(), events=[PostgresqlSource(both, families=["fact"], views=[])])
        with psycopg.connect(own_server.address) as connection:
            emit(connection, "fact/1", "fact.changed")
        await app.drain()
        eventually(lambda: standby.sql("SELECT count(*) FROM parbake_outbox") == [(1,)])
        own_server.kill()
        pg.run("pg_ctl", "promote", "-D", place, "-w")
        with contextlib.suppress(pb.errors.SourceError):
            await app.drain()
        ack = await app.drain()
        assert ack is None or "fact" in ack.raised
        assert app.counters.gaps["shop"] == 1
        with psycopg.connect(standby.address) as connection:
            emit(connection, "fact/2", "fact.changed")
        assert "fact/2" in (await app.drain()).raised
        await app.close()
